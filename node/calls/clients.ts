/**
 * Typed clients over calls of bytes: to one peer, to any that offers a protocol, to all.
 *
 * The input, the options and who is called are checked, and the input is written here, before it goes anywhere. Whoever
 * carries it out implements Calls: the node itself (load-balancer.ts), or a worker thread that asks its node to (agent/).
 */
import type { ZodType, z } from 'zod'
import { checkTarget, isPeerId } from '../../discovery/directory/find-agent.ts'
import { type Accepted, type AnyProtocol, type CallOptions, type Client, kindOf } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { checkKeys, keysOf } from '../../protocols/unknown-keys.ts'
import { type Inherited, prepared } from './call-parent.ts'
import type { MethodCodec, MethodCodecOf } from './method-codecs.ts'

export interface AnyOptions extends CallOptions {
  /** A peer failed and the next one is asked. */
  onFailover?: (peer: string, error: ParleyError) => void
  /** Agents that must not be chosen, by peer id or name. */
  exclude?: readonly string[]
}

/** As a client of one peer, but the mesh chooses who answers. */
export type AnyClient<P extends AnyProtocol> = Client<P, AnyOptions>

export interface ScatterOptions extends CallOptions {
  /** Ends after this many answers that are no errors. */
  count?: number
  /** Ends when nothing came for this long, milliseconds. */
  stallMs?: number
}

/** One answer of a scatter-gather: a value, or why there is none. `peer` is the name that was given where nobody has it. */
export type Reply<T> =
  | { readonly peer: string; readonly name: string; readonly value: T }
  | { readonly peer: string; readonly name: string; readonly error: unknown }

interface Scatter<I, O> {
  (input: I, options?: ScatterOptions & { replyTo?: undefined }): AsyncIterableIterator<Reply<O>>
  /** `replyTo`: a peer id, a name, or `topic:<name>`; each that was asked says that it took the request on. */
  (input: I, options: ScatterOptions & { replyTo: string }): AsyncIterableIterator<Reply<Accepted>>
}

/** The unary methods; answers as they come. */
export type AllClient<P extends AnyProtocol> = {
  [K in keyof P['methods'] as P['methods'][K] extends { response: ZodType } ? K : never]: P['methods'][K] extends {
    response: infer R extends ZodType
  }
    ? Scatter<z.input<P['methods'][K]['request']>, z.output<R>>
    : never
}

/** Who a call goes to: a peer, the agent of a name, whoever offers the protocol, all of them, or a list of peers and names. */
export type CallAddress =
  | { readonly kind: 'peer'; readonly peer: string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'all'; readonly peers: readonly string[] | undefined }

export type ByteCallOptions = AnyOptions &
  ScatterOptions &
  Inherited & {
    replyTo?: string | undefined
    attempts?: number | undefined
    extendMs?: number | undefined
    isOneOfMany?: boolean | undefined
    anyway?: boolean | undefined
    /** Stands around the call to each peer of `all`; `peer` is the name that was given where only that is known. */
    around?: AroundCall | undefined
  }

export type AroundCall = (
  peer: string,
  options: ByteCallOptions,
  call: (payload: Uint8Array, options: ByteCallOptions) => Promise<unknown>,
) => Promise<unknown>

export interface ByteCalls {
  /** Unary and one-way methods. */
  one(address: CallAddress, target: MethodCodec, payload: Uint8Array, options: ByteCallOptions): Promise<unknown>
  stream(
    address: CallAddress,
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
  ): AsyncIterableIterator<unknown>
  all(
    address: CallAddress,
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
  ): AsyncIterableIterator<Reply<unknown>>
}

export interface Clients {
  /**
   * @param agent a peer id, or the name of an agent where only one has it; who that is, is looked up at each call
   * @throws MSG001 for what can be neither
   */
  to<P extends AnyProtocol>(agent: string, protocol: P, defaults?: CallOptions): Client<P>
  to<P extends AnyProtocol>(agents: readonly string[], protocol: P, defaults?: ScatterOptions): AllClient<P>
  any<P extends AnyProtocol>(protocol: P, defaults?: AnyOptions): AnyClient<P>
  all<P extends AnyProtocol>(protocol: P, defaults?: ScatterOptions): AllClient<P>
}

