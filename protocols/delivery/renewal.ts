/**
 * New numbers for what waits, where the outbox is another one than before: it was lost, repaired, or restored from a backup.
 *
 * What the receiver processed of the former outbox is dropped; messages that were kept after the change were never sent
 * by the former one, and stay, whatever their numbers. Everything counts in one commit. Keeps no state.
 */
import type { Bodies } from './bodies.ts'
import type { WirePositions } from './contract.ts'
import type { Out } from './out-entry.ts'
import { createOutgoing, type Outgoing, type OutgoingLimits } from './outgoing.ts'
import { isDone, positionsOf } from './positions.ts'
import { DESTINATIONS, encodeDestination, encodeOutboxRow, outboxKey } from './rows.ts'
import type { RowStore } from './storage.ts'

export interface RenewalDeps {
  readonly peer: string
  readonly store: Pick<RowStore, 'id' | 'commit'>
  readonly limits: OutgoingLimits
  readonly bodies: Bodies
  chance(): number
}

export interface Renewal {
  readonly outgoing: Outgoing<Out>
  readonly kept: number
  /** No longer in the outbox. */
  readonly gone: readonly Out[]
}

/**
 * @param frontier numbers below these may have been sent by the former outbox
 * @param processed what the receiver says of it; undefined: it does not know it
 * @returns once it is durable. @throws what the store throws
 */
export const renumber = async (
  { peer, store, limits, bodies, chance }: RenewalDeps,
  old: Outgoing<Out>,
  frontier: ReadonlyMap<number, number> | undefined,
  processed: WirePositions | undefined,
): Promise<Renewal> => {
  const positions = positionsOf(processed ?? [])
  const wasProcessed = ({ lane, sequence }: Out): boolean => {
    const position = positions.get(lane)
    return position !== undefined && sequence < (frontier?.get(lane) ?? 0) && isDone(position, sequence)
  }
  const all = old.entries()
  const kept = all.filter((entry) => !entry.isSkip && !wasProcessed(entry))
  await bodies.load(kept)
  const fresh = createOutgoing<Out>(limits, chance)
  /** What is removed first, so that a number that is used again is there afterwards. */
  const changes = new Map<string, Uint8Array | undefined>()
  for (const { lane, sequence } of all) changes.set(outboxKey(peer, lane, sequence), undefined)
  const renewed: Out[] = []
  const stays = new Set<Out>()
  for (const entry of kept) {
    if (entry.body === undefined) continue
    const sequence = fresh.number(entry.lane)
    renewed.push({ ...entry, sequence, stage: 'queued', dueAt: 0 })
    stays.add(entry)
    changes.set(
      outboxKey(peer, entry.lane, sequence),
      encodeOutboxRow(entry.body, entry.policy, entry.expiresAt, entry.bound),
    )
  }
  const row = encodeDestination({ epoch: store.id, next: fresh.next(), frontier: undefined })
  changes.set(DESTINATIONS + peer, row)
  await store.commit([...changes].map(([key, value]) => ({ key, value })))
  for (const entry of renewed) {
    if (bodies.isFull()) bodies.release(entry)
    fresh.take(entry)
  }
  return { outgoing: fresh, kept: renewed.length, gone: all.filter((entry) => !stays.has(entry)) }
}
