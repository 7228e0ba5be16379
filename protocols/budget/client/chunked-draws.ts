/**
 * Draws in chunks, so that small amounts are spent without a decision for each: one chunk is drawn, spent from, and settled in the
 * decision that draws the next one. State: the chunk that is spent now.
 */
import { checkedInput } from '../../checked-input.ts'
import { isParleyError } from '../../errors.ts'
import { type Amounts, GivenAmounts, less, sum } from '../amounts.ts'
import type { ChunkedDraws, Draw } from '../api.ts'

const PROBLEM = 'amounts cannot be used so'

export class Chunks implements ChunkedDraws {
  readonly #chunk: Amounts
  readonly #draw: (amounts: Amounts, least: Amounts) => Promise<Draw>
  #now: Draw | undefined
  #busy: Promise<unknown> = Promise.resolve()

  /** @param draw as much as there is of these amounts, and not less than the least @throws MSG001 */
  constructor(chunk: Amounts, draw: (amounts: Amounts, least: Amounts) => Promise<Draw>) {
    this.#chunk = checkedInput(GivenAmounts, chunk, PROBLEM)
    this.#draw = draw
  }

  /** One after the other. */
  spend(amounts: Amounts): Promise<void> {
    const spent = this.#busy.then(() => this.#spend(checkedInput(GivenAmounts, amounts, PROBLEM)))
    this.#busy = spent.catch(() => {})
    return spent
  }

  settle(): Promise<void> {
    const settled = this.#busy.then(() => this.#settle())
    this.#busy = settled.catch(() => {})
    return settled
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.settle()
  }

  async #spend(amounts: Amounts): Promise<void> {
    if (this.#now !== undefined && isSpent(this.#now, amounts)) return
    const hadOne = this.#now !== undefined
    // In this order they are decided together: what is left of the last chunk is free for the next one.
    const [settled, drawn] = await Promise.allSettled([this.#settle(), this.#drawFor(amounts)])
    if (drawn.status === 'fulfilled') this.#now = drawn.value
    if (settled.status === 'rejected') throw settled.reason
    if (drawn.status === 'rejected') {
      // Where both were decided apart, the chunk may have come before what was left of the last one.
      if (!hadOne || !isParleyError(drawn.reason, 'COM003')) throw drawn.reason
      this.#now = await this.#drawFor(amounts)
    }
    this.#now?.slice.spend(amounts)
  }

  /** A chunk, and as much more as is asked for at once. */
  #drawFor(amounts: Amounts): Promise<Draw> {
    return this.#draw(sum(this.#chunk, less(amounts, this.#chunk)), amounts)
  }

  async #settle(): Promise<void> {
    const before = this.#now
    this.#now = undefined
    await before?.settle()
  }
}

/** Where the draw has as much left. */
const isSpent = ({ slice }: Draw, amounts: Amounts): boolean => {
  try {
    slice.spend(amounts)
    return true
  } catch (error) {
    if (isParleyError(error, 'COM003', 'STA003')) return false
    throw error
  }
}
