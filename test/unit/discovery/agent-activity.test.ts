import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  type Activity,
  type ActivityJudgement,
  judgeActivity,
  shownActivity,
  type Workload,
} from '../../../discovery/agent-activity.ts'

const TIMES = { stuckAfterMs: 30_000, lateMs: 3_000 }
const THREAD = {}

/** Looks each second, from what was seen: work, signs, and work and beats of a thread. */
type Seen = readonly [atWork: number, signs: number, thread?: readonly [atWork: number, beats: number]]
const loadOf = ([atWork, signs, thread]: Seen): Workload => ({
  atWork,
  signs,
  threads: thread === undefined ? [] : [{ key: THREAD, atWork: thread[0], beats: thread[1] }],
})
const follow = (seen: readonly Seen[], stepMs = 1_000): ActivityJudgement[] => {
  const all: ActivityJudgement[] = []
  for (const [i, one] of seen.entries()) all.push(judgeActivity(all.at(-1), loadOf(one), i * stepMs, TIMES))
  return all
}
const repeat = (times: number, seen: Seen): Seen[] => Array.from({ length: times }, () => seen)
const last = (seen: readonly Seen[]): string => {
  const { state, why } = follow(seen).at(-1) ?? assert.fail()
  return why === undefined ? state : `${state} ${why}`
}

describe('an agent', () => {
  const table: [string, readonly Seen[], string][] = [
    ['without work is alive', [[0, 0]], 'alive'],
    ['without work is alive however long', repeat(100, [0, 7]), 'alive'],
    ['with work works', [[1, 0]], 'working'],
    ['that got work after a long rest works', [...repeat(100, [0, 7]), ...repeat(30, [1, 7])], 'working'],
    ['is working just before the limit', repeat(30, [1, 0]), 'working'],
    ['is stuck at the limit', repeat(31, [1, 0]), 'stuck silent'],
    ['works again with the first sign', [...repeat(40, [1, 0]), [1, 1]], 'working'],
    ['is alive again when its work ended', [...repeat(40, [1, 0]), [0, 1]], 'alive'],
    ['works as long as anything ends', Array.from({ length: 100 }, (_, i): Seen => [5, i]), 'working'],
    ['is stuck a limit after the last sign', [...repeat(20, [1, 0]), ...repeat(31, [1, 1])], 'stuck silent'],
    ['works when it gets its next request', [...repeat(40, [1, 0]), [0, 1], ...repeat(5, [1, 1])], 'working'],
    [
      'with a thread that turns and does nothing else is stuck all the same',
      Array.from({ length: 31 }, (_, i): Seen => [1, 0, [1, i]]),
      'stuck silent',
    ],
    [
      'is stuck when a thread with work does not turn, whatever others do',
      Array.from({ length: 31 }, (_, i): Seen => [2, i, [1, 5]]),
      'stuck blocked',
    ],
    [
      'is not stuck for a thread without work that does not turn',
      Array.from({ length: 60 }, (_, i): Seen => [2, i, [0, 5]]),
      'working',
    ],
    [
      'works again when its thread turns',
      [...Array.from({ length: 40 }, (_, i): Seen => [2, i, [1, 5]]), [2, 40, [1, 6]]],
      'working',
    ],
    ['without work is alive, though its thread stands still', repeat(60, [0, 0, [0, 0]]), 'alive'],
  ]
  for (const [name, seen, expected] of table) it(name, () => assert.equal(last(seen), expected))

  it('has been in its state since that began', () => {
    const all = follow([...repeat(5, [0, 0]), ...repeat(40, [1, 0]), [1, 1]])
    assert.deepEqual(
      [0, 4, 5, 34, 35, 44, 45].map((i) => [all[i]?.state, all[i]?.sinceAtMs]),
      [
        ['alive', 0],
        ['alive', 0],
        ['working', 5_000],
        ['working', 5_000],
        ['stuck', 35_000],
        ['stuck', 35_000],
        ['working', 45_000],
      ],
    )
  })

  it('is not blamed for the time in which its node stood still', () => {
    const before = follow(repeat(10, [1, 0, [1, 3]])).at(-1)
    const after = judgeActivity(before, loadOf([1, 0, [1, 3]]), 9_000 + 600_000, TIMES)
    assert.equal(after.state, 'working')
    const later = judgeActivity(after, loadOf([1, 0, [1, 3]]), 9_000 + 600_000 + 3_000, TIMES)
    assert.equal(later.state, 'working')
    assert.equal(later.signAtMs, 600_000)
  })

  it('is never stuck without work, nor before the limit, nor right after a sign', () => {
    const step = fc.record({
      atWork: fc.integer({ min: 0, max: 3 }),
      sign: fc.boolean(),
      gapMs: fc.integer({ min: 0, max: 40_000 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let [at, signs, quietMs] = [0, 0, 0]
        let judged: ActivityJudgement | undefined
        for (const { atWork, sign, gapMs } of steps) {
          at += gapMs
          signs += sign ? 1 : 0
          const hadWork = judged !== undefined && judged.atWork > 0
          quietMs = sign || !hadWork ? 0 : quietMs + (gapMs > TIMES.lateMs ? 0 : gapMs)
          const before: ActivityJudgement | undefined = judged
          judged = judgeActivity(before, loadOf([atWork, signs]), at, TIMES)
          assert.equal(judged.state === 'alive', atWork === 0)
          assert.equal(judged.state === 'stuck', atWork > 0 && quietMs >= TIMES.stuckAfterMs)
          assert.ok(judged.sinceAtMs <= at && judged.signAtMs <= at)
        }
      }),
    )
  })
})

describe('how an agent is shown', () => {
  it('is what its neighbours were told, where its record says the same of being stuck, and else what the record says', () => {
    const working: Activity = { state: 'working', sinceMs: 5, progress: 0.5 }
    const stuck: Activity = { state: 'stuck', sinceMs: 7 }
    const table: [Activity | undefined, boolean, Activity | undefined][] = [
      [undefined, false, undefined],
      [undefined, true, { state: 'stuck' }],
      [working, false, working],
      [stuck, true, stuck],
      [working, true, { state: 'stuck' }],
      [stuck, false, { state: 'working' }],
    ]
    for (const [told, isStuck, expected] of table) assert.deepEqual(shownActivity(told, isStuck), expected)
  })
})
