/**
 * The part of a budget that goes with one call, command, message or task: it is split off before that is sent, and what comes
 * back of it is put back once.
 *
 * Begun work counts as one of the fan-out of where the part comes from. What never reached anybody comes back whole; of what was
 * answered comes back what the other side says to have left, never more than it was given; what nothing is heard of is spent.
 * State: the part, until it is over.
 */
import * as z from 'zod'
import { checkedInput } from '../../checked-input.ts'
import { ParleyError } from '../../errors.ts'
import { type Amounts, GivenAmounts, isNothing, type Limits, LimitsSchema, less } from '../amounts.ts'
import { type Reservation, Slice, type WallClock } from '../slice.ts'
import { type CarriedBudget, carriedOf } from './carried-budget.ts'

/** What a piece of work gets of a budget. */
export interface BudgetShare {
  /** What it is a part of; that of the parent unless told. */
  readonly of?: Slice | undefined
  /** Of what the other one limits and they do not name, it has nothing. */
  readonly amounts?: Amounts
  /** The earlier deadline counts, and one delegation less. */
  readonly limits?: Limits
}

const PROBLEM = 'no budget can be given so'
const ShareSchema = z.strictObject({
  of: z.instanceof(Slice).optional(),
  amounts: GivenAmounts.optional(),
  limits: LimitsSchema.strict().optional(),
})

const ofNothing = (): ParleyError =>
  new ParleyError('MSG001', `${PROBLEM}: there is nothing that it could be a part of`, {
    hint: 'give `of`, or the parent whose budget it comes from',
  })

/**
 * What work that is begun for a parent gets: a part of the parent's budget also where it asks for none.
 * @returns undefined where there is no budget
 * @throws MSG001
 */
export const shareFor = (given: unknown, ofParent: Slice | undefined): BudgetShare | undefined => {
  if (given === undefined) return ofParent && { of: ofParent }
  const share = checkedInput(ShareSchema, given, PROBLEM)
  const of = share.of ?? ofParent
  if (of === undefined) throw ofNothing()
  const { amounts, limits } = share
  return { of, ...(amounts !== undefined && { amounts }), ...(limits !== undefined && { limits }) }
}

/** Of the same, just as much, within the same limits. */
export const isSameShare = (one: BudgetShare, other: BudgetShare): boolean =>
  one.of === other.of && JSON.stringify([one.amounts, one.limits]) === JSON.stringify([other.amounts, other.limits])

/** Who is told of the attempts at a call. */
export interface AttemptObserver {
  /** All of the attempt was written. */
  sent(): void
  /** @param isUnhandled nobody began it, although it may have been written */
  failed(isUnhandled: boolean): void
}

export class GivenShare implements AttemptObserver {
  readonly limits: Limits
  readonly #part: Slice
  readonly #clock: WallClock
  readonly #begun: Reservation | undefined
  /** What an attempt has that nothing was heard of yet. */
  #open: Reservation | undefined
  /** All of that attempt was written, so that somebody may have begun it. */
  #isSent = false
  /** All of it came back: nobody may have begun it. */
  #isWhole = false
  #wasUsed = false

  /**
   * @param clock this node's own
   * @param begun what it takes of the fan-out of where it comes from
   */
  constructor(part: Slice, clock: WallClock, begun?: Reservation) {
    this.#part = part
    this.#clock = part.clock ?? clock
    this.#begun = begun
    this.limits = part.limits
  }

  /** @throws COM003 `budget-exhausted`, `budget-depth`; STA003 `ended`; MSG001 */
  static of({ of, amounts = {}, limits = {} }: BudgetShare, clock: WallClock): GivenShare {
    if (of === undefined) throw ofNothing()
    const begun = of.reserve({ fanOut: 1 })
    try {
      return new GivenShare(of.split(amounts, limits), clock, begun)
    } catch (error) {
      begun.settle({})
      throw error
    }
  }

  /** Milliseconds until the deadline of the budget; infinite where it has none. @throws MSG005 where that is over */
  leftMs(): number {
    const { deadlineAt = Number.POSITIVE_INFINITY } = this.limits
    const leftMs = deadlineAt - this.#clock.now()
    if (leftMs <= 0)
      throw new ParleyError('MSG005', 'the deadline of the budget has passed', { hint: 'begin with another budget' })
    return Math.max(1, leftMs)
  }

  /** The time that the work has, by its own limit and by the budget's. @throws MSG005 where that is over */
  cut(timeoutMs: number): number {
    return Math.min(timeoutMs, this.leftMs())
  }

  /** All that is left goes with an attempt; one before it that was not heard of reached nobody. */
  begin(): CarriedBudget {
    this.#settleUsed()
    this.#open?.settle({})
    this.#open = this.#part.reserve(this.#part.remaining())
    this.#isSent = false
    return carriedOf(this.#open.reserved, this.limits, this.#clock.now())
  }

  /** For the same work once more, after an attempt that may be at it: the limits, and nothing of what that one has. */
  beginAgain(): CarriedBudget {
    return carriedOf(this.#part.remaining(), this.limits, this.#clock.now())
  }

  sent(): void {
    this.#isSent = true
  }

  /** The other side says what it has left: no more counts than it was given. */
  told(remaining: Amounts): void {
    this.#isSent = true
    if (this.#open === undefined) return
    const spent = less(this.#open.reserved, remaining)
    this.#open.settle(spent)
    this.#open = undefined
    if (isNothing(spent)) this.#isWhole = true
    else this.#wasUsed = true
  }

  /** What the attempt has is there again, where it was not written or nobody began it. */
  failed(isUnhandled: boolean): void {
    if (this.#isSent && !isUnhandled) return
    this.#open?.settle({})
    this.#open = undefined
    this.#isWhole = false
  }

  /** An attempt has it that nothing was heard of yet. */
  isOut(): boolean {
    return this.#open !== undefined
  }

  /** Somebody may have begun it. */
  mayBeUsed(): boolean {
    return this.#wasUsed || this.#isWhole || this.#open !== undefined
  }

  /**
   * Puts back what is left.
   * @param wasReached false: the last attempt came to nobody
   * @returns what was left
   */
  end(wasReached: boolean): Amounts {
    if (!wasReached) this.failed(true)
    this.#settleUsed()
    if (this.#open !== undefined) this.#wasUsed = true
    this.#begun?.settle(this.#wasUsed ? { fanOut: 1 } : {})
    return this.#part.close()
  }

  #settleUsed(): void {
    if (this.#isWhole) this.#wasUsed = true
    this.#isWhole = false
  }
}

/**
 * For work that may be done more than once, and so has nothing to spend: the limits of a budget, with nothing of what it limits.
 * @throws as GivenShare.of
 */
export const passLimits = (of: Slice, clock: WallClock): CarriedBudget => {
  const share = GivenShare.of({ of }, clock)
  const carried = share.begin()
  share.end(true)
  return carried
}
