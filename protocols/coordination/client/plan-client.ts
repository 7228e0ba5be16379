/** Plans as any node makes them and reads them from the journal, for programs and people. Keeps no state. */

import { AMOUNT_NAMES, amountIn, isLimited, less, sum } from '../../budget/amounts.ts'
import { checkedInput } from '../../checked-input.ts'
import { ParleyError } from '../../errors.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import { untilRead } from '../../journal/client/leader-retry.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { TableData, TimelineData, TimelineEntry } from '../../part.ts'
import type { Port } from '../../port.ts'
import { newAllocationId } from '../../resource/resource-record.ts'
import { newTaskId } from '../../task/client/submitted-task.ts'
import type { SubmitTask } from '../../task/client/task-api.ts'
import { limitedWait } from '../../task/client/wait-limit.ts'
import { checkCycle } from '../../task/journal/submit-tasks.ts'
import { MAX_TOGETHER } from '../../task/journal/task-changes.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import type { MakePlan, PlanBudgetStatus, PlanStatus, PlanWaitOptions } from '../api.ts'
import {
  type Goal,
  GoalSchema,
  isOver,
  PLAN_BUDGET_PREFIX,
  PLAN_PREFIX,
  type PlanBudget,
  PlanId,
  type PlanRecord,
  planBudgetKey,
  planKey,
  readPlan,
  readPlanBudget,
} from '../plan-record.ts'

const READ_MS = 10_000
/** A table is for somebody who looks at it. */
const SHOW_MS = 2_000

