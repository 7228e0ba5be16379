/**
 * How much may be on its way to one peer at once: messages and bytes that are not acknowledged.
 *
 * What an overloaded peer did not take is parked, and needs no room meanwhile: where two nodes are full of questions to each
 * other, their answers have to get past them.
 */
import type { SendWindowLimits, WindowEntry } from './send-lane.ts'

/** Of the window, kept free for what is urgent. */
const RESERVED = 1 / 12
const URGENT_RANK = 2

export class WindowRoom {
  readonly #limits: SendWindowLimits
  #window: number
  #bytes = 0
  /** Messages on their way. */
  taken = 0
  parked = 0

  constructor(limits: SendWindowLimits) {
    this.#limits = limits
    this.#window = limits.window
  }

  /** @param window what the peer takes */
  setWindow(window: number): void {
    this.#window = Math.min(this.#limits.window, window)
  }

  mayTake(entry: WindowEntry): boolean {
    const window = this.#window
    const limit = entry.rank >= URGENT_RANK ? window : window - Math.floor(window * RESERVED)
    const inWindow = this.taken
    return inWindow < limit && (inWindow === 0 || this.#bytes + entry.size <= this.#limits.windowBytes)
  }

  take(entry: WindowEntry): void {
    this.taken += 1
    this.#bytes += entry.size
  }

  giveBack(entry: WindowEntry): void {
    this.taken -= 1
    this.#bytes -= entry.size
  }

  park(entry: WindowEntry): void {
    if (entry.isParked === true) return
    entry.isParked = true
    this.parked += 1
    this.giveBack(entry)
  }

  unpark(entry: WindowEntry): void {
    if (entry.isParked !== true) return
    entry.isParked = false
    this.parked -= 1
    this.take(entry)
  }
}
