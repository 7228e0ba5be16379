/** Decisions that outlive who made them: three nodes elect a coordinator, agree on records, lose it, and go on. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { createMesh, defineJournalCommand, isParleyError, makeSecret, ParleyError } from '../node/index.ts'

/** A decision of one's own: a seat on a flight goes to whoever asks first. The same on every node that may vote. */
const takeSeat = defineJournalCommand({
  name: 'flight.take',
  level: 1,
  input: z.object({ seat: z.string(), passenger: z.string() }),
  output: z.object({ left: z.number() }),
  apply(journal, { seat, passenger }) {
    const taken = journal.get(`seat/${seat}`)
    if (taken !== undefined)
      throw new ParleyError('STA003', `seat ${seat} is taken`, { hint: 'take another one', details: { by: taken } })
    journal.put(`seat/${seat}`, passenger)
    return { left: 3 - journal.keys('seat/').length }
  },
})

const secret = makeSecret()
const folder = await mkdtemp(join(tmpdir(), 'parley-example-'))
const coordination = { expect: 3, commands: [takeSeat] }
const first = await createMesh({ name: 'one', secret, dataDir: join(folder, 'one'), coordination })
const others = ['two', 'three'].map((name) =>
  createMesh({ name, secret, dataDir: join(folder, name), coordination, join: first.self.addresses }),
)
const voters = [first, ...(await Promise.all(others))]
// It has no disk and no vote, and uses the journal like everyone else.
const guest = await createMesh({ name: 'guest', secret, join: voters.flatMap(({ self }) => self.addresses) })

const before = await guest.coordinator.found()
const { result, fence } = await guest.journal.submit(takeSeat, { seat: '1A', passenger: 'Ada' })
const refused = await guest.journal.submit(takeSeat, { seat: '1A', passenger: 'Bob' }).catch((error: unknown) => error)

// Whoever coordinates goes away; the others elect another one, and nothing is lost.
const leader = voters.find(({ self }) => self.id === before.leader)
await leader?.stop()
await guest.journal.submit(takeSeat, { seat: '1B', passenger: 'Bob' })
const after = await guest.coordinator.found()
const { records } = await guest.journal.list('seat/')
process.stdout.write(
  `${records.map(({ key, value }) => `${key} ${value}`).join('\n')}\nepoch ${before.epoch}, then ${after.epoch}\n`,
)

// What an old decision asks for is refused by whoever saw a newer one.
const newer = await guest.journal.put('gate', 'B7')
await guest.fences.accept('gate', newer.fence)
const stale = await guest.fences.accept('gate', fence).catch((error: unknown) => error)

await Promise.all([guest, ...voters].map((mesh) => mesh.stop()))
await rm(folder, { recursive: true, force: true })
assert.deepEqual(result, { left: 2 })
assert.ok(isParleyError(refused, 'STA003'))
assert.deepEqual(refused.details.by, 'Ada')
assert.notEqual(after.leader, before.leader)
assert.ok(after.epoch > before.epoch)
assert.deepEqual(
  records.map(({ key, value }) => [key, value]),
  [
    ['seat/1A', 'Ada'],
    ['seat/1B', 'Bob'],
  ],
)
assert.ok(isParleyError(stale, 'STA002'))
