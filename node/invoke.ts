/**
 * One call to one peer: the contract checks the input, a link carries it, failures that allow it are tried again.
 *
 * Keeps no state.
 */
import type { CallOptions } from '../protocols/define.ts'
import { ParleyError } from '../protocols/errors.ts'
import type { Clock, Timers } from '../protocols/port.ts'
import type { Caller, OutCall, Sink } from '../protocols/wire/caller.ts'
import { Headers } from '../protocols/wire/envelope.ts'
import { type Extra, WIRE_PRIORITIES } from '../protocols/wire/frame.ts'
import { check, decodePayload, encodePayload } from '../protocols/wire/payload.ts'
import { decide } from '../protocols/wire/retry.ts'
import type { Callable } from './callable.ts'
import type { Links, LinkTarget } from './links.ts'

export interface InvokeDeps {
  clock: Clock
  timers: Timers
  links: Links
  chance(): number
  /** Told once per call, when it ended. */
  done(label: string, status: string, seconds: number, peer: string): void
  retried(): void
}

/** `attempts`: how many there may be at this peer, where others could be asked as well. */
type Replying = CallOptions & { replyTo?: string | undefined; attempts?: number | undefined }

export interface Invoke {
  unary(peer: string, callable: Callable, payload: Uint8Array, options: Replying): Promise<unknown>
  stream(peer: string, callable: Callable, payload: Uint8Array, options: Replying): AsyncIterableIterator<unknown>
  oneWay(peer: string, callable: Callable, payload: Uint8Array, options: Replying): Promise<void>
}

