/** Appends without entries that wait a moment, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { createAppendCoalescer } from '../../../../protocols/consensus/group/append-coalescing.ts'
import type { RaftMessage } from '../../../../protocols/consensus/raft/raft-messages.ts'

const entry = { index: 2, term: 1, kind: 'empty', data: new Uint8Array(0) } as const
const append = (commit: number, round = 0, entries: readonly (typeof entry)[] = []): RaftMessage => ({
  type: 'append',
  term: 1,
  previousIndex: 1,
  previousTerm: 1,
  entries,
  commit,
  round,
})

const create = () => {
  const time = createVirtualTime()
  const sent: [string, RaftMessage][] = []
  const notices = createAppendCoalescer(time, (to, message) => void sent.push([to, message]))
  notices.send({ to: 'a', message: append(0, 0, [entry]) })
  notices.send({ to: 'b', message: append(0, 0, [entry]) })
  sent.length = 0
  return { time, sent, notices }
}

test('what says only how far is committed waits for some milliseconds, and only the last of it is sent', async () => {
  const { time, sent, notices } = create()
  notices.send({ to: 'a', message: append(3) })
  notices.send({ to: 'b', message: append(3) })
  notices.send({ to: 'a', message: append(4) })
  assert.deepEqual(sent, [])
  await time.run(5)
  assert.deepEqual(sent, [
    ['a', append(4)],
    ['b', append(3)],
  ])
  await time.run(100)
  assert.equal(sent.length, 2)
})

test('entries that come first say the same, for their member alone', async () => {
  const { time, sent, notices } = create()
  notices.send({ to: 'a', message: append(3) })
  notices.send({ to: 'b', message: append(3) })
  notices.send({ to: 'a', message: append(3, 0, [entry]) })
  assert.deepEqual(sent, [['a', append(3, 0, [entry])]])
  await time.run(5)
  assert.deepEqual(sent.slice(1), [['b', append(3)]])
})

test('a new round of heartbeats, and whatever is no append, is sent at once', async () => {
  const { time, sent, notices } = create()
  notices.send({ to: 'a', message: append(3) })
  notices.send({ to: 'a', message: append(3, 1) })
  assert.deepEqual(sent, [['a', append(3, 1)]])
  const vote: RaftMessage = { type: 'voted', term: 2, isPre: false, granted: true }
  notices.send({ to: 'a', message: vote })
  assert.deepEqual(sent.at(-1), ['a', vote])
  notices.send({ to: 'c', message: append(3) })
  assert.deepEqual(sent.at(-1), ['c', append(3)], 'a member that was told nothing yet')
  await time.run(5)
  assert.equal(sent.length, 3)
})

test('nothing is sent after it stopped', async () => {
  const { time, sent, notices } = create()
  notices.send({ to: 'a', message: append(3) })
  notices.stop()
  await time.run(100)
  assert.deepEqual(sent, [])
})
