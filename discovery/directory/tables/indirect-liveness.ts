/**
 * What others say of who is alive: ages, which prove that somebody heard of an agent, and doubts of those who gave it up.
 * Who tells of an age of nothing says that it is connected to the agent itself.
 *
 * Its only state is what it writes into the tables. Neither counts where this node is connected itself.
 */
import { ageSince, compareNumbers, type Digest } from './digest.ts'
import type { HeldRecord, RecordTables } from './record-tables.ts'

/** Neighbours whose word for one agent is kept. */
const MAX_VOUCHERS = 4

/** @param setState says what changed, if anything */
export const createIndirectLiveness = <C>(
  { agents, connected }: RecordTables,
  setState: (peer: string, held: HeldRecord, state: 'alive' | 'suspect') => C[],
) => {
  /** Somebody heard of it then. */
  const take = (peer: string, held: HeldRecord, heardAtMs: number): C[] => {
    if (heardAtMs <= held.lastAliveAtMs || connected.has(peer)) return []
    held.lastAliveAtMs = heardAtMs
    const isCleared = held.state === 'suspect' && heardAtMs > (held.suspectedAtMs ?? Number.NEGATIVE_INFINITY)
    return isCleared ? setState(peer, held, 'alive') : []
  }

  /** Another node heard of it `ageMs` ago, at least. */
  const hear = (peer: string, ageMs: number, nowMs: number): C[] => {
    const held = agents.get(peer)
    return held === undefined ? [] : take(peer, held, nowMs - ageMs)
  }

  const vouch = (peer: string, from: string): void => {
    const held = agents.get(peer)
    if (held === undefined || held.isMet || held.vouchers.includes(from)) return
    held.vouchers = [...held.vouchers, from].slice(-MAX_VOUCHERS)
  }

  /**
   * On whose word this node would dial the agent: its own, where it was met; that of those who say they are connected to
   * it; and what the neighbour that told of it passed on, which is counted apart from what it knows itself.
   */
  const announcers = (peer: string): string[] => {
    const held = agents.get(peer)
    if (held === undefined) return []
    if (held.isMet) return [peer]
    return [...held.vouchers, ...(held.announcedBy === undefined ? [] : [`passed on by ${held.announcedBy}`])]
  }

  /** Others gave it up, after anybody here heard of it: it gets no new work, and its ttl goes on. */
  const doubt = (doubts: Digest, nowMs: number): C[] => {
    const changes: C[] = []
    doubts((peer, incarnation, version, ageMs) => {
      const held = agents.get(peer)
      const atMs = nowMs - ageMs
      if (held === undefined || connected.has(peer) || compareNumbers(held.record, incarnation, version) !== 0) return
      if (atMs <= held.lastAliveAtMs || atMs <= (held.doubtedAtMs ?? Number.NEGATIVE_INFINITY)) return
      held.doubtedAtMs = atMs
      if (held.state !== 'suspect') changes.push(...setState(peer, held, 'suspect'))
    })
    return changes
  }

  /** What this node was told that others gave up. */
  const doubts =
    (nowMs: number): Digest =>
    (visit) =>
      agents.forEach(({ record, lastAliveAtMs, doubtedAtMs }, peer) => {
        if (doubtedAtMs === undefined || doubtedAtMs <= lastAliveAtMs) return
        visit(peer, record.incarnation, record.version, ageSince(doubtedAtMs, nowMs))
      })

  return { hear, take, vouch, announcers, doubt, doubts }
}
