/**
 * The inbox on disk: messages that this node took for its program to work off. Rows `b/<number>`; format: delivery.proto.
 *
 * State: an index of them in memory, in the order in which they came; how much there is. Bounds: `inboxMessages` of
 * `inboxBytes` (one larger message may lie there alone); beyond it nothing is taken, and the sender keeps what it has.
 */
import { ParleyError } from '../../errors.ts'
import type { Quota } from '../../limits/quota.ts'
import type { Port } from '../../port.ts'
import { DELIMITED, ProtobufReader, ProtobufWriter, VARINT } from '../../wire/frames/protobuf.ts'
import { type DurableMessage, decodeMessage, encodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import { INBOX, padded } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'

export interface InboxRow {
  readonly message: DurableMessage
  /** Peer id of the sender. */
  readonly source: string
  /** Milliseconds since 1970 by this node's clock. */
  readonly receivedAt: number
}

export interface StoredInboxMessage extends InboxRow {
  readonly id: string
  readonly bytes: number
}

export interface InboxRows {
  /** @returns what is to be committed, and what is to be called once it is, or is not; undefined where there is no room */
  put(row: InboxRow): { changes: RowChange[]; launch(): void; drop(): void } | undefined
  get(id: string): Promise<StoredInboxMessage | undefined>
  /** From the first one after `after` on, oldest first. */
  all(after?: string): AsyncIterable<StoredInboxMessage>
  /** The oldest one that `isFree`. */
  first(isFree: (id: string, type: string) => boolean): string | undefined
  /** @returns how many were there; at once none of them is any more */
  remove(ids: readonly string[]): Promise<number>
  ids(): string[]
  size(): number
  bytes(): number
}

export interface InboxRowsDeps {
  readonly port: Pick<Port, 'clock'>
  readonly store: RowStore
  readonly settings: Pick<ResolvedDeliveryOptions, 'inboxMessages' | 'inboxBytes'>
  readonly quota: Pick<Quota, 'fits' | 'recordGrowth'>
  /** Of the message that was put last, over all openings of the store, so that no id is used twice. */
  readonly last: { number: number }
  /** It is there for the program. */
  arrived(kept: StoredInboxMessage): void
}

/** 2^53 in base 36 has 11 digits. */
const NUMBER_DIGITS = 11
/** Numbers begin with the time, so that those of an inbox that was empty are new after a restart too. */
const NUMBERS_A_MS = 1_024
const REMOVED_AT_ONCE = 1_000

const encodeRow = ({ message, source, receivedAt }: InboxRow): Uint8Array => {
  const bytes = encodeMessage(message)
  const writer = new ProtobufWriter(bytes.length + source.length + 16)
  writer.delimited(1, bytes)
  writer.ascii(2, source)
  writer.varintField(3, Math.floor(receivedAt))
  return writer.finish()
}

/** @throws MSG003 */
const decodeRow = (bytes: Uint8Array): InboxRow => {
  const reader = new ProtobufReader(bytes)
  let message: DurableMessage | undefined
  let source = ''
  let receivedAt = 0
  while (reader.more()) {
    const tag = reader.varint()
    if (tag === ((1 << 3) | DELIMITED)) message = decodeMessage(reader.delimited())
    else if (tag === ((2 << 3) | DELIMITED)) source = reader.string(128)
    else if (tag === ((3 << 3) | VARINT)) receivedAt = reader.varint()
    else reader.skip(tag & 7)
  }
  if (message === undefined) throw new ParleyError('MSG003', 'a row of the inbox has no message', { hint: 'clear it' })
  return { message, source, receivedAt }
}

/** Reads the index of what is there. */
export const openInboxRows = async (deps: InboxRowsDeps): Promise<InboxRows> => {
  const { port, store, settings, last, quota } = deps
  const index = new Map<string, { readonly size: number; readonly type: string }>()
  /** With what is not durable yet. */
  let taken = 0
  let bytes = 0
  for await (const { key, value } of store.rows(INBOX)) {
    const id = key.slice(INBOX.length)
    index.set(id, { size: value.length, type: decodeRow(value).message.type })
    last.number = Math.max(last.number, Number.parseInt(id, 36))
    taken += 1
    bytes += value.length
  }

  const free = (size: number): void => {
    taken -= 1
    bytes -= size
  }

  const keptOf = (id: string, value: Uint8Array): StoredInboxMessage => ({
    id,
    bytes: value.length,
    ...decodeRow(value),
  })

  return {
    put(row) {
      const value = encodeRow(row)
      const hasRoom = taken < settings.inboxMessages && (taken === 0 || bytes + value.length <= settings.inboxBytes)
      if (!hasRoom || !quota.fits(value.length)) return undefined
      last.number = Math.max(last.number + 1, Math.floor(port.clock.now()) * NUMBERS_A_MS)
      const id = padded(last.number, NUMBER_DIGITS)
      taken += 1
      bytes += value.length
      quota.recordGrowth(value.length)
      return {
        changes: [{ key: INBOX + id, value }],
        launch() {
          index.set(id, { size: value.length, type: row.message.type })
          deps.arrived({ id, bytes: value.length, ...row })
        },
        drop: () => free(value.length),
      }
    },
    async get(id) {
      const value = index.has(id) ? await store.get(INBOX + id) : undefined
      return value === undefined ? undefined : keptOf(id, value)
    },
    async *all(after) {
      for await (const { key, value } of store.rows(INBOX, after === undefined ? {} : { after: INBOX + after })) {
        const id = key.slice(INBOX.length)
        if (index.has(id)) yield keptOf(id, value)
      }
    },
    first(isFree) {
      for (const [id, { type }] of index) if (isFree(id, type)) return id
      return undefined
    },
    async remove(ids) {
      const there = ids.filter((id) => index.has(id))
      for (const id of there) {
        free(index.get(id)?.size ?? 0)
        index.delete(id)
      }
      for (let at = 0; at < there.length; at += REMOVED_AT_ONCE)
        await store.commit(there.slice(at, at + REMOVED_AT_ONCE).map((id) => ({ key: INBOX + id, value: undefined })))
      return there.length
    },
    ids: () => [...index.keys()],
    size: () => index.size,
    bytes: () => bytes,
  }
}
