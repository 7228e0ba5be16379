/**
 * What one peer has in work on a node, over all its links: handlers that run, requests that wait, streams that wait for
 * their reader, and bytes of requests. Its shares of what all peers have together are counted by accounts that stay open
 * as long as it has anything here.
 *
 * State: the four accounts, and how many links it has.
 */

import type { ErrorReason } from '../../error-reasons.ts'
import type { ParleyError } from '../../errors.ts'
import type { FairShares, ShareAccount } from '../../limits/fair-shares.ts'
import type { FairQueue } from './fair-queue.ts'

export interface SlotHolder {
  /** It has its slot, and gives it back exactly once when it does not need it any more; that may be within start(). */
  start(): void
}

/** What one peer has in work here. */
export interface PeerConcurrency {
  readonly peer: string
  /**
   * Starts `user` now or when it is its turn. `bytes`: of the request, until release() or releaseParked().
   * @throws COM003 when too much of this peer, or of all, waits
   */
  acquire(priority: number, user: SlotHolder, bytes?: number): void
  release(bytes?: number): void
  /**
   * Gives the slot up until resume(): it waits for its reader to take items.
   * @throws COM003 when too many of them do; the slot is kept
   */
  park(): void
  /** Wants a slot again; `user` starts now or when it is its turn. */
  resume(priority: number, user: SlotHolder): void
  /** Instead of resume() and release(), of one that is parked. */
  releaseParked(bytes?: number): void
  /** Of parts of requests that are not whole yet. False where that is more than its share. */
  takeBytes(bytes: number): boolean
  giveBytes(bytes: number): void
  /** Whether so many more requests may be refused at once; else the peer is slowed. */
  mayRefuse(count: number, nowMs: number): boolean
  /** Bytes of requests that wait for their turn. */
  waitingBytes: number
  /** Once for each open(); what runs may still leave afterwards. */
  close(): void
}

export interface PeerUsage {
  readonly peer: string
  readonly active: number
  readonly queued: number
  readonly parked: number
  readonly bytes: number
}

/** What there was too much of; `details.reason` of the COM003. */
export type OverloadReason = Extract<ErrorReason<'COM003'>, 'line' | 'streams' | 'bytes'>

export interface Waiter {
  readonly peer: PeerSlots
  readonly holder: SlotHolder
  /** It was parked, and is until it starts. */
  readonly resumes: boolean
}

/** What the peers of a node share. */
export interface SharedSlots {
  readonly runningShares: FairShares
  readonly waitingShares: FairShares
  readonly parkedShares: FairShares
  readonly byteShares: FairShares
  readonly queue: FairQueue<PeerSlots, Waiter>
  /** Counts it. */
  overloadError(reason: OverloadReason, message: string): ParleyError
  countRefusal(reason: OverloadReason): void
  mayRefuse(peer: string, count: number, nowMs: number): boolean
  markActivity(): void
  /** A request began to wait for a slot. */
  lined(): void
  /** Gives free slots to those that wait. */
  serve(): void
  /** Forgets a peer that has no link and holds nothing. */
  tidy(peer: PeerSlots): void
}

export class PeerSlots implements PeerConcurrency {
  readonly peer: string
  readonly running: ShareAccount
  readonly waiting: ShareAccount
  readonly parked: ShareAccount
  readonly held: ShareAccount
  waitingBytes = 0
  links = 0
  readonly #shared: SharedSlots

  constructor(peer: string, shared: SharedSlots) {
    this.peer = peer
    this.#shared = shared
    this.running = shared.runningShares.open(peer)
    this.waiting = shared.waitingShares.open(peer)
    this.parked = shared.parkedShares.open(peer)
    this.held = shared.byteShares.open(peer)
  }

  acquire(priority: number, holder: SlotHolder, bytes = 0): void {
    const { runningShares, byteShares, queue } = this.#shared
    if (bytes > 0 && !byteShares.takeFor(this.held, bytes)) {
      throw this.#shared.overloadError('bytes', `${this.held.held} bytes of requests of this peer are not answered yet`)
    }
    if (runningShares.allowsFor(this.running)) {
      runningShares.takeFor(this.running)
      holder.start()
      return
    }
    try {
      this.#checkQueue()
    } catch (error) {
      byteShares.giveFor(this.held, bytes)
      throw error
    }
    queue.add(this, priority, { peer: this, holder, resumes: false })
    this.#shared.lined()
  }

  release(bytes = 0): void {
    this.#shared.runningShares.giveFor(this.running)
    this.#finished(bytes)
  }

  park(): void {
    const { parkedShares, runningShares } = this.#shared
    if (!parkedShares.takeFor(this.parked)) {
      throw this.#shared.overloadError(
        'streams',
        `${this.parked.held} streams of this peer wait for it to take what they gave`,
      )
    }
    runningShares.giveFor(this.running)
    this.#freed()
  }

  resume(priority: number, holder: SlotHolder): void {
    const { runningShares, parkedShares, queue } = this.#shared
    if (runningShares.allowsFor(this.running)) {
      parkedShares.giveFor(this.parked)
      runningShares.takeFor(this.running)
      holder.start()
    } else queue.add(this, priority, { peer: this, holder, resumes: true })
  }

  releaseParked(bytes = 0): void {
    this.#shared.parkedShares.giveFor(this.parked)
    this.#finished(bytes)
  }

  takeBytes(bytes: number): boolean {
    if (this.#shared.byteShares.takeFor(this.held, bytes)) return true
    this.#shared.countRefusal('bytes')
    return false
  }

  giveBytes(bytes: number): void {
    this.#shared.byteShares.giveFor(this.held, bytes)
    if (this.links === 0) this.#shared.tidy(this)
  }

  mayRefuse(count: number, nowMs: number): boolean {
    return this.#shared.mayRefuse(this.peer, count, nowMs)
  }

  close(): void {
    this.links -= 1
    this.#shared.tidy(this)
  }

  holdsNothing(): boolean {
    return this.running.held + this.waiting.held + this.parked.held + this.held.held === 0
  }

  usage(): PeerUsage {
    return {
      peer: this.peer,
      active: this.running.held,
      queued: this.waiting.held,
      parked: this.parked.held,
      bytes: this.held.held,
    }
  }

  #checkQueue(): void {
    const { runningShares, waitingShares } = this.#shared
    if (waitingShares.takeFor(this.waiting)) return
    throw this.#shared.overloadError(
      'line',
      `${runningShares.total()} requests are in work and ${waitingShares.total()} wait, ${this.waiting.held} of them of this peer`,
    )
  }

  #finished(bytes: number): void {
    if (bytes > 0) this.#shared.byteShares.giveFor(this.held, bytes)
    this.#shared.markActivity()
    this.#freed()
  }

  #freed(): void {
    if (this.#shared.queue.size() > 0) this.#shared.serve()
    if (this.links === 0) this.#shared.tidy(this)
  }
}
