/** What a simulated node has said, and whether it remembers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RaftStatus } from '../../../protocols/consensus/raft/raft.ts'
import { encodeRaftPacket } from '../../../protocols/consensus/raft/raft-codec.ts'
import type { RaftMessage } from '../../../protocols/consensus/raft/raft-messages.ts'
import { forgets, hear, type Said, silence } from '../../sim/port/said.ts'

const after = (...messages: RaftMessage[]): Said => {
  const said = silence()
  for (const message of messages) hear(said, encodeRaftPacket({ group: 'test', from: 'a.00', to: 'b.00', message }))
  return said
}
const accepted = (term: number, index: number): RaftMessage => ({
  type: 'appended',
  term,
  index,
  accepted: true,
  hintIndex: 0,
  hintTerm: 0,
  round: 0,
})
// The parts of a status that are looked at.
const at = (term: number, lastIndex: number): RaftStatus => ({ term, lastIndex }) as RaftStatus

test('a vote binds to its term', () => {
  const said = after({ type: 'voted', term: 4, isPre: false, granted: true })
  assert.match(forgets(said, at(3, 0)) ?? '', /in term 3, and has spoken in term 4/)
  assert.equal(forgets(said, at(4, 0)), undefined)
})

test('asking and saying what one would do binds to nothing', () => {
  const ask: RaftMessage = { type: 'vote', term: 5, isPre: true, lastIndex: 1, lastTerm: 1, isTransfer: false }
  assert.equal(forgets(after(ask, { type: 'voted', term: 5, isPre: true, granted: true }), at(1, 0)), undefined)
})

test('entries that were said to be there must be there, unless a later leader cut them off', () => {
  const said = after(accepted(2, 7), accepted(2, 5))
  assert.match(forgets(said, at(2, 6)) ?? '', /up to 6, and has said that it has 7/)
  assert.equal(forgets(said, at(2, 7)), undefined)
  assert.equal(forgets(said, at(3, 1)), undefined)
  assert.equal(forgets(after(accepted(2, 7), accepted(3, 4)), at(3, 4)), undefined)
})

test('a refusal says nothing of entries', () => {
  assert.equal(forgets(after({ ...accepted(2, 9), accepted: false } as RaftMessage), at(2, 1)), undefined)
})
