/**
 * Whether a worker is there: connected, and not dead by the failure detector. A worker hears of its tasks over a connection to
 * the coordinator, so one that has none for a while does nothing more for them: a process that was killed is gone long before
 * the failure detector is sure. Its tasks go to others at once, which is safe: what it reports counts under its fence alone.
 *
 * State: since when each is not connected.
 */

/** Suspected: it gets nothing new. Gone: what it has goes to others. */
export type Liveness = 'there' | 'suspect' | 'gone'
/** What the failure detector believes. Left: it said goodbye; while it is connected it ends what it has in work. */
export type Detected = Liveness | 'left'

/** Milliseconds without a connection. Above what a lost connection takes to be made again. */
export const ABSENT_MS = 500

export class WorkerPresence {
  readonly #absentSince = new Map<string, number>()

  /**
   * @param detected what the failure detector believes
   * @param nowMs monotonic
   * @returns dueMs: milliseconds until it is taken for gone
   */
  of(
    peer: string,
    isConnected: boolean,
    detected: Detected,
    nowMs: number,
  ): { readonly presence: Liveness; readonly dueMs?: number } {
    if (isConnected) {
      this.#absentSince.delete(peer)
      return { presence: detected === 'left' ? 'suspect' : detected }
    }
    const since = this.#absentSince.get(peer) ?? nowMs
    this.#absentSince.set(peer, since)
    const dueMs = since + ABSENT_MS - nowMs
    return dueMs <= 0 || detected === 'gone' || detected === 'left'
      ? { presence: 'gone' }
      : { presence: 'suspect', dueMs }
  }

  /** It is registered no more. */
  forget(peer: string): void {
    this.#absentSince.delete(peer)
  }
}
