/**
 * The parts of the Port that come straight from Node: clock, timers, randomness, hashing, compression.
 *
 * State: random bytes drawn and not given out yet. Timers do not keep the process alive: open sockets do.
 */
import { createHash, randomFillSync, hash as sha } from 'node:crypto'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { fraction } from '../../discovery/two-choices.ts'
import type { Clock, Compression, Hasher, Stop, Timers } from '../../protocols/port.ts'

export const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

/** Longest delay that setTimeout takes. */
const MAX_DELAY_MS = 2 ** 31 - 1

/**
 * Each period is longer or shorter by up to this share: nodes that stood still together, on one machine, would all do
 * everything at the same moments ever after.
 */
const STAGGER = 0.2

/** Step by step: it would be called early. */
const longAfter = (delayMs: number, fn: () => void): Stop => {
  let stop: Stop = () => {}
  const wait = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, MAX_DELAY_MS)
    stop = timers.after(stepMs, leftMs > stepMs ? () => wait(leftMs - stepMs) : fn)
  }
  wait(delayMs)
  return () => stop()
}

export const timers: Timers = {
  after(delayMs, fn) {
    if (delayMs > MAX_DELAY_MS) return longAfter(delayMs, fn)
    const timer = setTimeout(fn, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
  every(periodMs, fn) {
    let timer: NodeJS.Timeout
    const later = (): void => {
      const delayMs = periodMs * (1 + STAGGER * (2 * Math.random() - 1))
      timer = setTimeout(run, Math.min(delayMs, MAX_DELAY_MS))
      timer.unref()
    }
    const run = (): void => {
      later()
      fn()
    }
    later()
    return () => clearTimeout(timer)
  },
}

/** Drawn at once: a call into the system's generator costs the same for 4 bytes as for these. */
const DRAWN_BYTES = 4_096
const drawn = new Uint8Array(DRAWN_BYTES)
let drawnAt = DRAWN_BYTES

/** @returns a copy of its own; no byte is ever given twice */
export const random = (bytes: number): Uint8Array => {
  if (bytes > DRAWN_BYTES / 16) return randomFillSync(new Uint8Array(bytes))
  if (drawnAt + bytes > DRAWN_BYTES) {
    randomFillSync(drawn)
    drawnAt = 0
  }
  drawnAt += bytes
  const given = drawn.slice(drawnAt - bytes, drawnAt)
  drawn.fill(0, drawnAt - bytes, drawnAt)
  return given
}

/** A number from 0 to 1. */
export const chance = (): number => fraction(random(4))

export const hash = (bytes: Uint8Array): Uint8Array => sha('sha256', bytes, 'buffer')
export const hasher = (): Hasher => {
  const made = createHash('sha256')
  return { update: (bytes) => void made.update(bytes), digest: () => made.digest() }
}

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
