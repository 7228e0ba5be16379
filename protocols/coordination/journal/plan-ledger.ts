/**
 * Plans as one change of the journal sees and changes them, and what each owner answers for. A change that is refused has written
 * nothing: it checks first. State: whether anything was written.
 */
import { ParleyError, stateError } from '../../errors.ts'
import { requireCoordinator } from '../../journal/fencing/require-coordinator.ts'
import { OwnerShares } from '../../journal/owner-shares.ts'
import { agreedKey, readAgreed } from '../../journal/part-records.ts'
import type { EntryFacts, JournalTx, Json } from '../../journal/state/command-kind.ts'
import { taskKey } from '../../task/task-record.ts'
import {
  isUnbegun,
  PARTLY_SUBMITTED,
  PLANS_PART,
  type PlanBudget,
  type PlanRecord,
  planBudgetKey,
  planKey,
  planUsageKey,
  readPlan,
  readPlanBudget,
} from '../plan-record.ts'

/** From level 3 on plans have budgets, and one that never had its tasks is made anew. */
export const PLANS_LEVEL = 3
/** From this level of the part on, who works on a task has the plans of it. */
const OWNERS_LEVEL = 2
/** Of all owners, that are not over. */
export const MAX_PLANS = 4_096
export const MAX_PLAN_BYTES = 8 * 1024 * 1024
/** What a plan may become: an assignment for each task, and what else it keeps. */
const BYTES_OF_TASK = 320
const BYTES_OF_PLAN = 9_216
/** Before level 3: less than it may be. */
const FIRST_BYTES_OF_PLAN = 7_168
/** What attempts at a task have drawn. */
const BYTES_OF_DRAWS = 288

type Sized = Pick<PlanRecord, 'goal' | 'zone' | 'tasks' | 'budget'>
const sizeOfTasks = ({ tasks, budget }: Sized): number => {
  const bytesOf = (id: string): number => 2 * id.length + BYTES_OF_TASK
  const drawsOf = (id: string): number => (budget === undefined ? 0 : id.length + BYTES_OF_DRAWS)
  return tasks.reduce((sum, id) => sum + bytesOf(id) + drawsOf(id), 0)
}
/** As the journal counts it: JSON text, in which one character may take six. */
const textSize = (text = ''): number => JSON.stringify(text).length

export class PlanLedger {
  readonly tx: JournalTx
  readonly facts: EntryFacts
  readonly #shares: OwnerShares
  hasWritten = false

  constructor(tx: JournalTx, facts: EntryFacts) {
    this.tx = tx
    this.facts = facts
    const limits = { counted: 'plans', most: MAX_PLANS, mostBytes: MAX_PLAN_BYTES, keyOf: planUsageKey }
    this.#shares = new OwnerShares(tx, limits)
  }

  find(id: string): PlanRecord | undefined {
    return readPlan(this.tx.get(planKey(id)))
  }

  /** Some of them are open, or ended a moment ago. */
  hasSomeOf(tasks: readonly string[]): boolean {
    return tasks.some((id) => this.tx.get(taskKey(id)) !== undefined)
  }

  /** @throws STA001; STA003 `ended` for one that is over */
  open(id: string): PlanRecord {
    const found = this.find(id)
    if (found === undefined)
      throw new ParleyError('STA001', `there is no plan ${id}`, {
        hint: 'it was never made, or was over a while ago',
        details: { plan: id },
      })
    if (found.outcome === undefined) return found
    throw stateError('ended', `the plan ${id} is over: ${found.outcome}`, 'make another one', {
      plan: id,
      outcome: found.outcome,
    })
  }

  /** @throws SEC002, STA002 */
  requireCoordinator(epoch: number): void {
    requireCoordinator(this.tx, this.facts, epoch, 'moves plans')
  }

  put(id: string, record: PlanRecord): void {
    this.hasWritten = true
    this.tx.put(planKey(id), record as unknown as Json)
  }

  /** In the place of one that is over, where there is one. @throws COM003 `plan-share` where its owner may have no more */
  add(id: string, record: PlanRecord): void {
    if (!this.#shares.hasRoom(record.owner, record.size))
      throw new ParleyError(
        'COM003',
        `${record.owner} has ${this.#shares.of(record.owner).count} plans, of ${this.#shares.all().count}`,
        {
          hint: 'wait until some of them are over, then try again',
          details: { reason: 'plan-share', retryAfterMs: 10_000 },
        },
      )
    this.put(id, record)
    this.#shares.add(record.owner, 1, record.size)
  }

  /** All voters know that plans may change their owner. */
  get changesOwners(): boolean {
    return this.#level >= OWNERS_LEVEL
  }

  /** All voters know that a plan is made anew that never had its tasks. */
  get makesAnew(): boolean {
    return this.#level >= PLANS_LEVEL
  }

  /** All voters count one that cannot be directed as a failure where a plan can mark no more agents. */
  get countsFull(): boolean {
    return this.makesAnew
  }

  /** The most that it may become: its owner answers for it. */
  sizeOf(plan: Sized): number {
    const text = this.makesAnew
      ? textSize(plan.goal) + textSize(plan.zone) + BYTES_OF_PLAN
      : plan.goal.length + FIRST_BYTES_OF_PLAN
    return text + sizeOfTasks(plan)
  }

  get #level(): number {
    return readAgreed(this.tx.get(agreedKey(PLANS_PART)))?.level ?? 0
  }

  /** One that is not over is of somebody else from here on, who answers for it beyond a fair share: all together have no more. */
  give(id: string, record: PlanRecord, owner: string): void {
    this.#shares.add(record.owner, -1, -record.size)
    this.#shares.add(owner, 1, record.size)
    this.put(id, { ...record, owner })
  }

  /** What is used of its budget. */
  budget(id: string): PlanBudget {
    return readPlanBudget(this.tx.get(planBudgetKey(id))) ?? { used: {}, tasks: [] }
  }

  putBudget(id: string, budget: PlanBudget): void {
    this.hasWritten = true
    this.tx.put(planBudgetKey(id), budget as unknown as Json)
  }

  /** It is over: it is kept to be read, with what was used of its budget, and its owner answers for it no more. */
  end(id: string, record: PlanRecord): void {
    this.#shares.add(record.owner, -1, -record.size)
    const budget = record.budget && { ...record.budget, used: this.budget(id).used }
    // Its tasks are not kept as long as it is.
    const isInPart = this.makesAnew && isUnbegun(record) && this.hasSomeOf(record.tasks)
    const more = { ...(budget !== undefined && { budget }), ...(isInPart && { reason: PARTLY_SUBMITTED }) }
    this.put(id, { ...record, size: 0, ...more })
    if (budget !== undefined) this.tx.delete(planBudgetKey(id))
  }

  /** One that is over. */
  forget(id: string): void {
    this.hasWritten = true
    this.tx.delete(planKey(id))
  }
}
