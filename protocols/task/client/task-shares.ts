/**
 * Parts of budgets that go with tasks of one submission: split off before it is sent. They are put back where it is refused, and
 * watched where it is accepted (watched-shares.ts). State: those parts.
 */
import { type BudgetShare, GivenShare, shareFor } from '../../budget/carried/budget-share.ts'
import { isParleyError } from '../../errors.ts'
import type { Clock } from '../../port.ts'
import type { SubmittedTask } from '../journal/task-changes.ts'
import type { Tracker } from './task-trackers.ts'
import type { WatchedShares } from './watched-shares.ts'

/** Nothing of the submission was decided. Of anything else nobody knows. */
const isRefusal = (error: unknown): boolean =>
  isParleyError(error, 'MSG001', 'MSG004', 'COM003', 'SEC002', 'STA001') ||
  (isParleyError(error, 'STA003') && /^(exists|dependency|level)$/.test(String(error.details.reason)))

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
  readonly #watched: WatchedShares
  readonly #given = new Map<string, GivenShare>()
  #wasSent = false

  constructor(clock: Pick<Clock, 'now'>, watched: WatchedShares) {
    this.#clock = clock
    this.#watched = watched
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

  /** @param signal ended the wait, where it is aborted: whoever waited does not know what came of it */
  failed(error: unknown, signal: AbortSignal | undefined): void {
    const isRefused = signal?.aborted !== true && isRefusal(error)
    for (const share of this.#given.values())
      if (!this.#wasSent || isRefused) share.end(false)
      else this.#watched.writeOff(share)
  }

  accepted(tasks: readonly Accepted[]): void {
    for (const { id, known, tracker } of tasks) {
      const share = this.#given.get(id)
      if (share === undefined) continue
      // It has what it was given when it was submitted first.
      if (known) share.end(false)
      else if (tracker === undefined) this.#watched.writeOff(share)
      else this.#watched.watch(id, tracker, share)
    }
  }
}
