/**
 * How many handlers run at once on a node, over all its links, and how much of that one peer may have.
 *
 * Slots, requests in line, streams that wait for their reader, and bytes of requests are shared out by the limiter, by
 * peer, however many connections, protocols and streams it opens: who is alone may use three quarters, and another one's
 * first request runs at once. What waits goes by the fair queue. A stream whose reader takes nothing gives its slot up
 * until it does.
 *
 * State: what each peer holds; beside that what tells work from standing still: signs of life.
 */
import { ParleyError } from '../../errors.ts'
import { createFairShares, createRateLimiter, type ShareAccount } from '../../limits/fair-shares.ts'
import { createFairQueue } from './fair-queue.ts'

export interface SlotHolder {
  /** It has its slot, and gives it back exactly once when it does not need it any more; that may be within start(). */
  start(): void
}

/** What one peer has in work here. */
export interface PeerConcurrency {
  readonly peer: string
  /**
   * Starts `user` now or when it is its turn. `bytes`: of the request, until leave() or unpark().
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
  /** Instead of resume() and leave(), of one that is parked. */
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

export interface ConcurrencyLimiter {
  /** What this peer has over all its links. */
  open(peer: string): PeerConcurrency
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
  /** Those that have the most in work and in line. */
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

export type OverloadReason = 'line' | 'streams' | 'bytes'

const RETRY_AFTER_MS = 200
const MIB = 1024 * 1024
const USUAL: ConcurrencyBounds = { maxParked: 4096, maxBytes: 512 * MIB, maxPeerBytes: 128 * MIB }

/** Requests of one peer that are refused without slowing it: a burst, and so many a second. */
const REFUSALS = { perSecond: 5_000, burst: 10_000, maxKeys: 1024 }

interface Peer extends PeerConcurrency {
  readonly running: ShareAccount
  readonly waiting: ShareAccount
  readonly parked: ShareAccount
  readonly held: ShareAccount
  links: number
}

interface Waiter {
  readonly peer: Peer
  readonly user: SlotHolder
  /** It was parked, and is until it starts. */
  readonly resumes: boolean
}

const HINT = 'try again later, or at another peer'

const useOf = ({ peer, running, waiting, parked, held }: Peer): PeerUsage => ({
  peer,
  active: running.held,
  queued: waiting.held,
  parked: parked.held,
  bytes: held.held,
})

const worth = ({ active, queued, parked }: PeerUsage): number => active + queued + parked

export const createConcurrencyLimiter = (
  maxActive: number,
  maxQueued: number,
  bounds: Partial<ConcurrencyBounds> = {},
): ConcurrencyLimiter => {
  const usual = { ...USUAL, ...bounds }
  const running = createFairShares(maxActive)
  const waiting = createFairShares(maxQueued)
  const parked = createFairShares(usual.maxParked)
  const held = createFairShares(usual.maxBytes, usual.maxPeerBytes)
  const queue = createFairQueue<Peer, Waiter>()
  const peers = new Map<string, Peer>()
  const refusals = createRateLimiter(REFUSALS)
  const refused: Record<OverloadReason, number> = { line: 0, streams: 0, bytes: 0 }
  let signs = 0
  let progress: number | undefined
  let serving = false

  const refuse = (why: OverloadReason, message: string): ParleyError => {
    refused[why] += 1
    return new ParleyError('COM003', message, { hint: HINT, details: { retryAfterMs: RETRY_AFTER_MS, reason: why } })
  }

  const mayRun = (peer: Peer): boolean => running.allowsFor(peer.running)

  /** One loop, not a call from each end to the next start: a queue of thousands that end at once must not fill the stack. */
  const serve = (): void => {
    if (serving) return
    serving = true
    try {
      for (let next = queue.next(mayRun); next !== undefined; next = queue.next(mayRun)) {
        const { peer, user, resumes } = next
        running.takeFor(peer.running)
        if (resumes) parked.giveFor(peer.parked)
        else waiting.giveFor(peer.waiting)
        user.start()
      }
    } finally {
      serving = false
    }
  }

  const tidy = (peer: Peer): void => {
    if (peer.links > 0 || peer.running.held + peer.waiting.held + peer.parked.held + peer.held.held > 0) return
    if (peers.get(peer.peer) !== peer) return
    peers.delete(peer.peer)
    running.close(peer.running)
    waiting.close(peer.waiting)
    parked.close(peer.parked)
    held.close(peer.held)
  }

  const freed = (peer: Peer): void => {
    if (queue.size() > 0) serve()
    if (peer.links === 0) tidy(peer)
  }

  const checkLine = (peer: Peer): void => {
    if (waiting.takeFor(peer.waiting)) return
    throw refuse(
      'line',
      `${running.total()} requests are in work and ${waiting.total()} wait, ${peer.waiting.held} of them of this peer`,
    )
  }

  const make = (id: string): Peer => ({
    peer: id,
    running: running.open(id),
    waiting: waiting.open(id),
    parked: parked.open(id),
    held: held.open(id),
    links: 0,
    waitingBytes: 0,
    acquire(priority, user, bytes = 0) {
      if (bytes > 0 && !held.takeFor(this.held, bytes)) {
        throw refuse('bytes', `${this.held.held} bytes of requests of this peer are not answered yet`)
      }
      if (running.allowsFor(this.running)) {
        running.takeFor(this.running)
        user.start()
        return
      }
      try {
        checkLine(this)
      } catch (error) {
        held.giveFor(this.held, bytes)
        throw error
      }
      queue.add(this, priority, { peer: this, user, resumes: false })
    },
    release(bytes = 0) {
      running.giveFor(this.running)
      if (bytes > 0) held.giveFor(this.held, bytes)
      signs += 1
      freed(this)
    },
    park() {
      if (!parked.takeFor(this.parked)) {
        throw refuse('streams', `${this.parked.held} streams of this peer wait for it to take what they gave`)
      }
      running.giveFor(this.running)
      freed(this)
    },
    resume(priority, user) {
      if (running.allowsFor(this.running)) {
        parked.giveFor(this.parked)
        running.takeFor(this.running)
        user.start()
      } else queue.add(this, priority, { peer: this, user, resumes: true })
    },
    releaseParked(bytes = 0) {
      parked.giveFor(this.parked)
      if (bytes > 0) held.giveFor(this.held, bytes)
      signs += 1
      freed(this)
    },
    takeBytes(bytes) {
      if (held.takeFor(this.held, bytes)) return true
      refused.bytes += 1
      return false
    },
    giveBytes(bytes) {
      held.giveFor(this.held, bytes)
      if (this.links === 0) tidy(this)
    },
    mayRefuse: (count, nowMs) => refusals.take(id, nowMs, count),
    close() {
      this.links -= 1
      tidy(this)
    },
  })

  return {
    open(id) {
      let peer = peers.get(id)
      if (peer === undefined) {
        peer = make(id)
        peers.set(id, peer)
      }
      peer.links += 1
      return peer
    },
    active: running.total,
    queued: waiting.total,
    parked: parked.total,
    markActivity() {
      signs += 1
    },
    reportProgress(fraction) {
      signs += 1
      progress = fraction
    },
    lastProgress: () => progress,
    activityCount: () => signs,
    top: (count) =>
      [...peers.values()]
        .map(useOf)
        .filter((use) => worth(use) + use.bytes > 0)
        .sort((a, b) => worth(b) - worth(a) || b.bytes - a.bytes)
        .slice(0, count),
    usageOf(id) {
      const peer = peers.get(id)
      return peer === undefined ? undefined : useOf(peer)
    },
    refused: () => refused,
    resize(active, queued, more = {}) {
      Object.assign(usual, more)
      running.resize(active)
      waiting.resize(queued)
      parked.resize(usual.maxParked)
      held.resize(usual.maxBytes, usual.maxPeerBytes)
      serve()
    },
  }
}
