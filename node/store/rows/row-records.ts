/**
 * The records of a row store's log: groups of rows, and manifests. What they come to once all are read.
 */
import { malformed } from '../../../protocols/wire/frames/protobuf.ts'
import { FRAME_HEAD, type FrameBuffer, type FrameRoom, frameOf } from '../log/log-frames.ts'
import type { RowWrites } from './group-commit.ts'
import { MemoryRows } from './memory-rows.ts'
import { decodeManifest, encodeManifest, type RowManifest } from './row-manifest.ts'
import { byteText, RowReader, RowWriter, rowBytes, type TableRow, varintBytes } from './tables/table-format.ts'

/** What the records begin with. */
const ROWS = 1
const MANIFEST = 2

export const manifestPayload = (manifest: RowManifest): Uint8Array => {
  const body = encodeManifest(manifest)
  const record = new Uint8Array(1 + body.length)
  record[0] = MANIFEST
  record.set(body, 1)
  return record
}

export const manifestRecord = (manifest: RowManifest): FrameBuffer => frameOf(manifestPayload(manifest))

/** A group of changes as a record, and its keys as in tables. */
export const groupRecord = (group: number, rows: RowWrites, room: FrameRoom) => {
  const keys: string[] = []
  let size = 1 + varintBytes(group)
  for (const [text, value] of rows) {
    const key = byteText(text)
    keys.push(key)
    size += rowBytes(key, value)
  }
  const record = room.frame(size)
  const writer = new RowWriter(record.bytes, FRAME_HEAD)
  writer.byte(ROWS)
  writer.varint(group)
  let at = 0
  for (const value of rows.values()) writer.add(keys[at++] ?? '', value)
  return { record, keys }
}

/** @returns undefined: it is no manifest that can be read */
export const manifestOf = (payload: Uint8Array): RowManifest | undefined => {
  if (payload[0] !== MANIFEST) return undefined
  try {
    return decodeManifest(payload.subarray(1))
  } catch {
    return undefined
  }
}

/** @returns undefined: it is no group of rows */
export const rowsOf = (payload: Uint8Array): { group: number; rows: TableRow[] } | undefined => {
  if (payload[0] !== ROWS) return undefined
  const reader = new RowReader(payload)
  const rows: TableRow[] = []
  const group = reader.varint()
  while (reader.more()) rows.push(reader.next())
  return { group, rows }
}

/** What the log says. */
export class RowReplay {
  manifest: RowManifest | undefined
  /** By segment, the oldest first. */
  memories = new Map<number, MemoryRows>()
  /** Number of the last group in the log. */
  #last = 0

  get group(): number {
    return Math.max(this.#last, this.manifest?.flushed ?? 0)
  }

  apply(payload: Uint8Array, sequence: number): number {
    if (payload[0] === MANIFEST) {
      this.manifest = decodeManifest(payload.subarray(1))
      this.#forget(this.manifest.flushed)
      return 0
    }
    if (payload[0] !== ROWS) throw malformed(`a record ${payload[0]} that this version does not know`)
    const rows = new RowReader(payload)
    const group = rows.varint()
    // What was before the first one is in tables, or missing (`covered`).
    if (this.#last > 0 && group !== this.#last + 1) throw malformed(`group ${group} after ${this.#last}`)
    this.#last = group
    if (group <= (this.manifest?.flushed ?? 0)) return group
    const memory = this.memories.get(sequence) ?? new MemoryRows()
    this.memories.set(sequence, memory)
    memory.upTo = group
    while (rows.more()) {
      const { key, value } = rows.next()
      memory.put(key, value)
    }
    return group
  }

  /** What is missing in a log that was read to its end, for a person. */
  missing(): string | undefined {
    return this.manifest === undefined && this.#last > 0 ? 'does not say whose rows these are' : undefined
  }

  #forget(flushed: number): void {
    for (const [sequence, memory] of this.memories) if (memory.upTo <= flushed) this.memories.delete(sequence)
  }

  /** All that is in no table. */
  memory(): MemoryRows {
    const [first = new MemoryRows(), ...later] = this.memories.values()
    for (const memory of later) first.putAll(memory)
    first.upTo = this.group
    return first
  }
}
