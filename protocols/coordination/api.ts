/** Plans as a program uses them: `mesh.plans`. */

import type * as z from 'zod'
import type { Amounts } from '../budget/amounts.ts'
import type { BudgetShare } from '../budget/carried/budget-share.ts'
import type { Registration } from '../registration.ts'
import type { SubmitTask, TaskHandle } from '../task/client/task-api.ts'
import type { AdjustResources, AssignTask, Refusal } from './messages.ts'
import type { Assignment, PlanMove, PlanOutcome, Weights } from './plan-record.ts'
import type { PlanState } from './plan-states.ts'
import type { PlanGenerator } from './planner/generator.ts'

export interface PlanWaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly timeoutMs?: number
}

export interface MakePlan extends PlanWaitOptions {
  /** 1 to 128 letters, digits, _ and -; a new one unless told. The same id again is the same plan. */
  readonly id?: string
  /** What is to be reached, for people: 1 to 1,024 characters. */
  readonly goal: string
  /** What has to be done for it: 1 to 128 tasks. They go to the agents that the plan says. */
  readonly tasks: readonly Omit<SubmitTask, 'plan'>[]
  /**
   * Id of the task that this node works on and that makes it: its tasks are children of that one. It needs an `id`. Another attempt,
   * at whichever node, that makes the same plan goes on with it: it is that node's from then on.
   */
  readonly parent?: string
  /**
   * A part of a budget, that is all its tasks' together: attempts at tasks that have no budget by themselves draw of it. What they
   * leave comes back once the plan is over; each task takes one of the fan-out of where it comes from.
   */
  readonly budget?: BudgetShare
  /** Who chooses the agents: `default`, or one that nodes that may coordinate have (`generator`). */
  readonly generator?: string
  /** How much each counts for the default one; 1, 0.25 and 0.25 unless told. */
  readonly weights?: Weights
  /** Agents of this zone are preferred. */
  readonly zone?: string
  /** Coordinations that may fail one after another before it is given up; 16 unless told. */
  readonly maxFailures?: number
}

export interface PlanBudgetStatus {
  readonly amounts: Amounts
  /** What its tasks drew and did not give back. */
  readonly used: Amounts
  readonly left: Amounts
}

export interface PlanStatus {
  readonly id: string
  readonly goal: string
  /** Peer id of who made it. */
  readonly owner: string
  readonly state: PlanState
  /** Once it is over. */
  readonly outcome: PlanOutcome | undefined
  /** Why it is as it is, for people. */
  readonly reason: string | undefined
  /** Plans that were made for this goal. */
  readonly revision: number
  readonly tasks: readonly string[]
  /** Whom the newest plan chose for which task, and by which directive; who did one that had begun before is its task's `worker`. */
  readonly assignments: readonly Assignment[]
  /** Peer ids of agents that it has marked offline. */
  readonly offline: readonly string[]
  /** What all its tasks have together; undefined: nothing of it is limited. */
  readonly budget: PlanBudgetStatus | undefined
  /** Coordinations that failed since the last one that did not. */
  readonly failures: number
  /** Its newest moves, the oldest first. */
  readonly moves: readonly PlanMove[]
  /** Milliseconds since 1970 by the journal's clock. */
  readonly madeAt: number
  readonly changedAt: number
}

export interface PlanHandle {
  readonly id: string
  /** Its tasks, in their order. */
  readonly tasks: readonly TaskHandle[]
  /** @throws STA001 */
  status(options?: PlanWaitOptions): Promise<PlanStatus>
  /** As it is now, then each change until it is over. */
  updates(options?: { readonly signal?: AbortSignal }): AsyncGenerator<PlanStatus, void>
  /** Waits until it is over, however. @throws STA001; COM001 after `timeoutMs` */
  ended(options?: PlanWaitOptions): Promise<PlanStatus>
  /** Ends it, and what is open of its tasks. @throws SEC002 for a plan of somebody else, STA003 `ended` */
  cancel(reason?: string): Promise<void>
}

/** What an agent is directed to do. */
export type DirectedWork =
  | {
      readonly action: 'assign_task'
      readonly plan: string
      readonly parameters: z.output<typeof AssignTask>
    }
  | {
      readonly action: 'adjust_resources'
      readonly plan: string
      readonly parameters: z.output<typeof AdjustResources>
    }

/** Undefined: it does it. */
export type DirectiveVerdict = { readonly error: Refusal; readonly reason?: string } | undefined

export interface AgentTraits {
  /** What one task costs here, in millionths of what the mesh counts in. */
  readonly price?: number
  /** Where it runs, by a name that the mesh has agreed on: 1 to 64 characters. */
  readonly zone?: string
}

export interface PlansCounts {
  /** Plans that this node made. */
  readonly made: number
  /** Parts of budgets that count as spent, since nothing is heard of their plans. */
  readonly writtenOff: number
  /** Directives that this node was given, and what became of them. */
  readonly directed: number
  readonly accepted: number
  readonly refused: number
  /** The same directive again. */
  readonly repeated: number
}

export interface Plans {
  /**
   * Has a goal reached by agents that the elected coordinator directs. Resolves once the plan and its tasks are decided.
   * @throws MSG001; STA003 `exists` where there is another plan of this id; COM003 `plan-share`; COM001 where nobody coordinates;
   *   what submitting its tasks throws; of its budget COM003 `budget-exhausted` and `budget-depth`, MSG005, STA003 `ended`
   */
  make(what: MakePlan): Promise<PlanHandle>
  /** One that was made before, by whichever node. @throws STA001 */
  get(id: string, options?: PlanWaitOptions): Promise<PlanHandle>
  /** Those that there are, sorted by id: also those that were over within the last hour. */
  list(options?: PlanWaitOptions): Promise<PlanStatus[]>
  /** Who chooses the agents of plans that name it, where this node coordinates. @throws STA003 `in-use` */
  generator(name: string, choose: PlanGenerator): Registration
  /** Asked before this agent takes a directive: it may refuse. At most one. @throws STA003 `in-use` */
  onDirective(judge: (work: DirectedWork) => DirectiveVerdict | Promise<DirectiveVerdict>): Registration
  /** What this agent says of itself beside how busy it is. @throws MSG001 */
  describe(traits: AgentTraits): void
  counts(): PlansCounts
}
