/** What one peer may hold of the journal: from feature level 2 on, and alike on every member. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BUILT_IN_KINDS } from '../../../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../../../protocols/journal/state/command-kind.ts'
import { createJournalMachine, OPEN_SESSION } from '../../../../protocols/journal/state/journal-machine.ts'
import { JournalRecords } from '../../../../protocols/journal/state/journal-records.ts'
import { createRecordShares, RECORD_BYTES, SHARES_LEVEL } from '../../../../protocols/journal/state/record-shares.ts'
import { MAX_RECORDS_BYTES, MAX_VALUE_BYTES } from '../../../../protocols/journal/state/record-transaction.ts'
import {
  type CommandAnswer,
  createSessionTable,
  MAX_SESSIONS_EACH,
} from '../../../../protocols/journal/state/session-table.ts'
import { savedRows, snapshotOf } from '../../../support/saved-rows.ts'

const BIG = 'x'.repeat(MAX_VALUE_BYTES - 100)

const start = (level = SHARES_LEVEL) => {
  const machine = createJournalMachine(new Map(BUILT_IN_KINDS.map((kind) => [kind.name, kind])))
  let index = 0
  const decide = (kind: string, input: Json, by = 'p'): CommandAnswer => {
    index += 1
    const command = { kind, session: 0, serial: 0, acked: 0, at: 1, by, input }
    return machine.apply(encodeLoggedCommand(command), { index, term: 1 })
  }
  if (level > 1) decide('journal.level', { level })
  const put = (key: string, by: string, value: Json = BIG): unknown => {
    const answer = decide('record.put', { key, value }, by)
    return answer.ok ? 'ok' : Reflect.get(Object(Reflect.get(Object(answer.fault), 'details')), 'reason')
  }
  /** Writes until it is refused. @returns how many were taken */
  const fill = (by: string): number => {
    for (let n = 0; n < 1_000; n += 1) if (put(`${by}/${n}`, by) !== 'ok') return n
    return 1_000
  }
  return { machine, decide, put, fill }
}

test('one peer alone comes to three quarters, and others still have room', () => {
  const { machine, put, fill } = start()
  const taken = fill('mallory')
  const share = (taken * (BIG.length + RECORD_BYTES)) / MAX_RECORDS_BYTES
  assert.ok(share > 0.7 && share < 0.76, `${share}`)
  assert.equal(put('mallory/again', 'mallory'), 'journal-share')
  assert.equal(put('honest/1', 'honest'), 'ok')
  assert.ok(fill('honest') > 10)
  assert.equal(put('mallory/0', 'mallory'), 'ok', 'what does not grow is never refused')
  assert.ok(machine.records.bytes() < MAX_RECORDS_BYTES)
})

test('what is deleted or written over by another counts no more', () => {
  const { machine, decide, put, fill } = start()
  fill('mallory')
  const held = machine.records.bytesOf('mallory')
  assert.equal(decide('record.delete', { key: 'mallory/0' }, 'honest').ok, true)
  assert.ok(machine.records.bytesOf('mallory') < held)
  assert.equal(put('mallory/1', 'honest', 'mine now'), 'ok')
  assert.equal(machine.records.bytesOf('honest'), 'mallory/1'.length + '"mine now"'.length + RECORD_BYTES)
  assert.equal(put('mallory/0', 'mallory'), 'ok')
})

test('what the mesh keeps of itself is never stopped, and counts for nobody', () => {
  const { machine, decide, fill } = start()
  fill('mallory')
  const held = machine.records.bytesOf('mallory')
  assert.equal(decide('coordinator.begin', { leader: 'mallory', name: 'm' }, 'mallory').ok, true)
  assert.equal(machine.records.bytesOf('mallory'), held)
})

test('small records are bounded by number as well', () => {
  const records = new JournalRecords(RECORD_BYTES * 40)
  let count = 0
  try {
    for (; count < 1_000; count += 1)
      records.transact({ index: count + 1, term: 1 }, 0, (tx) => tx.put(`k${count}`, 1), 'p')
  } catch {
    // Refused: that is what is counted.
  }
  assert.ok(count > 20 && count <= 30, `${count}`)
})

test('before feature level 2 nobody owns what it writes, and one peer may fill the journal', () => {
  const { machine, put, fill } = start(1)
  fill('mallory')
  assert.equal(machine.records.bytesOf('mallory'), 0)
  assert.equal(put('honest/1', 'honest'), 'journal-full')
  assert.equal(machine.records.get('mallory/0')?.by, undefined)
})

test('entries and a snapshot come to the same shares', async () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 9 }),
    by: fc.constantFrom('a', 'b', 'c'),
    length: fc.integer({ min: 0, max: 3_000 }),
    deletes: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat({ max: 59 }), async (steps, raisedAt) => {
      const { machine, decide } = start(1)
      for (const [n, { key, by, length, deletes }] of steps.entries()) {
        if (n === raisedAt) decide('journal.level', { level: SHARES_LEVEL })
        if (deletes) decide('record.delete', { key: `k${key}` }, by)
        else decide('record.put', { key: `k${key}`, value: 'x'.repeat(length) }, by)
      }
      const other = createJournalMachine(new Map(BUILT_IN_KINDS.map((kind) => [kind.name, kind])))
      await other.restore(savedRows(await snapshotOf(machine)))
      for (const peer of ['a', 'b', 'c']) {
        const own = machine.records.all().filter((record) => record.by === peer)
        const sum = own.reduce((total, { size }) => total + size + RECORD_BYTES, 0)
        assert.deepEqual([machine.records.bytesOf(peer), other.records.bytesOf(peer)], [sum, sum])
      }
    }),
  )
})

test('the rule at its limit and one beyond', () => {
  const shares = createRecordShares()
  shares.add('p', 100)
  shares.check('p', 50, 50, 100)
  assert.throws(() => shares.check('p', 51, 50, 100), /may not hold more/)
  shares.check('p', -1, 100, 100)
})

test('one peer has so many sessions; its oldest makes room, and nobody else', () => {
  const { machine, decide } = start()
  decide(OPEN_SESSION, null, 'honest')
  const honest = machine.version()
  for (let n = 0; n < MAX_SESSIONS_EACH; n += 1) decide(OPEN_SESSION, null, 'mallory')
  const first = honest + 1
  assert.equal(machine.sessions.check(first, 'mallory', 1, 0, 900).type, 'new')
  for (let n = 0; n < 3; n += 1) decide(OPEN_SESSION, null, 'mallory')
  assert.equal(machine.sessions.check(honest, 'honest', 1, 0, 901).type, 'new')
  assert.equal(machine.sessions.count(), MAX_SESSIONS_EACH + 1)
})

test('answers of who keeps most make room first', () => {
  const answer: CommandAnswer = { ok: true, version: 1, term: 1, result: 'x'.repeat(100) }
  const sessions = createSessionTable(10, 1_000)
  sessions.open(1, 'honest', true)
  for (const id of [2, 3, 4]) sessions.open(id, 'mallory', true)
  const keep = (id: number, owner: string, serial: number): void => {
    const standing = sessions.check(id, owner, serial, 0, 10 * serial + id)
    if (standing.type === 'new') sessions.keep(standing.session, serial, answer, true)
  }
  keep(1, 'honest', 1)
  for (const id of [2, 3, 4]) for (let serial = 1; serial <= 5; serial += 1) keep(id, 'mallory', serial)
  assert.equal(sessions.check(1, 'honest', 1, 0, 900).type, 'known')
})
