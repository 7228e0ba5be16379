/**
 * How many transfers of bytes run at once on a node, and of those for one peer: each may take 64 MiB of memory. State: what runs
 * and what waits (bounded).
 */
import { Fifo, waitFor } from '../../async.ts'
import { ParleyError } from '../../errors.ts'

export interface SlotLimits {
  readonly most: number
  /** Of one peer. */
  readonly each: number
  /** That wait; more are refused. */
  readonly waiting: number
}

interface Waiter {
  isGone: boolean
  go(): void
}

const tooMany = (): ParleyError =>
  new ParleyError('COM003', 'too many values of tasks are on their way', {
    hint: 'try again in a moment, fewer at a time',
    details: { reason: 'bytes', retryAfterMs: 1_000 },
  })

export class TransferSlots {
  readonly #limits: SlotLimits
  readonly #waiting: Fifo<Waiter>
  readonly #ofPeer = new Map<string, number>()
  #running = 0

  constructor(limits: SlotLimits) {
    this.#limits = limits
    this.#waiting = new Fifo(limits.waiting)
  }

  /** Runs it when it is its turn. @throws COM003 where too many run for that peer, or wait */
  async run<T>(peer: string, signal: AbortSignal | undefined, transfer: () => Promise<T>): Promise<T> {
    const leave = await this.enter(peer, signal)
    try {
      return await transfer()
    } finally {
      leave()
    }
  }

  /** @returns what gives the slot back @throws COM003; the signal's reason */
  async enter(peer: string, signal: AbortSignal | undefined): Promise<() => void> {
    const now = this.#ofPeer.get(peer) ?? 0
    if (now >= this.#limits.each) throw tooMany()
    this.#ofPeer.set(peer, now + 1)
    try {
      await this.#turn(signal)
    } catch (error) {
      this.#forget(peer)
      throw error
    }
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#forget(peer)
      this.#next()
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#running < this.#limits.most) {
      this.#running += 1
      return
    }
    await waitFor(signal, (resolve, reject) => {
      const waiter: Waiter = { isGone: false, go: resolve }
      if (!this.#waiting.put(waiter)) reject(tooMany())
      // However it ended: nobody gives it a slot any more.
      return () => {
        waiter.isGone = true
      }
    })
  }

  #next(): void {
    let next = this.#waiting.take()
    while (next?.isGone === true) next = this.#waiting.take()
    if (next === undefined) this.#running -= 1
    else next.go()
  }

  #forget(peer: string): void {
    const left = (this.#ofPeer.get(peer) ?? 1) - 1
    if (left > 0) this.#ofPeer.set(peer, left)
    else this.#ofPeer.delete(peer)
  }
}
