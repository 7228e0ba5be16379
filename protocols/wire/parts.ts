/**
 * Large payloads travel in parts, so that a frame of higher priority waits for one part at most.
 *
 * State of a joiner: the unfinished payloads of one link, bounded in bytes for each (maxMessageBytes) and for all.
 */
import { ParleyError } from '../errors.ts'
import { type Frame, type FrameKind, frame } from './frame.ts'
import { malformed } from './protobuf.ts'

/** Cuts one frame into frames of at most `partBytes` of payload; the first carries all the other fields. */
export const split = (whole: Frame, partBytes: number): Frame[] => {
  const payload = whole.payload
  if (payload.length <= partBytes) return [whole]
  const parts: Frame[] = []
  for (let at = 0; at < payload.length; at += partBytes) {
    const bytes = payload.subarray(at, at + partBytes)
    const part = at === 0 ? whole : frame(whole.kind as FrameKind, whole.exchange)
    part.payload = bytes
    part.priority = whole.priority
    part.more = at + partBytes < payload.length
    parts.push(part)
  }
  return parts
}

/** More than this on one link is no peer of ours: the link is broken off. */
const MAX_UNFINISHED = 4096

export interface Joiner {
  /**
   * @returns the whole frame, or undefined while parts are missing
   * @throws MSG001 when the payload grows above its bound; the exchange's parts are dropped and later ones ignored
   */
  add(part: Frame): Frame | undefined
  /** Forgets an exchange. */
  drop(exchange: number): void
  bytes(): number
}

interface Unfinished {
  first: Frame
  parts: Uint8Array[]
  bytes: number
  /** Too large: the rest is thrown away as it comes. */
  refused: boolean
}

export const tooLarge = (bytes: number, maxBytes: number): ParleyError =>
  new ParleyError('MSG001', `a message of more than ${bytes} bytes, at most ${maxBytes} are taken`, {
    hint: 'split it, stream it, or raise limits.maxMessageBytes on the receiving node',
    details: { maxBytes },
  })

const concat = (parts: Uint8Array[], bytes: number): Uint8Array => {
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export const createJoiner = (maxMessageBytes: number, maxTotalBytes: number): Joiner => {
  const unfinished = new Map<number, Unfinished>()
  let total = 0

  const drop = (exchange: number): void => {
    const entry = unfinished.get(exchange)
    if (entry === undefined) return
    total -= entry.bytes
    unfinished.delete(exchange)
  }

  const refuse = (entry: Unfinished, error: ParleyError): never => {
    total -= entry.bytes
    entry.bytes = 0
    entry.parts = []
    entry.refused = true
    throw error
  }

  return {
    add(part) {
      const entry = unfinished.get(part.exchange)
      if (entry === undefined) {
        if (!part.more) {
          if (part.payload.length > maxMessageBytes) throw tooLarge(part.payload.length, maxMessageBytes)
          return part
        }
        if (unfinished.size >= MAX_UNFINISHED) throw malformed(`${unfinished.size} unfinished messages`)
        const first = { first: part, parts: [part.payload], bytes: part.payload.length, refused: false }
        unfinished.set(part.exchange, first)
        total += first.bytes
        if (total > maxTotalBytes) {
          refuse(
            first,
            new ParleyError('COM003', `${total} bytes of unfinished messages wait on this link`, {
              hint: 'send fewer large messages at once',
              details: { retryAfterMs: 1000 },
            }),
          )
        }
        return undefined
      }
      if (!entry.refused) {
        entry.parts.push(part.payload)
        entry.bytes += part.payload.length
        total += part.payload.length
        if (entry.bytes > maxMessageBytes) {
          if (!part.more) unfinished.delete(part.exchange)
          refuse(entry, tooLarge(entry.bytes, maxMessageBytes))
        }
      }
      if (part.more) return undefined
      drop(part.exchange)
      if (entry.refused) return undefined
      entry.first.payload = concat(entry.parts, entry.bytes)
      entry.first.more = false
      return entry.first
    },
    drop,
    bytes: () => total,
  }
}
