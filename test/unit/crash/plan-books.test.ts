/** The reader of logs of plans: it comes to the same as the product, and finds a product, or a log, that does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlanChange } from '../../../protocols/coordination/journal/plan-changes.ts'
import { decidePlans, planJournal } from '../../../protocols/coordination/journal/plan-kinds.ts'
import { PLANS_PART } from '../../../protocols/coordination/plan-record.ts'
import { agreePart } from '../../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../../protocols/journal/state/command-kind.ts'
import { compareLogs, type LogEntry } from '../../crash/disk/decided-log.ts'
import { type AppliedPlans, applyPlans, checkPlanEntries, differentEnds } from '../../crash/plans/check-plans.ts'

const FIRST = 4
type Played = readonly [by: string, change: PlanChange]
/** As of the decision at this place of what is played. */
const asOf = (at: number) => ({ epoch: 1, id: 'p', as: FIRST + at })
const directive = (i: number): string => `0190c1de-0000-7000-8000-${String(i).padStart(12, '0')}`
const given = (...pairs: readonly (readonly [task: string, agent: string, by: number])[]) =>
  pairs.map(([task, agent, i]) => ({ task, agent, directive: directive(i) }))

const entriesOf = (...changes: readonly Played[]): LogEntry[] => {
  const entries: LogEntry[] = []
  const add = (kind: string, by: string, input: Json): void => {
    const facts = { session: 0, serial: 0, acked: 0, at: 1_000 }
    entries.push({ index: entries.length + 1, term: 1, data: encodeLoggedCommand({ ...facts, kind, by, input }) })
  }
  const { level, maxBytes } = planJournal
  add(raiseLevel.name, 'ann', { level: FIRST })
  add(agreePart.name, 'ann', { part: PLANS_PART, level, maxBytes })
  add(beginEpoch.name, 'ann', { leader: 'ann', name: 'ann' })
  for (const [by, change] of changes) add(decidePlans.name, by, { changes: [change] } as unknown as Json)
  return entries
}

const goal = { goal: 'index the corpus', tasks: ['a', 'b'], maxFailures: 3 }
const PLAYED: readonly Played[] = [
  ['bob', { do: 'propose', id: 'p', goal }],
  ['bob', { do: 'propose', id: 'p', goal }],
  ['eve', { do: 'propose', id: 'p', goal }],
  ['ann', { do: 'system_state_change', ...asOf(0) }],
  ['eve', { do: 'coordination_failure', ...asOf(3), reason: 'x' }],
  ['ann', { do: 'coordination_failure', ...asOf(3), reason: 'no-agent' }],
  ['ann', { do: 'plan_ready', ...asOf(5), assignments: given(['a', 'w', 1]) }],
  ['ann', { do: 'retry_coordination', ...asOf(5) }],
  ['ann', { do: 'plan_ready', ...asOf(7), assignments: given(['a', 'w', 1], ['a', 'v', 2]) }],
  ['ann', { do: 'plan_ready', ...asOf(7), assignments: given(['c', 'w', 1]) }],
  ['ann', { do: 'plan_ready', ...asOf(7), assignments: given(['a', 'w', 1], ['b', 'v', 2]) }],
  ['ann', { do: 'adjustment_needed', ...asOf(10), adjustment: 'directive_failed', reason: 'v' }],
  ['ann', { do: 'plan_ready', ...asOf(11), assignments: given(['a', 'w', 1], ['b', 'w', 3]) }],
  ['ann', { do: 'execution_started', ...asOf(12) }],
  ['ann', { do: 'completion', ...asOf(12), outcome: 'completed' }],
  ['ann', { do: 'completion', ...asOf(13), outcome: 'completed' }],
  ['ann', { do: 'completion', ...asOf(15), outcome: 'failed' }],
  ['bob', { do: 'cancel', id: 'p' }],
  ['bob', { do: 'propose', id: 'q', goal }],
  ['eve', { do: 'cancel', id: 'q' }],
  ['bob', { do: 'cancel', id: 'q', reason: 'no need' }],
  ['ann', { do: 'forget', epoch: 1, ids: ['q'] }],
]