const NONE: ByteCallOptions = {}
const OPTION_KEYS = keysOf<AnyOptions & ScatterOptions & Pick<Inherited, 'attemptObserver'> & { replyTo?: string }>({
  signal: true,
  timeoutMs: true,
  maxMs: true,
  attemptTimeoutMs: true,
  onProgress: true,
  ttlMs: true,
  priority: true,
  parent: true,
  budget: true,
  conversationId: true,
  correlationId: true,
  headers: true,
  metadata: true,
  traceparent: true,
  onFailover: true,
  exclude: true,
  count: true,
  stallMs: true,
  replyTo: true,
  attemptObserver: true,
})

const merge = (defaults: ByteCallOptions | undefined, options: ByteCallOptions | undefined): ByteCallOptions => {
  if (options !== undefined) checkKeys(options, OPTION_KEYS, 'the options of a call')
  return defaults === undefined ? (options ?? NONE) : options === undefined ? defaults : { ...defaults, ...options }
}

const checkProtocol = (protocol: AnyProtocol, where: string): void => {
  if (typeof protocol?.methods === 'object' && protocol.methods !== null) return
  throw new ParleyError('MSG001', `${where} needs a protocol`, { hint: 'give it what defineProtocol() returned' })
}

const addressOf = (given: unknown): CallAddress => {
  if (Array.isArray(given)) return { kind: 'all', peers: given.map((one) => checkTarget(one, 'to()')) }
  const target = checkTarget(given, 'to()')
  return isPeerId(target) ? { kind: 'peer', peer: target } : { kind: 'name', name: target }
}

export const createClients = (calls: ByteCalls, callableOf: MethodCodecOf): Clients => {
  /** One function per method. They are checked against the contract by the types of `to`, `any` and `all`. */
  const build = (protocol: AnyProtocol, address: CallAddress, defaults?: ByteCallOptions): Record<string, unknown> => {
    checkProtocol(protocol, address.kind === 'any' ? 'any()' : address.kind === 'all' ? 'all()' : 'to()')
    if (defaults !== undefined) checkKeys(defaults, OPTION_KEYS, 'the options of a call')
    const client: Record<string, unknown> = {}
    for (const [name, method] of Object.entries(protocol.methods)) {
      const target = callableOf(protocol, name)
      const { codec } = target
      const kind = kindOf(method)
      if (address.kind === 'all') {
        if (kind !== 'unary') continue
        client[name] = (input: unknown, options?: ByteCallOptions) => {
          const call = prepared(merge(defaults, options), target)
          return calls.all(address, call.target, codec.encode(input), call.options)
        }
      } else if (kind === 'stream') {
        client[name] = (input: unknown, options?: ByteCallOptions) => {
          const call = prepared(merge(defaults, options), target)
          return calls.stream(address, call.target, codec.encode(input), call.options)
        }
      } else {
        client[name] = (input: unknown, options?: ByteCallOptions) => {
          // Not async: one promise less for each call, and what is wrong with the input still rejects.
          try {
            const payload = codec.encode(input)
            const merged = merge(defaults, options)
            // As most calls are: one object less for each.
            if (merged.parent === undefined && merged.budget === undefined)
              return calls.one(address, target, payload, merged)
            const call = prepared(merged, target)
            return calls.one(address, call.target, payload, call.options)
          } catch (error) {
            return Promise.reject(error)
          }
        }
      }
    }
    return client
  }

  const to = (given: unknown, protocol: AnyProtocol, defaults?: ByteCallOptions) =>
    build(protocol, addressOf(given), defaults)

  return {
    to: to as Clients['to'],
    any: <P extends AnyProtocol>(protocol: P, defaults?: AnyOptions) =>
      build(protocol, { kind: 'any' }, defaults) as AnyClient<P>,
    all: <P extends AnyProtocol>(protocol: P, defaults?: ScatterOptions) =>
      build(protocol, { kind: 'all', peers: undefined }, defaults) as AllClient<P>,
  }
}
