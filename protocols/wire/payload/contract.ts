/**
 * A contract and its handlers, compiled to functions over bytes: decode > schema > handler > schema > encode.
 *
 * What runs a request (responder.ts, or a worker thread behind it) needs nothing of zod or of the contract's types.
 */
import {
  type AnyProtocol,
  type Content,
  type Context,
  type Handlers,
  kindOf,
  type Method,
  type MethodKind,
} from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import { WIRE_CONTENTS, WIRE_PRIORITIES } from '../frames/frame.ts'
import { decodePayload, encodePayload, validate } from './payload.ts'
import { type CborFallback, decodeOpen, encodeOpen, revisePayload } from './payload-recovery.ts'

export const DEFAULT_TIMEOUT_MS = 30_000

/** What both sides need to know of a method, without its schemas. */
export interface MethodFacts {
  readonly name: string
  readonly kind: MethodKind
  readonly capability: string | undefined
  readonly timeoutMs: number
  /** Milliseconds of one attempt, where more than one may be made; the whole call's unless told. */
  readonly attemptTimeoutMs?: number | undefined
  readonly idempotent: boolean
  /** Number on the wire. */
  readonly content: number
  /** Number on the wire. */
  readonly priority: number
}

/** What a request that runs elsewhere (in a worker thread) needs to know beside what its handler is told. */
export interface RunContext extends Context {
  /** By how many milliseconds progress puts the deadline off. */
  readonly extendMs: number
  /** What the envelope says of it, without making one. */
  readonly conversationId?: string | undefined
  /** Milliseconds until the caller gives up whatever is reported; infinite where it has set no limit. */
  limitMs(): number
}

export type RunMethod = (
  payload: Uint8Array,
  context: RunContext,
) => Uint8Array | Promise<Uint8Array> | AsyncIterable<Uint8Array>

/** Values of one method for interceptors, on the caller's side. */
export interface CallValues {
  /** The request out of the bytes that a client made. */
  read(payload: Uint8Array): unknown
  /** @throws MSG001 for a request that does not fit, MSG002 */
  write(request: unknown): Uint8Array
  /** The answer as interceptors get it, out of what the call resolved to. */
  value(answer: unknown): unknown
  /** The answer as the program gets it. @throws MSG001 for one that does not fit */
  answer(value: unknown): unknown
}

/** The same on the answering side. */
export interface ServedValues {
  /** @throws MSG001 for a request that does not fit, MSG003 */
  request(payload: Uint8Array): unknown
  /** @returns what the handler returns: an answer, a promise of one, or items. @throws MSG001 for a request that does not fit */
  handle(request: unknown, context: RunContext): unknown
  /** @throws APP001 for an answer that does not fit */
  answer(value: unknown): Uint8Array
}

export interface Endpoint extends MethodFacts {
  /**
   * The answer's bytes (empty for one-way) or a promise of them, or the items of a stream, each encoded when it is asked
   * for.
   */
  readonly run: RunMethod
  /** For interceptors; never sent to another thread. Undefined where the contract is not at hand. */
  readonly values?: ServedValues | undefined
}

/** What is served under one protocol id. */
export interface Served {
  readonly name: string
  readonly version: string
  readonly methods: ReadonlyMap<string, Endpoint>
}

export const factsOf = (name: string, method: Method): MethodFacts => ({
  name,
  kind: kindOf(method),
  capability: method.capability,
  timeoutMs: method.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  ...(method.attemptTimeoutMs !== undefined && { attemptTimeoutMs: method.attemptTimeoutMs }),
  idempotent: method.idempotent ?? false,
  content: WIRE_CONTENTS.indexOf(method.content ?? 'json'),
  priority: Math.max(0, WIRE_PRIORITIES.indexOf(method.priority ?? 'normal')),
})

const contentOf = (method: Method): Content => method.content ?? 'json'

/** Where the contract leaves the content open, what JSON cannot hold is written as CBOR. */
const codecOf = ({ content }: Method, rewritten?: (rewriting: CborFallback) => void) => ({
  read: (bytes: Uint8Array): unknown => (content === undefined ? decodeOpen(bytes) : decodePayload(content, bytes)),
  write: (value: unknown): Uint8Array =>
    content === undefined ? encodeOpen(value, rewritten) : encodePayload(content, value),
})

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'

async function* encodeItems(
  items: AsyncIterable<unknown>,
  encode: (item: unknown) => Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const item of items) yield encode(item)
}