test('it comes to the same as the product, at each entry', async () => {
  const { books, wrong } = await checkPlanEntries(entriesOf(...PLAYED), applyPlans())
  assert.deepEqual(wrong, [])
  assert.deepEqual(
    [...books.outcomes],
    [
      ['p', 'completed'],
      ['q', 'canceled'],
    ],
  )
  const { made, ended, revisions, refused, directives } = books.counts
  assert.deepEqual(
    { made, ended, revisions, refused, directives },
    { made: 2, ended: 2, revisions: 2, refused: 9, directives: 3 },
  )
  assert.deepEqual(books.open(), [])
})

/** A product of which each plan is shown otherwise. */
const showing = (otherwise: (plan: object) => object): AppliedPlans => {
  const real = applyPlans()
  return {
    ...real,
    shown: () => new Map([...real.shown()].map(([id, plan]) => [id, { ...plan, ...otherwise(plan) }])),
  }
}
const foundIn = async (product: AppliedPlans): Promise<string> =>
  (await checkPlanEntries(entriesOf(...PLAYED), product)).wrong[0] ?? ''

test('it finds a product that is in another state, counts otherwise, or gives tasks to others', async () => {
  assert.match(await foundIn(showing(() => ({ state: 'monitoring' }))), /at 4: the plan p is bob, monitoring/)
  assert.match(await foundIn(showing(() => ({ failures: 0 }))), /ought to be bob, error, 0, 1/)
  assert.match(await foundIn(showing(() => ({ revision: 0 }))), /ought to be bob, executing, 1/)
  assert.match(await foundIn(showing(() => ({ assignments: given(['a', 'v', 1]) }))), /a at v/)
  assert.match(await foundIn({ ...applyPlans(), shown: () => new Map() }), /p is gone/)
  const real = applyPlans()
  // It takes nothing that comes from the coordinator.
  const deaf: AppliedPlans = {
    ...real,
    async apply(data, at) {
      if (!new TextDecoder().decode(data).includes('"epoch":1')) await real.apply(data, at)
    },
  }
  assert.match(await foundIn(deaf), /ought to be bob, coordinating/)
})

test('it finds a log in which a directive says two things, and voters that do not have the same', async () => {
  const again = PLAYED.map(
    ([by, change]): Played =>
      change.do === 'plan_ready' && change.as === FIRST + 11
        ? [by, { ...change, assignments: given(['a', 'v', 1]) }]
        : [by, change],
  )
  const { wrong } = await checkPlanEntries(entriesOf(...again), applyPlans())
  assert.match(wrong[0] ?? '', /directive .* said p: a at w, and says p: a at v/)
  const [all, other] = [entriesOf(...PLAYED), entriesOf(...again)]
  assert.deepEqual(compareLogs([all.slice(0, 9), all, all]), { longest: all, wrong: [] })
  assert.deepEqual(compareLogs([all, other.slice(0, 20)]).wrong, [`a voter has another entry at ${FIRST + 12}`])
  const failed = PLAYED.map(
    ([by, change]): Played => (change.do === 'completion' ? [by, { ...change, outcome: 'failed' }] : [by, change]),
  )
  const [one, two] = [
    await checkPlanEntries(all, applyPlans()),
    await checkPlanEntries(entriesOf(...failed), applyPlans()),
  ]
  assert.deepEqual(differentEnds(one.books, two.books), ['the plan p is completed at one voter, and failed at another'])
  assert.deepEqual(differentEnds(one.books, one.books), [])
})

test('a plan that never had its tasks is made anew by the same again, and any other stays over', async () => {
  const reason = 'its tasks were not submitted'
  const entries = entriesOf(
    ['bob', { do: 'propose', id: 'p', goal }],
    ['bob', { do: 'cancel', id: 'p', reason }],
    ['bob', { do: 'propose', id: 'p', goal }],
    ['bob', { do: 'propose', id: 'q', goal }],
    ['bob', { do: 'cancel', id: 'q', reason: 'no need' }],
    ['bob', { do: 'propose', id: 'q', goal }],
  )
  const { books, wrong } = await checkPlanEntries(entries, applyPlans())
  assert.deepEqual(wrong, [])
  assert.deepEqual(books.open(), ['p'])
  assert.deepEqual([...books.outcomes], [['q', 'canceled']])
})
