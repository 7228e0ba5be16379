/**
 * New numbers for what waits, where the outbox is another one than before: it was lost, repaired, or restored from a backup.
 *
 * What the receiver processed of the former outbox is dropped; messages that were kept after the change were never sent
 * by the former one, and stay, whatever their numbers. Everything counts in one commit. Keeps no state.
 */

import { ackRangesOf, isDone } from '../ack-ranges.ts'
import type { WireAckRanges } from '../contract.ts'
import { encodeOutboxRow, encodePeerSenderRow, outboxKey, PEER_SENDERS } from '../store/delivery-rows.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { BodyCache } from './body-cache.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import { createSendWindow, type SendWindow, type SendWindowLimits } from './send-window.ts'

export interface RenumberDeps {
  readonly peer: string
  readonly store: Pick<RowStore, 'id' | 'commit'>
  readonly limits: SendWindowLimits
  readonly bodies: BodyCache
  chance(): number
}

export interface Renumbering {
  readonly outgoing: SendWindow<OutgoingMessage>
  readonly kept: number
  /** No longer in the outbox. */
  readonly gone: readonly OutgoingMessage[]
}

/**
 * @param frontier numbers below these may have been sent by the former outbox
 * @param processed what the receiver says of it; undefined: it does not know it
 * @returns once it is durable. @throws what the store throws
 */
export const renumber = async (
  { peer, store, limits, bodies, chance }: RenumberDeps,
  old: SendWindow<OutgoingMessage>,
  frontier: ReadonlyMap<number, number> | undefined,
  processed: WireAckRanges | undefined,
): Promise<Renumbering> => {
  const positions = ackRangesOf(processed ?? [])
  const wasProcessed = ({ lane, sequence }: OutgoingMessage): boolean => {
    const position = positions.get(lane)
    return position !== undefined && sequence < (frontier?.get(lane) ?? 0) && isDone(position, sequence)
  }
  const all = old.entries()
  const kept = all.filter((entry) => !entry.isSkip && !wasProcessed(entry))
  await bodies.load(kept)
  const fresh = createSendWindow<OutgoingMessage>(limits, chance)
  /** What is removed first, so that a number that is used again is there afterwards. */
  const changes = new Map<string, Uint8Array | undefined>()
  for (const { lane, sequence } of all) changes.set(outboxKey(peer, lane, sequence), undefined)
  const renewed: OutgoingMessage[] = []
  const stays = new Set<OutgoingMessage>()
  for (const entry of kept) {
    if (entry.body === undefined) continue
    const sequence = fresh.reserveNumber(entry.lane)
    renewed.push({ ...entry, sequence, stage: 'queued', dueAt: 0 })
    stays.add(entry)
    changes.set(
      outboxKey(peer, entry.lane, sequence),
      encodeOutboxRow(entry.body, entry.policy, entry.expiresAt, entry.bound),
    )
  }
  const row = encodePeerSenderRow({ epoch: store.id, next: fresh.next(), frontier: undefined })
  changes.set(PEER_SENDERS + peer, row)
  await store.commit([...changes].map(([key, value]) => ({ key, value })))
  for (const entry of renewed) {
    if (bodies.isFull()) bodies.release(entry)
    fresh.enqueue(entry)
  }
  return { outgoing: fresh, kept: renewed.length, gone: all.filter((entry) => !stays.has(entry)) }
}