export const planNotFound = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no plan ${id}`, {
    hint: 'it was never made, or was over more than an hour ago',
    details: { plan: id },
  })

const notRead = (): ParleyError =>
  new ParleyError('COM001', 'plans were not read in time', { hint: 'is there a node that coordinates?' })

const budgetStatus = ({ budget }: PlanRecord, drawn: PlanBudget | undefined): PlanBudgetStatus | undefined => {
  if (budget === undefined) return undefined
  const { amounts, used = drawn?.used ?? {} } = budget
  // Of each amount that it has, also where nothing was used of it.
  return { amounts, used: sum(less(amounts, amounts), used), left: less(amounts, used) }
}

/** @param drawn of its budget, where it is not over */
export const planStatus = (id: string, record: PlanRecord, drawn?: PlanBudget): PlanStatus => {
  const { goal, owner, state, outcome, reason, revision, tasks, assignments, failures, moves, madeAt, changedAt } =
    record
  const offline = record.offline.map(({ agent }) => agent)
  return {
    ...{ id, goal, owner, state, outcome, reason, revision, tasks, assignments, offline, failures, moves },
    ...{ madeAt, changedAt, budget: budgetStatus(record, drawn) },
  }
}

const plansTable = (plans: readonly PlanStatus[]): TableData => ({
  columns: ['plan', 'state', 'goal', 'tasks', 'agents', 'revision', 'reason'],
  rows: plans.map(({ id, state, outcome, goal, tasks, assignments, revision, reason }) => [
    ...[id, outcome ?? state, goal.slice(0, 80), tasks.length],
    ...[new Set(assignments.map(({ agent }) => agent)).size, revision, reason ?? ''],
  ]),
})

const budgetText = ({ amounts, used }: PlanBudgetStatus): string =>
  AMOUNT_NAMES.filter((name) => isLimited(amounts, name))
    .map((name) => `${amountIn(used, name)} of ${amountIn(amounts, name)} ${name} used`)
    .join(', ')

/** Its moves, who has which task now, and what is used of its budget. */
const planTimeline = (plan: PlanStatus): TimelineData => {
  const { moves, assignments, changedAt, madeAt, owner, goal, budget } = plan
  const made: TimelineEntry = { at: madeAt, text: `made: ${goal.slice(0, 200)}`, lane: 'plan', peer: owner }
  const moved = moves.map(({ at, trigger, state, epoch, reason }): TimelineEntry => {
    const why = reason === undefined ? '' : `: ${reason}`
    return { at, text: `${trigger} → ${state} in epoch ${epoch}${why}`, lane: 'plan' }
  })
  const assigned = assignments.map(({ task, agent }): TimelineEntry => {
    return { at: changedAt, text: task, lane: 'assignments', peer: agent, id: task }
  })
  const spent = budget === undefined ? [] : [{ at: changedAt, text: budgetText(budget), lane: 'budget' }]
  return { entries: [made, ...moved, ...assigned, ...spent] }
}

export class PlanReader {
  readonly #journal: Pick<Journal, 'get' | 'list' | 'watch'>
  readonly #port: Pick<Port, 'timers'>

  constructor(journal: Pick<Journal, 'get' | 'list' | 'watch'>, port: Pick<Port, 'timers'>) {
    this.#journal = journal
    this.#port = port
  }

  /** @throws STA001 */
  async get(id: string, options: PlanWaitOptions = {}): Promise<PlanStatus> {
    const { signal, stop } = limitedWait(this.#port, { timeoutMs: READ_MS, ...options }, notRead)
    try {
      const record = readPlan(await this.#value(planKey(id), signal))
      if (record === undefined) throw planNotFound(id)
      return await this.#status(id, record, signal)
    } finally {
      stop()
    }
  }

  async list(options: PlanWaitOptions = {}): Promise<PlanStatus[]> {
    const { signal, stop } = limitedWait(this.#port, { timeoutMs: READ_MS, ...options }, notRead)
    try {
      const { records } = await this.#journal.list(PLAN_PREFIX, signal === undefined ? {} : { signal })
      const plans = records.flatMap(({ key, value }) => {
        const record = readPlan(value)
        return record === undefined ? [] : [{ id: key.slice(PLAN_PREFIX.length), record }]
      })
      const isDrawing = plans.some(({ record }) => record.budget !== undefined && !isOver(record))
      const drawn = isDrawing ? await this.#drawn(signal) : new Map<string, PlanBudget>()
      return plans.map(({ id, record }) => planStatus(id, record, drawn.get(id)))
    } finally {
      stop()
    }
  }

  /** Of all plans that are not over. */
  async #drawn(signal: AbortSignal | undefined): Promise<ReadonlyMap<string, PlanBudget>> {
    const { records } = await this.#journal.list(PLAN_BUDGET_PREFIX, signal === undefined ? {} : { signal })
    return new Map(
      records.flatMap(({ key, value }): [string, PlanBudget][] => {
        const drawn = readPlanBudget(value)
        return drawn === undefined ? [] : [[key.slice(PLAN_BUDGET_PREFIX.length), drawn]]
      }),
    )
  }

  /** What tasks have drawn stands beside the plan. */
  async #status(id: string, record: PlanRecord, signal: AbortSignal | undefined): Promise<PlanStatus> {
    if (record.budget === undefined || isOver(record)) return planStatus(id, record)
    return planStatus(id, record, readPlanBudget(await this.#value(planBudgetKey(id), signal)))
  }

  /** Also where nobody coordinates for a while, until the signal is aborted. */
  async #value(key: string, signal: AbortSignal | undefined): Promise<Json | undefined> {
    const options = signal === undefined ? {} : { signal }
    const found = await untilRead(this.#port.timers, signal, () => this.#journal.get(key, options))
    return found?.value
  }

  async table(): Promise<TableData> {
    return plansTable(await this.list({ timeoutMs: SHOW_MS }))
  }

  /** @throws STA001 */
  async timeline(id: string): Promise<TimelineData> {
    return planTimeline(await this.get(id, { timeoutMs: SHOW_MS }))
  }

  /** As it is now, then each change, until it is over. @throws STA001 where it is gone before that */
  async *updates(id: string, signal: AbortSignal | undefined): AsyncGenerator<PlanStatus, void> {
    for await (const record of this.#records(id, signal)) yield await this.#status(id, record, signal)
  }

  /** As updates, without what is drawn of its budget. */
  async *#records(id: string, signal: AbortSignal | undefined): AsyncGenerator<PlanRecord, void> {
    const key = planKey(id)
    const options = signal === undefined ? {} : { signal }
    const found = readPlan(await this.#value(key, signal))
    if (found === undefined) throw planNotFound(id)
    yield found
    if (found.outcome !== undefined) return
    // Who is watched may not have all of that yet.
    let told = found.fence.index
    for await (const change of this.#journal.watch({ prefix: key, ...options })) {
      const changed = change.type === 'records' ? change.records.find((one) => one.key === key) : change
      if (change.version < told || (change.type !== 'records' && change.key !== key)) continue
      const record = readPlan(changed?.value)
      if (record === undefined) throw planNotFound(id)
      if (record.fence.index <= told) continue
      told = record.fence.index
      yield record
      if (record.outcome !== undefined) return
    }
  }

  /** @param found called once it is known that there is such a plan @throws STA001; COM001 after the time */
  async ended(id: string, options: PlanWaitOptions, found?: () => void): Promise<PlanStatus> {
    const late = (): ParleyError =>
      new ParleyError('COM001', `the plan ${id} was not over in time`, { hint: 'it goes on: wait for it again' })
    const { signal, stop } = limitedWait(this.#port, options, late)
    try {
      for await (const record of this.#records(id, signal)) {
        found?.()
        if (isOver(record)) return planStatus(id, record)
      }
      throw signal?.aborted === true ? signal.reason : planNotFound(id)
    } finally {
      stop()
    }
  }
}

const MAX_FAILURES = 16
const KEYS = keysOf<MakePlan>({
  ...{ id: true, goal: true, tasks: true, generator: true, weights: true, zone: true, maxFailures: true },
  ...{ parent: true, budget: true, signal: true, timeoutMs: true },
})

export interface WantedPlan {
  readonly id: string
  readonly goal: Goal
  readonly tasks: readonly SubmitTask[]
}

const dependenciesOf = ({ dependencies = [] }: SubmitTask): string[] =>
  dependencies.map((one) => (typeof one === 'string' ? one : one.task_id))

/** @throws MSG001 */
export const wantedPlan = (port: Pick<Port, 'clock' | 'random'>, what: MakePlan): WantedPlan => {
  checkKeys(what, KEYS, 'a plan')
  const { id, goal, generator, weights, zone, maxFailures = MAX_FAILURES, parent } = what
  if (parent !== undefined && id === undefined)
    throw new ParleyError('MSG001', 'a plan of a task needs an id', {
      hint: 'make one of the id of the task: another attempt finds the plan by it',
    })
  const plan = checkedInput(PlanId, id ?? newAllocationId(port), 'a plan cannot be called so')
  const own = parent === undefined ? {} : { parent }
  const idOf = (i: number): string => (parent === undefined ? newTaskId(port) : `${parent}.${plan}-${i}`)
  const tasks = what.tasks.map((task, i): SubmitTask => ({ ...task, id: task.id ?? idOf(i), plan, ...own }))
  checkCycle(
    tasks.map((task) => ({ id: task.id ?? '', dependencies: dependenciesOf(task).map((task_id) => ({ task_id })) })),
  )
  const wanted = {
    ...{ goal, tasks: tasks.map((task) => task.id), maxFailures },
    ...(generator !== undefined && { generator }),
    ...(weights !== undefined && { weights }),
    ...(zone !== undefined && { zone }),
  }
  return { id: plan, goal: checkedInput(GoalSchema, wanted, 'such a plan cannot be made'), tasks }
}

/** Of one submission: well below what one decision may have. */
const MAX_SUBMISSION_BYTES = 262_144
/** What is larger stands elsewhere. */
const MAX_INPUT_BYTES = 16_384
const ENCODER = new TextEncoder()

const inputBytes = ({ input, metadata }: SubmitTask): number => {
  const bytes = input instanceof Uint8Array ? input.length : ENCODER.encode(JSON.stringify(input) ?? '').length
  return Math.min(bytes, MAX_INPUT_BYTES) + (metadata === undefined ? 0 : JSON.stringify(metadata).length)
}

/** Each behind those of them that it depends on. */
const inOrder = (tasks: readonly SubmitTask[]): SubmitTask[] => {
  const left = new Map(tasks.map((task) => [task.id ?? '', task]))
  const ordered: SubmitTask[] = []
  const add = (id: string, task: SubmitTask): void => {
    left.delete(id)
    for (const on of dependenciesOf(task)) {
      const before = left.get(on)
      if (before !== undefined) add(on, before)
    }
    ordered.push(task)
  }
  for (const [id, task] of left) add(id, task)
  return ordered
}

/** Those that depend on each other go together as far as they fit, or one after the other. */
export const submissions = (tasks: readonly SubmitTask[]): SubmitTask[][] => {
  const all: SubmitTask[][] = [[]]
  let bytes = 0
  for (const task of inOrder(tasks)) {
    const more = inputBytes(task)
    const last = all.at(-1)
    if (last !== undefined && last.length < MAX_TOGETHER && bytes + more <= MAX_SUBMISSION_BYTES) {
      last.push(task)
      bytes += more
    } else {
      all.push([task])
      bytes = more
    }
  }
  return all
}
