import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAttackArguments } from '../../attack/arguments.ts'
import { judge } from '../../attack/attacks/tasks/workshop.ts'
import { delayOf, harmOf, harmOfTasks, isSlow, LIMITS, lateOf } from '../../attack/judge.ts'
import type { Service } from '../../attack/members/honest.ts'
import { grown, refusalsOf } from '../../attack/members/member.ts'
import { allHeld, type Result, summary, verdictOf } from '../../attack/report.ts'
import { UsageError } from '../../support/usage.ts'

const calm: Service = {
  callP99Ms: 5,
  eventP99Ms: 5,
  slowestCallMs: 10,
  failedCalls: 0,
  calls: 1_000,
  lostEvents: 0,
  events: 1_000,
}
const noticed = (during: Partial<Service>, grownMib = 0) => ({
  before: calm,
  during: { ...calm, ...during },
  beforeMib: 100,
  peakMib: 100 + grownMib,
  refused: {},
})

test('an attack that nobody notices does no harm', () => {
  assert.deepEqual([...delayOf(noticed({})), ...harmOf(noticed({}))], [])
})

test('each limit counts from just above it, memory from itself on', () => {
  assert.deepEqual(delayOf(noticed({ callP99Ms: LIMITS.p99Ms, eventP99Ms: LIMITS.p99Ms })), [])
  assert.match(
    delayOf(noticed({ callP99Ms: LIMITS.p99Ms + 1 }))[0] ?? '',
    /p99 of honest calls took 151 ms, before 5 ms/,
  )
  assert.match(delayOf(noticed({ eventP99Ms: LIMITS.p99Ms + 1 }))[0] ?? '', /events/)
  assert.match(delayOf(noticed({ slowestCallMs: LIMITS.slowestMs + 1 }))[0] ?? '', /an honest call took 751 ms/)
  assert.deepEqual(harmOf(noticed({ failedCalls: 10, lostEvents: 10 })), [])
  assert.match(harmOf(noticed({ failedCalls: 11 }))[0] ?? '', /11 of 1000 honest calls failed/)
  assert.match(harmOf(noticed({ lostEvents: 11 }))[0] ?? '', /11 of 1000 honest events/)
  assert.deepEqual(harmOf(noticed({}, LIMITS.grownMib - 1)), [])
  assert.match(harmOf(noticed({}, LIMITS.grownMib))[0] ?? '', /grew by 64 MiB/)
})

test('a machine that was slow before is compared with itself', () => {
  assert.equal(isSlow(1_200, 100, 150, 12), false)
  assert.equal(isSlow(1_201, 100, 150, 12), true)
})

test('a newcomer has two seconds, or twice what it takes on a busy machine', () => {
  assert.deepEqual(lateOf(2_000, 300), [])
  assert.equal(lateOf(2_001, 300).length, 1)
  assert.deepEqual(lateOf(2_900, 1_500), [])
  assert.deepEqual(lateOf(undefined, 300), ['a newcomer did not get in'])
})

const result = (reached: readonly string[] | undefined): Result => ({
  name: 'a',
  line: 'A1',
  by: 'stranger',
  seconds: 1,
  findings: reached && { tried: { calls: 3 }, refused: { refused_total: 2 }, reached },
  broken: reached === undefined ? 'no reason' : undefined,
})

test('an attack that reached something succeeded, and one that was not played was not held off', () => {
  assert.deepEqual(
    [['x'], [], undefined].map((reached) => verdictOf(result(reached))),
    ['SUCCEEDED', 'held off', 'NOT PLAYED'],
  )
  assert.equal(allHeld([result([])]), true)
  assert.equal(allHeld([result([]), result(['x'])]), false)
  assert.equal(allHeld([result([]), result(undefined)]), false)
  assert.equal(allHeld([]), false)
})

test('the summary names what was tried, what was refused and what was reached', () => {
  const text = summary([result(['the safe is open']), result([]), result(undefined)])
  assert.match(text, /tried calls 3; the node counted refused_total 2/)
  assert.match(text, /SUCCEEDED: the safe is open/)
  assert.match(text, /could not be played: no reason/)
  assert.match(text, /attack: FAILED, 1 held off, 1 succeeded, 1 not played/)
})

test('only counters of refusals are read from the metrics, and only what grew is told', () => {
  const text =
    '# HELP x refused\nparley_streams_refused_total 3\nparley_calls_total 9\nparley_peers_denied{a="b c"} 1\n'
  assert.deepEqual(refusalsOf(text), { streams_refused_total: 3, 'peers_denied{a="b c"}': 1 })
  assert.deepEqual(grown({ a: 1, b: 2 }, { a: 1, b: 5, c: 1 }), { b: 3, c: 1 })
})

test('the command line is checked', () => {
  const names = ['slots', 'scanner']
  assert.deepEqual(parseAttackArguments([], names), { only: undefined, seconds: 30, json: undefined })
  assert.deepEqual(parseAttackArguments(['--only', 'slots, scanner', '--seconds', '600'], names).only, names)
  for (const wrong of [['--only', 'lift'], ['--seconds', '601'], ['--seconds', '0'], ['--json='], ['slots']]) {
    assert.throws(() => parseAttackArguments(wrong, names), UsageError)
  }
})

test('honest tasks all end rightly and in time: what did not is told, and that there were none', () => {
  const good = { submitted: 10, wrong: [], wrongTasks: 0, slowestMs: LIMITS.taskMs }
  const quiet = { slowestMs: 100 }
  assert.deepEqual(harmOfTasks(quiet, good), [])
  assert.deepEqual(harmOfTasks(quiet, { ...good, wrong: ['a task of 3 ended with "a lie"'], wrongTasks: 1 }), [
    'a task of 3 ended with "a lie"',
  ])
  assert.match(harmOfTasks(quiet, { ...good, wrong: ['x'], wrongTasks: 7 })[1] ?? '', /7 of 10 tasks ended wrongly/)
  assert.match(harmOfTasks(quiet, { ...good, submitted: 0 })[0] ?? '', /no honest task/)
  assert.match(harmOfTasks(quiet, { ...good, slowestMs: LIMITS.taskMs + 1 })[0] ?? '', /took 6001 ms, before 100 ms/)
  assert.deepEqual(harmOfTasks({ slowestMs: 400 }, { ...good, slowestMs: 8_000 }), [])
})

test('an answer that is not among the allowed ones is what the attacker reached; all are counted', () => {
  const scene = { tried: {}, reached: [] as string[] }
  judge(scene, 'a report', ['STA002', 'STA002', 'ok'], ['STA002'])
  assert.deepEqual(scene.tried, { 'a report: STA002': 2, 'a report: ok': 1 })
  assert.deepEqual(scene.reached, ['a report was answered with ok, not with STA002'])
})