const extraOf = (options: Replying): Extra | undefined => {
  const { replyTo, correlationId, conversationId, traceparent, headers, metadata } = options
  if ((replyTo ?? correlationId ?? conversationId ?? traceparent ?? headers ?? metadata) === undefined) return undefined
  return {
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(conversationId === undefined ? {} : { conversationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(headers === undefined ? {} : { headers: check(Headers, headers, 'headers') }),
    ...(metadata === undefined ? {} : { metadata: encodePayload('json', metadata) }),
  }
}

const outCall = ({ codec }: Callable, payload: Uint8Array, options: Replying, timeoutMs: number): OutCall => ({
  label: codec.label,
  method: codec.name,
  payload,
  content: codec.content,
  priority: options.priority === undefined ? codec.priority : WIRE_PRIORITIES.indexOf(options.priority),
  timeoutMs,
  ttlMs: options.ttlMs,
  signal: options.signal,
  extra: extraOf(options),
})

export const createInvoke = (deps: InvokeDeps): Invoke => {
  const { clock, timers, links } = deps

  const targetOf = (peer: string, { protocolId, version }: Callable): LinkTarget => ({ peer, protocolId, version })

  const pause = (delayMs: number, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => {
        stop()
        reject(signal?.reason)
      }
      const stop = timers.after(delayMs, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      if (signal?.aborted) onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
    })

  const timedOut = (label: string, timeoutMs: number): ParleyError =>
    new ParleyError('COM001', `${label} found no open connection within ${timeoutMs} ms`, {
      hint: 'give it more time with timeoutMs, or see whether the peer is up',
    })

  /** The open link, dialled and opened within what is left of the call's time. */
  const linkTo = async (peer: string, target: Callable, deadlineAt: number, signal?: AbortSignal): Promise<Caller> => {
    const leftMs = Math.max(1, deadlineAt - clock.monotonic())
    const limit = new AbortController()
    const stop = timers.after(leftMs, () => limit.abort(timedOut(target.codec.label, Math.round(leftMs))))
    try {
      return await links.open(
        targetOf(peer, target),
        signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]),
      )
    } finally {
      stop()
    }
  }

  const statusOf = (error: unknown): string => (error instanceof ParleyError ? error.code : 'aborted')

  /** Runs attempts until one succeeds or the policy gives up. */
  const attempts = async <T>(
    peer: string,
    target: Callable,
    options: Replying,
    run: (link: Caller, timeoutMs: number) => Promise<T>,
    startedAt: number,
    first?: { error: unknown },
  ): Promise<T> => {
    const deadlineAt = startedAt + (options.timeoutMs ?? target.codec.timeoutMs)
    let failure = first
    for (let count = failure === undefined ? 0 : 1; ; count += 1) {
      if (failure !== undefined) {
        const remainingMs = deadlineAt - clock.monotonic()
        const idempotent = target.codec.idempotent
        const most = options.attempts
        const decision = decide(failure.error, { count, most, idempotent, remainingMs, chance: deps.chance() })
        if (decision.kind === 'give-up') throw failure.error
        deps.retried()
        await pause(decision.delayMs, options.signal)
      }
      try {
        const link = links.get(peer, target.protocolId) ?? (await linkTo(peer, target, deadlineAt, options.signal))
        return await run(link, Math.max(1, deadlineAt - clock.monotonic()))
      } catch (error) {
        failure = { error }
      }
    }
  }

  const finish = (peer: string, target: Callable, startedAt: number, status: string): void =>
    deps.done(target.codec.label, status, (clock.monotonic() - startedAt) / 1000, peer)

  /** One unary call. The common case in as few steps as possible: the link is open, and the first attempt succeeds. */
  class UnaryCall implements Sink {
    readonly startedAt = clock.monotonic()
    private readonly peer: string
    private readonly target: Callable
    private readonly payload: Uint8Array
    private readonly options: Replying
    private readonly resolve: (value: unknown) => void
    private readonly reject: (error: unknown) => void

    constructor(
      peer: string,
      target: Callable,
      payload: Uint8Array,
      options: Replying,
      resolve: (value: unknown) => void,
      reject: (error: unknown) => void,
    ) {
      this.peer = peer
      this.target = target
      this.payload = payload
      this.options = options
      this.resolve = resolve
      this.reject = reject
    }

    start(): void {
      const { peer, target, payload, options, startedAt } = this
      const link = links.get(peer, target.protocolId)
      if (link === undefined) {
        this.again()
        return
      }
      try {
        link.request(outCall(target, payload, options, options.timeoutMs ?? target.codec.timeoutMs), this, startedAt)
      } catch (error) {
        this.end(error)
      }
    }

    /** The long way: opens a link where there is none, waits and tries again where that may help. */
    private again(first?: { error: unknown }): void {
      const { peer, target, payload, options, startedAt } = this
      const run = (link: Caller, leftMs: number): Promise<Uint8Array> =>
        link.unary(outCall(target, payload, options, leftMs))
      attempts(peer, target, options, run, startedAt, first).then(
        (bytes) => this.done(bytes),
        (error: unknown) => this.end(error),
      )
    }

    private end(error: unknown): void {
      finish(this.peer, this.target, this.startedAt, statusOf(error))
      this.reject(error)
    }

    done(bytes: Uint8Array): void {
      let value: unknown
      try {
        value =
          this.options.replyTo === undefined ? this.target.codec.decode(bytes) : { id: decodePayload('json', bytes) }
      } catch (error) {
        this.end(error)
        return
      }
      finish(this.peer, this.target, this.startedAt, 'ok')
      this.resolve(value)
    }

    /** Of the first attempt. */
    fail(error: unknown): void {
      this.again({ error })
    }
  }

  const unary = (peer: string, target: Callable, payload: Uint8Array, options: Replying): Promise<unknown> =>
    new Promise((resolve, reject) => new UnaryCall(peer, target, payload, options, resolve, reject).start())

  const oneWay = async (peer: string, target: Callable, payload: Uint8Array, options: Replying): Promise<void> => {
    const startedAt = clock.monotonic()
    try {
      await attempts(
        peer,
        target,
        options,
        (link, leftMs) => link.oneWay(outCall(target, payload, options, leftMs)),
        startedAt,
      )
      finish(peer, target, startedAt, 'ok')
    } catch (error) {
      finish(peer, target, startedAt, statusOf(error))
      throw error
    }
  }

  const stream = (
    peer: string,
    target: Callable,
    payload: Uint8Array,
    options: Replying,
  ): AsyncIterableIterator<unknown> => {
    const startedAt = clock.monotonic()
    const timeoutMs = options.timeoutMs ?? target.codec.timeoutMs
    let source: AsyncIterableIterator<Uint8Array> | undefined
    let ended = false

    const end = (status: string): void => {
      if (ended) return
      ended = true
      finish(peer, target, startedAt, status)
    }
    const open = async (link: Caller, leftMs: number): Promise<AsyncIterableIterator<Uint8Array>> =>
      link.stream(outCall(target, payload, options, leftMs))

    return {
      [Symbol.asyncIterator]() {
        return this
      },
      async next() {
        try {
          if (ended) return { value: undefined, done: true }
          const link = links.get(peer, target.protocolId)
          source ??=
            link === undefined ? await attempts(peer, target, options, open, startedAt) : await open(link, timeoutMs)
          const result = await source.next()
          if (result.done === true) {
            end('ok')
            return { value: undefined, done: true }
          }
          return { value: target.codec.decode(result.value), done: false }
        } catch (error) {
          end(statusOf(error))
          await source?.return?.()
          throw error
        }
      },
      async return() {
        end('canceled')
        await source?.return?.()
        return { value: undefined, done: true }
      },
    }
  }

  return { unary, stream, oneWay }
}
