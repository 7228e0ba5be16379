/**
 * Parts of budgets that go with tasks of one submission: split off before it is sent, and put back as far as they were not used,
 * once this process hears that the task has ended. State: those parts.
 */
import { less } from '../../budget/amounts.ts'
import { type BudgetShare, GivenShare, shareFor } from '../../budget/carried/budget-share.ts'
import { isParleyError } from '../../errors.ts'
import type { Clock } from '../../port.ts'
import type { SubmittedTask } from '../journal/task-changes.ts'
import { isFinal } from '../task-status.ts'
import type { TaskState } from './task-api.ts'
import type { Tracker } from './task-trackers.ts'

export interface GivenTerms {
  readonly budget: SubmittedTask['budget']
  readonly deadline: number | undefined
}

interface Accepted {
  readonly id: string
  readonly known: boolean
  readonly tracker: Tracker | undefined
}

export class TaskShares {
  readonly #clock: Pick<Clock, 'now'>
  readonly #given = new Map<string, GivenShare>()
  #wasSent = false

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** @throws COM003 `budget-exhausted`, `budget-depth`; STA003 `ended`; MSG001; MSG005 where its deadline has passed */
  give(id: string, wanted: BudgetShare | undefined, ownDeadline: number | Date | undefined): GivenTerms {
    const deadline = ownDeadline === undefined ? undefined : Number(ownDeadline)
    const share = shareFor(wanted, undefined)
    if (share === undefined) return { budget: undefined, deadline }
    const given = GivenShare.of(share, this.#clock)
    // A submission that names a task twice is refused.
    this.#given.get(id)?.end(false)
    this.#given.set(id, given)
    given.cut(Number.POSITIVE_INFINITY)
    const { amounts, depth } = given.begin()
    const { deadlineAt = Number.POSITIVE_INFINITY } = given.limits
    const earlier = Math.min(deadline ?? Number.POSITIVE_INFINITY, deadlineAt)
    return {
      budget: { amounts, ...(depth !== undefined && { depth }) },
      deadline: earlier === Number.POSITIVE_INFINITY ? undefined : earlier,
    }
  }

  /** From here on it may be decided, whatever is heard of that. */
  sent(): void {
    this.#wasSent = true
  }

  failed(error: unknown): void {
    const isRefused = isParleyError(error) && !isParleyError(error, 'COM001', 'COM002')
    for (const share of this.#given.values()) share.end(this.#wasSent && !isRefused)
  }

  accepted(tasks: readonly Accepted[]): void {
    for (const { id, known, tracker } of tasks) {
      const share = this.#given.get(id)
      if (share === undefined) continue
      // It has what it was given when it was submitted first.
      if (known || tracker === undefined) share.end(!known)
      else this.#untilEnded(share, tracker)
    }
  }

  /** Where this process never hears of its end, its part stays spent. */
  #untilEnded(share: GivenShare, tracker: Tracker): void {
    const hear = ({ status, record }: TaskState): void => {
      if (!isFinal(status)) return
      tracker.fns.delete(hear)
      const { amounts = {}, used = {} } = record.budget ?? {}
      share.told(less(amounts, used))
      share.end(true)
    }
    tracker.fns.add(hear)
    if (tracker.last !== undefined) hear(tracker.last)
  }
}
