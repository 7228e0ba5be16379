/**
 * The bytes of messages in the outbox: in memory while there is room, else read from their rows when they are needed.
 *
 * State: in each entry; `memory` counts them over all destinations.
 */

import { decodeOutboxRow, outboxKey } from '../../store/delivery-rows.ts'
import type { RowStore } from '../../store/row-storage.ts'
import type { OutgoingMessage } from '../outgoing-message.ts'

/** Rows that are read at a time. */
const LOAD_KEYS = 256

export interface BodyCache {
  /** Where there is room, or it is needed now. */
  keep(entry: OutgoingMessage, body: Uint8Array, isNeeded: boolean): void
  release(entry: OutgoingMessage): void
  /** Reads those that are missing; a row that is gone leaves its entry without one. */
  load(entries: readonly OutgoingMessage[]): Promise<void>
  /** There is more in memory than there should be. */
  isFull(): boolean
}

export const createBodyCache = (
  peer: string,
  store: Pick<RowStore, 'getMany'>,
  memory: { bytes: number },
  maxBytes: number,
): BodyCache => {
  const keep = (entry: OutgoingMessage, body: Uint8Array, isNeeded: boolean): void => {
    if (!isNeeded && memory.bytes + body.length > maxBytes) return
    entry.body = body
    memory.bytes += body.length
  }
  return {
    keep,
    release(entry) {
      if (entry.body !== undefined) memory.bytes -= entry.body.length
      entry.body = undefined
    },
    async load(entries) {
      const bare = entries.filter((entry) => entry.body === undefined && !entry.isSkip)
      for (let at = 0; at < bare.length; at += LOAD_KEYS) {
        const some = bare.slice(at, at + LOAD_KEYS)
        const found = await store.getMany(some.map(({ lane, sequence }) => outboxKey(peer, lane, sequence)))
        for (const [index, entry] of some.entries()) {
          const value = found[index]
          const body = value === undefined || value.length === 0 ? undefined : decodeOutboxRow(value).message
          if (body !== undefined && entry.body === undefined) keep(entry, body, true)
        }
      }
    },
    isFull: () => memory.bytes > maxBytes,
  }
}
