import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Found } from '../../crash/messages/findings.ts'
import { judgeMessages } from '../../crash/messages/judge-messages.ts'
import { itemOf } from '../../crash/messages/streams.ts'

const ORDERED = 'S-a.c0'
const UNORDERED = 'S-a.u0'
const FILED = 'S-a.f0'
const DOOMED = 'S-a.d0'
const PLAIN = 'S-a.p0'

const sumOf = (stream: string, numbers: readonly number[]): number =>
  numbers.reduce((sum, n) => sum + itemOf(stream, n).amount, 0)
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

const found = (name: string, more: Partial<Found> = {}): Found => ({
  name,
  id: `peer-${name}`,
  sent: new Map(),
  acked: [],
  order: new Map(),
  heads: new Map(),
  times: new Map(),
  file: new Map(),
  effects: [],
  dead: [],
  ...more,
})

const sender = (stream: string, n: number, more: Partial<Found> = {}): Found =>
  found('S', { sent: new Map([[stream, { n, sum: sumOf(stream, upTo(n)), to: ['peer-R'] }]]), ...more })
const inOrder = (stream: string, numbers: readonly number[], more: Partial<Found> = {}): Found =>
  found('R', {
    order: new Map([[stream, numbers]]),
    heads: new Map([[stream, { count: numbers.length, sum: sumOf(stream, numbers) }]]),
    ...more,
  })
const wrongOf = (...all: Found[]): readonly string[] => judgeMessages(all).wrong

test('what was sent and processed once and in order is right', () => {
  const { figures, wrong } = judgeMessages([sender(ORDERED, 4), inOrder(ORDERED, [1, 2, 3, 4])])
  assert.deepEqual(wrong, [])
  assert.deepEqual([figures.messages, figures.processed, figures.exactlyOnce, figures.lost], [4, 4, 2, 0])
})

test('a message that was sent and not processed is lost', () => {
  const { figures, wrong } = judgeMessages([sender(ORDERED, 3), inOrder(ORDERED, [1, 3])])
  assert.equal(figures.lost, 1)
  assert.deepEqual(wrong, [`${ORDERED} 2 was sent, and R has not processed it`])
})

test('one that was processed and never sent is told', () => {
  assert.deepEqual(wrongOf(sender(ORDERED, 1), inOrder(ORDERED, [1, 2])), [
    `R processed ${ORDERED} 2, which nobody sent`,
  ])
})

test('EXACTLY_ONCE may not count twice, AT_LEAST_ONCE may', () => {
  const twice = judgeMessages([sender(ORDERED, 2), inOrder(ORDERED, [1, 2, 2])])
  assert.equal(twice.figures.twice, 1)
  assert.match(twice.wrong.join(), /2 is EXACTLY_ONCE, and counted 2 times at R/)
  const again = judgeMessages([sender(ORDERED, 2), inOrder(ORDERED, [1, 1, 2])])
  assert.deepEqual([again.figures.again, again.wrong], [1, []])
  const filed = judgeMessages([sender(FILED, 2), found('R', { file: new Map([[FILED, [1, 2, 2]]]) })])
  assert.deepEqual([filed.figures.again, filed.wrong], [1, []])
  const row = { times: 2, sum: 2 * itemOf(UNORDERED, 2).amount }
  const one = { times: 1, sum: itemOf(UNORDERED, 1).amount }
  const times = new Map([
    [
      UNORDERED,
      new Map([
        [1, one],
        [2, row],
      ]),
    ],
  ])
  assert.equal(judgeMessages([sender(UNORDERED, 2), found('R', { times })]).figures.twice, 1)
})

test('an order counts by the first time that each was processed', () => {
  assert.match(
    wrongOf(sender(ORDERED, 3), inOrder(ORDERED, [1, 3, 2])).join(),
    /2 was processed at R after a later one/,
  )
  assert.deepEqual(wrongOf(sender(FILED, 3), found('R', { file: new Map([[FILED, [1, 2, 1, 2, 3]]]) })), [])
})

test('sums that do not come to what was processed are told, on both sides', () => {
  const heads = new Map([[ORDERED, { count: 2, sum: 1_000_000 }]])
  assert.match(wrongOf(sender(ORDERED, 2), inOrder(ORDERED, [1, 2], { heads })).join(), /R has 1000000 of/)
  const sent = new Map([[ORDERED, { n: 2, sum: 7_000_000, to: ['peer-R'] }]])
  assert.match(wrongOf(found('S', { sent }), inOrder(ORDERED, [1, 2])).join(), /S counted 2 of/)
})

test('a receipt counts as sent, and a plain send without one may be there or not', () => {
  const acked = [{ stream: PLAIN, n: 5, to: ['peer-R'] }]
  assert.deepEqual(wrongOf(found('S', { acked }), inOrder(PLAIN, [4, 5])), [])
  assert.match(wrongOf(found('S', { acked }), inOrder(PLAIN, [4])).join(), /5 was sent, and R has not/)
})

test('doomed messages become dead letters and no others do', () => {
  const dead = [{ stream: DOOMED, n: 3, code: 'APP001', reason: 'not yet' }]
  assert.deepEqual(wrongOf(sender(DOOMED, 4, { dead }), inOrder(DOOMED, [1, 2, 4])), [])
  assert.match(wrongOf(sender(DOOMED, 4), inOrder(DOOMED, [1, 2, 4])).join(), /was to become a dead letter/)
  const other = [{ stream: ORDERED, n: 1, code: 'COM001', reason: 'late' }]
  assert.match(
    wrongOf(sender(ORDERED, 1, { dead: other }), inOrder(ORDERED, [1])).join(),
    /dead letter S-a\.c0 1: COM001/,
  )
})

test('what may be missing, unknown or in parts is not wrong, and counted', () => {
  const all = [sender(ORDERED, 3), inOrder(ORDERED, [1, 3, 4], { heads: new Map() })]
  const { figures, wrong } = judgeMessages(all, { mayMiss: () => true, mayBeInParts: () => true })
  assert.deepEqual([figures.missedAllowed, figures.lost, wrong], [1, 0, []])
})
