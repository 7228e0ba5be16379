/**
 * How often this node dials on somebody's word: each peer has an allowance, and all that were never members share one, so
 * that records under ever new names do not multiply it. A dial that leads to a member is given back; one that fails is
 * forgiven slowly.
 *
 * Pure. A race of addresses that has begun may go below zero, or its last addresses would never have their turn. State: the
 * allowances that are not full, at most `MAX_PEERS`, the one used longest ago forgotten first, and the peers that were
 * members, as many.
 */
import type { Clock } from '../../../protocols/port.ts'

/** Dials at once to one peer: its addresses, a few times. */
export const PEER_DIALS = 32
export const PEER_DIALS_PER_MINUTE = 20
/** Dials at once to peers that were never members: a mesh of full size starts within it. */
export const UNPROVEN_DIALS = 128
export const UNPROVEN_DIALS_PER_MINUTE = 240
/** Below zero, for a race that has begun: the addresses that a record has room for. */
export const DEBT = 16
const MAX_PEERS = 1024
const MINUTE_MS = 60_000

export interface DialBudget {
  /** A peer may be dialled now, at all its addresses. */
  mayStart(peer: string): boolean
  /** One dial. @returns false where it must not be made */
  spend(peer: string): boolean
  /** The peer was reached, and is a member. */
  succeeded(peer: string): void
}

interface Allowance {
  left: number
  atMs: number
}

export const createDialBudget = (clock: Pick<Clock, 'monotonic'>): DialBudget => {
  const peers = new Map<string, Allowance>()
  const proven = new Map<string, true>()
  const unproven: Allowance = { left: UNPROVEN_DIALS, atMs: clock.monotonic() }

  const refill = (allowance: Allowance, most: number, perMinute: number): Allowance => {
    const now = clock.monotonic()
    allowance.left = Math.min(most, allowance.left + ((now - allowance.atMs) * perMinute) / MINUTE_MS)
    allowance.atMs = now
    return allowance
  }
  const bounded = <T>(map: Map<string, T>, key: string, value: T): void => {
    map.delete(key)
    map.set(key, value)
    const [oldest] = map.keys()
    if (map.size > MAX_PEERS && oldest !== undefined) map.delete(oldest)
  }
  const of = (peer: string): Allowance => {
    const known = peers.get(peer) ?? { left: PEER_DIALS, atMs: clock.monotonic() }
    return refill(known, PEER_DIALS, PEER_DIALS_PER_MINUTE)
  }
  /** What a dial of this peer is taken from. */
  const allowances = (peer: string): Allowance[] => [
    of(peer),
    ...(proven.has(peer) ? [] : [refill(unproven, UNPROVEN_DIALS, UNPROVEN_DIALS_PER_MINUTE)]),
  ]

  return {
    mayStart: (peer) => allowances(peer).every(({ left }) => left >= 1),
    spend(peer) {
      const all = allowances(peer)
      if (all.some(({ left }) => left < 1 - DEBT)) return false
      for (const allowance of all) allowance.left -= 1
      const [own] = all
      if (own !== undefined) bounded(peers, peer, own)
      return true
    },
    succeeded(peer) {
      const known = peers.get(peer)
      if (known !== undefined && !proven.has(peer)) unproven.left += Math.min(PEER_DIALS, PEER_DIALS - known.left)
      peers.delete(peer)
      bounded(proven, peer, true)
    },
  }
}
