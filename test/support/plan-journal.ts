/** A journal with plans, as one member has it: changes in, answers out. */

import {
  levelOfPlanChange,
  type PlanChange,
  type PlanMoveChange,
} from '../../protocols/coordination/journal/plan-changes.ts'
import { decidePlans, planJournal, spendPlans } from '../../protocols/coordination/journal/plan-kinds.ts'
import {
  type Goal,
  PLANS_PART,
  type PlanBudget,
  type PlanRecord,
  planBudgetKey,
  planKey,
  planUsageKey,
  readPlan,
  readPlanBudget,
} from '../../protocols/coordination/plan-record.ts'
import type { ChangeAnswer } from '../../protocols/journal/change-answers.ts'
import { agreePart, knownKinds } from '../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../protocols/journal/state/built-in-kinds.ts'
import { COLLECTIONS_LEVEL } from '../../protocols/journal/state/collection-rows.ts'
import { encodeLoggedCommand, type Json } from '../../protocols/journal/state/command-kind.ts'
import { createJournalMachine } from '../../protocols/journal/state/journal-machine.ts'

import type { SubmittedTask, TaskChange } from '../../protocols/task/journal/task-changes.ts'
import { spendTasks, taskJournal } from '../../protocols/task/journal/task-kinds.ts'
import {
  readTask,
  readWorker,
  TASKS_PART,
  type TaskRecord,
  taskKey,
  workerKey,
} from '../../protocols/task/task-record.ts'
import { submitted } from './task-journal.ts'

export const LEADER = 'leader'

export const goalOf = (tasks: readonly string[], more: Partial<Goal> = {}): Goal => ({
  ...{ goal: 'index the corpus', tasks: [...tasks], maxFailures: 3 },
  ...more,
})

type MoveOf = PlanMoveChange extends infer C
  ? C extends PlanMoveChange
    ? Omit<C, 'epoch' | 'id' | 'as'>
    : never
  : never

export class PlanJournal {
  readonly bugs: unknown[] = []
  readonly #machine = createJournalMachine(
    knownKinds(
      [],
      [
        { ...planJournal, name: PLANS_PART },
        { ...taskJournal, name: TASKS_PART },
      ],
    ),
    (_kind, error) => this.bugs.push(error),
  )
  epoch = 1
  index = 0
  /** Milliseconds since 1970, by the journal. */
  at = 1_000

  /** @param level of the part, that all voters have */
  constructor(level = planJournal.level as number) {
    const { maxBytes } = planJournal
    this.#apply(raiseLevel.name, LEADER, { level: COLLECTIONS_LEVEL })
    this.#apply(agreePart.name, LEADER, { part: PLANS_PART, level, maxBytes })
    this.begin(LEADER)
  }

  /** There are tasks of which each is in work at this worker. */
  workOn(worker: string, ...ids: string[]): void {
    this.work(worker, worker, ...ids.map((id) => submitted(id)))
  }

  /** There are tasks of this submitter, of which each is in work at this worker: that of a plan by its direction. */
  work(worker: string, submitter: string, ...tasks: readonly SubmittedTask[]): void {
    const { level, maxBytes, maxCollectionBytes } = taskJournal
    this.#apply(agreePart.name, LEADER, { part: TASKS_PART, level, maxBytes, maxCollectionBytes })
    const registration = this.#register(worker, 1)
    this.#decideTask(submitter, { do: 'submit', tasks: [...tasks] })
    const { epoch } = this
    for (const { id, plan } of tasks) {
      if (plan !== undefined) this.#decideTask(LEADER, { do: 'steer', epoch, id, plan, assignee: worker })
      this.#decideTask(LEADER, { do: 'place', epoch, id, worker, registration })
    }
  }

  /** The attempt at a task is lost, and another one begins at that worker. */
  again(id: string, worker: string): void {
    const { epoch } = this
    const fence = this.task(id)?.fence ?? { term: 0, index: 0 }
    this.#decideTask(LEADER, { do: 'lose', epoch, id, fence, reason: 'gone' })
    const registration = this.#register(worker, 2)
    this.at += 60_000
    this.#decideTask(LEADER, { do: 'place', epoch, id, worker, registration })
  }

  task(id: string): TaskRecord | undefined {
    return readTask(this.#machine.records.get(taskKey(id))?.value)
  }

  /** What is used of the budget of a plan that is not over. */
  budget(id: string): PlanBudget | undefined {
    return readPlanBudget(this.#machine.records.get(planBudgetKey(id))?.value)
  }

  /** @returns its registration */
  #register(worker: string, incarnation: number): number {
    this.#decideTask(worker, { do: 'register', offers: [{ type: 'sum', slots: 64 }], incarnation })
    return readWorker(this.#machine.records.get(workerKey(worker))?.value)?.registration ?? 0
  }

  #decideTask(by: string, change: TaskChange): void {
    this.#apply(spendTasks.name, by, { changes: [change] } as unknown as Json)
  }

  /** Another epoch, of this leader. */
  begin(leader: string, epoch = this.epoch): void {
    this.epoch = epoch
    this.#apply(beginEpoch.name, leader, { leader, name: leader })
  }

  /** One change. @returns what it was answered with, or the code of its refusal, with its reason */
  one(by: string, change: PlanChange): unknown {
    const { name } = levelOfPlanChange(change) < spendPlans.level ? decidePlans : spendPlans
    const answer = this.#apply(name, by, { changes: [change] } as unknown as Json)
    if (!answer.ok) throw new Error(JSON.stringify(answer.fault))
    const [first] = answer.result as unknown as ChangeAnswer[]
    if (first === undefined || 'ok' in first) return first?.ok
    const { reason } = first.fault.details ?? {}
    return typeof reason === 'string' ? `${first.fault.code} ${reason}` : first.fault.code
  }

  propose(by: string, id: string, goal: Goal): unknown {
    return this.one(by, { do: 'propose', id, goal })
  }

  /** As the coordinator, with the plan as it is now. */
  move(id: string, move: MoveOf, by = LEADER): unknown {
    const as = this.get(id)?.fence.index ?? 0
    return this.one(by, { ...move, epoch: this.epoch, id, as } as PlanChange)
  }

  get(id: string): PlanRecord | undefined {
    return readPlan(this.#machine.records.get(planKey(id))?.value)
  }

  /** How many plans count for somebody. */
  share(peer: string): number {
    const usage = this.#machine.records.get(planUsageKey(peer))?.value as { plans?: number } | undefined
    return usage?.plans ?? 0
  }

  #apply(kind: string, by: string, input: Json) {
    this.index += 1
    const bytes = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: this.at, by, input })
    // Nothing of it is in a snapshot: there is nothing to read.
    void this.#machine.prepare?.([{ kind: 'command', data: bytes }])
    return this.#machine.apply(bytes, { term: this.epoch, index: this.index })
  }
}
