/**
 * The parts of the Port that come straight from Node: clock, timers, randomness, hashing, compression.
 *
 * Keeps no state. Timers do not keep the process alive: open sockets do.
 */
import { createHash, randomFillSync } from 'node:crypto'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import type { Clock, Compression, Timers } from '../protocols/port.ts'

export const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

/** Longest delay that setTimeout takes. */
const MAX_DELAY_MS = 2 ** 31 - 1

export const timers: Timers = {
  after(delayMs, fn) {
    const timer = setTimeout(fn, Math.min(delayMs, MAX_DELAY_MS))
    timer.unref()
    return () => clearTimeout(timer)
  },
  every(periodMs, fn) {
    const timer = setInterval(fn, Math.min(periodMs, MAX_DELAY_MS))
    timer.unref()
    return () => clearInterval(timer)
  },
}

export const random = (bytes: number): Uint8Array => randomFillSync(new Uint8Array(bytes))

export const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

const gzip = promisify(zlib.gzip)
const zstd = promisify(zlib.zstdCompress)

/** Fast levels: a mesh compresses to save the network's time, not its own disk. */
const GZIP_LEVEL = 1
const ZSTD_LEVEL = 1

export const compressionOf = (encodings: readonly ('gzip' | 'zstd')[]): Compression => ({
  encodings,
  compress: (encoding, bytes) =>
    encoding === 'zstd'
      ? zstd(bytes, { params: { [zlib.constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } })
      : gzip(bytes, { level: GZIP_LEVEL }),
  decompress(encoding, bytes, maxBytes) {
    const decode = encoding === 'zstd' ? zlib.zstdDecompressSync : zlib.gunzipSync
    return decode(bytes, { maxOutputLength: maxBytes })
  },
})
