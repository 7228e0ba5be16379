/**
 * How many transfers of bytes run at once on a node, and of those for one peer: each may take 64 MiB of memory. State: what runs
 * and what waits (bounded).
 */
import { waitFor } from '../../async.ts'
import { ParleyError } from '../../errors.ts'

export interface SlotLimits {
  readonly most: number
  /** Of one peer, those that wait included; more are refused. */
  readonly each: number
  /** Of one peer at work; fewer than all, so that a slow one leaves room for others. */
  readonly eachAtWork: number
  /** That wait; more are refused. */
  readonly waiting: number
}

interface Waiter {
  readonly peer: string
  go(): void
}

const tooMany = (): ParleyError =>
  new ParleyError('COM003', 'too many values of tasks are on their way', {
    hint: 'try again in a moment, fewer at a time',
    details: { reason: 'bytes', retryAfterMs: 1_000 },
  })

const count = (of: Map<string, number>, peer: string, by: 1 | -1): void => {
  const next = (of.get(peer) ?? 0) + by
  if (next > 0) of.set(peer, next)
  else of.delete(peer)
}

export class TransferSlots {
  readonly #limits: SlotLimits
  /** In their order. */
  readonly #waiting = new Set<Waiter>()
  readonly #ofPeer = new Map<string, number>()
  readonly #atWork = new Map<string, number>()
  #running = 0

  constructor(limits: SlotLimits) {
    this.#limits = limits
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
    count(this.#ofPeer, peer, 1)
    try {
      await this.#turn(peer, signal)
    } catch (error) {
      count(this.#ofPeer, peer, -1)
      throw error
    }
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#running -= 1
      count(this.#ofPeer, peer, -1)
      count(this.#atWork, peer, -1)
      this.#next()
    }
  }

  #mayBegin(peer: string): boolean {
    return this.#running < this.#limits.most && (this.#atWork.get(peer) ?? 0) < this.#limits.eachAtWork
  }

  #begin(peer: string): void {
    this.#running += 1
    count(this.#atWork, peer, 1)
  }

  async #turn(peer: string, signal: AbortSignal | undefined): Promise<void> {
    if (this.#mayBegin(peer)) return this.#begin(peer)
    await waitFor(signal, (resolve, reject) => {
      const waiter: Waiter = { peer, go: resolve }
      if (this.#waiting.size < this.#limits.waiting) this.#waiting.add(waiter)
      else reject(tooMany())
      // However it ended: nobody gives it a slot any more.
      return () => this.#waiting.delete(waiter)
    })
  }

  /** The first one whose peer may have one more. */
  #next(): void {
    for (const waiter of this.#waiting) {
      if (!this.#mayBegin(waiter.peer)) continue
      this.#waiting.delete(waiter)
      this.#begin(waiter.peer)
      waiter.go()
      return
    }
  }
}
