/**
 * Receipts of this node's draws: each is written, and where nobody decides it is tried again, a bounded number of times. A draw
 * whose receipt is not written counts as spent.
 *
 * State: draws that are open here, by budget; what was counted.
 */
import { delay } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { type Amounts, isNothing, NO_AMOUNTS } from '../amounts.ts'
import type { Draw } from '../api.ts'
import type { Receipted } from '../journal/apply-budgets.ts'
import type { Slice } from '../slice.ts'
import { type DecisionDeps, decideAgain } from './budget-decisions.ts'

/** Milliseconds before each look for a draw of which it is not known whether it was decided. */
const LOOKS_MS = [200, 1_000, 5_000, 15_000]
/** Of those at once: more are not looked for, and count as spent. */
const MAX_ABANDONED = 1_024

export interface ReceiptDeps extends DecisionDeps {
  readonly port: Pick<Port, 'timers' | 'log'>
}

/** One draw, as the journal knows it. */
export interface DrawName {
  readonly id: string
  readonly draw: string
  readonly registration: number
}

export class Receipts {
  readonly #deps: ReceiptDeps
  /** With what is done where their receipts can not be written any more. */
  readonly #open = new Map<string, Map<Draw, () => void>>()
  readonly #counts = { overspent: 0, writtenOff: 0 }
  #abandoned = 0
  #isStopping = false

  constructor(deps: ReceiptDeps) {
    this.#deps = deps
  }

  counts(): { readonly draws: number; readonly overspent: number; readonly writtenOff: number } {
    let draws = 0
    for (const { size } of this.#open.values()) draws += size
    return { draws, ...this.#counts }
  }

  /** It was decided: from here on it can be spent. */
  drawn(name: DrawName, amounts: Amounts, slice: Slice): Draw {
    let settled: Promise<void> | undefined
    const settle = (): Promise<void> => {
      slice.close()
      settled ??= this.#settle(name, slice.counts().spent).finally(() => this.#forget(name.id, draw))
      return settled
    }
    const lose = (): void => {
      if (settled !== undefined) return
      settled = Promise.resolve()
      this.#counts.writtenOff += 1
      this.#forget(name.id, draw)
    }
    const draw: Draw = { id: name.draw, amounts, slice, settle, [Symbol.asyncDispose]: settle }
    const draws = this.#open.get(name.id) ?? new Map()
    this.#open.set(name.id, draws)
    draws.set(draw, lose)
    return draw
  }

  /** It is not known whether it was decided, and nobody waits for it any more. */
  abandon(name: DrawName): void {
    if (this.#abandoned >= MAX_ABANDONED) {
      this.#counts.writtenOff += 1
      return
    }
    this.#abandoned += 1
    const look = async (): Promise<void> => {
      for (const againMs of LOOKS_MS) {
        // A decision that is on its way comes first.
        await delay(this.#deps.port.timers, againMs)
        if (this.#isStopping || (await this.#write(name, NO_AMOUNTS)).isSettled) return
      }
    }
    look()
      .catch((error: unknown) => this.#lost(name, error))
      .finally(() => {
        this.#abandoned -= 1
      })
  }

  /** All draws of a budget, or of all of them. */
  async settleAll(id?: string): Promise<void> {
    const of = id === undefined ? [...this.#open.values()] : [this.#open.get(id) ?? new Map<Draw, () => void>()]
    await Promise.allSettled(of.flatMap((draws) => [...draws.keys()]).map((draw) => draw.settle()))
  }

  /** The life of this node is over in which they were drawn: what is not settled by now counts as spent. */
  lose(): void {
    for (const draws of [...this.#open.values()]) for (const lose of [...draws.values()]) lose()
  }

  /** What is not decided from now on is not tried again. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.settleAll()
  }

  #forget(id: string, draw: Draw): void {
    const draws = this.#open.get(id)
    draws?.delete(draw)
    if (draws?.size === 0) this.#open.delete(id)
  }

  async #settle(name: DrawName, spent: Amounts): Promise<void> {
    try {
      const { isSettled, above } = await this.#write(name, spent)
      if (!isSettled) this.#counts.writtenOff += 1
      if (isNothing(above)) return
      this.#counts.overspent += 1
      this.#deps.port.log.warn('more was spent than was drawn of a budget', { budget: name.id, draw: name.draw, above })
    } catch (error) {
      this.#lost(name, error)
      // The life of this node that it was drawn in is over: it was written off.
      if (!isParleyError(error, 'STA001', 'STA002')) throw error
    }
  }

  #lost(name: DrawName, error: unknown): void {
    this.#counts.writtenOff += 1
    const { id, draw } = name
    this.#deps.port.log.warn('the receipt of a draw was not written: it counts as spent', { budget: id, draw, error })
  }

  async #write(name: DrawName, spent: Amounts): Promise<Receipted> {
    const { result } = await decideAgain(this.#deps, { do: 'receipt', ...name, spent }, () => this.#isStopping)
    return result as unknown as Receipted
  }
}
