/**
 * One call to one peer: the contract checks the input, a link carries it, failures that allow it are recovered from
 * (delivery/recovery/error-recovery.ts). A peer whose breaker is open is not called at all; the mesh's own protocols have no breaker.
 */
import type { CallOptions, Progress } from '../../protocols/define.ts'
import { decideRecovery, type Recoveries } from '../../protocols/delivery/recovery/error-recovery.ts'
import {
  breakerOpenError,
  isBreakerOpenError,
  type PeerBreakers,
} from '../../protocols/delivery/recovery/peer-breakers.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Clock, Timers } from '../../protocols/port.ts'
import type { Caller, OutgoingCall, ResponseSink } from '../../protocols/wire/caller/caller.ts'
import { Headers } from '../../protocols/wire/envelope.ts'
import { WIRE_PRIORITIES } from '../../protocols/wire/frames/frame.ts'
import type { EnvelopeExtra } from '../../protocols/wire/frames/nested-messages.ts'
import { decodePayload, encodePayload, validate } from '../../protocols/wire/payload/payload.ts'
import type { LinkPool, LinkTarget } from '../network/link-pool.ts'
import type { MethodCodec } from './method-codecs.ts'

export interface RetryingCallDeps {
  clock: Clock
  timers: Timers
  links: LinkPool
  chance(): number
  /** Told once per call, when it ended. */
  done(target: MethodCodec, status: string, seconds: number, peer: string): void
  retried(): void
  breakers: PeerBreakers
  /** Calls that go on whatever the breaker says: the mesh's own, and those of the node to itself. */
  isExempt(peer: string, protocolId: string): boolean
  recoveries: Recoveries
}

/**
 * `attempts`: how many there may be at this peer, where others could be asked as well. `isOneOfMany`: whoever chose this
 * peer tells of recoveries that failed. `extendMs`: by how much progress puts the deadline off, where it is not the timeout.
 * `anyway`: also where the peer is left alone, since there is nobody else.
 */
type Replying = CallOptions & {
  extendMs?: number | undefined
  replyTo?: string | undefined
  attempts?: number | undefined
  isOneOfMany?: boolean | undefined
  anyway?: boolean | undefined
}

export interface RetryingCall {
  unary(peer: string, callable: MethodCodec, payload: Uint8Array, options: Replying): Promise<unknown>
  stream(peer: string, callable: MethodCodec, payload: Uint8Array, options: Replying): AsyncIterableIterator<unknown>
  oneWay(peer: string, callable: MethodCodec, payload: Uint8Array, options: Replying): Promise<void>
}

