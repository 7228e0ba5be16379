/**
 * Calls of this node through its interceptors: they stand around the whole call, its choice of a peer and its retries
 * included. One to many peers (`all`) is one call for each of them.
 *
 * The request is written, and so checked, behind the last interceptor; the answer is checked in front of the first one.
 * Protocols of the mesh itself are not intercepted.
 */
import type { CallOptions } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { RunLimit } from '../../../protocols/interceptors/chain-run.ts'
import type { CallChain } from '../../../protocols/interceptors/chains.ts'
import type { CallInput } from '../../../protocols/interceptors/interceptor.ts'
import type { Clock } from '../../../protocols/port.ts'
import { callValuesOf, mapItems } from '../../../protocols/wire/payload/intercepted-values.ts'
import { endOf, timeoutOf } from '../call-budget.ts'
import type { ByteCallOptions, ByteCalls, CallAddress, Reply } from '../clients.ts'
import type { MethodCodec } from '../method-codecs.ts'

export interface InterceptedCallsDeps {
  readonly calls: ByteCalls
  readonly chain: CallChain
  readonly clock: Pick<Clock, 'monotonic'>
  /** One of the mesh's own protocols. */
  isOwn(protocolId: string): boolean
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** The time of one call, and what it becomes for whoever carries it out. */
class CallTime {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #target: MethodCodec
  readonly #options: ByteCallOptions
  readonly #startedAt: number
  /** 0 before the first report. */
  #progressedAt = 0
  readonly #stop = new AbortController()
  readonly signal: AbortSignal

  constructor(clock: Pick<Clock, 'monotonic'>, target: MethodCodec, options: ByteCallOptions) {
    this.#clock = clock
    this.#target = target
    this.#options = options
    this.#startedAt = clock.monotonic()
    const { signal } = options
    this.signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal])
  }

  readonly leftMs = (): number =>
    endOf(this.#target, this.#options, this.#startedAt, this.#progressedAt) - this.#clock.monotonic()

  /** Interceptors of a stream have the call's time for each of its items. */
  readonly leftOfItemMs = (sinceMs: number): number => timeoutOf(this.#target, this.#options) - sinceMs

  readonly ended = (error: unknown): void => this.#stop.abort(error)

  /** With what is left of its time. */
  optionsFor({ headers }: CallInput): ByteCallOptions {
    const options = this.#options
    const goneMs = Math.floor(this.#clock.monotonic() - this.#startedAt)
    const timeoutMs = timeoutOf(this.#target, options)
    return {
      ...options,
      ...(headers !== NO_HEADERS && { headers: { ...headers } }),
      ...(goneMs > 0 && { timeoutMs: Math.max(1, timeoutMs - goneMs), extendMs: options.extendMs ?? timeoutMs }),
      ...(goneMs > 0 && options.maxMs !== undefined && { maxMs: Math.max(1, options.maxMs - goneMs) }),
      signal: this.signal,
      onProgress: this.#progressed,
    }
  }

  readonly #progressed: NonNullable<CallOptions['onProgress']> = (report, peer) => {
    this.#progressedAt = this.#clock.monotonic()
    this.#options.onProgress?.(report, peer)
  }
}

const nameOf = (address: CallAddress): string | undefined =>
  address.kind === 'peer' ? address.peer : address.kind === 'name' ? address.name : undefined

const checked = (target: MethodCodec, check: (answer: unknown) => unknown, answer: unknown): unknown => {
  try {
    return check(answer)
  } catch (cause) {
    throw new ParleyError('APP001', `${target.codec.label} got an answer that its contract does not allow`, {
      hint: 'an interceptor of this node changed it or made it; see the cause',
      cause,
    })
  }
}

export class InterceptedCalls implements ByteCalls {
  readonly #deps: InterceptedCallsDeps

  constructor(deps: InterceptedCallsDeps) {
    this.#deps = deps
  }

  one(address: CallAddress, target: MethodCodec, payload: Uint8Array, options: ByteCallOptions): Promise<unknown> {
    const { calls } = this.#deps
    if (this.#deps.isOwn(target.protocolId)) return calls.one(address, target, payload, options)
    return this.#run(nameOf(address), target, payload, options, (bytes, own) => calls.one(address, target, bytes, own))
  }

  stream(
    address: CallAddress,
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
  ): AsyncIterableIterator<unknown> {
    const { calls, chain } = this.#deps
    if (this.#deps.isOwn(target.protocolId)) return calls.stream(address, target, payload, options)
    const values = callValuesOf(target.codec)
    const time = new CallTime(this.#deps.clock, target, options)
    const limit: RunLimit = { signal: time.signal, leftMs: time.leftOfItemMs, ended: time.ended }
    const items = chain.stream(
      this.#inputOf(nameOf(address), target, values.read(payload), options, time),
      (input) =>
        mapItems(calls.stream(address, target, values.write(input.request), time.optionsFor(input)), values.value),
      (item) => checked(target, values.answer, item),
      limit,
    )
    let waiting = 0
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next() {
        waiting += 1
        return items.next().finally(() => {
          waiting -= 1
        })
      },
      /** A generator's waits for a next() that is open. */
      return() {
        if (waiting > 0)
          time.ended(new ParleyError('COM001', 'the stream was given up', { hint: 'read it to its end' }))
        return items.return()
      },
    }
  }

  all(
    address: CallAddress,
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
  ): AsyncIterableIterator<Reply<unknown>> {
    const { calls } = this.#deps
    if (this.#deps.isOwn(target.protocolId)) return calls.all(address, target, payload, options)
    return calls.all(address, target, payload, {
      ...options,
      around: (peer, own, call) => this.#run(peer, target, payload, own, call),
    })
  }

  async #run(
    peer: string | undefined,
    target: MethodCodec,
    payload: Uint8Array,
    options: ByteCallOptions,
    call: (payload: Uint8Array, options: ByteCallOptions) => Promise<unknown>,
  ): Promise<unknown> {
    const values = callValuesOf(target.codec)
    const time = new CallTime(this.#deps.clock, target, options)
    const isAnswered = target.codec.kind === 'unary' && options.replyTo === undefined
    const input = this.#inputOf(peer, target, values.read(payload), options, time)
    const limit: RunLimit = { signal: time.signal, leftMs: time.leftMs, ended: time.ended }
    const answer = await this.#deps.chain.run(
      input,
      async (changed) => {
        const given = await call(values.write(changed.request), time.optionsFor(changed))
        return isAnswered ? values.value(given) : given
      },
      limit,
    )
    return isAnswered ? checked(target, values.answer, answer) : answer
  }

  #inputOf(
    peer: string | undefined,
    { codec, protocol, version }: MethodCodec,
    request: unknown,
    options: ByteCallOptions,
    time: CallTime,
  ): CallInput {
    return {
      protocol,
      version,
      method: codec.name,
      methodKind: codec.kind,
      peer,
      request,
      headers: options.headers ?? NO_HEADERS,
      metadata: options.metadata ?? {},
      conversationId: options.conversationId,
      correlationId: options.correlationId,
      signal: time.signal,
      remainingMs: () => Math.max(0, time.leftMs()),
    }
  }
}
