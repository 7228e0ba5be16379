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
export const isRefusal = (error: unknown): boolean =>
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

interface SplitShare {
  readonly wanted: BudgetShare
  readonly share: GivenShare
  /** It was split off before, for the same task, and sent then: nobody knew what came of that. */
  readonly before: number | undefined
}

export class TaskShares {
  readonly #clock: Pick<Clock, 'now'>
  readonly #watched: WatchedShares
  readonly #given = new Map<string, SplitShare>()
  readonly #decidedBy: number
  #sentAt: number | undefined

  /** @param timeoutMs until the submission is given up */
  constructor(clock: Pick<Clock, 'now'>, watched: WatchedShares, timeoutMs: number) {
    this.#clock = clock
    this.#watched = watched
    this.#decidedBy = clock.now() + timeoutMs
  }

  /** @throws COM003 `budget-exhausted`, `budget-depth`; STA003 `ended`; MSG001; MSG005 where its deadline has passed */
  give(id: string, wanted: BudgetShare | undefined, ownDeadline: number | Date | undefined): GivenTerms {
    const deadline = ownDeadline === undefined ? undefined : Number(ownDeadline)
    const share = shareFor(wanted, undefined)
    if (share === undefined) return { budget: undefined, deadline }
    const before = this.#watched.again(id, share, this.#decidedBy)
    const given = before?.share ?? GivenShare.of(share, this.#clock)
    // A submission that names a task twice is refused.
    const twice = this.#given.get(id)
    if (twice !== undefined) this.#takeBack(id, twice, true)
    this.#given.set(id, { wanted: share, share: given, before: before?.sentAt })
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
    this.#sentAt = this.#clock.now()
  }

  /** @param signal ended the wait, where it is aborted: whoever waited does not know what came of it */
  failed(error: unknown, signal: AbortSignal | undefined): void {
    const isRefused = signal?.aborted !== true && isRefusal(error)
    for (const [id, given] of this.#given) this.#takeBack(id, given, isRefused)
  }

  /** What may have been accepted before stays what nobody knows. */
  #takeBack(id: string, { wanted, share, before }: SplitShare, isRefused: boolean): void {
    const sentAt = before ?? (isRefused ? undefined : this.#sentAt)
    if (sentAt === undefined) share.end(false)
    else this.#watched.keepUnsure(id, { wanted, share, sentAt })
  }

  accepted(tasks: readonly Accepted[]): void {
    for (const { id, known, tracker } of tasks) {
      const given = this.#given.get(id)
      if (given === undefined) continue
      const { share, before } = given
      const isAgain = before !== undefined
      // It has what it was given when it was submitted first: this part, where nobody knew, and no other is waited for.
      if (known && (!isAgain || this.#watched.isWatched(id))) share.end(false)
      else if (tracker === undefined && !isAgain) this.#watched.writeOff(share)
      else this.#watched.watch(id, tracker, share)
    }
  }
}
