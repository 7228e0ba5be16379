/** A pipeline of tasks that wait for each other, one of them paused by a person, on two workers; any node reads the results. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createMesh, makeSecret } from '../node/index.ts'

const folder = await mkdtemp(join(tmpdir(), 'parley-example-'))
const secret = makeSecret()
const start = (name: string, others: readonly string[] = []) =>
  createMesh({ name, secret, dataDir: join(folder, name), coordination: { expect: 3 }, join: [...others] })
const planner = await start('planner')
const [reader, writer] = await Promise.all([
  start('reader', planner.self.addresses),
  start('writer', planner.self.addresses),
])

const PAGES: Readonly<Record<string, string>> = { one: 'gossip carries events', two: 'noise proves who speaks' }
const counts = new Map<string, number>()

await reader.tasks.work('read', ({ input }) => PAGES[String(input)] ?? '')
await writer.tasks.work('count', async ({ id, input, checkpoint }, task) => {
  // What it finds is another task's result, by its id.
  const text = String(await writer.tasks.get(String(input)).result())
  const words = text.split(' ')
  for (let at = Number(checkpoint ?? 0); at < words.length; at += 1) {
    counts.set(id, (counts.get(id) ?? 0) + 1)
    await task.checkpoint(at + 1)
    task.progress((at + 1) / words.length)
    await setTimeout(50)
    task.signal.throwIfAborted()
  }
  return words.length
})
await writer.tasks.work('sum', async ({ input }) => {
  const of = await Promise.all((input as string[]).map((id) => writer.tasks.get(id).result()))
  return of.reduce<number>((sum, n) => sum + Number(n), 0)
})

// All of it is accepted at once: what waits for others begins when they are done.
const [total] = await planner.tasks.submitAll([
  { id: 'total', type: 'sum', input: ['count-one', 'count-two'], dependencies: ['count-one', 'count-two'] },
  { id: 'read-one', type: 'read', input: 'one' },
  { id: 'read-two', type: 'read', input: 'two', priority: 'high' },
  { id: 'count-one', type: 'count', input: 'read-one', dependencies: ['read-one'] },
  { id: 'count-two', type: 'count', input: 'read-two', dependencies: ['read-two'] },
])
assert.ok(total)

// A person holds one of them for a moment: it goes on from its checkpoint.
const held = planner.tasks.get('count-two')
for await (const { status } of held.updates()) if (status === 'running') break
await held.pause('lunch')
const paused = await held.state()
await held.resume()

const result = await total.result({ timeoutMs: 20_000 })
const seen = await reader.tasks.get('total').state()
process.stdout.write(`${result} words; ${seen.id} is ${seen.status}, done by ${seen.record.worker}\n`)

await Promise.all([planner, reader, writer].map((mesh) => mesh.stop()))
await rm(folder, { recursive: true, force: true })
assert.equal(paused.status, 'paused')
assert.equal(paused.record.reason, 'lunch')
assert.equal(result, 7)
assert.equal(seen.status, 'completed')
// Three words and four: a word is counted again only where its checkpoint was not recorded yet.
assert.equal(counts.get('count-one'), 3)
assert.ok((counts.get('count-two') ?? 0) <= 5)
