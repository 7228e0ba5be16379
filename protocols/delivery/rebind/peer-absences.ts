/**
 * How long the peers have been away that messages of the outbox wait for: by this node's monotonic clock, over its
 * restarts. Time in which this node did not run does not count, nor time in which it was connected with nobody: it cannot
 * tell then who is away.
 *
 * Rows `a/<peer>`. State: the times, of peers that messages wait for.
 */
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import { ABSENCES } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'

/** A time is written again once it has grown by so much; what a crash forgets of it at most. */
export const SAVE_MS = 5_000
/** After a start peers need a moment to be there again: at least so much of the time that was set is left then. */
export const STARTING_MS = 3_000

interface Absence {
  ms: number
  savedMs: number
}

export interface PeerAbsences {
  /**
   * So many milliseconds went by.
   * @param away peers without a session that messages wait for; whoever is left out is back, or nothing waits for it
   * @param isAlone this node is connected with nobody
   * @returns what is to be written, which may be put off
   */
  step(away: readonly string[], elapsedMs: number, isAlone: boolean): RowChange[]
  /** 0: it is not away. */
  ms(peer: string): number
}

/** @param limitMs beyond it nobody asks how long it is */
export const openPeerAbsences = async (store: Pick<RowStore, 'rows'>, limitMs: () => number): Promise<PeerAbsences> => {
  const all = new Map<string, Absence>()
  const most = limitMs() - Math.min(STARTING_MS, limitMs() / 4)
  for await (const { key, value } of store.rows(ABSENCES)) {
    const ms = decodePayload('cbor', value)
    if (typeof ms !== 'number' || !(ms >= 0)) continue
    all.set(key.slice(ABSENCES.length), { ms: Math.min(ms, most), savedMs: ms })
  }

  /** @returns whether it is to be written */
  const grow = (absence: Absence, elapsedMs: number): boolean => {
    const before = absence.ms
    absence.ms += elapsedMs
    const hasReached = before < limitMs() && absence.ms >= limitMs()
    if (!hasReached && (absence.ms < absence.savedMs + SAVE_MS || absence.savedMs >= limitMs())) return false
    absence.savedMs = absence.ms
    return true
  }

  return {
    step(away, elapsedMs, isAlone) {
      const changes: RowChange[] = []
      const still = new Set(away)
      for (const [peer, { savedMs }] of all) {
        if (still.has(peer)) continue
        all.delete(peer)
        if (savedMs > 0) changes.push({ key: ABSENCES + peer, value: undefined })
      }
      for (const peer of still) {
        const absence = all.get(peer) ?? { ms: 0, savedMs: 0 }
        all.set(peer, absence)
        if (!isAlone && grow(absence, elapsedMs))
          changes.push({ key: ABSENCES + peer, value: encodePayload('cbor', Math.floor(absence.ms)) })
      }
      return changes
    },
    ms: (peer) => all.get(peer)?.ms ?? 0,
  }
}
