/**
 * What an interceptor is: a name, its place among the others, and a hook for each kind of traffic that it stands in.
 *
 * A hook gets what is on its way and `next`. It passes it on by `next()`, or changed by `next({ ... })`, once; it refuses it
 * by throwing a ParleyError. A hook of calls may also answer by itself. The first interceptor of the list is the outermost
 * one in both directions. Pure: types, the check of a definition, and guards that give a value the type of its contract.
 */
import type { ZodType, z } from 'zod'
import { type AnyProtocol, type MethodKind, majorOf } from '../define.ts'
import type { To } from '../delivery/api.ts'
import type { MessageDefinition } from '../delivery/define-message.ts'
import type { Guarantee } from '../delivery/durable-message.ts'
import type { Received } from '../delivery/receive/inbound-message.ts'
import { ParleyError } from '../errors.ts'
import type { EventDefinition } from '../events/define-event.ts'
import type { MeshEvent } from '../events/event.ts'
import { compilePattern, isPattern } from '../events/topic.ts'
import { extensionPoint } from '../part.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'
import type { Priority } from '../wire/envelope.ts'

type HeaderMap = Readonly<Record<string, string>>

/** What calls have in common on both sides. */
interface InterceptedCall {
  /** Name of the protocol, without its version. */
  readonly protocol: string
  /** `major.minor.patch` of this node's contract. */
  readonly version: string
  readonly method: string
  /** `unary` is answered by one value, `stream` by an AsyncIterable, `one-way` by nothing. */
  readonly methodKind: MethodKind
  readonly request: unknown
  readonly headers: HeaderMap
  readonly metadata: Readonly<Record<string, unknown>>
  readonly conversationId: string | undefined
  readonly correlationId: string | undefined
  /** Aborted when the call has ended: given up, or its time is over. */
  readonly signal: AbortSignal
  /** Milliseconds until the call's deadline, unless progress is reported. */
  remainingMs(): number
}

/** A call that this node makes. Of `all` and of a list, one for each peer. */
export interface CallInput extends InterceptedCall {
  /** Peer id or name that it was addressed to; undefined where the mesh chooses the peer. */
  readonly peer: string | undefined
}

/** A call that this node answers. Its request fits the contract's schema. */
export interface ServeInput extends InterceptedCall {
  /** Peer id of the caller, proven by Noise; this node's own for a call to itself. */
  readonly peer: string
}

/** A durable message that this node sends, by `send`, by a transaction or as a reply. */
export interface SendInput {
  readonly type: string
  readonly version: string
  /** As it was given; `topic:<name>` for a reply that becomes an event. */
  readonly to: To
  readonly data: unknown
  readonly headers: HeaderMap
  readonly conversationId: string | undefined
  readonly correlationId: string | undefined
  /** Undefined: as the settings say. */
  readonly guarantee: Guarantee | undefined
  readonly priority: Priority | undefined
}

/** A durable message that came; its data are as they travelled, and fit the schema of its handler. */
export interface ReceiveInput extends Received {
  /** From 1. */
  readonly attempt: number
  /** False where the message goes to the inbox. */
  readonly hasHandler: boolean
}

/** An event that this node publishes. */
export interface PublishInput {
  readonly topic: string
  /** Of its definition; undefined for an event without one. */
  readonly version: string | undefined
  readonly type: string | undefined
  readonly data: unknown
  readonly headers: HeaderMap
  readonly conversationId: string | undefined
  readonly correlationId: string | undefined
}

/** An event for one subscription; its data are what the definition's schema made of them. */
export interface HearInput extends MeshEvent {
  /** Topic or pattern of the subscription. */
  readonly pattern: string
}

export interface CallChange {
  /** Checked against the contract when it is sent. */
  readonly request?: unknown
  /** In place of all former ones. */
  readonly headers?: HeaderMap
}
export interface ServeChange {
  /** Checked against the contract before the handler gets it. */
  readonly request?: unknown
}
export interface SendChange {
  /** Checked against the definition. */
  readonly data?: unknown
  /** In place of all former ones. */
  readonly headers?: HeaderMap
}
export interface ReceiveChange {
  /** Checked against the definition before the handler gets it. */
  readonly data?: unknown
}
export type PublishChange = SendChange
export type HearChange = ReceiveChange

/** What became of a message or an event that was passed on: its id, where it has one. */
export interface PassedOn {
  readonly id: string | undefined
}

/**
 * Passes on what the hook got, with what is to be changed. Once: a second time rejects with APP001.
 * @returns what came of it; rejects with the error of whoever failed behind this interceptor
 */
export type Next<Change, Result> = (change?: Change) => Promise<Result>

/**
 * Stands in the way of calls, messages or events of this node. A hook may be async or not. What it throws that is no
 * ParleyError reaches others as APP001; its text stays in this node's log.
 */
