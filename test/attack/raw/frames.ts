/** Frames of a link as an attacker writes them, by the format in protocols/wire/parley.proto and nothing else. Pure. */
import { randomBytes } from 'node:crypto'
import { bytesField, joined, lengthPrefixed, numberField, readFields, readVarint } from './bytes.ts'

export const KIND = {
  request: 0,
  response: 1,
  item: 2,
  end: 3,
  cancel: 4,
  error: 5,
  credit: 6,
  oneWay: 8,
  hello: 9,
  progress: 11,
}
export const CONTENT = { json: 0, cbor: 1, bytes: 2 }
/** The longest that a frame can say: 24.8 days. */
export const LONGEST_MS = 2 ** 31 - 1
const MAX_MESSAGE_BYTES = 1 << 22
/** What an attacker keeps of a peer that sends without end. */
const MOST_BYTES = 1 << 24

export interface Sent {
  readonly kind: number
  readonly exchange: number
  readonly method?: string
  readonly payload?: Uint8Array | string
  readonly more?: boolean
  readonly timeoutMs?: number
  readonly credit?: number
  readonly content?: number
}

export const frameBytes = (frame: Sent): Uint8Array =>
  lengthPrefixed(
    joined(
      numberField(1, frame.kind),
      numberField(2, frame.exchange),
      bytesField(3, frame.method ?? ''),
      bytesField(4, frame.payload ?? ''),
      numberField(5, frame.more === true ? 1 : 0),
      numberField(6, frame.timeoutMs ?? 0),
      numberField(9, frame.credit ?? 0),
      numberField(12, frame.content ?? CONTENT.json),
    ),
  )

export const SESSION_BYTES = 8

export const helloBytes = (session: Uint8Array = randomBytes(SESSION_BYTES)): Uint8Array =>
  lengthPrefixed(
    joined(
      numberField(1, KIND.hello),
      bytesField(
        17,
        joined(
          bytesField(1, '1.99.0'),
          numberField(3, MAX_MESSAGE_BYTES),
          bytesField(4, session),
          numberField(5, Date.now()),
        ),
      ),
    ),
  )

export interface Received {
  readonly kind: number
  readonly exchange: number
  readonly method: string
  readonly payload: Uint8Array
  readonly more: boolean
  readonly credit: number
  /** Code and message of an error. */
  readonly fault: string
}

const PART_BYTES = 60_000

/** One request, in parts where it is large. */
export const requestBytes = (frame: Omit<Sent, 'kind' | 'more'> & { kind?: number }): Uint8Array => {
  const payload = Buffer.from(frame.payload ?? '')
  const kind = frame.kind ?? KIND.request
  const count = Math.max(1, Math.ceil(payload.length / PART_BYTES))
  return joined(
    ...Array.from({ length: count }, (_, i) => {
      const { method: _method, ...rest } = frame
      const part = payload.subarray(i * PART_BYTES, (i + 1) * PART_BYTES)
      return frameBytes({ ...(i === 0 ? frame : rest), kind, payload: part, more: i < count - 1 })
    }),
  )
}

const readFrame = (bytes: Uint8Array): Received => {
  const fields = readFields(bytes)
  const text = (of: Uint8Array): string => new TextDecoder().decode(of)
  const fault = readFields(fields.bytes(15))
  return {
    kind: fields.number(1),
    exchange: fields.number(2),
    method: text(fields.bytes(3)),
    payload: Uint8Array.from(fields.bytes(4)),
    more: fields.number(5) === 1,
    credit: fields.number(9),
    fault: `${text(fault.bytes(1))} ${text(fault.bytes(2))}`.trim(),
  }
}

/** Cuts what comes into frames. State: the bytes of a frame that is not whole yet. */
export const createFrameReader = (): ((chunk: Uint8Array) => Received[]) => {
  let rest = new Uint8Array(0)
  return (chunk) => {
    rest = Uint8Array.from(joined(rest, chunk)).subarray(-MOST_BYTES)
    const frames: Received[] = []
    for (;;) {
      const length = readVarint(rest, 0)
      if (length === undefined || rest.length < length.end + length.value) return frames
      frames.push(readFrame(rest.subarray(length.end, length.end + length.value)))
      rest = rest.subarray(length.end + length.value)
    }
  }
}
