/**
 * Segments of history as versions before wrote them, `000000000001.history`: records one after another, each with a checksum of
 * its own (CRC-32), and neither header nor index. Pure.
 */
import { crc32 } from 'node:zlib'
import type { HistoryBatch } from './history-segment.ts'

const MAGIC = 0x50_45_48_31
const MAGIC_BYTES = Buffer.from([0x50, 0x45, 0x48, 0x31])
/** Magic, checksum, lengths, epoch, first number, count, two times. */
const HEAD_BYTES = 56
const MAX_PAYLOAD = 2 * 1024 * 1024
const MAX_PUBLISHER = 512
const NAME = /^(\d{12})\.history$/

/** Number of the segment that a file is of; undefined: it is none of an earlier version. */
export const earlierNumber = (name: string): number | undefined => {
  const digits = NAME.exec(name)?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 10)
}

export type EarlierBatch = HistoryBatch & { readonly payload: Uint8Array }

const recordAt = (bytes: Buffer, at: number): { batch: EarlierBatch; end: number } | undefined => {
  if (at + HEAD_BYTES > bytes.length || bytes.readUInt32BE(at) !== MAGIC) return undefined
  const [length, named] = [bytes.readUInt32BE(at + 8), bytes.readUInt16BE(at + 12)]
  const name = at + HEAD_BYTES
  const end = name + named + length
  if (length > MAX_PAYLOAD || named > MAX_PUBLISHER || end > bytes.length) return undefined
  if (bytes.readUInt32BE(at + 4) !== crc32(bytes.subarray(at + 8, end))) return undefined
  const from = bytes.readDoubleBE(at + 24)
  const batch = {
    series: { publisher: bytes.toString('utf8', name, name + named), epoch: bytes.readDoubleBE(at + 16) },
    range: { from, to: from + bytes.readUInt32BE(at + 32) - 1 },
    keptAt: bytes.readDoubleBE(at + 40),
    sentAt: bytes.readDoubleBE(at + 48),
    payload: bytes.subarray(name + named, end),
  }
  return { batch, end }
}

/** All whole records, and how many bytes are in none. */
export const readEarlier = (file: Uint8Array): { found: EarlierBatch[]; lost: number } => {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const found: EarlierBatch[] = []
  let lost = 0
  for (let at = 0; at < bytes.length; ) {
    const next = recordAt(bytes, at)
    const again = next === undefined ? bytes.indexOf(MAGIC_BYTES, at + 1) : next.end
    const to = again < 0 ? bytes.length : again
    if (next === undefined) lost += to - at
    else found.push(next.batch)
    at = to
  }
  return { found, lost }
}
