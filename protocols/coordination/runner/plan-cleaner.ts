/**
 * Clears up after plans, for as long as this node coordinates: plans that are over are kept for an hour to be read, as far as there is
 * room, and tasks are held for no plan that is over, or that nobody knows. Who submitted such tasks take turns, so that nobody who has
 * thousands keeps those of others held. State: plans that are over, and tasks that are to be held no more.
 */
import { isParleyError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { PlanChange } from '../journal/plan-changes.ts'
import type { PlanRecord } from '../plan-record.ts'
import { FairTurns } from './fair-turns.ts'
import { OverPlans } from './over-plans.ts'
import { isHeld, planOf, taskOf, tasksOfPlans } from './plan-facts.ts'

/** From the beginning of one sweep of the tasks to the next. */
const SWEEP_MS = 5_000
/** Where tasks are not followed it looks at all there are. */
const SWEEP_ALL_MS = 10_000
/** Tasks that a sweep looks at before it leaves time to all else, and from there until it goes on: 20,000 in 2.5 s. */
const LOOK_AT_ONCE = 2_048
const LOOK_EACH_MS = 200
/** Tasks of a plan that nobody knows are free after that, so that nothing is held for ever. */
const UNKNOWN_MS = 60_000
/** Tasks that are ended or freed at once. */
const END_AT_ONCE = 32
/** Where a change was not decided, before the next is asked for. */
const REST_MS = 5_000

export interface CleanerDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly member: JournalMember
  decide(change: PlanChange, signal: AbortSignal): Promise<unknown>
  /** Ends a task of a plan that is over. */
  cancelTask(id: string, reason: string, epoch: number, signal: AbortSignal): Promise<void>
  /** An ordinary task from then on. */
  freeTask(id: string, plan: string, epoch: number, signal: AbortSignal): Promise<void>
}

/** A task that is to be held no more. */
interface Leftover {
  readonly submitter: string
  readonly plan: string
  /** Why it is canceled; undefined: it is free from then on. */
  readonly reason: string | undefined
}

export class PlanCleaner {
  readonly #deps: CleanerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  readonly #isDriven: (plan: string) => boolean
  readonly #over = new OverPlans()
  readonly #leftovers = new FairTurns(END_AT_ONCE)
  #isForgetting = false
  /** What the sweep has not looked at; undefined: it is over. */
  #unswept: Iterator<string> | undefined
  /** Monotonic milliseconds: when the last sweep began, when it went on, and until when nothing is ended. */
  #sweptAt = 0
  #lookedAt = 0
  #restsUntil = 0

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

  ids(): string[] {
    return this.#over.ids()
  }

  /** The journal has it so. */
  set(id: string, record: PlanRecord | undefined): void {
    this.#over.set(id, record)
  }

  /** @param tasks ids of those that name a plan; undefined: they are not followed now */
  look(tasks: Iterable<string> | undefined): void {
    this.#sweep(tasks)
    this.#endSome()
    void this.#forget()
  }

  /** @returns whether it was decided, or does not have to be any more */
  async quietly(decision: Promise<unknown>): Promise<boolean> {
    try {
      await decision
      return true
    } catch (error) {
      if (this.#signal.aborted || isParleyError(error, 'STA001', 'STA002', 'STA003')) return true
      this.#deps.port.log.info('a change that follows from a plan was not decided; it is tried again', { error })
      return false
    }
  }

  /** Goes on with the sweep, or begins the next one. */
  #sweep(tasks: Iterable<string> | undefined): void {
    const { port, member } = this.#deps
    const now = port.clock.monotonic()
    if (now - this.#lookedAt < LOOK_EACH_MS) return
    if (this.#unswept === undefined) {
      if (now - this.#sweptAt < (tasks === undefined ? SWEEP_ALL_MS : SWEEP_MS)) return
      this.#sweptAt = now
      this.#unswept = (tasks ?? tasksOfPlans(member))[Symbol.iterator]()
    }
    this.#lookedAt = now
    for (let looks = 0; looks < LOOK_AT_ONCE; looks += 1) {
      const { done, value: task } = this.#unswept.next()
      if (done === true) {
        this.#unswept = undefined
        return
      }
      const leftover = this.#leftoverOf(task)
      if (leftover !== undefined) this.#leftovers.add(task, leftover.submitter)
    }
  }

  /** Undefined: it is not held, or its plan is open, may still be made, or ends its tasks itself. */
  #leftoverOf(task: string): Leftover | undefined {
    const { member } = this.#deps
    const record = taskOf(member, task)
    if (record?.plan === undefined || !isHeld(record) || this.#isDriven(record.plan)) return undefined
    const { plan, submitter, submittedAt } = record
    const known = planOf(member, plan)
    if (known?.outcome !== undefined) return { submitter, plan, reason: `plan-${known.outcome}` }
    const isUnknown = known === undefined && member.clock.now() - submittedAt > UNKNOWN_MS
    return isUnknown ? { submitter, plan, reason: undefined } : undefined
  }

  /** As many as may be ended at once. The next one follows as soon as one is decided. */
  #endSome(): void {
    if (this.#deps.port.clock.monotonic() < this.#restsUntil) return
    for (let looks = 0; looks < LOOK_AT_ONCE && !this.#signal.aborted; looks += 1) {
      const task = this.#leftovers.next()
      if (task === undefined) return
      // It may have changed while it waited for its turn.
      const leftover = this.#leftoverOf(task)
      if (leftover === undefined) this.#leftovers.done(task)
      else void this.#end(task, leftover)
    }
  }

  async #end(task: string, { plan, reason }: Leftover): Promise<void> {
    const { port, freeTask, cancelTask } = this.#deps
    const isDone = await this.quietly(
      reason === undefined
        ? freeTask(task, plan, this.#epoch, this.#signal)
        : cancelTask(task, reason, this.#epoch, this.#signal),
    )
    if (!isDone) this.#restsUntil = port.clock.monotonic() + REST_MS
    this.#leftovers.done(task)
    this.#endSome()
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
