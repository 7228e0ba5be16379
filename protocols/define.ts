/**
 * A protocol is data: a name, a version and methods, each with zod schemas for what goes in and what comes out.
 *
 * Wire id: `/parley/<name>/<major>`; minor versions are exchanged when a link opens, so that 1.2.0 talks to 1.0.0.
 * Three kinds of method: unary (`response`), streaming (`stream`, items as they come) and one-way (`oneWay`).
 */
import type { ZodType, z } from 'zod'
import type { BudgetShare } from './budget/carried/budget-share.ts'
import { ParleyError } from './errors.ts'
import type { RequestInWork } from './request-in-work.ts'
import { checkKeys, keysOf } from './unknown-keys.ts'
import type { Envelope, Priority } from './wire/envelope.ts'

/** How a payload is written: JSON by default, CBOR by choice, `bytes` for a payload that is one Uint8Array. */
export type Content = 'json' | 'cbor' | 'bytes'

interface MethodBase {
  readonly request: ZodType
  /** Milliseconds until the caller gives up, 30,000 unless told. It travels as remaining time. */
  readonly timeoutMs?: number
  /**
   * Milliseconds after which one attempt at an idempotent method is given up and another one is made, while time is left;
   * one attempt has all the time unless told. Shorter finds a peer that hangs sooner, and repeats work that is only slow.
   */
  readonly attemptTimeoutMs?: number
  /** Capability that the caller's membership must carry; none unless told. */
  readonly capability?: string
  /** `normal` unless told; high overtakes normal on one link. */
  readonly priority?: Priority
  /** Doing it twice is as good as once: the mesh may try it again on another connection or another peer. */
  readonly idempotent?: boolean
  readonly content?: Content
  /** One sentence for people and for language models; it is shown in the directory. */
  readonly description?: string
}

export interface UnaryMethod extends MethodBase {
  readonly response: ZodType
}
export interface StreamMethod extends MethodBase {
  readonly stream: ZodType
}
export interface OneWayMethod extends MethodBase {
  readonly oneWay: true
}
export type Method = UnaryMethod | StreamMethod | OneWayMethod
export type MethodKind = 'unary' | 'stream' | 'one-way'

export interface Protocol<M extends Record<string, Method> = Record<string, Method>> {
  readonly name: string
  /** `major.minor.patch` */
  readonly version: string
  readonly methods: M
}
export type AnyProtocol = Protocol

/** What a handler tells of its work before it answers. */
export interface Progress {
  /** How much is done, 0 to 1. */
  readonly fraction?: number
  /** For people, at most 256 characters. */
  readonly note?: string
}

export interface CallOptions {
  /** The request on whose behalf it is made; it is over with that, and a delegation cycle is refused with STA003. */
  parent?: RequestInWork
  /**
   * What it gets of a budget: `amounts` of that of the parent, or of the slice `of`. The other side spends of it, and what it has
   * left comes back with its answer; without an answer all of it is spent. A call that has one is not made twice, unless it
   * reached nobody.
   */
  budget?: BudgetShare
  /** Aborting it cancels the call on both sides. */
  signal?: AbortSignal
  /** Milliseconds, 1 to 2^31 - 1; the method's own unless told. Counts anew from each report of progress. */
  timeoutMs?: number
  /**
   * Milliseconds, 1 to 2^31 - 1, from when the call is made: it ends by then, whatever progress is reported. Without it
   * a call goes on for as long as progress comes.
   */
  maxMs?: number
  /** Milliseconds of one attempt at an idempotent method; the method's own unless told. */
  attemptTimeoutMs?: number
  /** Told what the handler at `peer` reports; at most one report each 250 ms, the last one before the answer. */
  onProgress?: (progress: Progress, peer: string) => void
  /** Milliseconds after which the request is worth nothing; it is dropped and counted where it is found expired. */
  ttlMs?: number
  priority?: Priority
  conversationId?: string
  correlationId?: string
  headers?: Record<string, string>
  metadata?: Record<string, unknown>
  /** W3C trace context. */
  traceparent?: string
}

/** What a call with `replyTo` resolves to: the peer took the request on, the answer goes elsewhere. */
export interface Accepted {
  /** Envelope id of the request; the answer carries it as `correlationId`. */
  id: string
}

interface Unary<I, O, X> {
  (input: I, options?: X & { replyTo?: undefined }): Promise<O>
  /** `replyTo`: a peer id, or `topic:<name>`. */
  (input: I, options: X & { replyTo: string }): Promise<Accepted>
}

