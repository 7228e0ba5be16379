/** What a compiler says of an event whose data do not fit its definition. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))

/** @param root where the sources are, from the program's folder */
const programOf = (root: string): string => `
import { z } from 'zod'
import type { Events } from '${root}/protocols/events/api.ts'
import { defineEvent, type EventDefinition } from '${root}/protocols/events/define-event.ts'
declare const events: Events
const finished = defineEvent({ topic: 'a.b', version: '1.0.0', schema: z.object({ task: z.string(), seconds: z.number() }) })
await events.publish(finished, { task: 'x', seconds: 1 })
await events.publish('a.c', { anything: 1 })
await events.publish(Math.random() > 0.5 ? 'a.c' : 'a.d', undefined, { priority: 'high' })
const again = <S extends z.ZodType>(event: EventDefinition<S>, data: z.input<S>) => events.publish(event, data)
await again(finished, { task: 'x', seconds: 1 })
await events.subscribe(finished, ({ data }) => console.log(data.task.length))
await events.subscribe('a.*', ({ data }) => console.log(data))
await events.publish(finished, { task: 7, seconds: 1 })
await events.publish(finished, { task: 'x' })
`

const compile = (folder: string): Promise<string> =>
  new Promise((resolve) => {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    execFile(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], (_error, stdout) => resolve(stdout))
  })

test('a field that does not fit is named, and no overload is', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-types-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'program.ts'), programOf(relative(folder, ROOT)))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  const extended = { extends: join(ROOT, 'tsconfig.json'), include: ['program.ts'], exclude: [] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(extended))
  const output = await compile(folder)
  const said = output.split('\n').filter((line) => line.includes('program.ts('))
  assert.equal(said.length, 2, output)
  assert.match(said[0] ?? '', /TS2322: Type 'number' is not assignable to type 'string'/)
  assert.match(said[1] ?? '', /TS2741: Property 'seconds' is missing/)
  assert.doesNotMatch(said.join(), /overload/i)
})
