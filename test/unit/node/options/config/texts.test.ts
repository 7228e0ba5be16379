import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import * as z from 'zod'
import { UP_DEFAULTS } from '../../../../../node/cli/start/up-configuration.ts'
import { completeChanges } from '../../../../../node/options/config/build-options.ts'
import { dotted, leafShapes } from '../../../../../node/options/config/key-shape.ts'
import { keySpace } from '../../../../../node/options/config/key-space.ts'
import { loadConfig } from '../../../../../node/options/config/load-config.ts'
import { partReference, referenceMarkdown } from '../../../../../node/options/config/reference.ts'
import { starterFile } from '../../../../../node/options/config/starter-file.ts'
import { parseConfigFile } from '../../../../../node/options/config/yaml-file.ts'
import { MeshOptionsSchema } from '../../../../../node/options/schema.ts'
import { testFolder } from '../../../../support/folder.ts'

test('the reference in docs/ is what the schema says now', async () => {
  const kept = await readFile(new URL('../../../../../docs/configuration.md', import.meta.url), 'utf8')
  const [, ...sections] = referenceMarkdown(UP_DEFAULTS).split('\n## ')
  for (const section of sections) assert.ok(kept.includes(section.trim()), 'write it anew: npm run docs')
})

test('the reference has each key once, and each says what it is', () => {
  const text = referenceMarkdown(UP_DEFAULTS)
  for (const { path, about } of leafShapes(keySpace().all)) {
    const rows = text
      .split('\n')
      .filter((line) => line.startsWith(`| \`${dotted(path)}`) && line.includes(about.slice(0, 20)))
    assert.ok(rows.length >= 1, dotted(path))
    assert.notEqual(about, '', dotted(path))
  }
})

test('the options of a part are told by the names that programs give, with bounds and defaults', () => {
  const options = z.strictObject({
    maxWorkers: z.int().min(1).max(9).default(2).describe('Tasks | at the same time.'),
    retry: z.strictObject({ pauseMs: z.int().min(0).optional().describe('Milliseconds between two.') }).prefault({}),
  })
  assert.deepEqual(partReference({ name: 'acme/poll', options })?.trim().split('\n').slice(2), [
    '| Option | Takes | Default | What it is |',
    '|---|---|---|---|',
    '| `maxWorkers` | 1 to 9 | `2` | Tasks \\| at the same time. |',
    '| `retry.pauseMs` | 0 or more |  | Milliseconds between two. |',
  ])
  assert.equal(partReference({ name: 'acme/plain' }), undefined)
})

test('the file of init can be used as it is, and with each of its examples', async (context) => {
  const folder = await testFolder(context)
  const text = starterFile({ mesh: 'demo', secretFile: 'parley.secret' })
  assert.deepEqual(
    parseConfigFile(text, 'x').entries.map(({ path, value }) => [dotted(path), value]),
    [
      ['mesh', 'demo'],
      ['secret_file', 'parley.secret'],
    ],
  )
  const all = text.replaceAll(/^#(?=\S| {2}\S)/gm, '')
  const { writeFile } = await import('node:fs/promises')
  await writeFile(join(folder, 'parley.secret'), 'x', { mode: 0o600 })
  await writeFile(join(folder, 'parley.yaml'), all)
  const { sources } = await loadConfig({ cwd: folder, env: {} })
  assert.ok(sources.size > 12)
  assert.ok(text.split('\n').every((line) => line.length <= 120))
})

test('a whole configuration as changes names every option, so that what is left out goes back to its default', () => {
  const changes = completeChanges({ limits: { maxActive: 3 }, tls: { certFile: 'a', keyFile: 'b' } })
  const given = new Set(Object.keys(changes))
  const unknown = Object.keys(MeshOptionsSchema.shape).filter((name) => !given.has(name))
  // Parts and interceptors are a program's own, and have no key.
  assert.deepEqual(unknown, ['parts', 'interceptors'])
  assert.equal(changes.limits?.maxActive, 3)
  assert.ok('maxQueuedInbound' in (changes.limits ?? {}))
  assert.deepEqual(changes.tls, { certFile: 'a', keyFile: 'b' })
})
