/**
 * Who coordinates, as one node knows: told by the coordinator's events, by its own seat, or by whoever it asks.
 *
 * What others say is a claim: it counts once its epoch is proven (consensus/proof/), and waits until then. How far the
 * journal is and who has a seat counts from the coordinator itself alone. The highest epoch wins of those that somebody
 * coordinates. A coordinator that did not answer is doubted for a moment:
 * others are asked meanwhile, and it is believed again when nobody knows better. What others say of it does not count as
 * hearing it, and one that the membership calls dead, or that said so itself, is gone until it is heard again.
 * State: what is known, what was claimed (bounded), and who waits for it (bounded by their deadlines).
 */
import type { Proofs, ShownProof } from '../consensus/proof/proofs.ts'
import type { Client } from '../define.ts'
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import { coordinatorProtocol } from './contract.ts'

export interface KnownLeader {
  readonly epoch: number
  /** Peer id. */
  readonly peer: string
}

export interface LeaderReport {
  readonly meshId?: string | undefined
  readonly epoch: number
  readonly leader?: string | undefined
  readonly version?: number | undefined
  readonly seats?: readonly string[] | undefined
  /** Told by somebody else, who may not have heard of it for long. */
  readonly isIndirect?: boolean
}

export interface LeaderTracker {
  /** What this node's own seat says of a coordinator. */
  setFromOwnGroup(told: LeaderReport): void
  /** What somebody else says of one. @param source peer id of who says so @param shown what proves it */
  onReport(told: LeaderReport, source: string, shown?: ShownProof): void
  /** The coordinator that is believed in now. */
  leader(): KnownLeader | undefined
  /** The highest epoch and version that was heard of. `silentMs`: since a coordinator was heard; infinite before. */
  latest(): { epoch: number; version: number; seats: readonly string[]; isPresent: boolean; silentMs: number }
  /** The node left, died, or coordinates no more. @param epoch where it is known which one ended */
  markGone(peer: string, epoch?: number): void
  /** It did not answer, or said that it is not the one. */
  markDoubtful(leader: KnownLeader): void
  /** Resolves with a coordinator that is not doubted. @throws the signal's reason, COM002 where this node stops */
  find(signal: AbortSignal): Promise<KnownLeader>
  onChange(fn: (leader: KnownLeader | undefined) => void): Stop
  /** Aborted with COM002 when this node stops: nothing needs to be waited for any more. */
  readonly stopped: AbortSignal
  /** This node belongs to another mesh from now on. */
  reset(): void
  stop(): void
}

/** Others are asked this often while somebody waits, milliseconds. */
const ASK_MS = 100
const ASK_AT_ONCE = 3
/** After this time who was doubted is tried again, unless somebody knows better. */
const DOUBT_MS = 400
const ASK_TIMEOUT_MS = 800
/** Claims that wait for their proof, one of each peer. */
const MAX_CLAIMS = 16
/** A coordinator that was silent for so long is not there any more: three times what lies between its events. */
export const LEADER_SILENT_MS = 15_000

