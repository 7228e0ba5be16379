/**
 * Peers that were not admitted a short time ago, and are not let in again until it is over. State: at most `MAX_REFUSALS`,
 * of more the oldest is forgotten.
 */
import type { Clock } from '../../protocols/port.ts'

const MAX_REFUSALS = 1024

export class RecentRefusals {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #rememberMs: number
  /** By peer: until when, the newest last. */
  readonly #untilMs = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonic'>, rememberMs: number) {
    this.#clock = clock
    this.#rememberMs = rememberMs
  }

  add(peer: string): void {
    this.#untilMs.delete(peer)
    this.#untilMs.set(peer, this.#clock.monotonic() + this.#rememberMs)
    if (this.#untilMs.size <= MAX_REFUSALS) return
    const oldest = this.#untilMs.keys().next().value
    if (oldest !== undefined) this.#untilMs.delete(oldest)
  }

  has(peer: string): boolean {
    const untilMs = this.#untilMs.get(peer)
    if (untilMs === undefined) return false
    if (untilMs > this.#clock.monotonic()) return true
    this.#untilMs.delete(peer)
    return false
  }

  delete(peer: string): void {
    this.#untilMs.delete(peer)
  }

  clear(): void {
    this.#untilMs.clear()
  }
}
