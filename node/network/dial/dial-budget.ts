/**
 * How often this node dials on somebody's word. Each peer that is dialled has an allowance. What is spent on peers that were
 * never members is shared out besides among those on whose word they are dialled (protocols/limits/fair-shares.ts has
 * the rule): one that announces any number of peers that are not there takes of its own share, and whoever announced
 * nothing else finds room. Where nobody is known to have announced a peer, all such share one account.
 *
 * A dial that leads to a member is given back; one that fails is forgiven slowly, all accounts alike.
 *
 * Pure. A race of addresses that has begun may take a peer below zero, or its last addresses would never have their turn.
 * State: the allowances that are not full, at most `MAX_PEERS`, the one used longest ago forgotten first, the peers that
 * were members, as many, and an account for each announcer that is not forgiven yet, fewer than `UNPROVEN_DIALS`.
 */
import { createFairShares } from '../../../protocols/limits/fair-shares.ts'
import type { Clock } from '../../../protocols/port.ts'

/** Dials at once to one peer: its addresses, a few times. */
export const PEER_DIALS = 32
export const PEER_DIALS_PER_MINUTE = 20
/** Dials at once to peers that were never members; on one word three quarters: a mesh of full size starts within it. */
export const UNPROVEN_DIALS = 144
export const UNPROVEN_DIALS_PER_MINUTE = 240
/** Below zero, for a race that has begun: the addresses that a record has room for. */
export const DEBT = 16
/** A race begins where there is room for so many of its dials: most have no more. */
export const ROOM_FOR_RACE = 4
const MAX_PEERS = 1024
const MINUTE_MS = 60_000
const UNKNOWN = ''

/** What there is too little of: the peer's own allowance, or the share of whoever announced it. */
export type BudgetShortage = 'budget' | 'announcer'

export interface DialBudget {
  /**
   * What a dial of the peer at all its addresses lacks; undefined where it may begin.
   * @param announcers on whose word it is dialled; the first that has room left pays
   */
  shortage(peer: string, announcers: readonly string[]): BudgetShortage | undefined
  /** One dial. @returns what it lacks; then it must not be made */
  spend(peer: string, announcers: readonly string[]): BudgetShortage | undefined
  /** The peer was reached, and is a member. */
  succeeded(peer: string): void
}

interface Allowance {
  left: number
  atMs: number
  /** Who paid for its last dials, and how many. */
  payer: string
  paid: number
}

export const createDialBudget = (clock: Pick<Clock, 'monotonic'>): DialBudget => {
  const peers = new Map<string, Allowance>()
  const proven = new Map<string, true>()
  const unproven = createFairShares(UNPROVEN_DIALS)
  let forgivenAtMs = clock.monotonic()

  const refilled = (peer: string): Allowance => {
    const now = clock.monotonic()
    const known = peers.get(peer)
    if (known === undefined) return { left: PEER_DIALS, atMs: now, payer: UNKNOWN, paid: 0 }
    known.left = Math.min(PEER_DIALS, known.left + ((now - known.atMs) * PEER_DIALS_PER_MINUTE) / MINUTE_MS)
    known.atMs = now
    return known
  }
  const bounded = <T>(map: Map<string, T>, key: string, value: T): void => {
    map.delete(key)
    map.set(key, value)
    const [oldest] = map.keys()
    if (map.size > MAX_PEERS && oldest !== undefined) map.delete(oldest)
  }
  /** Equal parts of what time gives, the smallest accounts first: what they do not need is left to the others. */
  const forgive = (): void => {
    const now = clock.monotonic()
    let units = ((now - forgivenAtMs) * UNPROVEN_DIALS_PER_MINUTE) / MINUTE_MS
    forgivenAtMs = now
    const accounts = unproven.top(UNPROVEN_DIALS).reverse()
    for (const [at, { key, held }] of accounts.entries()) {
      const part = Math.min(held, units / (accounts.length - at))
      unproven.give(key, part)
      units -= part
    }
  }
  const payerOf = (announcers: readonly string[], dials: number): string | undefined => {
    forgive()
    return (announcers.length === 0 ? [UNKNOWN] : announcers).find((name) => unproven.allows(name, dials))
  }

  return {
    shortage(peer, announcers) {
      if (refilled(peer).left < 1) return 'budget'
      return proven.has(peer) || payerOf(announcers, ROOM_FOR_RACE) !== undefined ? undefined : 'announcer'
    },
    spend(peer, announcers) {
      const own = refilled(peer)
      if (own.left < 1 - DEBT) return 'budget'
      if (!proven.has(peer)) {
        const payer = payerOf(announcers, 1)
        if (payer === undefined) return 'announcer'
        unproven.take(payer)
        own.paid = own.payer === payer ? own.paid + 1 : 1
        own.payer = payer
      }
      own.left -= 1
      bounded(peers, peer, own)
      return undefined
    },
    succeeded(peer) {
      const known = peers.get(peer)
      if (known !== undefined) unproven.give(known.payer, Math.min(known.paid, PEER_DIALS - known.left))
      peers.delete(peer)
      bounded(proven, peer, true)
    },
  }
}
