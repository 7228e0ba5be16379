/** What is decided about plans: who may, which states follow on which, and what is kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  MAX_MOVES,
  MAX_OFFLINE,
  MAX_PLAN_TASKS,
  NOT_SUBMITTED,
  PARTLY_SUBMITTED,
} from '../../../protocols/coordination/plan-record.ts'
import { nextState, PLAN_STATES, PLAN_TRIGGERS } from '../../../protocols/coordination/plan-states.ts'
import { goalOf, LEADER, PlanJournal } from '../../support/plan-journal.ts'

const directive = (i: number): string => `0190c1de-0000-7000-8000-${String(i).padStart(12, '0')}`
const assigned = (...pairs: readonly (readonly [task: string, agent: string])[]) =>
  pairs.map(([task, agent], i) => ({ task, agent, directive: directive(i) }))

test('a plan goes from state to state as seed 003 has it, and back', () => {
  const journal = new PlanJournal()
  assert.deepEqual(journal.propose('ann', 'p', goalOf(['a', 'b'])), { isKnown: false })
  const states = (): unknown => journal.get('p')?.state
  assert.equal(states(), 'idle')
  const steps = [
    [{ do: 'system_state_change' }, 'coordinating'],
    [{ do: 'coordination_failure', reason: 'no-agent' }, 'error'],
    [{ do: 'retry_coordination' }, 'coordinating'],
    [{ do: 'plan_ready', assignments: assigned(['a', 'w1'], ['b', 'w2']) }, 'executing'],
    [{ do: 'adjustment_needed', adjustment: 'directive_failed', reason: 'w2' }, 'coordinating'],
    [{ do: 'plan_ready', assignments: assigned(['a', 'w1'], ['b', 'w1']) }, 'executing'],
    [{ do: 'execution_started' }, 'monitoring'],
    [{ do: 'adjustment_needed', adjustment: 'imbalance' }, 'coordinating'],
    [{ do: 'plan_ready', assignments: assigned(['b', 'w3']) }, 'executing'],
    [{ do: 'execution_started' }, 'monitoring'],
    [{ do: 'completion', outcome: 'completed' }, 'idle'],
  ] as const
  for (const [move, state] of steps) {
    journal.at += 1
    assert.equal(journal.move('p', move as Parameters<typeof journal.move>[1]), null, move.do)
    assert.equal(states(), state, move.do)
  }
  const plan = journal.get('p')
  assert.equal(plan?.outcome, 'completed')
  assert.equal(plan?.revision, 3)
  assert.deepEqual(
    plan?.moves.map(({ trigger }) => trigger),
    steps.map(([move]) => move.do),
  )
  assert.equal(plan?.moves[4]?.reason, 'directive_failed: w2')
  assert.deepEqual(journal.bugs, [])
})

test('what does not follow on a state is refused in each of them, and changes nothing', () => {
  const moves = {
    system_state_change: { do: 'system_state_change' },
    plan_ready: { do: 'plan_ready', assignments: [] },
    coordination_failure: { do: 'coordination_failure', reason: 'x' },
    execution_started: { do: 'execution_started' },
    completion: { do: 'completion', outcome: 'completed' },
    adjustment_needed: { do: 'adjustment_needed', adjustment: 'imbalance' },
    recovery_complete: { do: 'recovery_complete', reason: 'x' },
    retry_coordination: { do: 'retry_coordination' },
  } as Readonly<Record<(typeof PLAN_TRIGGERS)[number], Parameters<PlanJournal['move']>[1]>>
  const ways = {
    idle: [],
    coordinating: ['system_state_change'],
    executing: ['system_state_change', 'plan_ready'],
    monitoring: ['system_state_change', 'plan_ready', 'execution_started'],
    error: ['system_state_change', 'coordination_failure'],
  } as const
  let refused = 0
  for (const state of PLAN_STATES)
    for (const trigger of PLAN_TRIGGERS) {
      const journal = new PlanJournal()
      journal.propose('ann', 'p', goalOf(['a']))
      for (const way of ways[state]) assert.equal(journal.move('p', moves[way]), null)
      const before = journal.get('p')
      const answer = journal.move('p', moves[trigger])
      const next = nextState(state, trigger)
      if (next !== undefined) assert.equal(journal.get('p')?.state, next)
      else {
        refused += 1
        assert.equal(answer, 'STA003 plan-status', `${state} ${trigger}`)
        assert.deepEqual(journal.get('p'), before)
      }
    }
  assert.equal(refused, 5 * 8 - 10)
})

test('only who coordinates moves plans, in its epoch, as of what it has read', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a']))
  assert.equal(journal.move('p', { do: 'system_state_change' }, 'ann'), 'SEC002')
  const as = journal.get('p')?.fence.index ?? 0
  assert.equal(journal.one(LEADER, { do: 'system_state_change', epoch: 2, id: 'p', as }), 'STA002')
  assert.equal(journal.one(LEADER, { do: 'system_state_change', epoch: 1, id: 'p', as: as - 1 }), 'STA003 plan-status')
  assert.equal(journal.one(LEADER, { do: 'forget', epoch: 0, ids: ['p'] }), 'STA002')
  assert.equal(journal.one('ann', { do: 'forget', epoch: 1, ids: ['p'] }), 'SEC002')
  journal.begin('bob', 2)
  assert.equal(journal.one(LEADER, { do: 'system_state_change', epoch: 2, id: 'p', as }), 'SEC002')
  assert.equal(journal.one('bob', { do: 'system_state_change', epoch: 2, id: 'p', as }), null)
})

test('the same plan again is the same one; another one of the id, a task twice, and a stranger are refused', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a', 'b']))
  assert.deepEqual(journal.propose('ann', 'p', goalOf(['a', 'b'])), { isKnown: true })
  assert.equal(journal.propose('ann', 'p', goalOf(['a'])), 'STA003 exists')
  assert.equal(journal.propose('bob', 'p', goalOf(['a', 'b'])), 'STA003 exists')
  assert.equal(journal.propose('ann', 'q', goalOf(['a', 'a'])), 'MSG001')
  assert.equal(journal.one('bob', { do: 'cancel', id: 'p' }), 'SEC002')
  assert.equal(journal.one('ann', { do: 'cancel', id: 'none' }), 'STA001')
  assert.equal(journal.one('ann', { do: 'cancel', id: 'p', reason: 'no need' }), null)
  assert.equal(journal.get('p')?.outcome, 'canceled')
  assert.equal(journal.one('ann', { do: 'cancel', id: 'p' }), 'STA003 ended')
  assert.equal(journal.move('p', { do: 'system_state_change' }), 'STA003 ended')
})

test('an assignment is of a task of the plan, once, by a directive of its own', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a', 'b']))
  journal.move('p', { do: 'system_state_change' })
  const ready = (assignments: ReturnType<typeof assigned>): unknown =>
    journal.move('p', { do: 'plan_ready', assignments })
  assert.equal(ready(assigned(['c', 'w'])), 'MSG001')
  assert.equal(ready(assigned(['a', 'w'], ['a', 'v'])), 'MSG001')
  const [first] = assigned(['a', 'w'])
  assert.ok(first)
  assert.equal(ready([first, { ...first, task: 'b' }]), 'MSG001')
  assert.equal(ready(assigned(['b', 'w'], ['a', 'w'])), null)
})

test('agents that are marked offline are kept, each in its newest life, up to the bound', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a']))
  const mark = (agents: readonly string[], registration: number): void => {
    const offline = agents.map((agent) => ({ agent, registration }))
    if (journal.get('p')?.state === 'idle') journal.move('p', { do: 'system_state_change' })
    if (journal.get('p')?.state === 'error') journal.move('p', { do: 'retry_coordination' })
    assert.equal(journal.move('p', { do: 'coordination_failure', reason: 'x', offline }), null)
  }
  mark(['w1', 'w2'], 1)
  mark(['w1'], 7)
  assert.deepEqual(journal.get('p')?.offline, [
    { agent: 'w2', registration: 1 },
    { agent: 'w1', registration: 7 },
  ])
  mark(
    Array.from({ length: MAX_OFFLINE }, (_, i) => `x${i}`),
    2,
  )
  assert.equal(journal.get('p')?.offline.length, MAX_OFFLINE)
  assert.equal(journal.get('p')?.offline[0]?.agent, 'x0')
  assert.equal(journal.get('p')?.failures, 3)
})

test('failures count until a plan is carried out; moves are bounded', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a']))
  journal.move('p', { do: 'system_state_change' })
  for (let i = 0; i < MAX_MOVES; i += 1) {
    journal.move('p', { do: 'plan_ready', assignments: assigned(['a', 'w']) })
    const offline = [{ agent: 'w', registration: i }]
    journal.move('p', {
      ...{ do: 'adjustment_needed', offline },
      adjustment: i % 2 === 0 ? 'directive_failed' : 'agent_unavailable',
    })
  }
  assert.equal(journal.get('p')?.failures, MAX_MOVES / 2)
  assert.equal(journal.get('p')?.moves.length, MAX_MOVES)
  journal.move('p', { do: 'plan_ready', assignments: [] })
  journal.move('p', { do: 'execution_started' })
  assert.equal(journal.get('p')?.failures, 0)
})

test('an agent that is gone is news once: the same one again counts as a failure, but not while all work is under way', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a']))
  journal.move('p', { do: 'system_state_change' })
  const gone = (...offline: { agent: string; registration: number }[]): number | undefined => {
    journal.move('p', { do: 'adjustment_needed', adjustment: 'agent_unavailable', offline })
    const failures = journal.get('p')?.failures
    journal.move('p', { do: 'plan_ready', assignments: assigned(['a', 'w']) })
    return failures
  }
  journal.move('p', { do: 'plan_ready', assignments: assigned(['a', 'w']) })
  assert.equal(gone({ agent: 'w', registration: 1 }), 0)
  assert.equal(gone({ agent: 'w', registration: 1 }), 1)
  assert.equal(gone({ agent: 'w', registration: 1 }, { agent: 'v', registration: 1 }), 1)
  assert.equal(gone({ agent: 'w', registration: 2 }), 1)
  assert.equal(gone(), 2)
  journal.move('p', { do: 'execution_started' })
  assert.equal(gone(), 0)
})

test('where a plan can mark no more agents, one that cannot be directed counts as a failure: it has an end', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a']))
  journal.move('p', { do: 'system_state_change' })
  for (let i = 0; i < 2 * (MAX_OFFLINE + 1); i += 1) {
    const agent = `w${i % (MAX_OFFLINE + 1)}`
    journal.move('p', { do: 'plan_ready', assignments: assigned(['a', agent]) })
    const offline = [{ agent, registration: 1 }]
    journal.move('p', { do: 'adjustment_needed', adjustment: 'agent_unavailable', offline })
  }
  assert.equal(journal.get('p')?.failures, MAX_OFFLINE + 2)
})

test('an owner has three times of what is free, and what is forgotten frees its share', () => {
  const journal = new PlanJournal()
  const tasks = Array.from({ length: MAX_PLAN_TASKS }, (_, i) => `t${i}`)
  let made = 0
  while (journal.propose('ann', `p${made}`, goalOf(tasks)) !== 'COM003 plan-share') made += 1
  assert.ok(made > 50, `${made} plans`)
  assert.equal(journal.share('ann'), made)
  assert.deepEqual(journal.propose('bob', 'other', goalOf(['a'])), { isKnown: false })
  // One that is open is not forgotten.
  assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['p0', 'p1', 'nobody'] }), null)
  assert.equal(journal.share('ann'), made)
  journal.one('ann', { do: 'cancel', id: 'p0' })
  // What is over counts for nobody, until it is forgotten and after that.
  assert.equal(journal.share('ann'), made - 1)
  assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['p0'] }), null)
  assert.equal(journal.get('p0'), undefined)
  assert.equal(journal.share('ann'), made - 1)
  assert.deepEqual(journal.bugs, [])
})

test('who works on a task goes on with the plan of it, and nobody else', () => {
  const journal = new PlanJournal()
  const goal = goalOf(['whole.a', 'whole.b'])
  assert.deepEqual(journal.propose('ann', 'p', goal), { isKnown: false })
  assert.equal(journal.propose('bob', 'p', goal), 'STA003 exists', 'there is no such task')
  journal.workOn('bob', 'whole', 'other')
  assert.equal(journal.propose('eve', 'p', goal), 'STA003 exists', 'somebody else has it')
  assert.equal(journal.propose('bob', 'p', goalOf(['whole.a'])), 'STA003 exists', 'another goal')
  assert.deepEqual([journal.get('p')?.owner, journal.share('ann'), journal.share('bob')], ['ann', 1, 0])
  const { fence } = journal.get('p') ?? {}
  assert.deepEqual(journal.propose('bob', 'p', goal), { isKnown: true })
  assert.deepEqual([journal.get('p')?.owner, journal.share('ann'), journal.share('bob')], ['bob', 0, 1])
  assert.deepEqual(journal.get('p')?.fence, fence, 'directives go on')
  assert.equal(journal.one('ann', { do: 'cancel', id: 'p' }), 'SEC002')
  assert.deepEqual(journal.propose('ann', 'mixed', goalOf(['whole.c', 'other.c'])), { isKnown: false })
  assert.equal(journal.propose('bob', 'mixed', goalOf(['whole.c', 'other.c'])), 'STA003 exists', 'of two tasks')

  assert.equal(journal.one('bob', { do: 'cancel', id: 'p' }), null)
  assert.deepEqual([journal.share('ann'), journal.share('bob')], [1, 0])
  assert.deepEqual(journal.bugs, [])
})

test('voters of an older level keep the plan for who made it', () => {
  const journal = new PlanJournal(1)
  journal.workOn('bob', 'whole')
  const goal = goalOf(['whole.a'])
  journal.propose('ann', 'p', goal)
  assert.equal(journal.propose('bob', 'p', goal), 'STA003 exists')
  assert.equal(journal.get('p')?.owner, 'ann')
})

test('a plan that never had its tasks is made anew by the same again; others that are over stay so', () => {
  const journal = new PlanJournal()
  const goal = goalOf(['a', 'b'])
  journal.propose('ann', 'p', goal)
  journal.one('ann', { do: 'cancel', id: 'p', reason: NOT_SUBMITTED })
  assert.equal(journal.propose('bob', 'p', goal), 'STA003 exists')
  assert.deepEqual(journal.propose('ann', 'p', goal), { isKnown: false })
  assert.equal(journal.get('p')?.outcome, undefined)
  assert.equal(journal.share('ann'), 1)
  journal.one('ann', { do: 'cancel', id: 'p', reason: 'no need' })
  assert.deepEqual(journal.propose('ann', 'p', goal), { isKnown: true })
  assert.equal(journal.get('p')?.outcome, 'canceled')
  // Given up by who coordinates, it is the same.
  journal.propose('ann', 'given-up', goal)
  journal.move('given-up', { do: 'system_state_change', reason: NOT_SUBMITTED })
  journal.move('given-up', { do: 'coordination_failure', reason: NOT_SUBMITTED })
  journal.move('given-up', { do: 'recovery_complete', reason: NOT_SUBMITTED })
  assert.equal(journal.get('given-up')?.outcome, 'failed')
  assert.deepEqual(journal.propose('ann', 'given-up', goal), { isKnown: false })
  // Voters of an older level do not know of it.
  const older = new PlanJournal(2)
  older.propose('ann', 'p', goal)
  older.one('ann', { do: 'cancel', id: 'p', reason: NOT_SUBMITTED })
  assert.deepEqual(older.propose('ann', 'p', goal), { isKnown: true })
})

test('a plan of a task that never had its tasks is made anew by whoever works on the task', () => {
  const journal = new PlanJournal()
  journal.workOn('bob', 'whole')
  const goal = goalOf(['whole.a'])
  const endUnbegun = (by: string): unknown => journal.one(by, { do: 'cancel', id: 'p', reason: NOT_SUBMITTED })
  journal.propose('bob', 'p', goal)
  endUnbegun('bob')
  assert.deepEqual(journal.propose('bob', 'p', goal), { isKnown: false })
  endUnbegun('bob')
  journal.again('whole', 'carol')
  assert.equal(journal.propose('bob', 'p', { ...goal, tasks: ['whole.b'] }), 'STA003 exists')
  assert.deepEqual(journal.propose('carol', 'p', goal), { isKnown: false })
  const { owner, outcome } = journal.get('p') ?? {}
  assert.deepEqual([owner, outcome, journal.share('bob'), journal.share('carol')], ['carol', undefined, 0, 1])
})

test('a plan that had some of its tasks is not made anew: they ended with it', () => {
  const journal = new PlanJournal()
  journal.workOn('bob', 'b')
  const goal = goalOf(['a', 'b'])
  journal.propose('ann', 'p', goal)
  journal.one('ann', { do: 'cancel', id: 'p', reason: NOT_SUBMITTED })
  // Its tasks are not kept for long after that.
  assert.equal(journal.get('p')?.reason, PARTLY_SUBMITTED)
  assert.equal(journal.propose('ann', 'p', goal), 'STA003 ended')
  // One that was submitted late, too.
  journal.propose('ann', 'q', goalOf(['late']))
  journal.one('ann', { do: 'cancel', id: 'q', reason: NOT_SUBMITTED })
  journal.workOn('bob', 'late')
  assert.equal(journal.propose('ann', 'q', goalOf(['late'])), 'STA003 ended')
  assert.equal(journal.get('q')?.reason, NOT_SUBMITTED)
})

test('a plan that has no room to be made anew stays as it ended', () => {
  const journal = new PlanJournal()
  journal.propose('ann', 'p', goalOf(['a']))
  journal.one('ann', { do: 'cancel', id: 'p', reason: NOT_SUBMITTED })
  const tasks = Array.from({ length: MAX_PLAN_TASKS }, (_, i) => `t${i}`)
  for (let made = 0; journal.propose('ann', `p${made}`, goalOf(tasks)) !== 'COM003 plan-share'; ) made += 1
  for (let made = 0; journal.propose('ann', `q${made}`, goalOf(['t'])) !== 'COM003 plan-share'; ) made += 1
  assert.equal(journal.propose('ann', 'p', goalOf(['a'])), 'COM003 plan-share')
  assert.equal(journal.get('p')?.outcome, 'canceled')
  assert.deepEqual(journal.bugs, [])
})
