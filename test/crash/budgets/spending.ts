/**
 * A program of a crash run that opens budgets, lends of them, draws and spends. Before it spends it writes down what, in a file of
 * its own that is synced: what stands there is no less than what was spent, however its process ends. State: what it holds.
 */
import { fsyncSync, openSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type Budget, type Draw, isParleyError, type Mesh } from '../../../node/index.ts'

const LANES = 4
const PAUSE_MS = 250
const SPEND_MS = 250
const TAKE_MS = 200
const SPENDS = 3
const MOST_HELD = 8
const MOST_KEPT = 6
const ROOT_TOKENS = 150
const LOAN_TOKENS = 60
const DRAW_TOKENS = 25

export interface SpendOrder {
  /** It goes on with the file of its lives before this one. */
  readonly file: string
  /** Peer ids of those that it lends to. */
  readonly peers: readonly string[]
}
/** A line of that file. */
export interface SpentLine {
  readonly budget: string
  readonly draw: string
  readonly tokens: number
}
export interface SpendCounts {
  spends: number
  refused: number
}
export interface Spending {
  /** All is settled, and all that it holds is closed. */
  end(): Promise<SpendCounts>
}

const below = (count: number): number => Math.floor(Math.random() * count)
const anyOf = <T>(list: readonly T[]): T | undefined => list[below(list.length)]

class Spender {
  readonly counts: SpendCounts = { spends: 0, refused: 0 }
  readonly #mesh: Mesh
  readonly #peers: readonly string[]
  readonly #file: number
  readonly #held = new Map<string, Budget>()
  /** Those that are settled later, or by whoever closes the budget, or never. */
  readonly #kept: Draw[] = []
  isOver = false

  constructor(mesh: Mesh, { file, peers }: SpendOrder) {
    this.#mesh = mesh
    this.#peers = peers
    this.#file = openSync(file, 'a')
    mesh.budgets.onLoan(({ id }) => void this.#asked(() => this.#take(id)))
  }

  async lane(): Promise<void> {
    while (!this.isOver) {
      await delay(below(PAUSE_MS))
      await this.#asked(() => this.#act())
    }
  }

  async conclude(): Promise<void> {
    // What its life before this one held ends by that, and not only with a lease.
    await this.#asked(async () => (await this.#mesh.budgets.open({ amounts: {} })).close())
    for (const draw of this.#kept.splice(0)) await this.#asked(() => draw.settle())
    for (const budget of [...this.#held.values()]) await this.#asked(() => budget.close())
  }

  /** Nobody decides at the moment, or there is not as much left. */
  async #asked(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!isParleyError(error)) throw error
      this.counts.refused += 1
    }
  }

  #hold(budget: Budget): void {
    this.#held.set(budget.id, budget)
    budget.signal.addEventListener('abort', () => this.#held.delete(budget.id))
    if (budget.signal.aborted) this.#held.delete(budget.id)
  }

  async #take(id: string): Promise<void> {
    await delay(below(TAKE_MS))
    const budget = await this.#mesh.budgets.get(id)
    if (this.isOver) await budget.close()
    else this.#hold(budget)
  }

  async #act(): Promise<void> {
    const budget = anyOf([...this.#held.values()])
    const what = Math.random()
    if (budget === undefined || (what < 0.05 && this.#held.size < MOST_HELD))
      return this.#hold(await this.#mesh.budgets.open({ amounts: { tokens: 50 + below(ROOT_TOKENS) } }))
    if (what < 0.3) await budget.lend(anyOf(this.#peers) ?? '', { tokens: 1 + below(LOAN_TOKENS) })
    else if (what < 0.32) await budget.close()
    else await this.#drawAndSpend(budget)
  }

  async #drawAndSpend(budget: Budget): Promise<void> {
    const draw = await budget.draw({ tokens: 1 + below(DRAW_TOKENS) })
    for (let n = below(SPENDS + 1); n > 0; n -= 1) {
      const tokens = below(1 + (draw.slice.remaining().tokens ?? 0))
      // Somebody may have closed the budget, and settled what was drawn of it.
      if (tokens === 0 || draw.slice.isClosed()) break
      this.#write({ budget: budget.id, draw: draw.id, tokens })
      draw.slice.spend({ tokens })
      this.counts.spends += 1
      await delay(below(SPEND_MS))
    }
    if (Math.random() < 0.8) return draw.settle()
    this.#kept.push(draw)
    if (this.#kept.length > MOST_KEPT) await this.#kept.shift()?.settle()
  }

  #write(line: SpentLine): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
    fsyncSync(this.#file)
  }
}

export const startSpending = (mesh: Mesh, order: SpendOrder): Spending => {
  const spender = new Spender(mesh, order)
  const lanes = Promise.all(Array.from({ length: LANES }, () => spender.lane()))
  return {
    async end() {
      spender.isOver = true
      await lanes
      await spender.conclude()
      return spender.counts
    },
  }
}
