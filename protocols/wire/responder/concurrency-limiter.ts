/**
 * How many handlers run at once on a node, over all its links, and how much of that one peer may have.
 *
 * Slots, requests that wait, streams that wait for their reader, and bytes of requests are shared out by fair-shares.ts, by
 * peer, however many connections, protocols and streams it opens: who is alone may use three quarters, and another one's
 * first request runs at once. What waits goes by the fair queue. A stream whose reader takes nothing gives its slot up
 * until it does.
 *
 * State: what each peer holds (peer-slots.ts); and signs of life, which tell work from standing still.
 */
import { ParleyError } from '../../errors.ts'
import { createFairShares, type FairShares } from '../../limits/fair-shares.ts'
import { createRateLimiter } from '../../limits/rate-limiter.ts'
import type { Stop } from '../../port.ts'
import { createFairQueue } from './fair-queue.ts'
import {
  type OverloadReason,
  type PeerConcurrency,
  PeerSlots,
  type PeerUsage,
  type SharedSlots,
  type Waiter,
} from './peer-slots.ts'

export interface ConcurrencyLimiter {
  /** What this peer has over all its links. */
  open(peer: string): PeerConcurrency
  /** Tells of each request that begins to wait for a slot. */
  onLine(fn: () => void): Stop
  /** Handlers that run. */
  active(): number
  queued(): number
  /** Streams that wait for their reader, without a slot. */
  parked(): number
  /** Work goes on: a handler gave an item. */
  markActivity(): void
  /** A handler reported progress; undefined when it ended, or did not say how much is done. */
  reportProgress(fraction: number | undefined): void
  /** What was reported last, of a request that is in work. */
  lastProgress(): number | undefined
  /** How often work went on or ended so far; only that it changes counts. */
  activityCount(): number
  /** Those that have the most in work and waiting. */
  top(count: number): PeerUsage[]
  /** Undefined where it has nothing here. */
  usageOf(peer: string): PeerUsage | undefined
  /** What was refused, by what there was too much of. */
  refused(): Readonly<Record<OverloadReason, number>>
  /** From now on. What runs goes on, and what waits stays, also where that is more. */
  resize(maxActive: number, maxQueued: number, more?: Partial<ConcurrencyBounds>): void
}

export interface ConcurrencyBounds {
  /** Streams that wait for their reader. */
  maxParked: number
  /** Bytes of requests that are not answered yet, of all peers. */
  maxBytes: number
  /** The same of one peer. */
  maxPeerBytes: number
}

const MIB = 1024 * 1024
const USUAL: ConcurrencyBounds = { maxParked: 4096, maxBytes: 512 * MIB, maxPeerBytes: 128 * MIB }

const RETRY_AFTER_MS = 200
/** Requests of one peer that are refused without slowing it: a burst, and so many a second. */
const REFUSALS = { perSecond: 5_000, burst: 10_000, maxKeys: 1024 }

const HINT = 'try again later, or at another peer'

const worth = ({ active, queued, parked }: PeerUsage): number => active + queued + parked

class NodeConcurrency implements ConcurrencyLimiter, SharedSlots {
  readonly runningShares: FairShares
  readonly waitingShares: FairShares
  readonly parkedShares: FairShares
  readonly byteShares: FairShares
  readonly queue = createFairQueue<PeerSlots, Waiter>()
  readonly #bounds: ConcurrencyBounds
  readonly #peers = new Map<string, PeerSlots>()
  readonly #refusals = createRateLimiter(REFUSALS)
  readonly #refused: Record<OverloadReason, number> = { line: 0, streams: 0, bytes: 0 }
  readonly #mayRun = (peer: PeerSlots): boolean => this.runningShares.allowsFor(peer.running)
  #signs = 0
  #progress: number | undefined
  #isServing = false
  #lineListener: (() => void) | undefined

