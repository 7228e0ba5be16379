/**
 * What the frames of Raft's log hold: items, one after another, as protobuf fields. Pure.
 *
 * Items are applied in their order: an entry cuts off whatever the log has at or after its index; a base says where the
 * snapshot ends.
 */

import { allocUnsafe } from 'uint8arrays/alloc'
import type { LogChange, LogState } from '../../../protocols/consensus/group/group-storage.ts'
import type { Configuration, Entry, HardState, SnapshotMeta } from '../../../protocols/consensus/raft/raft-messages.ts'
import { decodeConfiguration, encodeConfiguration } from '../../../protocols/consensus/raft/raft-messages.ts'
import {
  DELIMITED,
  malformed,
  ProtobufReader,
  ProtobufWriter,
  VARINT,
} from '../../../protocols/wire/frames/protobuf.ts'

/** Field numbers of the items in a payload, and of the fields in an item. */
const HARD = 1
const ENTRY = 2
const BASE = 3
const KINDS = ['empty', 'command', 'configuration'] as const
const MAX_ID = 192

export const emptyLog = (): LogState => ({
  hardState: { term: 0, votedFor: undefined, commit: 0 },
  snapshot: undefined,
  entries: [],
})

const writeHard = ({ term, votedFor, commit }: HardState): Uint8Array => {
  const writer = new ProtobufWriter(64)
  writer.varintField(1, term)
  writer.stringField(2, votedFor)
  writer.varintField(3, commit)
  return writer.finish()
}

const writeEntry = ({ index, term, kind, data }: Entry): Uint8Array => {
  const writer = new ProtobufWriter(allocUnsafe(data.length + 64))
  writer.varintField(1, index)
  writer.varintField(2, term)
  writer.varintField(3, KINDS.indexOf(kind))
  writer.bytesField(4, data)
  return writer.finish()
}

const writeBase = (meta: SnapshotMeta, keeps: boolean): Uint8Array => {
  const writer = new ProtobufWriter(512)
  writer.varintField(1, meta.index)
  writer.varintField(2, meta.term)
  writer.bytesField(3, encodeConfiguration(meta.configuration))
  writer.varintField(4, keeps ? 1 : 0)
  return writer.finish()
}

export const encodeChanges = (changes: readonly LogChange[]): Uint8Array => {
  const writer = new ProtobufWriter(allocUnsafe(1024))
  for (const { hardState, base, entries = [] } of changes) {
    if (hardState !== undefined) writer.delimited(HARD, writeHard(hardState))
    if (base !== undefined) writer.delimited(BASE, writeBase(base.meta, base.keeps))
    for (const entry of entries) writer.delimited(ENTRY, writeEntry(entry))
  }
  return writer.finish()
}

/** The numbers and bytes of one item, by field. */
const fieldsOf = (bytes: Uint8Array) => {
  const reader = new ProtobufReader(bytes)
  const numbers: number[] = []
  const parts: Uint8Array[] = []
  while (reader.more()) {
    const tag = reader.varint()
    const field = tag >>> 3
    if ((tag & 7) === VARINT) numbers[field] = reader.varint()
    else if ((tag & 7) === DELIMITED) parts[field] = reader.delimited()
    else reader.skip(tag & 7)
  }
  return { number: (field: number) => numbers[field] ?? 0, part: (field: number) => parts[field] }
}

const readHard = (bytes: Uint8Array): HardState => {
  const { number, part } = fieldsOf(bytes)
  const voted = part(2)
  if (voted !== undefined && voted.length > MAX_ID) throw malformed('a vote for a name that is too long')
  return {
    term: number(1),
    votedFor: voted === undefined ? undefined : new TextDecoder().decode(voted),
    commit: number(3),
  }
}

const readEntry = (bytes: Uint8Array): Entry => {
  const { number, part } = fieldsOf(bytes)
  const kind = KINDS[number(3)]
  if (kind === undefined) throw malformed(`an entry of kind ${number(3)}`)
  return { index: number(1), term: number(2), kind, data: part(4)?.slice() ?? new Uint8Array(0) }
}

const readBase = (bytes: Uint8Array): { meta: SnapshotMeta; keeps: boolean } => {
  const { number, part } = fieldsOf(bytes)
  const configuration: Configuration = decodeConfiguration(part(3) ?? new Uint8Array(0))
  return { meta: { index: number(1), term: number(2), configuration }, keeps: number(4) === 1 }
}

/**
 * Entries before the first one may be in a segment that a later snapshot made needless: a log may begin anywhere, and may
 * be cut off before it begins. Whether it follows its snapshot is asked when all is read.
 */
const addEntry = (state: LogState, entry: Entry): void => {
  const first = state.entries[0]?.index ?? entry.index
  const at = Math.max(0, entry.index - first)
  if (at > state.entries.length) throw malformed(`entry ${entry.index} in a log that begins at ${first}`)
  state.entries.length = at
  state.entries.push(entry)
}

const setBase = (state: LogState, { meta, keeps }: { meta: SnapshotMeta; keeps: boolean }): void => {
  state.snapshot = meta
  state.entries = keeps ? state.entries.filter(({ index }) => index > meta.index) : []
}

/** The entries follow the snapshot, or begin the log. */
export const isWholePayload = ({ snapshot, entries }: LogState): boolean =>
  entries[0] === undefined || entries[0].index === (snapshot?.index ?? 0) + 1

/** Applies the items of a payload to `state`. @throws MSG003 for items that do not fit */
export const applyPayload = (state: LogState, payload: Uint8Array): void => {
  const reader = new ProtobufReader(payload)
  while (reader.more()) {
    const field = reader.varint() >>> 3
    const bytes = reader.delimited()
    if (field === HARD) state.hardState = readHard(bytes)
    else if (field === ENTRY) addEntry(state, readEntry(bytes))
    else if (field === BASE) setBase(state, readBase(bytes))
    else throw malformed(`an item ${field} that this version does not know`)
  }
}
