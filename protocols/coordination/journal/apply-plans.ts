/** What is decided about plans: by who made one, and by whoever coordinates. Pure. */
import { ParleyError, stateError } from '../../errors.ts'
import { openAbove } from '../../task/journal/submit-tasks.ts'
import {
  type Assignment,
  cutReason,
  isOver,
  isUnbegun,
  MAX_MOVES,
  MAX_OFFLINE,
  type OfflineAgent,
  PARTLY_SUBMITTED,
  type PlanOutcome,
  type PlanRecord,
} from '../plan-record.ts'
import { nextState, type PlanState } from '../plan-states.ts'
import { drawOfPlan } from './plan-budgets.ts'
import type { PlanChange, PlanChangeOf, PlanMoveChange } from './plan-changes.ts'
import type { PlanLedger } from './plan-ledger.ts'

export interface Proposed {
  /** It was made before, just so. */
  readonly isKnown: boolean
}

const sameGoal = (record: PlanRecord, { goal }: PlanChangeOf<'propose'>): boolean =>
  record.goal === goal.goal &&
  record.tasks.length === goal.tasks.length &&
  record.tasks.every((task, i) => task === goal.tasks[i])

/** Whether all are below one open task, by their ids, which this peer works on: another attempt goes on with its plans. */
const worksAbove = ({ tx }: PlanLedger, tasks: readonly string[], by: string): boolean => {
  const [first = ''] = tasks
  const above = openAbove((key) => tx.get(key), first)
  return above?.record.worker === by && tasks.every((task) => task.startsWith(`${above.id}.`))
}

const existsAlready = (id: string): ParleyError =>
  stateError('exists', `there is a plan ${id} already`, 'choose another id; leave it out for a new one', { plan: id })

/** Some of its tasks were submitted, and ended with it. */
const endedInPart = (id: string): ParleyError =>
  stateError(
    'ended',
    `the plan ${id} ended before all of its tasks were submitted, and those that were ended with it`,
    'make another one, with other ids for the plan and its tasks',
    { plan: id },
  )

/** @returns whether there is one just so already; otherwise it may be added @throws STA003 */
const isThere = (ledger: PlanLedger, change: PlanChangeOf<'propose'>): boolean => {
  const { id, goal } = change
  const { by } = ledger.facts
  const before = ledger.find(id)
  if (before === undefined) return false
  const isOwn = before.owner === by
  if (!sameGoal(before, change)) throw existsAlready(id)
  const isFollowed = !isOwn && ledger.changesOwners && worksAbove(ledger, goal.tasks, by)
  if (!isOwn && !isFollowed) throw existsAlready(id)
  if (isOver(before)) {
    const isAnew = ledger.makesAnew && isUnbegun(before)
    if (before.reason === PARTLY_SUBMITTED || (isAnew && ledger.hasSomeOf(goal.tasks))) throw endedInPart(id)
    // The same again is another try.
    if (isAnew) return false
  }
  if (isFollowed && !isOver(before)) ledger.give(id, before, by)
  return true
}

const propose = (ledger: PlanLedger, change: PlanChangeOf<'propose'>): Proposed => {
  const { id, goal, budget: amounts } = change
  const { by, at, fence } = ledger.facts
  if (isThere(ledger, change)) return { isKnown: true }
  if (new Set(goal.tasks).size !== goal.tasks.length)
    throw new ParleyError('MSG001', `the plan ${id} names a task twice`, { hint: 'name each of its tasks once' })
  const plan = { ...goal, ...(amounts !== undefined && { budget: { amounts } }) }
  const begun = { state: 'idle' as const, revision: 0, assignments: [], offline: [], failures: 0, moves: [] }
  ledger.add(id, { ...plan, ...begun, owner: by, madeAt: at, changedAt: at, fence, size: ledger.sizeOf(plan) })
  return { isKnown: false }
}

const cancel = (ledger: PlanLedger, { id, reason }: PlanChangeOf<'cancel'>): null => {
  const record = ledger.open(id)
  const { by, at, fence } = ledger.facts
  if (record.owner !== by)
    throw new ParleyError('SEC002', `the plan ${id} is of somebody else`, { hint: 'only who made it cancels it' })
  const { reason: _reason, ...rest } = record
  ledger.end(id, { ...rest, outcome: 'canceled', changedAt: at, fence, ...(reason !== undefined && { reason }) })
  return null
}

interface Moved {
  readonly revision?: number
  readonly assignments?: Assignment[]
  readonly offline?: OfflineAgent[]
  readonly failures?: number
  readonly outcome?: PlanOutcome
}

const badPlan = (id: string, task: string, why: string): ParleyError =>
  new ParleyError('MSG001', `the plan ${id} cannot have ${task} so: ${why}`, {
    hint: 'the plan generator has to give each open task of the plan to one agent at most',
  })