  constructor(maxActive: number, maxQueued: number, bounds: Partial<ConcurrencyBounds>) {
    this.#bounds = { ...USUAL, ...bounds }
    this.runningShares = createFairShares(maxActive)
    this.waitingShares = createFairShares(maxQueued)
    this.parkedShares = createFairShares(this.#bounds.maxParked)
    this.byteShares = createFairShares(this.#bounds.maxBytes, this.#bounds.maxPeerBytes)
  }

  open(id: string): PeerConcurrency {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      peer = new PeerSlots(id, this)
      this.#peers.set(id, peer)
    }
    peer.links += 1
    return peer
  }

  onLine(fn: () => void): Stop {
    this.#lineListener = fn
    return () => {
      if (this.#lineListener === fn) this.#lineListener = undefined
    }
  }

  lined(): void {
    this.#lineListener?.()
  }

  active(): number {
    return this.runningShares.total()
  }

  queued(): number {
    return this.waitingShares.total()
  }

  parked(): number {
    return this.parkedShares.total()
  }

  markActivity(): void {
    this.#signs += 1
  }

  reportProgress(fraction: number | undefined): void {
    this.#signs += 1
    this.#progress = fraction
  }

  lastProgress(): number | undefined {
    return this.#progress
  }

  activityCount(): number {
    return this.#signs
  }

  top(count: number): PeerUsage[] {
    return [...this.#peers.values()]
      .map((peer) => peer.usage())
      .filter((usage) => worth(usage) + usage.bytes > 0)
      .sort((a, b) => worth(b) - worth(a) || b.bytes - a.bytes)
      .slice(0, count)
  }

  usageOf(id: string): PeerUsage | undefined {
    return this.#peers.get(id)?.usage()
  }

  refused(): Readonly<Record<OverloadReason, number>> {
    return this.#refused
  }

  resize(maxActive: number, maxQueued: number, more: Partial<ConcurrencyBounds> = {}): void {
    Object.assign(this.#bounds, more)
    const { maxParked, maxBytes, maxPeerBytes } = this.#bounds
    this.runningShares.resize(maxActive)
    this.waitingShares.resize(maxQueued)
    this.parkedShares.resize(maxParked)
    this.byteShares.resize(maxBytes, maxPeerBytes)
    this.serve()
  }

  overloadError(reason: OverloadReason, message: string): ParleyError {
    this.countRefusal(reason)
    return new ParleyError('COM003', message, { hint: HINT, details: { retryAfterMs: RETRY_AFTER_MS, reason } })
  }

  countRefusal(reason: OverloadReason): void {
    this.#refused[reason] += 1
  }

  mayRefuse(peer: string, count: number, nowMs: number): boolean {
    return this.#refusals.take(peer, nowMs, count)
  }

  /** One loop, not a call from each end to the next start: a queue of thousands that end at once must not fill the stack. */
  serve(): void {
    if (this.#isServing) return
    this.#isServing = true
    try {
      for (let next = this.queue.next(this.#mayRun); next !== undefined; next = this.queue.next(this.#mayRun)) {
        const { peer, holder, resumes } = next
        this.runningShares.takeFor(peer.running)
        if (resumes) this.parkedShares.giveFor(peer.parked)
        else this.waitingShares.giveFor(peer.waiting)
        holder.start()
      }
    } finally {
      this.#isServing = false
    }
  }

  tidy(peer: PeerSlots): void {
    if (peer.links > 0 || !peer.holdsNothing() || this.#peers.get(peer.peer) !== peer) return
    this.#peers.delete(peer.peer)
    this.runningShares.close(peer.running)
    this.waitingShares.close(peer.waiting)
    this.parkedShares.close(peer.parked)
    this.byteShares.close(peer.held)
  }
}

/**
 * @param maxActive handlers that run at once
 * @param maxQueued requests that wait for a slot
 */
export const createConcurrencyLimiter = (
  maxActive: number,
  maxQueued: number,
  bounds: Partial<ConcurrencyBounds> = {},
): ConcurrencyLimiter => new NodeConcurrency(maxActive, maxQueued, bounds)
