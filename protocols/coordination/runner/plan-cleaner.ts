/**
 * Clears up after plans, for as long as this node coordinates: plans that are over are kept for an hour to be read, as far as there is
 * room, and tasks are held for no plan that is over, or that nobody knows. State: plans that are over.
 */
import { isParleyError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { PlanChange } from '../journal/plan-changes.ts'
import type { PlanRecord } from '../plan-record.ts'
import { OverPlans } from './over-plans.ts'
import { isHeld, planOf, taskOf, tasksOfPlans } from './plan-facts.ts'

const SWEEP_MS = 5_000
/** Where tasks are not followed it looks at all there are. */
const SWEEP_ALL_MS = 15_000
/** Tasks of a plan that nobody knows are free after that, so that nothing is held for ever. */
const UNKNOWN_MS = 60_000
/** Tasks that are looked after at once. */
const END_AT_ONCE = 32

export interface CleanerDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly member: JournalMember
  decide(change: PlanChange, signal: AbortSignal): Promise<unknown>
  /** Ends a task of a plan that is over. */
  cancelTask(id: string, reason: string, epoch: number, signal: AbortSignal): Promise<void>
  /** An ordinary task from then on. */
  freeTask(id: string, plan: string, epoch: number, signal: AbortSignal): Promise<void>
}

export class PlanCleaner {
  readonly #deps: CleanerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  readonly #isDriven: (plan: string) => boolean
  readonly #over = new OverPlans()
  #isForgetting = false
  #sweptAt = 0

  constructor(deps: CleanerDeps, epoch: number, signal: AbortSignal, isDriven: (plan: string) => boolean) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
    this.#isDriven = isDriven
  }

  /** Plans that are over. */
  size(): number {
    return this.#over.size()
  }

  /** The journal has it so. */
  set(id: string, record: PlanRecord | undefined): void {
    this.#over.set(id, record)
  }

  /** @param tasks those that name a plan; undefined: they are not followed now */
  look(tasks: Iterable<readonly [id: string, plan: string]> | undefined): void {
    this.#sweep(tasks)
    void this.#forget()
  }

  async quietly(decision: Promise<unknown>): Promise<void> {
    try {
      await decision
    } catch (error) {
      if (this.#signal.aborted || isParleyError(error, 'STA001', 'STA002', 'STA003')) return
      this.#deps.port.log.info('a change that follows from a plan was not decided; it is tried again', { error })
    }
  }

  /** What is left over: tasks that are held for a plan that nobody knows, or that is over. */
  #sweep(tasks: Iterable<readonly [id: string, plan: string]> | undefined): void {
    const { port, member, freeTask, cancelTask } = this.#deps
    const now = port.clock.monotonic()
    if (now - this.#sweptAt < (tasks === undefined ? SWEEP_ALL_MS : SWEEP_MS)) return
    this.#sweptAt = now
    let asked = 0
    for (const [task, id] of tasks ?? tasksOfPlans(member)) {
      const record = asked < END_AT_ONCE ? taskOf(member, task) : undefined
      if (record === undefined || !isHeld(record) || this.#isDriven(id)) continue
      const plan = planOf(member, id)
      const isUnknown = plan === undefined && member.clock.now() - record.submittedAt > UNKNOWN_MS
      if (!isUnknown && plan?.outcome === undefined) continue
      asked += 1
      const ending = isUnknown
        ? freeTask(task, id, this.#epoch, this.#signal)
        : cancelTask(task, `plan-${plan?.outcome}`, this.#epoch, this.#signal)
      void this.quietly(ending)
    }
  }

  /** Those that nobody drives: they are not read any more. */
  async #forget(): Promise<void> {
    const { member, decide } = this.#deps
    const ids = this.#isForgetting ? [] : this.#over.toForget(member.clock.now(), (id) => this.#isDriven(id))
    if (ids.length === 0) return
    this.#isForgetting = true
    // What else is to go is found by the look at what was decided.
    await this.quietly(decide({ do: 'forget', epoch: this.#epoch, ids }, this.#signal))
    this.#isForgetting = false
  }
}
