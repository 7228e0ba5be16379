/**
 * Large payloads travel in parts, so that a frame of higher priority waits for one part at most.
 *
 * State of a reassembler: the unfinished payloads of one link, bounded in bytes for each (maxMessageBytes) and for all.
 */
import { ParleyError } from '../../errors.ts'
import { type Frame, frame } from './frame.ts'
import { malformed } from './protobuf.ts'

/** Cuts one frame into frames of at most `partBytes` of payload; the first carries all the other fields. */
export const fragment = (whole: Frame, partBytes: number): Frame[] => {
  const payload = whole.payload
  if (payload.length <= partBytes) return [whole]
  const parts: Frame[] = []
  for (let at = 0; at < payload.length; at += partBytes) {
    const bytes = payload.subarray(at, at + partBytes)
    const part = at === 0 ? whole : frame(whole.kind, whole.exchange)
    part.payload = bytes
    part.priority = whole.priority
    part.more = at + partBytes < payload.length
    parts.push(part)
  }
  return parts
}

/** More than this on one link is no peer of ours: the link is broken off. */
const MAX_UNFINISHED = 4096

export interface Reassembler {
  /**
   * @returns the whole frame, or undefined while parts are missing
   * @throws MSG001 when the payload grows above its bound, COM003 when all unfinished ones together do; the exchange's
   *   parts are dropped and later ones ignored. MSG003 when too many are unfinished
   */
  add(part: Frame): Frame | undefined
  /** Forgets an exchange. */
  drop(exchange: number): void
  /** Forgets them all. */
  clear(): void
  bytes(): number
}

interface Unfinished {
  /** Undefined once it was refused: the rest is thrown away as it comes. */
  first: Frame | undefined
  /** What came so far, in a buffer of its own: parts are views that would keep whole chunks alive. */
  buffer: Uint8Array
  bytes: number
  /** Of the fields beside the payload. */
  fieldBytes: number
}

export const tooLarge = (bytes: number, maxBytes: number): ParleyError =>
  new ParleyError('MSG001', `a message of more than ${bytes} bytes, at most ${maxBytes} are taken`, {
    hint: 'split it, stream it, or raise limits.maxMessageBytes on the receiving node',
    details: { maxBytes },
  })

const tooMany = (bytes: number): ParleyError =>
  new ParleyError('COM003', `${bytes} bytes of unfinished messages wait on this link`, {
    hint: 'send fewer large messages at once',
    details: { retryAfterMs: 1000 },
  })

const EMPTY = new Uint8Array(0)

/** Bytes and characters in a nested message. */
const weigh = (value: unknown): number => {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length
  if (typeof value !== 'object' || value === null) return 0
  return Object.entries(value).reduce((sum, [name, field]) => sum + name.length + weigh(field), 0)
}

/** What a frame holds on to: bytes of the payload, bytes and characters of its nested messages. */
export const retainedBytes = (frame: Frame): number =>
  frame.payload.length + weigh(frame.extra) + weigh(frame.fault) + weigh(frame.hello)

const append = (entry: Unfinished, bytes: Uint8Array): void => {
  const needed = entry.bytes + bytes.length
  if (needed > entry.buffer.length) {
    const grown = new Uint8Array(Math.max(needed, entry.buffer.length * 2))
    grown.set(entry.buffer.subarray(0, entry.bytes))
    entry.buffer = grown
  }
  entry.buffer.set(bytes, entry.bytes)
  entry.bytes = needed
}

/** Whoever pays for the bytes: a peer, over all its links. */
export interface ByteAccount {
  /** False where there is no room for them. */
  takeBytes(bytes: number): boolean
  giveBytes(bytes: number): void
}

const FREE: ByteAccount = { takeBytes: () => true, giveBytes() {} }

export const createReassembler = (maxMessageBytes: number, maxTotalBytes: number, account = FREE): Reassembler => {
  const unfinished = new Map<number, Unfinished>()
  let total = 0

  const drop = (exchange: number): void => {
    const entry = unfinished.get(exchange)
    if (entry === undefined) return
    const bytes = entry.bytes + entry.fieldBytes
    total -= bytes
    if (bytes > 0) account.giveBytes(bytes)
    unfinished.delete(exchange)
  }

  const refuse = (exchange: number, last: boolean, error: ParleyError): never => {
    drop(exchange)
    if (!last) unfinished.set(exchange, { first: undefined, buffer: EMPTY, bytes: 0, fieldBytes: 0 })
    throw error
  }

  const begin = (part: Frame): Unfinished => {
    if (unfinished.size >= MAX_UNFINISHED) throw malformed(`${unfinished.size} unfinished messages`)
    const fieldBytes = retainedBytes(part) - part.payload.length
    if (fieldBytes > 0 && !account.takeBytes(fieldBytes)) {
      return refuse(part.exchange, !part.more, tooMany(total + fieldBytes))
    }
    const entry = { first: { ...part, payload: EMPTY }, buffer: EMPTY, bytes: 0, fieldBytes }
    unfinished.set(part.exchange, entry)
    total += fieldBytes
    return entry
  }

  return {
    add(part) {
      const known = unfinished.get(part.exchange)
      if (known === undefined && !part.more) {
        if (part.payload.length > maxMessageBytes) throw tooLarge(part.payload.length, maxMessageBytes)
        return part
      }
      const entry = known ?? begin(part)
      if (entry.first === undefined) {
        if (!part.more) drop(part.exchange)
        return undefined
      }
      const bytes = entry.bytes + part.payload.length
      if (bytes > maxMessageBytes) refuse(part.exchange, !part.more, tooLarge(bytes, maxMessageBytes))
      const held = total + part.payload.length
      if (part.more && held > maxTotalBytes) refuse(part.exchange, false, tooMany(held))
      if (part.payload.length > 0 && !account.takeBytes(part.payload.length)) {
        refuse(part.exchange, !part.more, tooMany(held))
      }
      append(entry, part.payload)
      total = held
      if (part.more) return undefined
      drop(part.exchange)
      return { ...entry.first, payload: entry.buffer.subarray(0, entry.bytes), more: false }
    },
    drop,
    clear() {
      for (const exchange of [...unfinished.keys()]) drop(exchange)
    },
    bytes: () => total,
  }
}