export const createLeaderTracker = (
  port: Pick<Port, 'self' | 'clock' | 'timers' | 'members' | 'to' | 'random'>,
  meshId: () => string | undefined,
  proofs?: Pick<Proofs, 'judgeClaim' | 'epoch' | 'isEnforced' | 'onChange'>,
): LeaderTracker => {
  let known: KnownLeader | undefined
  /** Somebody's word. */
  let isClaim = false
  const claims = new Map<string, LeaderReport>()
  let epoch = 0
  let version = 0
  let seats: readonly string[] = []
  let heardAt = Number.NEGATIVE_INFINITY
  let isGone = false
  let doubted: { readonly leader: KnownLeader; readonly until: number } | undefined
  let stopAsking: Stop | undefined
  let next = 0
  const listeners = new Set<(leader: KnownLeader | undefined) => void>()
  const waiting = new Set<{ done(leader: KnownLeader): void; fail(error: unknown): void }>()
  const ending = new AbortController()

  const isSame = (a: KnownLeader | undefined, b: KnownLeader | undefined): boolean =>
    a?.epoch === b?.epoch && a?.peer === b?.peer
  const trusted = (): KnownLeader | undefined => {
    if (known === undefined || doubted === undefined || !isSame(doubted.leader, known)) return known
    return port.clock.monotonic() >= doubted.until ? known : undefined
  }
  const doubt = (leader: KnownLeader): void => {
    if (isSame(leader, known)) doubted = { leader, until: port.clock.monotonic() + DOUBT_MS }
  }
  const settle = (): void => {
    const leader = trusted()
    if (leader === undefined) return
    const all = [...waiting]
    waiting.clear()
    stopAsking?.()
    stopAsking = undefined
    for (const { done } of all) done(leader)
  }

  const learn = (told: LeaderReport, isClaimed = false): void => {
    if (told.meshId !== undefined && told.meshId !== meshId()) return
    if (isClaim && !isClaimed && proofs?.isEnforced() === true) unlearn()
    version = Math.max(version, told.version ?? 0)
    if (told.epoch < epoch) return
    if (told.seats !== undefined && told.seats.length > 0) seats = told.seats
    // An epoch in which nobody leads yet may never be led.
    if (told.leader === undefined) return
    epoch = told.epoch
    if (told.isIndirect !== true) {
      heardAt = port.clock.monotonic()
      isGone = false
    }
    const before = known
    known = { epoch: told.epoch, peer: told.leader }
    isClaim = isClaimed
    if (!isSame(before, known)) for (const fn of listeners) fn(known)
    settle()
  }

  /** Nothing of what was taken at somebody's word lasts: it may be of an epoch that no honest one reaches. */
  const unlearn = (): void => {
    known = undefined
    doubted = undefined
    isClaim = false
    heardAt = Number.NEGATIVE_INFINITY
    isGone = false
    epoch = 0
    version = 0
    seats = []
  }

  const hear = (told: LeaderReport, source: string, shown?: ShownProof): void => {
    if (told.meshId !== undefined && told.meshId !== meshId()) return
    const { leader } = told
    const isHearsay = source !== leader
    if (proofs === undefined || leader === undefined) {
      if (proofs?.isEnforced() !== true) learn({ ...told, isIndirect: isHearsay }, true)
      return
    }
    const counts = proofs.judgeClaim({ epoch: told.epoch, leader }, source, shown)
    if (counts) {
      claims.delete(source)
      const isProven = proofs.isEnforced()
      // Of a coordinator that is proven, others know who it is, and that is all.
      learn(
        isProven && isHearsay
          ? { epoch: told.epoch, leader, isIndirect: isHearsay }
          : { ...told, isIndirect: isHearsay },
        !isProven,
      )
      return
    }
    claims.delete(source)
    claims.set(source, told)
    const [oldest] = claims.keys()
    if (claims.size > MAX_CLAIMS && oldest !== undefined) claims.delete(oldest)
  }

  /** Something was proven, or is not asked for any more. */
  const review = (): void => {
    const proven = proofs?.epoch()
    if (proofs?.isEnforced() === true && proven !== undefined) {
      const { epoch: at, leader, voters } = proven
      const peers = voters.map((id) => id.split('.')[0] ?? id)
      const isSeated = known?.epoch === at && peers.every((peer) => seats.includes(peer))
      if (known === undefined || isClaim || known.epoch <= at)
        learn({ epoch: at, leader, isIndirect: true, ...(!isSeated && { seats: peers }) })
    }
    const again = [...claims]
    claims.clear()
    for (const [source, told] of again) if (told.epoch >= (proven?.epoch ?? 0)) hear(told, source)
  }
  const stopReviewing = proofs?.onChange(review)

  /** Seats first: they know soonest. */
  const ask = (): void => {
    settle()
    if (waiting.size === 0) {
      stopAsking?.()
      stopAsking = undefined
      return
    }
    const connected = port.members().map(({ id }) => id)
    const others = [...new Set([...seats, ...connected])].filter((id) => id !== port.self.id)
    if (others.length === 0) return
    for (let i = 0; i < Math.min(ASK_AT_ONCE, others.length); i += 1) {
      const peer = others[next % others.length]
      next += 1
      if (peer === undefined) continue
      const client: Client<typeof coordinatorProtocol> = port.to(peer, coordinatorProtocol)
      client.where({}, { timeoutMs: ASK_TIMEOUT_MS }).then(
        (told) => hear(told, peer),
        () => {},
      )
    }
  }

  return {
    setFromOwnGroup: (told) => learn(told),
    onReport: hear,
    stopped: ending.signal,
    leader: trusted,
    latest() {
      const silentMs = port.clock.monotonic() - heardAt
      return { epoch, version, seats, isPresent: !isGone && silentMs < LEADER_SILENT_MS, silentMs }
    },
    markGone(peer, ended) {
      claims.delete(peer)
      if (known?.peer !== peer || (ended !== undefined && ended < known.epoch)) return
      isGone = true
      doubt(known)
      for (const fn of listeners) fn(trusted())
    },
    markDoubtful: doubt,
    find(signal) {
      if (ending.signal.aborted) return Promise.reject(ending.signal.reason)
      const leader = trusted()
      if (leader !== undefined) return Promise.resolve(leader)
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const end = (): void => {
          waiting.delete(one)
          reject(signal.reason)
        }
        const one = {
          done(found: KnownLeader): void {
            signal.removeEventListener('abort', end)
            resolve(found)
          },
          fail(error: unknown): void {
            signal.removeEventListener('abort', end)
            reject(error)
          },
        }
        signal.addEventListener('abort', end, { once: true })
        waiting.add(one)
        stopAsking ??= port.timers.every(ASK_MS, ask)
        ask()
      })
    },
    onChange(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    reset() {
      unlearn()
      claims.clear()
      for (const fn of listeners) fn(undefined)
    },
    stop() {
      ending.abort(
        new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
      )
      stopAsking?.()
      stopAsking = undefined
      stopReviewing?.()
      listeners.clear()
      for (const { fail } of waiting) fail(ending.signal.reason)
      waiting.clear()
    },
  }
}
