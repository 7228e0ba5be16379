/**
 * How neighbours behave in gossip: who sends what has to be refused is not read for a while, and then cut off.
 *
 * A fault is a message that its direct sender must have made or let pass on purpose: an honest node checks before it
 * forwards (gossipsub v1.1, extended validators), so what it forwards is refused by nobody. What is merely old, known or
 * too much for this node is no fault. A neighbour has a bucket of faults; when it is empty the neighbour is not read for
 * a second, and the third time within a minute it is cut off and not let in again for a minute, longer each time.
 *
 * Pure; times are milliseconds of a monotonic clock. State: a small entry for each neighbour that made a fault, kept
 * beyond its connections, at most `MAX_REMEMBERED`; the one that made none for longest is forgotten first.
 */

/** Faults that are let pass at once. */
export const FAULT_BURST = 32
/** Faults that are let pass for good, each second. */
export const FAULTS_PER_S = 2
/** How long a neighbour without faults left is not read. */
export const PAUSE_MS = 1_000
/** Faults that it may make after that. */
const AFTER_PAUSE = 8
/** So many pauses within `STRIKES_WITHIN_MS`: it is cut off. */
export const STRIKES = 3
export const STRIKES_WITHIN_MS = 60_000
/** Not let in for this long, twice as long each time, up to the most. */
export const BAN_MS = 60_000
export const MAX_BAN_MS = 600_000
/** It was well for so long that its former cuts do not count. */
const FORGIVEN_MS = 3_600_000
export const MAX_REMEMBERED = 1024

export type GossipPenalty = 'none' | 'paused' | 'cut'

interface Entry {
  /** Faults left, as of `atMs`. */
  left: number
  atMs: number
  /** When it was paused, within the last `STRIKES_WITHIN_MS`. */
  strikes: number[]
  pausedUntilMs: number
  cuts: number
  barredUntilMs: number
}

export interface GossipPenalties {
  /** The neighbour made a fault. */
  addFault(peer: string, nowMs: number): GossipPenalty
  /** How long it is not read, 0: it is. */
  pausedMs(peer: string, nowMs: number): number
  /** How long it is not let in, 0: it is. */
  bannedMs(peer: string, nowMs: number): number
  size(): number
}

const begin = (nowMs: number): Entry => ({
  left: FAULT_BURST,
  atMs: nowMs,
  strikes: [],
  pausedUntilMs: nowMs,
  cuts: 0,
  barredUntilMs: nowMs,
})

export const createGossipPenalties = (maxRemembered = MAX_REMEMBERED): GossipPenalties => {
  /** Who made a fault last comes last. */
  const entries = new Map<string, Entry>()

  const entryOf = (peer: string, nowMs: number): Entry => {
    const entry = entries.get(peer) ?? begin(nowMs)
    entries.delete(peer)
    entries.set(peer, entry)
    const [oldest] = entries.keys()
    if (entries.size > maxRemembered && oldest !== undefined) entries.delete(oldest)
    return entry
  }

  const cut = (entry: Entry, nowMs: number): 'cut' => {
    if (nowMs - entry.barredUntilMs > FORGIVEN_MS) entry.cuts = 0
    entry.barredUntilMs = nowMs + Math.min(MAX_BAN_MS, BAN_MS * 2 ** entry.cuts)
    entry.cuts += 1
    entry.strikes = []
    return 'cut'
  }

  return {
    addFault(peer, nowMs) {
      const entry = entryOf(peer, nowMs)
      // What was under way when it was paused or cut off is of the same burst.
      if (nowMs < entry.pausedUntilMs || nowMs < entry.barredUntilMs) return 'none'
      entry.left = Math.min(FAULT_BURST, entry.left + ((nowMs - entry.atMs) / 1000) * FAULTS_PER_S) - 1
      entry.atMs = nowMs
      if (entry.left >= 0) return 'none'
      entry.left = AFTER_PAUSE
      entry.strikes = [...entry.strikes.filter((atMs) => nowMs - atMs < STRIKES_WITHIN_MS), nowMs]
      if (entry.strikes.length >= STRIKES) return cut(entry, nowMs)
      entry.pausedUntilMs = nowMs + PAUSE_MS
      // Refilled from then on only.
      entry.atMs = entry.pausedUntilMs
      return 'paused'
    },
    pausedMs: (peer, nowMs) => Math.max(0, (entries.get(peer)?.pausedUntilMs ?? nowMs) - nowMs),
    bannedMs: (peer, nowMs) => Math.max(0, (entries.get(peer)?.barredUntilMs ?? nowMs) - nowMs),
    size: () => entries.size,
  }
}
