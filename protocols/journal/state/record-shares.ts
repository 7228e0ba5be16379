/**
 * How much of the journal each peer holds, and whether it may hold more: who wrote a record last answers for it. Counted
 * from the records alone, so that every member comes to the same, whether it got them as entries or as a snapshot.
 *
 * The rule is the dynamic threshold of concurrency-limiter.ts: a peer may write more while all that it holds is at most three times
 * what is free. One alone comes to three quarters, and there is always something free for one that holds nothing. A record
 * counts `RECORD_BYTES` beside its key and value, which bounds their number as well. Records of the mesh itself, and those
 * that were written before feature level 2, count for nobody.
 * State: what each peer holds.
 */
import { ParleyError } from '../../errors.ts'

/** From this feature level on records say who wrote them, and shares hold. */
export const SHARES_LEVEL = 2
/** About what a record takes beside its key and value. */
export const RECORD_BYTES = 128
const TIMES_FREE = 3

export interface RecordShares {
  /** @param bytes of all records, as `add` counts them */
  check(peer: string, growth: number, bytes: number, maxBytes: number): void
  /** @param by less than 0 where something was deleted */
  add(peer: string, by: number): void
  bytesOf(peer: string): number
  clear(): void
}

export const createRecordShares = (): RecordShares => {
  const shares = new Map<string, number>()
  const held = (peer: string): number => shares.get(peer) ?? 0

  return {
    check(peer, growth, bytes, maxBytes) {
      const after = held(peer) + growth
      if (growth <= 0 || after <= TIMES_FREE * (maxBytes - bytes)) return
      throw new ParleyError('COM003', `${peer} holds ${held(peer)} bytes of the journal, and may not hold more`, {
        hint: 'delete records that this node wrote and that are not needed any more; the rest is kept for others',
        details: { reason: 'journal-share', heldBytes: held(peer), maxBytes },
      })
    },
    add(peer, by) {
      const now = held(peer) + by
      if (now > 0) shares.set(peer, now)
      else shares.delete(peer)
    },
    bytesOf: held,
    clear: () => shares.clear(),
  }
}
