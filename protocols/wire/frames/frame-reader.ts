/**
 * Cuts a byte stream into length-prefixed frames.
 *
 * State: at most one unfinished frame, bounded by maxFrameBytes. A frame inside one chunk is read without a copy.
 */
import { ParleyError } from '../../errors.ts'
import { type Frame, readFrame } from './frame.ts'
import { malformed } from './protobuf.ts'

const MAX_PREFIX_BYTES = 5

export interface FrameReader {
  /**
   * Takes a chunk and calls back with each frame that it completes, until one of them says false: the rest waits for the
   * next push, which may be empty. After a throw the stream is of no use any more.
   * @throws MSG003 for malformed bytes, MSG001 for a frame above the bound
   */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => unknown): void
  /** Bytes of the unfinished frame. */
  pendingBytes(): number
}

export const createFrameReader = (maxFrameBytes: number): FrameReader => {
  let rest: Uint8Array[] = []
  let restBytes = 0
  /** Bytes (prefix included) that the unfinished frame needs; 0 while its prefix is not whole. */
  let needed = 0

  /** Reads the prefix at `at`: [frame length, prefix length], or undefined when it is cut off. */
  const prefix = (bytes: Uint8Array, at: number): [number, number] | undefined => {
    let length = 0
    let scale = 1
    for (let i = 0; i < MAX_PREFIX_BYTES; i += 1) {
      const byte = bytes[at + i]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (length > maxFrameBytes) {
          throw new ParleyError('MSG001', `a frame of ${length} bytes, at most ${maxFrameBytes} are taken`, {
            hint: 'send large payloads in parts (more = true)',
            details: { bytes: length, maxBytes: maxFrameBytes },
          })
        }
        return [length, i + 1]
      }
      scale *= 0x80
    }
    throw malformed('a length prefix of more than 5 bytes')
  }

  let stopped = false

  /** Reads whole frames; returns where it stopped. */
  const readAll = (bytes: Uint8Array, onFrame: (frame: Frame) => unknown): number => {
    let at = 0
    stopped = false
    for (;;) {
      const head = prefix(bytes, at)
      if (head === undefined) {
        needed = 0
        return at
      }
      const start = at + head[1]
      const end = start + head[0]
      if (end > bytes.length) {
        needed = end - at
        return at
      }
      at = end
      if (onFrame(readFrame(bytes, start, end)) === false) {
        stopped = true
        needed = 0
        return at
      }
    }
  }

  /** `bytes` in one piece with what is left of the chunks before. */
  const join = (bytes: Uint8Array): Uint8Array => {
    if (restBytes === 0) return bytes
    const whole = new Uint8Array(restBytes + bytes.length)
    let at = 0
    for (const part of rest) {
      whole.set(part, at)
      at += part.length
    }
    whole.set(bytes, at)
    rest = []
    restBytes = 0
    return whole
  }

  const keep = (bytes: Uint8Array): void => {
    if (bytes.length === 0) return
    rest.push(bytes)
    restBytes += bytes.length
  }

  return {
    push(chunk, onFrame) {
      let bytes = chunk
      if (needed > 0) {
        const missing = needed - restBytes
        if (missing > chunk.length) {
          keep(chunk)
          return
        }
        // Only the frame that was cut is copied; the others are read where they lie.
        readAll(join(chunk.subarray(0, missing)), onFrame)
        bytes = chunk.subarray(missing)
        if (stopped) {
          keep(bytes)
          return
        }
      } else bytes = join(chunk)
      keep(bytes.subarray(readAll(bytes, onFrame)))
    },
    pendingBytes: () => restBytes,
  }
}