/** One function per method; `X` is what each call may be told. */
export type Client<P extends AnyProtocol, X = CallOptions> = {
  [K in keyof P['methods']]: P['methods'][K] extends { stream: infer S extends ZodType }
    ? (input: z.input<P['methods'][K]['request']>, options?: X) => AsyncIterableIterator<z.output<S>>
    : P['methods'][K] extends { response: infer R extends ZodType }
      ? Unary<z.input<P['methods'][K]['request']>, z.output<R>, X>
      : (input: z.input<P['methods'][K]['request']>, options?: X) => Promise<void>
}

/** What a handler is told beside its input. */
export interface Context extends RequestInWork {
  /** Aborted when the caller cancels, its deadline passes, it disconnects, or this node stops. */
  readonly signal: AbortSignal
  /** Peer id of the caller, proven by Noise. */
  readonly peer: string
  /** The whole message, put together when it is first looked at. */
  readonly envelope: Envelope
  /** Milliseconds that the caller still waits, unless progress is reported. */
  remainingMs(): number
  /**
   * Says that the work goes on: the caller is told, and its time counts anew, up to its own limit. As often as one likes:
   * reports go at most each 250 ms, the newest of them, and the last one always. A handler that takes longer than its
   * node's timings.stuckAfterMs and reports nothing is taken for stuck.
   * @param fraction how much is done, 0 to 1
   * @param note for people and logs, at most 256 characters
   */
  progress(fraction?: number, note?: string): void
}

export type Handler<M> = M extends { request: infer Q extends ZodType }
  ? M extends { stream: infer S extends ZodType }
    ? (input: z.output<Q>, context: Context) => AsyncIterable<z.input<S>>
    : M extends { response: infer R extends ZodType }
      ? (input: z.output<Q>, context: Context) => Promise<z.input<R>> | z.input<R>
      : (input: z.output<Q>, context: Context) => Promise<void> | void
  : never

export type Handlers<P extends AnyProtocol> = { [K in keyof P['methods']]: Handler<P['methods'][K]> }

const PROTOCOL_KEYS = keysOf<Protocol>({ name: true, version: true, methods: true })
const METHOD_KEYS = keysOf<UnaryMethod & StreamMethod & OneWayMethod>({
  request: true,
  response: true,
  stream: true,
  oneWay: true,
  timeoutMs: true,
  attemptTimeoutMs: true,
  capability: true,
  priority: true,
  idempotent: true,
  content: true,
  description: true,
})

const NAME = /^[a-z][a-z0-9-]{0,63}$/
const METHOD = /^[a-zA-Z][a-zA-Z0-9_]{0,63}$/
const VERSION = /^(\d{1,5})\.(\d{1,5})\.(\d{1,5})$/

/**
 * Checks a contract and returns it with its exact type.
 * @throws MSG001 for a name, version or method that cannot go on the wire, and for a key that nobody knows
 */
export const defineProtocol = <const M extends Record<string, Method>>(protocol: Protocol<M>): Protocol<M> => {
  checkKeys(protocol, PROTOCOL_KEYS, 'a protocol')
  if (!NAME.test(protocol.name)) {
    throw new ParleyError('MSG001', `protocol name ${JSON.stringify(protocol.name)} is not usable`, {
      hint: 'use 1 to 64 characters of a-z, 0-9 and -, starting with a letter',
    })
  }
  if (!VERSION.test(protocol.version)) {
    throw new ParleyError('MSG001', `version ${JSON.stringify(protocol.version)} of ${protocol.name} is not usable`, {
      hint: 'use major.minor.patch, as in 1.0.0',
    })
  }
  const names = Object.keys(protocol.methods)
  const bad = names.find((name) => !METHOD.test(name) || name === 'then')
  if (names.length === 0 || bad !== undefined) {
    throw new ParleyError(
      'MSG001',
      `protocol ${protocol.name} has ${bad === undefined ? 'no method' : `a method ${JSON.stringify(bad)}`}`,
      {
        hint: 'give it at least one method, each of 1 to 64 letters, digits and _, starting with a letter; not "then"',
      },
    )
  }
  for (const name of names) checkKeys(protocol.methods[name] ?? {}, METHOD_KEYS, `the method ${protocol.name}.${name}`)
  return protocol
}

export const kindOf = (method: Method): MethodKind =>
  'stream' in method ? 'stream' : 'response' in method ? 'unary' : 'one-way'

/** The part of a version that goes into the wire id. */
export const majorOf = (version: string): number => Number(VERSION.exec(version)?.[1] ?? Number.NaN)

/** `/parley/<name>/<major>` */
export const wireId = (protocol: { name: string; version: string }): string =>
  `/parley/${protocol.name}/${majorOf(protocol.version)}`
