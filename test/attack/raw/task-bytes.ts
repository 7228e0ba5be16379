/**
 * Large values of tasks as an attacker gives and asks for them: the protocol of their bytes by its document
 * (docs/asyncapi.json) and nothing of the product. State: exchanges in which it gives something.
 */
import { createHash } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import { decode, encode } from 'cborg'
import type { Attacker } from './attacker.ts'
import { CONTENT, createFrameReader, frameBytes, helloBytes, KIND, type Received, requestBytes } from './frames.ts'
import type { Asking } from './link.ts'
import { codeOf, type Outcome } from './tasks.ts'

const TASK_BYTES = '/parley/task-bytes/1'
const UNIT_BYTES = 4_096
const MANY_STREAMS = 10_000
const ASK_MS = 8_000

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export interface Place {
  readonly task: string
  readonly row: string
  readonly hash: string
}

/** Somebody fetches a value from the attacker. */
export interface Giving {
  readonly place: Place
  /** Waits until there is credit for it. @returns false: nobody waits for it any more */
  item(bytes: Uint8Array): Promise<boolean>
  end(): void
  /** Says that it works on it. @returns false: nobody waits for it any more */
  progress(): boolean
}

interface Credit {
  units: number
  wake(): void
}

const unitsOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / UNIT_BYTES))
const bytesOf = (data: Uint8Array | { subarray(): Uint8Array }): Uint8Array =>
  data instanceof Uint8Array ? data : data.subarray()

const serveStream = (stream: Stream, give: (giving: Giving) => Promise<void>): void => {
  const credits = new Map<number, Credit>()
  const read = createFrameReader()

  const givingOf = (exchange: number, place: Place): Giving => ({
    place,
    async item(bytes) {
      for (let credit = credits.get(exchange); credit !== undefined; credit = credits.get(exchange)) {
        if (credit.units > 0) {
          const payload = encode({ bytes })
          credit.units -= unitsOf(payload.length)
          stream.send(requestBytes({ kind: KIND.item, exchange, payload, content: CONTENT.cbor }))
          return true
        }
        const { promise, resolve } = Promise.withResolvers<void>()
        credit.wake = resolve
        await promise
      }
      return false
    },
    end() {
      if (credits.delete(exchange) && stream.status === 'open') stream.send(frameBytes({ kind: KIND.end, exchange }))
    },
    progress() {
      const isOpen = credits.has(exchange) && stream.status === 'open'
      if (isOpen) stream.send(frameBytes({ kind: KIND.progress, exchange }))
      return isOpen
    },
  })

  const hear = ({ kind, exchange, payload, credit, fault }: Received): void => {
    if (kind === KIND.request && fault === '') {
      credits.set(exchange, { units: credit, wake: () => {} })
      const place: Place = decode(payload)
      give(givingOf(exchange, place)).catch(() => credits.delete(exchange))
      return
    }
    const own = credits.get(exchange)
    if (own === undefined) return
    if (kind === KIND.credit) own.units += credit
    else if (kind === KIND.cancel) credits.delete(exchange)
    own.wake()
  }
  const gone = (): void => {
    const all = [...credits.values()]
    credits.clear()
    for (const { wake } of all) wake()
  }
  stream.addEventListener('message', ({ data }) => {
    for (const frame of read(bytesOf(data))) hear(frame)
  })
  for (const event of ['close', 'remoteCloseWrite'] as const) stream.addEventListener(event, gone)
  if (stream.status === 'open') stream.send(helloBytes())
}

export const serveBytes = (attacker: Attacker, give: (giving: Giving) => Promise<void>): Promise<void> =>
  attacker.libp2p.handle(TASK_BYTES, (stream) => serveStream(stream, give), {
    maxInboundStreams: MANY_STREAMS,
    runOnLimitedConnection: true,
  })

/** What one node is asked. */
export interface BytesHand {
  hold(place: Place & { readonly size: number }, limitMs?: number): Promise<Outcome>
  has(place: Place, verify?: boolean): Promise<boolean | Outcome>
  /** Its first item counts as an answer. @param credit 1: it is given no more than that */
  take(method: 'fetch' | 'read', place: Place, options?: Asking): Promise<Outcome>
  replace(input: Place & { readonly from?: string; readonly to: string }): Promise<Outcome>
  /** A whole request. */
  raw(method: string, input: unknown): Promise<Outcome>
}

const LARGE_CREDIT = 64

export const createBytesHand = async (attacker: Attacker, connection: Connection): Promise<BytesHand> => {
  const link = await attacker.link(connection, TASK_BYTES)
  const isCbor = (method: string): boolean => method === 'fetch' || method === 'read'
  const ask = async (method: string, input: unknown, options: Asking = {}) => {
    const payload = isCbor(method) ? encode(input) : JSON.stringify(input)
    const content = isCbor(method) ? CONTENT.cbor : CONTENT.json
    return link.ask(method, payload, {
      limitMs: ASK_MS,
      content,
      ...(isCbor(method) && { credit: LARGE_CREDIT }),
      ...options,
    })
  }
  const outcomeOf = async (...asked: Parameters<typeof ask>): Promise<Outcome> => {
    const { payload, fault } = await ask(...asked)
    return payload === undefined ? codeOf(fault) : 'ok'
  }
  return {
    hold: (place, limitMs = ASK_MS) => outcomeOf('hold', place, { limitMs: Math.ceil(limitMs) }),
    async has(place, verify = false) {
      const { payload, fault } = await ask('has', { ...place, ...(verify && { verify }) })
      if (payload === undefined) return codeOf(fault)
      return Reflect.get(Object(JSON.parse(new TextDecoder().decode(payload))), 'has') === true
    },
    take: (method, place, options = {}) => outcomeOf(method, place, options),
    replace: (input) => outcomeOf('replace', input),
    raw: (method, input) => outcomeOf(method, input),
  }
}