/** The caller's side of one method: what its input is made to before it is sent, and what its answers are made to. */
export interface CallerCodec extends MethodFacts {
  readonly label: string
  encode(input: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
  /** After the other side refused the payload (MSG001): another one that it may take, or undefined. */
  revise?: ((payload: Uint8Array, error: ParleyError) => Uint8Array | undefined) | undefined
  /** For interceptors; never sent to another thread. Undefined where the contract is not at hand. */
  readonly values?: CallValues | undefined
}

/**
 * @param timeoutMs where the method does not say, asked at each call; 30,000 unless told
 * @param rewritten told of inputs that JSON cannot hold
 */
export const callerCodec = (
  protocol: AnyProtocol,
  name: string,
  method: Method,
  timeoutMs: () => number = () => DEFAULT_TIMEOUT_MS,
  rewritten?: (label: string, rewriting: CborFallback) => void,
): CallerCodec => {
  const label = `${protocol.name}.${name}`
  const codec = codecOf(method, (rewriting) => rewritten?.(label, rewriting))
  const answer = 'stream' in method ? method.stream : 'response' in method ? method.response : undefined
  const answerName = `${label} ${'stream' in method ? 'item' : 'response'}`
  const encode = (input: unknown): Uint8Array => codec.write(validate(method.request, input, `${label} request`))
  return {
    ...factsOf(name, method),
    get timeoutMs() {
      return method.timeoutMs ?? timeoutMs()
    },
    label,
    encode,
    decode: (bytes) =>
      answer === undefined ? undefined : validate(answer, codec.read(bytes), answerName, bytes.length),
    revise: (payload, error) =>
      // An error about anything else, as of a call that the handler made, is not about this payload.
      contentOf(method) === 'bytes' || error.details.what !== `${label} request`
        ? undefined
        : revisePayload(method.request, codec, payload, error.details.issues),
    values: {
      read: codec.read,
      write: encode,
      value: (given) => given,
      answer: (value) => (answer === undefined ? undefined : validate(answer, value, answerName)),
    },
  }
}

/** What the handler gave does not fit its own contract: the caller is told so, without the value. */
const answerFault = (label: string, error: unknown): never => {
  if (!(error instanceof ParleyError)) throw error
  throw new ParleyError('APP001', `${label} answered with something that its contract does not allow`, {
    hint: 'the agent that serves it has to be mended',
    details: error.details,
    cause: error,
  })
}

/**
 * @throws MSG001 when a method has no handler, or a handler no method
 */
export const compile = <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Served => {
  const methods = new Map<string, Endpoint>()
  const given = handlers as Record<string, unknown>
  // Only functions: the handlers may be methods of an object that keeps state of its own.
  const stray = Object.keys(given).find(
    (name) => typeof given[name] === 'function' && !Object.hasOwn(protocol.methods, name),
  )
  if (stray !== undefined) {
    throw new ParleyError('MSG001', `${protocol.name} has no method ${stray}`, {
      hint: 'remove the handler or add the method',
    })
  }
  for (const [name, method] of Object.entries(protocol.methods)) {
    const handler = given[name]
    if (typeof handler !== 'function') {
      throw new ParleyError('MSG001', `${protocol.name}.${name} has no handler`, {
        hint: 'serve() needs one for each method',
      })
    }
    const label = `${protocol.name}.${name}`
    const codec = codecOf(method)
    const read = (payload: Uint8Array) =>
      validate(method.request, codec.read(payload), `${label} request`, payload.length)
    const schema = 'stream' in method ? method.stream : 'response' in method ? method.response : undefined
    const write = (value: unknown): Uint8Array => {
      if (schema === undefined) return new Uint8Array(0)
      try {
        return codec.write(validate(schema, value, `${label} answer`))
      } catch (error) {
        return answerFault(label, error)
      }
    }
    const call = (payload: Uint8Array, context: Context): unknown => handler.call(given, read(payload), context)
    const values: ServedValues = {
      request: read,
      handle: (request, context) => handler.call(given, validate(method.request, request, `${label} request`), context),
      answer: write,
    }
    const run: RunMethod =
      kindOf(method) === 'stream'
        ? (payload, context) => encodeItems(call(payload, context) as AsyncIterable<unknown>, write)
        : (payload, context) => {
            const value = call(payload, context)
            return isThenable(value) ? Promise.resolve(value).then(write) : write(value)
          }
    methods.set(name, { ...factsOf(name, method), run, values })
  }
  return { name: protocol.name, version: protocol.version, methods }
}
