/**
 * Reads one document: text, or the reason why it is skipped. Nothing here is fatal.
 *
 * State: none; at most 4 MiB and one byte of the file are read and held. Guarantees: only regular files are read, a
 * symbolic link put there since the walk is not followed, and a FIFO put there does not block.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { decode, type Encoding } from './encoding.ts'

/** Of a longer document only this head is worked on, and the report says so. */
export const MAX_HEAD_BYTES = 4 * 1024 * 1024
const CHUNK_BYTES = 256 * 1024

export const SKIP_REASONS = ['empty', 'binary', 'not a regular file', 'vanished', 'unreadable'] as const
export type SkipReason = (typeof SKIP_REASONS)[number]

export interface TextDocument {
  status: 'text'
  text: string
  encoding: Encoding
  /** Size of the file in bytes. */
  bytes: number
  /** Places that could not be decoded and became U+FFFD. */
  replaced: number
  /** Size of the whole file in bytes, where only its head was read. */
  truncatedFrom?: number
}

export interface SkippedDocument {
  status: 'skipped'
  reason: SkipReason
  bytes: number
  /** The system's error code, as in EACCES. */
  detail?: string
}

export type Reading = TextDocument | SkippedDocument

const skipped = (reason: SkipReason, bytes: number, detail?: string): SkippedDocument => ({
  status: 'skipped',
  reason,
  bytes,
  ...(detail === undefined ? {} : { detail }),
})

/** Reads up to `maxBytes`; a size that the file system tells is not trusted (`/proc` says 0). */
const readUpTo = (file: number, maxBytes: number): Buffer => {
  const chunks: Buffer[] = []
  let bytes = 0
  while (bytes < maxBytes) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, maxBytes - bytes))
    const bytesRead = readSync(file, chunk, 0, chunk.length, bytes)
    if (bytesRead === 0) break
    chunks.push(chunk.subarray(0, bytesRead))
    bytes += bytesRead
  }
  return Buffer.concat(chunks)
}

const interpret = (read: Buffer, size: number, maxBytes: number): Reading => {
  const cut = read.length > maxBytes
  const bytes = cut ? Math.max(size, read.length) : read.length
  if (bytes === 0) return skipped('empty', 0)
  const decoded = decode(cut ? read.subarray(0, maxBytes) : read, cut)
  if (decoded === undefined) return skipped('binary', bytes)
  if (decoded.text === '') return skipped('empty', bytes)
  return { status: 'text', ...decoded, bytes, ...(cut ? { truncatedFrom: bytes } : {}) }
}

const failure = (error: unknown): SkippedDocument => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  if (code === 'ENOENT' || code === 'ENOTDIR') return skipped('vanished', 0, code)
  // A symbolic link (O_NOFOLLOW), a socket.
  if (code === 'ELOOP' || code === 'ENXIO') return skipped('not a regular file', 0, code)
  return skipped('unreadable', 0, code)
}

/**
 * Whoever reads has a thread of its own: nothing else waits meanwhile.
 * @param path as text or bytes
 * @param maxBytes 1 to 4 MiB: how much of the file is read
 */
export const readDocument = (path: string | Buffer, maxBytes = MAX_HEAD_BYTES): Reading => {
  let file: number | undefined
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = fstatSync(file)
    if (!stats.isFile()) return skipped('not a regular file', 0)
    return interpret(readUpTo(file, maxBytes + 1), stats.size, maxBytes)
  } catch (error) {
    return failure(error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