export interface Interceptor {
  /** `[a-z][a-z0-9-]*`, for a part `vendor/name`; at most 64 characters. It stands in metrics and errors. */
  readonly name: string
  /** Interceptors that stand behind this one, by name. */
  readonly before?: readonly string[]
  /** Interceptors that stand in front of this one, by name. */
  readonly after?: readonly string[]
  /** @returns the answer: what `next()` resolved to, a changed one, or one of its own (then nobody is called) */
  call?(call: CallInput, next: Next<CallChange, unknown>): unknown
  /** @returns the answer, as for `call` */
  serve?(call: ServeInput, next: Next<ServeChange, unknown>): unknown
  /** Must pass the message on or throw. */
  send?(message: SendInput, next: Next<SendChange, PassedOn>): unknown
  /** Must pass the message on or throw: then it is tried again, or becomes a dead letter, as when its handler throws. */
  receive?(message: ReceiveInput, next: Next<ReceiveChange, PassedOn>): unknown
  /** Must pass the event on or throw. */
  publish?(event: PublishInput, next: Next<PublishChange, PassedOn>): unknown
  /** Must pass the event on or throw: then this subscription does not get it. */
  hear?(event: HearInput, next: Next<HearChange, PassedOn>): unknown
}

/** The kinds of traffic that an interceptor can stand in, by its hooks. */
export const INTERCEPTED = ['call', 'serve', 'send', 'receive', 'publish', 'hear'] as const
export type InterceptedKind = (typeof INTERCEPTED)[number]

export const MAX_INTERCEPTORS = 32
const NAME = /^[a-z][a-z0-9-]*(\/[a-z][a-z0-9-]*)?$/
const MAX_NAME = 64

const KEYS = keysOf<Interceptor>({
  name: true,
  before: true,
  after: true,
  call: true,
  serve: true,
  send: true,
  receive: true,
  publish: true,
  hear: true,
})

/** Where a part adds interceptors: `ctx.extend(interceptors, { name: 'acme/audit', ... })` in its `setup`. */
export const interceptors = extensionPoint<Interceptor>('parley/interceptors')

const unusable = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

const isNames = (given: unknown): boolean =>
  given === undefined || (Array.isArray(given) && given.every((one) => typeof one === 'string'))

/**
 * Checks an interceptor and returns it. An object literal may have no other keys; an object of a class may.
 * @throws MSG001 for a name, a place or a hook that cannot be used, and for one without hooks
 */
export const defineInterceptor = <const I extends Interceptor>(interceptor: I): I => {
  if (typeof interceptor !== 'object' || interceptor === null)
    throw unusable('an interceptor is not an object', 'give { name, call(call, next) { ... } }')
  if (Object.getPrototypeOf(interceptor) === Object.prototype) checkKeys(interceptor, KEYS, 'an interceptor')
  const { name, before, after } = interceptor as Interceptor
  if (typeof name !== 'string' || name.length > MAX_NAME || !NAME.test(name))
    throw unusable(
      `the name ${JSON.stringify(name)?.slice(0, 80)} of an interceptor is not usable`,
      `use at most ${MAX_NAME} characters of a-z, 0-9 and -, as in audit or acme/audit`,
    )
  if (!isNames(before) || !isNames(after))
    throw unusable(`before and after of the interceptor ${name} are not lists of names`, "as in before: ['audit']")
  const bad = INTERCEPTED.find((kind) => interceptor[kind] !== undefined && typeof interceptor[kind] !== 'function')
  if (bad !== undefined)
    throw unusable(`${bad} of the interceptor ${name} is no function`, `write ${bad}(input, next) { return next() }`)
  if (INTERCEPTED.every((kind) => interceptor[kind] === undefined))
    throw unusable(`the interceptor ${name} has no hook`, `give it one of ${INTERCEPTED.join(', ')}`)
  return interceptor
}

/** Gives a call the request type of its contract, where it is one of this method. */
export const isCallOf = <
  I extends CallInput | ServeInput,
  P extends AnyProtocol,
  const K extends keyof P['methods'] & string,
>(
  call: I,
  protocol: P,
  method: K,
): call is I & { readonly request: z.input<P['methods'][K]['request']> } =>
  call.protocol === protocol.name && call.method === method && majorOf(call.version) === majorOf(protocol.version)

/** Gives a message the type of its definition's data, where it is one of this type. */
export const isMessageOf = <I extends SendInput | ReceiveInput, S extends ZodType>(
  message: I,
  definition: MessageDefinition<S>,
): message is I & { readonly data: z.input<S> } => message.type === definition.type

/** Gives an event the type of its definition's data, where its topic is one of the definition's. */
export const isEventOf = <I extends PublishInput | HearInput, S extends ZodType>(
  event: I,
  definition: EventDefinition<S>,
): event is I & { readonly data: z.output<S> } =>
  event.topic === definition.topic || (isPattern(definition.topic) && compilePattern(definition.topic)(event.topic))

/** The items of a call of kind `stream`. @throws APP001 for an answer that is no stream */
export const itemsOf = (answer: unknown): AsyncIterable<unknown> => {
  if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer)
    // Whoever has that method is one.
    return answer as AsyncIterable<unknown>
  throw new ParleyError('APP001', 'an interceptor answered a stream with something that is none', {
    hint: 'return what next() resolved to, or an async generator',
  })
}
