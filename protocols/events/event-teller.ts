/**
 * Tells of things by events that nobody has to hear: what cannot be sent now is dropped and counted. State: how many are on their
 * way (bounded).
 */
import type { Port } from '../port.ts'

/** Events that wait for gossip; more are dropped. */
const MAX_WAITING = 4_096

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

  tell(publish: () => Promise<unknown>): void {
    if (this.#waiting >= MAX_WAITING) {
      this.#dropped += 1
      return
    }
    this.#waiting += 1
    publish()
      .catch((error: unknown) => {
        this.#dropped += 1
        this.#log.info(`a change of ${this.#of} was not told`, { error })
      })
      .finally(() => {
        this.#waiting -= 1
      })
  }
}
