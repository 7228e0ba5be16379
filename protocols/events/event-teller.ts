/**
 * Tells of things by events that nobody has to hear: what cannot be sent now is dropped and counted. State: how many are on their
 * way (bounded), and how many were dropped.
 */
import type { Port } from '../port.ts'

/** Events that wait for gossip; more are dropped. */
export const MAX_UNTOLD = 4_096

export class EventTeller {
  readonly #log: Port['log']
  /** What it tells of, in the log. */
  readonly #of: string
  #waiting = 0
  #dropped = 0

  constructor(log: Port['log'], of: string) {
    this.#log = log
    this.#of = of
  }

  dropped(): number {
    return this.#dropped
  }

  /** It is not told: there are too many. */
  drop(): void {
    this.#dropped += 1
  }

  tell(publish: () => Promise<unknown>): void {
    if (this.#waiting >= MAX_UNTOLD) {
      this.drop()
      return
    }
    this.#waiting += 1
    publish()
      .catch((error: unknown) => {
        this.drop()
        this.#log.info(`a change of ${this.#of} was not told`, { error })
      })
      .finally(() => {
        this.#waiting -= 1
      })
  }
}
