/** What the crash runs would miss if these failed to see it: each kind of loss and repetition, by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeCounter, judgeDecisions, judgeTaken, waits } from '../../crash/judge.ts'
import type { Taken } from '../../crash/ledger.ts'
import type { Decision, History } from '../../crash/load.ts'

const decision = (key: string, more: Partial<Decision> = {}): Decision => ({
  kind: key.startsWith('note/') ? 'note' : 'write',
  key,
  callAt: 0,
  endAt: 10,
  outcome: 'acknowledged',
  version: 5,
  term: 2,
  times: 1,
  why: '',
  ...more,
})
const record = (key: string, more: object = {}) => ({
  key,
  version: 5,
  term: 2,
  value: key.startsWith('note/') ? 1 : key,
  ...more,
})
const counts = ({ lost, twice, wrong }: ReturnType<typeof judgeDecisions>) => [lost, twice, wrong.length]

test('decisions that are there as they were told are well, and so are unknown ones, there or not', () => {
  const unknown = { outcome: 'unknown', version: 0, term: 0, times: 0 } as const
  const decisions = [
    decision('write/1'),
    decision('note/2', { version: 6 }),
    decision('write/3', unknown),
    decision('note/4', unknown),
    decision('write/5', { outcome: 'refused', version: 0 }),
  ]
  const records = [record('write/1'), record('note/2', { version: 6 }), record('write/3', { version: 9 })]
  assert.deepEqual(judgeDecisions(decisions, records), { lost: 0, twice: 0, wrong: [] })
})

test('a decision that was acknowledged and is not there is lost', () => {
  assert.deepEqual(counts(judgeDecisions([decision('write/1')], [])), [1, 0, 1])
  assert.deepEqual(counts(judgeDecisions([decision('note/1')], [])), [1, 0, 1])
})

test('a command that was applied twice is seen in its record, in its answer, and in its version', () => {
  assert.deepEqual(counts(judgeDecisions([decision('note/1')], [record('note/1', { value: 2 })])), [0, 1, 1])
  assert.deepEqual(counts(judgeDecisions([decision('note/1', { times: 2 })], [record('note/1')])), [0, 1, 1])
  assert.deepEqual(counts(judgeDecisions([decision('write/1')], [record('write/1', { version: 8 })])), [0, 1, 1])
  const unknown = decision('note/1', { outcome: 'unknown', version: 0, times: 0 })
  assert.deepEqual(counts(judgeDecisions([unknown], [record('note/1', { value: 2 })])), [0, 1, 1])
})

test('what was refused and is there, what nobody decided, and another value or term are wrong', () => {
  const refused = decision('write/1', { outcome: 'refused', version: 0, why: 'COM001 no-leader' })
  assert.match(judgeDecisions([refused], [record('write/1')]).wrong.join(), /refused \(COM001 no-leader\)/)
  assert.match(judgeDecisions([], [record('write/1')]).wrong.join(), /nobody decided/)
  assert.match(judgeDecisions([decision('write/1')], [record('write/1', { value: 'x' })]).wrong.join(), /holds "x"/)
  assert.match(judgeDecisions([decision('write/1')], [record('write/1', { term: 3 })]).wrong.join(), /stands at 3/)
})

test('two decisions of one version, terms that fall, and a decision behind a later one are wrong', () => {
  const of = (...some: readonly [version: number, term: number, callAt: number, endAt: number][]) => {
    const decisions = some.map(([version, term, callAt, endAt], i) =>
      decision(`write/${i}`, { version, term, callAt, endAt }),
    )
    const records = some.map(([version, term], i) => record(`write/${i}`, { version, term }))
    return judgeDecisions(decisions, records).wrong
  }
  assert.deepEqual(of([1, 1, 0, 1], [2, 1, 0, 1], [3, 2, 5, 6]), [])
  assert.equal(of([1, 1, 0, 1], [1, 1, 0, 1]).length, 1)
  assert.equal(of([1, 2, 0, 1], [2, 1, 0, 1]).length, 1)
  assert.equal(of([1, 1, 5, 6], [2, 1, 0, 1]).length, 1)
})

const step = (input: object, output: object | undefined, callAt: number, returnAt: number | undefined) =>
  ({ process: 'p', input: { key: 'counter', ...input }, output, callAt, returnAt }) as History[number]
const raised = (value: string, ifVersion: number, version: number | undefined, at: number) =>
  step(
    { type: 'put', value, ifVersion },
    version === undefined ? undefined : { type: 'written', version },
    at,
    version === undefined ? undefined : at + 1,
  )

test('a counter that stands where its raises brought it is well; an open one may count or not', () => {
  const history = [raised('1 a', 0, 5, 0), raised('2 b', 5, 8, 2), raised('3 c', 8, undefined, 4)]
  for (const last of ['2 b', '3 c']) assert.deepEqual(judgeCounter(history, last), { lost: 0, twice: 0, wrong: [] })
})

test('a counter that stands lower has lost raises, one that stands higher has some twice', () => {
  const history = [raised('1 a', 0, 5, 0), raised('2 b', 5, 8, 2)]
  assert.deepEqual(judgeCounter(history, '1 a').lost, 1)
  assert.deepEqual(judgeCounter(history, undefined).lost, 2)
  assert.deepEqual(judgeCounter(history, '3 c').twice, 1)
})

test('a read that is older than what was answered before is not linearizable', () => {
  const stale = step({ type: 'get' }, { type: 'found', value: '1 a', version: 5 }, 10, 11)
  const history = [raised('1 a', 0, 5, 0), raised('2 b', 5, 8, 2), stale]
  assert.match(judgeCounter(history, '2 b').wrong.join(), /not linearizable/)
})

const taken = (epoch: number, index: number, more: Partial<Taken> = {}): Taken => ({
  peer: `peer of ${epoch}`,
  epoch,
  fence: { term: epoch, index },
  late: false,
  at: 0,
  refused: undefined,
  ...more,
})

test('directives that rise are well, and an old one that is refused as stale is', () => {
  const all = [taken(2, 5), taken(2, 5), taken(2, 9), taken(3, 11), taken(2, 10, { late: true, refused: 'STA002' })]
  assert.deepEqual(judgeTaken(all), [])
})

test('an old directive that is let through, another refusal, two who direct in one epoch and a strange fence are wrong', () => {
  assert.match(judgeTaken([taken(3, 11), taken(2, 10)]).join(), /2\.10 of epoch 2 was let through after 3\.11/)
  assert.match(judgeTaken([taken(2, 5, { refused: 'COM002' })]).join(), /COM002/)
  assert.match(judgeTaken([taken(2, 5), taken(2, 6, { peer: 'another' })]).join(), /both direct/)
  assert.match(judgeTaken([taken(2, 5, { fence: { term: 3, index: 5 } })]).join(), /fence 3\.5/)
})

test('the longest wait counts from the beginning to the end, and only what was acknowledged is an answer', () => {
  const at = (callAt: number, endAt: number, outcome: Decision['outcome'] = 'acknowledged') =>
    decision('write/1', { callAt, endAt, outcome })
  const all = [at(0, 90), at(110, 120), at(100, 400, 'unknown'), at(450, 460), at(10, 700)]
  assert.deepEqual(waits(all, 100, 500), { gapMs: 340, slowestMs: 10 })
  assert.deepEqual(waits([], 100, 500), { gapMs: 400, slowestMs: 0 })
})
