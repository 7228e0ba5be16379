/** What a call among simulated nodes is made of: payloads as on the wire, a signal that is made when it is looked at, items that wait for their reader, clients. */
import { decode, encode } from 'cborg'
import type { AnyProtocol, CallOptions, Client, Content, Method } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'

/** Most handlers look at no signal: it is made for those that do. */
export class Cancel {
  #controller: AbortController | undefined
  #error: Error | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#error !== undefined) this.#controller.abort(this.#error)
    }
    return this.#controller.signal
  }

  abort(error: Error): void {
    this.#error ??= error
    this.#controller?.abort(error)
  }
}

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()

export const writePayload = (content: Content = 'json', value: unknown): Uint8Array => {
  if (content === 'cbor') return encode(value)
  if (content === 'bytes') return value instanceof Uint8Array ? value.slice() : new Uint8Array()
  return ENCODER.encode(value === undefined ? '' : JSON.stringify(value))
}
export const readPayload = (content: Content = 'json', bytes: Uint8Array): unknown => {
  if (content !== 'json') return content === 'cbor' ? decode(bytes) : bytes
  return bytes.length === 0 ? undefined : JSON.parse(DECODER.decode(bytes))
}

export const parseValue = (schema: Method['request'], value: unknown, what: string): unknown => {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new ParleyError('MSG001', `${what} does not match its schema: ${result.error.message}`, {
    hint: 'look at the schema of the method',
  })
}
export const replySchema = (method: Method): Method['request'] | undefined =>
  'stream' in method ? method.stream : 'response' in method ? method.response : undefined

/** Items as they come, for one reader. */
export const createItems = () => {
  const items: unknown[] = []
  let over: { error?: Error | undefined } | undefined
  let wake: () => void = () => {}
  async function* drain(): AsyncGenerator<unknown, void> {
    for (;;) {
      while (items.length > 0) yield items.shift()
      if (over?.error) throw over.error
      if (over) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    push: (value: unknown): void => {
      items.push(value)
      wake()
    },
    end: (error?: Error): void => {
      over ??= { error }
      wake()
    },
    drain,
  }
}

/** Clients that were asked for without defaults: asked for again, they are the same. State: them. */
export class ClientCache {
  readonly #clients = new Map<AnyProtocol, Map<string, unknown>>()

  get<P extends AnyProtocol>(peer: string, protocol: P, defaults: CallOptions, make: () => Client<P>): Client<P> {
    if (Object.keys(defaults).length > 0) return make()
    const byPeer = this.#clients.get(protocol) ?? new Map<string, unknown>()
    this.#clients.set(protocol, byPeer)
    // Of this protocol, as it is kept by it.
    const known = byPeer.get(peer) as Client<P> | undefined
    if (known !== undefined) return known
    const client = make()
    byPeer.set(peer, client)
    return client
  }
}
