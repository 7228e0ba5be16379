/**
 * Noise's records on a connection: cut out of what was read, and handed over to be written.
 *
 * What large payloads cost is memory more than anything else: buffers live outside the engine's heap, and each 64 MiB of
 * them makes it collect everything. So neither direction makes a buffer where it can do without.
 * State of a reader: the bytes of one unfinished record (at most 64 KiB). Of all writers of a process: one spare buffer.
 * Source: libp2p noise specification, "Wire Format".
 */
import { Socket } from 'node:net'
import type { MessageStream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { concat } from 'uint8arrays/concat'

export type RecordBytes = Uint8Array | Uint8ArrayList

const LENGTH_BYTES = 2
/** The longest record with its length. */
const RECORD_BYTES = LENGTH_BYTES + 0xffff

/** A record in several pieces is joined below this, bytes: there a piece of its own costs the cipher more than a copy. */
const COPY_BYTES = 8 * 1024
const MAX_PIECES = 8

/** Bytes of a record with its prefix; of the prefix alone where that is not complete. */
const sizeOf = (start: Uint8Array): number => {
  const high = start[0]
  const low = start[1]
  return high === undefined || low === undefined ? LENGTH_BYTES : LENGTH_BYTES + (high << 8) + low
}

/** The record without its length; one that straddles reads stays in pieces where it is large. */
const strip = (held: Uint8Array[], bytes: number): RecordBytes => {
  const [only] = held
  if (only !== undefined && held.length === 1) return only.subarray(LENGTH_BYTES)
  if (bytes < COPY_BYTES || held.length > MAX_PIECES) return concat(held, bytes).subarray(LENGTH_BYTES)
  const list = new Uint8ArrayList(...held)
  list.consume(LENGTH_BYTES)
  return list
}

/** Cuts reads into records without their length prefix; empty records are skipped, as upstream does. */
export const noiseRecordReader = (): ((read: RecordBytes) => RecordBytes[]) => {
  // The start of a record whose end has not been read, and how long it is; the length alone before that is known.
  let held: Uint8Array[] = []
  let heldBytes = 0
  let wanted = LENGTH_BYTES
  return (read) => {
    const records: RecordBytes[] = []
    for (let rest of read instanceof Uint8Array ? [read] : read) {
      while (rest.byteLength > 0) {
        if (heldBytes === 0) wanted = sizeOf(rest)
        const piece = rest.subarray(0, wanted - heldBytes)
        rest = rest.subarray(piece.byteLength)
        held.push(piece)
        heldBytes += piece.byteLength
        if (heldBytes === LENGTH_BYTES) wanted = sizeOf(held.length === 1 ? piece : concat(held))
        if (heldBytes < wanted) continue
        if (wanted > LENGTH_BYTES) records.push(strip(held, heldBytes))
        held = []
        heldBytes = 0
      }
    }
    return records
  }
}

/** For one record; whoever writes takes it, and gives it back where the system has taken the bytes already. */
let spare: Uint8Array | undefined

const takeSpare = (): Uint8Array => {
  const bytes = spare ?? new Uint8Array(RECORD_BYTES)
  spare = undefined
  return bytes
}

/** Writes records, with their length, as one run of bytes each, since the connection hands each run to the system. */
export const noiseRecordWriter = (raw: MessageStream): ((record: Uint8ArrayList) => void) => {
  const socket = 'socket' in raw && raw.socket instanceof Socket ? raw.socket : undefined
  if (socket === undefined) return (record) => void raw.send(record.subarray())
  return (record) => {
    const bytes = takeSpare()
    let at = 0
    for (const piece of record) {
      bytes.set(piece, at)
      at += piece.byteLength
    }
    raw.send(bytes.subarray(0, at))
    // Nothing waits above the socket or in it: Node calls the system within write(), so nobody looks at them any more.
    if (raw.writeBufferLength === 0 && socket.writableLength === 0) spare = bytes
  }
}
