/**
 * A slice of a budget, as one node spends it: what was drawn, or what came with a request.
 *
 * It lets nobody spend more than is left. Who knows the cost of a call only afterwards reserves the most that it may cost, and
 * settles what it did cost; what was spent above that cannot be prevented any more: it is counted, and takes from the rest, down
 * to nothing. Callers split, never copy: what a child has is not the parent's any more until the child is closed, and a child
 * that is never closed counts as spent. State: what is left, spent and reserved.
 */
import { checkedInput } from '../checked-input.ts'
import { stateError } from '../errors.ts'
import {
  AMOUNT_NAMES,
  type Amounts,
  amountIn,
  atMost,
  GivenAmounts,
  isLimited,
  type Limits,
  LimitsSchema,
  less,
  limitedBy,
  NO_AMOUNTS,
  partOf,
  passedOn,
  requireLeft,
  sum,
  withoutZeros,
} from './amounts.ts'

/** Amounts that it does not name are without limit. */
export interface Allowance {
  readonly amounts: Amounts
  readonly limits?: Limits
  /** What its deadline is held against, and that of its parts; this node's own clock unless told. */
  readonly clock?: WallClock | undefined
}

export interface WallClock {
  /** Milliseconds since 1970. */
  now(): number
}

export interface Reservation {
  readonly reserved: Amounts
  /** What it came to: the rest is there again. Only the first time counts; one that is never settled counts as spent. */
  settle(spent: Amounts): void
}

export interface SliceCounts {
  /** What is reserved and not settled counts as spent. */
  readonly spent: Amounts
  /** Of that, beyond what was reserved for it. */
  readonly overspent: Amounts
}

const PROBLEM = 'amounts cannot be used so'
const given = (amounts: Amounts): Amounts => checkedInput(GivenAmounts, amounts, PROBLEM)
const SLICE = 'this slice of a budget'

export class Slice {
  readonly limits: Limits
  readonly clock: WallClock | undefined
  #allowance: Amounts
  /** Of what is limited. */
  #left: Amounts
  #spent: Amounts = NO_AMOUNTS
  /** Reserved, not settled. */
  #open: Amounts = NO_AMOUNTS
  #overspent: Amounts = NO_AMOUNTS
  #returned: Amounts | undefined
  readonly #onClosed: ((spent: Amounts) => void) | undefined

  /** @param onClosed of a child: gives back to its parent what was not spent @throws MSG001 */
  constructor({ amounts, limits = {}, clock }: Allowance, onClosed?: (spent: Amounts) => void) {
    this.#allowance = given(amounts)
    this.limits = checkedInput(LimitsSchema.strict(), limits, 'limits cannot be used so')
    this.clock = clock
    this.#left = this.#allowance
    this.#onClosed = onClosed
  }

  /** It has so much more, of what is limited. @throws STA003 `ended`; MSG001 */
  add(amounts: Amounts): void {
    const more = limitedBy(this.#allowance, given(amounts))
    this.#take(NO_AMOUNTS)
    this.#allowance = sum(this.#allowance, more)
    this.#left = sum(this.#left, more)
  }

  /** Of what is limited; what it does not name is without limit. */
  remaining(): Amounts {
    return this.#left
  }

  counts(): SliceCounts {
    return { spent: withoutZeros(sum(this.#spent, this.#open)), overspent: this.#overspent }
  }

  isClosed(): boolean {
    return this.#returned !== undefined
  }

  /** @throws COM003 `budget-exhausted`, and then nothing was taken; STA003 `ended`; MSG001 */
  spend(amounts: Amounts): void {
    this.reserve(amounts).settle(amounts)
  }

  /** For what is known only afterwards: the most that it may come to. @throws as `spend` */
  reserve(amounts: Amounts): Reservation {
    const reserved = given(amounts)
    this.#take(reserved)
    let isOpen = true
    const settle = (spent: Amounts): void => {
      const known = given(spent)
      if (isOpen) this.#settle(reserved, known)
      isOpen = false
    }
    return { reserved, settle }
  }

  /**
   * A part of it for somebody else, or for another piece of work.
   * @param amounts of what this one limits and they do not name, the child has nothing
   * @throws COM003 `budget-exhausted`, `budget-depth`; STA003 `ended`; MSG001
   */
  split(amounts: Amounts, limits: Limits = {}): Slice {
    const allowance = partOf(this.#allowance, given(amounts))
    const passed = passedOn(SLICE, this.limits, checkedInput(LimitsSchema.strict(), limits, 'limits cannot be used so'))
    this.#take(allowance)
    const part = { amounts: allowance, limits: passed, clock: this.clock }
    return new Slice(part, (spent) => this.#settle(allowance, spent))
  }

  /**
   * Nothing more is spent of it. A child gives back what is left, the first time.
   * @param remaining what somebody else says to have left of it: no more than there can be counts, and nothing for what it does
   *   not name
   * @returns what was left of it, of what it limits
   */
  close(remaining?: Amounts): Amounts {
    const said = remaining === undefined ? this.#left : given(remaining)
    if (this.#returned !== undefined) return this.#returned
    const back = limitedBy(this.#allowance, atMost(said, this.#left))
    // What was spent beyond its allowance was spent all the same.
    const beyond = less(this.counts().spent, less(this.#allowance, this.#left))
    this.#left = less(this.#left, this.#left)
    this.#returned = back
    this.#onClosed?.(sum(less(this.#allowance, back), beyond))
    return back
  }

  #take(amounts: Amounts): void {
    if (this.isClosed()) throw stateError('ended', `${SLICE} is closed`, 'spend of another one')
    requireLeft(SLICE, this.#left, amounts)
    this.#left = less(this.#left, amounts)
    this.#open = sum(this.#open, amounts)
  }

  #settle(reserved: Amounts, spent: Amounts): void {
    this.#open = less(this.#open, reserved)
    this.#spent = sum(this.#spent, spent)
    for (const name of AMOUNT_NAMES) {
      const over = amountIn(spent, name) - amountIn(reserved, name)
      const isBound = isLimited(reserved, name) || isLimited(this.#allowance, name)
      if (over > 0 && isBound) this.#overspent = sum(this.#overspent, { [name]: over })
      // Who closed it has given back what was left by then.
      if (!isLimited(this.#left, name) || this.isClosed()) continue
      this.#left = { ...this.#left, [name]: Math.max(0, amountIn(this.#left, name) - over) }
    }
  }
}
