/**
 * One stream of a protocol of the mesh, as an attacker uses it: it asks, and hears what is answered, or leaves everything
 * unread. State: who waits for the answer to which exchange.
 */
import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import { decode, encode } from 'cborg'
import {
  CONTENT,
  createFrameReader,
  helloBytes,
  KIND,
  type Received,
  requestBytes,
  SESSION_BYTES,
  type Sent,
} from './frames.ts'

export interface Reply {
  /** Undefined where it was answered by an error, or not in time. */
  readonly payload: Uint8Array | undefined
  readonly fault: string
}

export interface Link {
  /** In hex: with the number of an exchange, counted from 1, it names a call. */
  readonly session: string
  readonly stream: Stream
  ask(method: string, payload: Uint8Array | string, options?: Asking): Promise<Reply>
  /** Waits for nothing. */
  tell(frame: Omit<Sent, 'kind' | 'exchange'> & { kind?: number }): void
  json(method: string, input: unknown, options?: Asking): Promise<unknown>
}

export interface Asking {
  readonly content?: number
  readonly credit?: number
  readonly timeoutMs?: number
  /** Until the attacker waits no more. */
  readonly limitMs?: number
}

const LIMIT_MS = 5_000

const bytesOf = (data: Uint8Array | { subarray(): Uint8Array }): Uint8Array =>
  data instanceof Uint8Array ? data : data.subarray()

export const openLink = (stream: Stream): Link => {
  const waiting = new Map<number, (reply: Reply) => void>()
  const parts = new Map<number, Uint8Array[]>()
  const read = createFrameReader()
  let exchange = 0

  const hear = ({ kind, exchange: of, payload, more, fault }: Received): void => {
    if (kind === KIND.error || fault !== '') {
      waiting.get(of)?.({ payload: undefined, fault })
      return
    }
    if (kind !== KIND.response && kind !== KIND.item) return
    const all = [...(parts.get(of) ?? []), payload]
    parts.set(of, all)
    if (!more) waiting.get(of)?.({ payload: Buffer.concat(all), fault: '' })
  }
  stream.addEventListener('message', ({ data }) => {
    for (const frame of read(bytesOf(data))) hear(frame)
  })
  const gone = (): void => {
    for (const done of waiting.values()) done({ payload: undefined, fault: 'the stream is gone' })
  }
  for (const event of ['close', 'remoteCloseWrite'] as const) stream.addEventListener(event, gone)
  const session = randomBytes(SESSION_BYTES)
  stream.send(helloBytes(session))

  const ask: Link['ask'] = async (method, payload, { limitMs = LIMIT_MS, timeoutMs = limitMs, ...rest } = {}) => {
    exchange += 1
    const own = exchange
    const { promise, resolve } = Promise.withResolvers<Reply>()
    waiting.set(own, resolve)
    const timer = setTimeout(() => resolve({ payload: undefined, fault: 'no answer in time' }), limitMs)
    try {
      stream.send(requestBytes({ exchange: own, method, payload, timeoutMs, ...rest }))
      return await promise
    } catch (error) {
      return { payload: undefined, fault: String(error) }
    } finally {
      clearTimeout(timer)
      waiting.delete(own)
      parts.delete(own)
    }
  }

  return {
    session: session.toString('hex'),
    stream,
    ask,
    tell(frame) {
      exchange += 1
      if (stream.status === 'open') stream.send(requestBytes({ ...frame, exchange }))
    },
    async json(method, input, options) {
      const { payload, fault } = await ask(method, JSON.stringify(input), options)
      if (payload === undefined) throw new Error(fault)
      return JSON.parse(new TextDecoder().decode(payload))
    },
  }
}

const readers = {
  [CONTENT.json]: (payload: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(payload)),
  [CONTENT.cbor]: (payload: Uint8Array): unknown => decode(payload),
}

/** Answers each request on an inbound stream with what `answer` says, as it was asked; with nothing where that is undefined. */
export const serveLink = (
  stream: Stream,
  answer: (method: string, input: unknown) => unknown,
  content: number = CONTENT.json,
): void => {
  const read = createFrameReader()
  stream.addEventListener('message', ({ data }) => {
    for (const { kind, exchange, method, payload } of read(bytesOf(data))) {
      if (kind !== KIND.request) continue
      const told = answer(method, payload.length === 0 ? undefined : readers[content]?.(payload))
      if (told === undefined || stream.status !== 'open') continue
      const bytes = content === CONTENT.cbor ? encode(told) : JSON.stringify(told)
      stream.send(requestBytes({ kind: KIND.response, exchange, payload: bytes, content }))
    }
  })
  if (stream.status === 'open') stream.send(helloBytes())
}
