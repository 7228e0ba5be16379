/**
 * Makes the data directory of a node that keeps something in each of its stores, so that later versions can be held against
 * it. `node make.ts TREE DIR`: TREE is a checkout of the version whose data is wanted.
 *
 * What a checkout wrote is kept under `test/golden/<name>/`, with `expected.json` beside it; it is never made anew.
 */
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { MeshOptionsInput } from '../../node/index.ts'
import { ledger, writeLine } from '../support/ledger-part.ts'

const [tree = '.', to = 'golden'] = process.argv.slice(2)
const { createMesh, defineMessage, makeSecret }: typeof import('../../node/index.ts') = await import(
  join(resolve(tree), 'node/index.ts')
)

const Order = defineMessage({ type: 'golden.order', version: '1.0.0', schema: z.object({ n: z.number() }) })
const Parcel = defineMessage({ type: 'golden.parcel', version: '1.0.0', schema: z.object({ n: z.number() }) })
const DECISIONS = 5
const EVENTS = 12
/** Above the entries of a snapshot: some of them are in one, the rest in the log alone. */
const ROWS = 70
const SNAPSHOT_EVERY = 50
const FOUND_MS = 20_000

const dataDir = resolve(to, 'stopped')
await rm(dataDir, { recursive: true, force: true })
await mkdir(dataDir, { recursive: true, mode: 0o700 })
const secret = makeSecret()
const quiet: MeshOptionsInput = { listen: [], debug: false, control: false, log: 'silent', discovery: { mdns: false } }
const mesh = await createMesh({
  ...quiet,
  name: 'golden',
  secret,
  dataDir,
  parts: [ledger],
  coordination: { snapshotEvery: SNAPSHOT_EVERY },
  events: { history: [{ topic: 'golden.#', store: 'disk', maxEvents: 1_000 }] },
})
const stranger = await createMesh({ ...quiet, name: 'away', secret })
const away = stranger.self.id
await stranger.stop()

await mesh.coordinator.found({ timeoutMs: FOUND_MS })
for (let i = 0; i < DECISIONS; i += 1) await mesh.journal.put(`golden/${i}`, { i })
await mesh.fences.accept('golden', { term: 1, index: 1 })
// The journal takes commands of a part once every voter is known to have it.
for (let i = 0; i < 50; i += 1) {
  const written = await mesh.journal.submit(writeLine, { n: 0 }).catch(() => undefined)
  if (written !== undefined) break
  await new Promise((done) => setTimeout(done, 100))
}
for (let n = 1; n < ROWS; n += 1) await mesh.journal.submit(writeLine, { n })
await mesh.messages.change(async (tx) => {
  tx.put('count', 3)
  tx.put('largest', 'x'.repeat(40_000))
})
await mesh.messages.inbox.open({ types: [Parcel] })
for (let n = 0; n < 3; n += 1) await mesh.messages.send(away, Order, { n }, { guarantee: 'EXACTLY_ONCE' })
// What is sent to itself waits in the inbox.
for (let n = 0; n < 2; n += 1) await mesh.messages.send(mesh.self.id, Parcel, { n })
const expiring = await mesh.messages.send(away, Order, { n: 99 }, { ttlMs: 100 })
await expiring.delivered({ timeoutMs: 5_000 }).catch(() => {})
let heard = 0
await mesh.events.subscribe(
  'golden.events',
  () => {
    heard += 1
  },
  { from: 'earliest', ack: true, name: 'reader' },
)
for (let i = 0; i < EVENTS; i += 1) await mesh.events.publish('golden.events', { i })
for (let i = 0; i < 50 && heard < EVENTS; i += 1) await new Promise((done) => setTimeout(done, 100))
const expected = {
  peer: mesh.self.id,
  away,
  decisions: DECISIONS,
  rows: ROWS,
  events: EVENTS,
  heard,
  outbox: mesh.messages.figures().outbox,
  inbox: mesh.messages.inbox.size?.() ?? 2,
  deadLetters: (await mesh.messages.deadLetters.list()).length,
  state: { count: 3, largest: 40_000 },
}
// As a crash leaves it: no seal, nothing put off.
await cp(dataDir, resolve(to, 'killed'), { recursive: true })
await mesh.stop()
for (const kind of ['stopped', 'killed'])
  for (const name of ['lock', 'node.json', 'control.sock', 'reserve'])
    await rm(resolve(to, kind, name), { recursive: true, force: true })
await writeFile(resolve(to, 'expected.json'), `${JSON.stringify({ secret, ...expected }, null, 2)}\n`)
process.stdout.write(`${JSON.stringify(expected)}\n`)
process.exit(0)