const extraOf = (options: Replying): EnvelopeExtra | undefined => {
  const { replyTo, correlationId, conversationId, traceparent, headers, metadata } = options
  if ((replyTo ?? correlationId ?? conversationId ?? traceparent ?? headers ?? metadata) === undefined) return undefined
  return {
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(conversationId === undefined ? {} : { conversationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(headers === undefined ? {} : { headers: validate(Headers, headers, 'headers') }),
    ...(metadata === undefined ? {} : { metadata: encodePayload('json', metadata) }),
  }
}

const outCall = (target: MethodCodec, payload: Uint8Array, options: Replying, timeoutMs: number): OutgoingCall => {
  const { codec } = target
  return {
    label: codec.label,
    method: codec.name,
    payload,
    content: codec.content,
    priority: options.priority === undefined ? codec.priority : WIRE_PRIORITIES.indexOf(options.priority),
    timeoutMs,
    ttlMs: options.ttlMs,
    maxMs: options.maxMs,
    extendMs: options.extendMs === undefined ? undefined : attemptMs(target, options, options.extendMs),
    signal: options.signal,
    extra: extraOf(options),
  }
}

const timeoutOf = ({ codec }: MethodCodec, options: Replying): number => options.timeoutMs ?? codec.timeoutMs

/** When the call ends: by its limit, whatever is reported, or a timeout after it began or last reported progress. */
const endOf = (target: MethodCodec, options: Replying, startedAt: number, progressedAt: number): number => {
  const timeoutMs = timeoutOf(target, options)
  const extendedAt = progressedAt === 0 ? 0 : progressedAt + (options.extendMs ?? timeoutMs)
  return Math.min(Math.max(startedAt + timeoutMs, extendedAt), startedAt + (options.maxMs ?? Number.POSITIVE_INFINITY))
}

/** What is left of the limit for an attempt that begins now; what its progress gives is not less for being a later one. */
const later = (target: MethodCodec, options: Replying, startedAt: number, now: number): Replying => ({
  ...options,
  extendMs: options.extendMs ?? timeoutOf(target, options),
  ...(options.maxMs === undefined ? {} : { maxMs: Math.max(1, options.maxMs - (now - startedAt)) }),
})

/** What one attempt may take of the time that is left. */
const attemptMs = ({ codec }: MethodCodec, options: Replying, leftMs: number): number => {
  const each = options.attemptTimeoutMs ?? codec.attemptTimeoutMs
  return each === undefined || !codec.idempotent ? leftMs : Math.min(each, leftMs)
}

export const createRetryingCall = (deps: RetryingCallDeps): RetryingCall => {
  const { clock, timers, links, breakers, recoveries } = deps

  const targetOf = (peer: string, { protocolId, version }: MethodCodec): LinkTarget => ({ peer, protocolId, version })

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
  const linkTo = async (
    peer: string,
    target: MethodCodec,
    deadlineAt: number,
    signal?: AbortSignal,
  ): Promise<Caller> => {
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

  /** Runs attempts until one succeeds or there is no way to recover any more. */
  const attempts = async <T>(
    peer: string,
    target: MethodCodec,
    given: Uint8Array,
    options: Replying,
    run: (link: Caller, payload: Uint8Array, timeoutMs: number) => Promise<T>,
    /** Moves with progress. */
    deadlineAt: () => number,
    first?: { error: unknown },
  ): Promise<T> => {
    const { codec } = target
    let payload = given
    let isRevised = codec.revise === undefined || options.signal?.aborted === true
    /** What was recovered from. */
    let original: ParleyError | undefined
    let failure = first
    const giveUp = (error: unknown): never => {
      const recovery = { to: peer, label: codec.label, payload, conversationId: options.conversationId }
      // The mesh's own protocols have ways of their own to go on.
      const isMeant = options.isOneOfMany !== true && !deps.isExempt(peer, target.protocolId)
      if (original !== undefined && isMeant && options.signal?.aborted !== true)
        recoveries.failed({ ...recovery, code: original.code, error: original, recoveryError: error }, true)
      throw error
    }
    /** Waits until the next attempt is due. */
    const prepare = async (error: unknown, count: number): Promise<void> => {
      if (!(error instanceof ParleyError) || options.signal?.aborted === true) return giveUp(error)
      const remainingMs = deadlineAt() - clock.monotonic()
      const { idempotent } = codec
      const facts = { count, most: options.attempts, idempotent, remainingMs, chance: deps.chance(), isRevised }
      const decision = decideRecovery(error, facts)
      if (decision.kind === 'revise') {
        isRevised = true
        const revised = codec.revise?.(payload, error)
        if (revised === undefined) return giveUp(error)
        payload = revised
      } else if (decision.kind !== 'retry') return giveUp(error)
      original ??= error
      deps.retried()
      if (decision.kind === 'retry') await pause(decision.delayMs, options.signal)
    }
    for (let count = failure === undefined ? 0 : 1; ; count += 1) {
      if (failure !== undefined) await prepare(failure.error, count)
      try {
        const link = links.get(peer, target.protocolId) ?? (await linkTo(peer, target, deadlineAt(), options.signal))
        const leftMs = Math.max(1, deadlineAt() - clock.monotonic())
        const result = await run(link, payload, leftMs)
        if (original !== undefined) recoveries.ended(original.code, 'recovered')
        return result
      } catch (error) {
        failure = { error }
      }
    }
  }

  /**
   * A turn of the event loop. Who calls a peer that is left alone again and again, without a pause, would keep everything
   * else from running, the peer's return included.
   */
  const turn = (): Promise<void> => new Promise((resolve) => timers.after(0, resolve))

  /** Asks the breaker, where anything failed lately. @throws COM002 for a peer that is left alone */
  const enter = (peer: string, { protocolId }: MethodCodec, { anyway }: Replying): number | undefined => {
    if (breakers.isQuiet() || deps.isExempt(peer, protocolId)) return undefined
    const now = clock.monotonic()
    if (anyway === true && breakers.isOpen(peer, now)) return undefined
    const pass = breakers.ask(peer, now)
    if (pass.kind === 'refused') throw breakerOpenError(peer, pass.retryAfterMs)
    return pass.probe
  }

  /** The peer answered. */
  const heard = (peer: string, { protocolId }: MethodCodec, probe: number | undefined): void => {
    if (breakers.isQuiet() || deps.isExempt(peer, protocolId)) return
    breakers.success(peer, clock.monotonic(), probe)
  }

  const failed = (
    peer: string,
    target: MethodCodec,
    startedAt: number,
    error: unknown,
    signal: AbortSignal | undefined,
    probe: number | undefined,
  ): void => {
    finish(peer, target, startedAt, statusOf(error))
    if (isBreakerOpenError(error) || deps.isExempt(peer, target.protocolId)) return
    const now = clock.monotonic()
    // What the caller gave up may have been answered a moment later.
    if (signal?.aborted) breakers.nothing(peer, now, probe)
    else {
      // A timer may be early by a fraction of a millisecond.
      const waitedMs = Math.ceil(now - startedAt)
      const isAllOfIt = waitedMs >= target.codec.timeoutMs
      breakers.failed(peer, error, now, probe, isAllOfIt ? Number.POSITIVE_INFINITY : waitedMs)
    }
  }

  const finish = (peer: string, target: MethodCodec, startedAt: number, status: string): void =>
    deps.done(target, status, (clock.monotonic() - startedAt) / 1000, peer)

  /** One unary call. The common case in as few steps as possible: the link is open, and the first attempt succeeds. */
  class UnaryCall implements ResponseSink {
    readonly startedAt = clock.monotonic()
    private readonly peer: string
    private readonly target: MethodCodec
    private readonly payload: Uint8Array
    private readonly options: Replying
    private readonly resolve: (value: unknown) => void
    private readonly reject: (error: unknown) => void
    private probe: number | undefined = undefined
    /** 0 before the first report. */
    private progressedAt = 0

    constructor(
      peer: string,
      target: MethodCodec,
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
      try {
        this.probe = enter(peer, target, options)
        const link = links.get(peer, target.protocolId)
        if (link === undefined) {
          this.again()
          return
        }
        const timeoutMs = attemptMs(target, options, options.timeoutMs ?? target.codec.timeoutMs)
        link.request(outCall(target, payload, options, timeoutMs), this, startedAt)
      } catch (error) {
        if (isBreakerOpenError(error)) timers.after(0, () => this.end(error))
        else this.end(error)
      }
    }

    /** The long way: opens a link where there is none, waits and tries again where that may help. */
    private again(first?: { error: unknown }): void {
      const { peer, target, payload, options, startedAt } = this
      const run = (link: Caller, bytes: Uint8Array, leftMs: number): Promise<Uint8Array> =>
        link.unary({
          ...outCall(
            target,
            bytes,
            later(target, options, startedAt, clock.monotonic()),
            attemptMs(target, options, leftMs),
          ),
          onProgress: (report) => this.progress(report),
        })
      const deadlineAt = (): number => endOf(target, options, startedAt, this.progressedAt)
      attempts(peer, target, payload, options, run, deadlineAt, first).then(
        (bytes) => this.done(bytes),
        (error: unknown) => this.end(error),
      )
    }

    private end(error: unknown): void {
      failed(this.peer, this.target, this.startedAt, error, this.options.signal, this.probe)
      this.reject(error)
    }

    done(bytes: Uint8Array): void {
      heard(this.peer, this.target, this.probe)
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

    progress(report: Progress): void {
      this.progressedAt = clock.monotonic()
      this.options.onProgress?.(report, this.peer)
    }

    /** Of the first attempt. */
    fail(error: unknown): void {
      this.again({ error })
    }
  }

  const unary = (peer: string, target: MethodCodec, payload: Uint8Array, options: Replying): Promise<unknown> =>
    new Promise((resolve, reject) => new UnaryCall(peer, target, payload, options, resolve, reject).start())

  const oneWay = async (peer: string, target: MethodCodec, payload: Uint8Array, options: Replying): Promise<void> => {
    const startedAt = clock.monotonic()
    let probe: number | undefined
    try {
      probe = enter(peer, target, options)
      await attempts(
        peer,
        target,
        payload,
        options,
        (link, bytes, leftMs) => link.oneWay(outCall(target, bytes, options, leftMs)),
        () => endOf(target, options, startedAt, 0),
      )
      finish(peer, target, startedAt, 'ok')
      // It was only sent. That is enough for a probe, where nothing could be sent before, and no more.
      if (probe !== undefined) heard(peer, target, probe)
    } catch (error) {
      failed(peer, target, startedAt, error, options.signal, probe)
      if (isBreakerOpenError(error)) await turn()
      throw error
    }
  }

  const stream = (
    peer: string,
    target: MethodCodec,
    payload: Uint8Array,
    options: Replying,
  ): AsyncIterableIterator<unknown> => {
    const startedAt = clock.monotonic()
    const timeoutMs = timeoutOf(target, options)
    const { onProgress } = options
    let source: AsyncIterableIterator<Uint8Array> | undefined
    let ended = false
    let probe: number | undefined
    let isHeard = false

    const end = (status: string): void => {
      if (ended) return
      ended = true
      finish(peer, target, startedAt, status)
    }
    const open = async (link: Caller, bytes: Uint8Array, leftMs: number): Promise<AsyncIterableIterator<Uint8Array>> =>
      link.stream({
        ...outCall(target, bytes, later(target, options, startedAt, clock.monotonic()), leftMs),
        onProgress: onProgress && ((report) => onProgress(report, peer)),
      })
    const begin = (): Promise<AsyncIterableIterator<Uint8Array>> => {
      probe = enter(peer, target, options)
      const link = links.get(peer, target.protocolId)
      return link === undefined
        ? attempts(peer, target, payload, options, open, () => endOf(target, options, startedAt, 0))
        : open(link, payload, timeoutMs)
    }

    return {
      [Symbol.asyncIterator]() {
        return this
      },
      async next() {
        try {
          if (ended) return { value: undefined, done: true }
          source ??= await begin()
          const result = await source.next()
          if (!isHeard) {
            isHeard = true
            heard(peer, target, probe)
          }
          if (result.done === true) {
            end('ok')
            return { value: undefined, done: true }
          }
          return { value: target.codec.decode(result.value), done: false }
        } catch (error) {
          if (!ended) failed(peer, target, startedAt, error, options.signal, probe)
          ended = true
          if (isBreakerOpenError(error)) await turn()
          await source?.return?.()
          throw error
        }
      },
      async return() {
        if (probe !== undefined && !isHeard) breakers.nothing(peer, clock.monotonic(), probe)
        end('canceled')
        await source?.return?.()
        return { value: undefined, done: true }
      },
    }
  }

  return { unary, stream, oneWay }
}