/** Each of its tasks at most once, and none of another plan. @throws MSG001 */
const checkAssignments = (id: string, { tasks }: PlanRecord, assignments: readonly Assignment[]): void => {
  const open = new Set(tasks)
  const directives = new Set<string>()
  for (const { task, directive } of assignments) {
    if (!open.delete(task))
      throw badPlan(id, task, tasks.includes(task) ? 'it is assigned twice' : 'it is not its task')
    if (directives.has(directive)) throw badPlan(id, task, 'another task has its directive')
    directives.add(directive)
  }
}

/** The newest life of each, the newest last. */
const withOffline = (before: readonly OfflineAgent[], more: readonly OfflineAgent[] = []): OfflineAgent[] => {
  const all = new Map(before.map((one) => [one.agent, one]))
  for (const one of more) {
    all.delete(one.agent)
    all.set(one.agent, one)
  }
  return [...all.values()].slice(-MAX_OFFLINE)
}

/**
 * Agents are gone, of whom that was not known: each life of an agent is such news once. A plan that has marked as many as it can
 * forgets the oldest of them, which would be news again.
 */
const isNewsOfAgents = (
  record: PlanRecord,
  change: PlanChangeOf<'adjustment_needed'>,
  { countsFull }: PlanLedger,
): boolean => {
  if (change.adjustment !== 'agent_unavailable') return false
  if (countsFull && record.state !== 'monitoring' && record.offline.length === MAX_OFFLINE) return false
  const known = new Set(record.offline.map(({ agent, registration }) => `${agent} ${registration}`))
  const isNews = change.offline?.some(({ agent, registration }) => !known.has(`${agent} ${registration}`))
  return record.state === 'monitoring' || isNews === true
}

const effectOf = (record: PlanRecord, change: PlanMoveChange, ledger: PlanLedger): Moved => {
  const marked = (): Moved => ('offline' in change ? { offline: withOffline(record.offline, change.offline) } : {})
  switch (change.do) {
    case 'plan_ready':
      checkAssignments(change.id, record, change.assignments)
      return { ...marked(), revision: record.revision + 1, assignments: change.assignments }
    case 'execution_started':
      return { failures: 0 }
    case 'coordination_failure':
      return { ...marked(), failures: record.failures + 1 }
    case 'adjustment_needed': {
      // One that cannot be carried out counts as one that failed: it has an end, whoever refuses.
      const isFailed = change.adjustment !== 'imbalance' && !isNewsOfAgents(record, change, ledger)
      return { ...marked(), ...(isFailed && { failures: record.failures + 1 }) }
    }
    case 'completion':
      return { outcome: change.outcome }
    case 'recovery_complete':
      return { outcome: 'failed' }
    default:
      return {}
  }
}

const reasonOf = (change: PlanMoveChange): string | undefined => {
  const said = 'reason' in change ? change.reason : undefined
  if (change.do !== 'adjustment_needed') return said
  return said === undefined ? change.adjustment : cutReason(`${change.adjustment}: ${said}`)
}

const changedMeanwhile = (id: string, state: PlanState): ParleyError =>
  stateError('plan-status', `the plan ${id} changed meanwhile`, 'look at it again', { plan: id, state })

const move = (ledger: PlanLedger, change: PlanMoveChange): null => {
  const { id, as } = change
  ledger.requireCoordinator(change.epoch)
  const { reason: before, ...record } = ledger.open(id)
  const state = nextState(record.state, change.do)
  if (record.fence.index !== as || state === undefined) throw changedMeanwhile(id, record.state)
  // Why some tasks have no agent is true until the plan is made anew.
  const reason = change.do === 'execution_started' ? before : reasonOf(change)
  const { at, fence } = ledger.facts
  const said = reason !== undefined && { reason }
  const moves = [...record.moves, { at, trigger: change.do, state, epoch: change.epoch, ...said }].slice(-MAX_MOVES)
  const next = { ...record, ...effectOf(record, change, ledger), ...said, state, changedAt: at, fence, moves }
  if (next.outcome === undefined) ledger.put(id, next)
  else ledger.end(id, next)
  return null
}

const forget = (ledger: PlanLedger, { epoch, ids }: PlanChangeOf<'forget'>): null => {
  ledger.requireCoordinator(epoch)
  for (const id of ids) {
    const record = ledger.find(id)
    if (record !== undefined && isOver(record)) ledger.forget(id)
  }
  return null
}

export const applyPlanChange = (ledger: PlanLedger, change: PlanChange): unknown => {
  switch (change.do) {
    case 'propose':
      return propose(ledger, change)
    case 'cancel':
      return cancel(ledger, change)
    case 'draw':
      return drawOfPlan(ledger, change)
    case 'forget':
      return forget(ledger, change)
    default:
      return move(ledger, change)
  }
}
