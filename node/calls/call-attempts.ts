/**
 * Attempts of one call at one peer: asks the circuit breaker before the first, opens a link where there is none, decides
 * after each failure whether there is another attempt (delivery/recovery/error-recovery.ts), and tells the breaker and the
 * metrics how the call ended. The mesh's own protocols have no breaker. State: none beside that of one call.
 */
import { delay } from '../../protocols/async.ts'
import { decideRecovery, type Recoveries } from '../../protocols/delivery/recovery/error-recovery.ts'
import {
  breakerOpenError,
  isBreakerOpenError,
  type PeerBreakers,
} from '../../protocols/delivery/recovery/peer-breakers.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Clock, Timers } from '../../protocols/port.ts'
import type { Caller } from '../../protocols/wire/caller/caller.ts'
import type { LinkPool } from '../network/link-pool.ts'
import { isUnhandled } from './budgeted-calls.ts'
import { observerOf, type PeerCallOptions } from './call-budget.ts'
import { requireNew } from './call-parent.ts'
import type { MethodCodec } from './method-codecs.ts'

export interface CallAttemptsDeps {
  clock: Clock
  timers: Timers
  links: Pick<LinkPool, 'get' | 'open'>
  chance(): number
  /** Told once per call, when it ended. */
  done(target: MethodCodec, status: string, seconds: number, peer: string): void
  retried(): void
  breakers: PeerBreakers
  /** Calls that go on whatever the breaker says: the mesh's own, and those of the node to itself. */
  isExempt(peer: string, protocolId: string): boolean
  recoveries: Recoveries
}

/** What is tried again and again. */
export interface AttemptedCall<T> {
  readonly peer: string
  readonly target: MethodCodec
  readonly payload: Uint8Array
  readonly options: PeerCallOptions
  run(link: Caller, payload: Uint8Array, leftMs: number): Promise<T>
  /** On the monotonic clock; moves with progress. */
  deadlineAt(): number
}

const statusOf = (error: unknown): string => (error instanceof ParleyError ? error.code : 'aborted')

const timedOut = (label: string, timeoutMs: number): ParleyError =>
  new ParleyError('COM001', `${label} found no open connection within ${timeoutMs} ms`, {
    hint: 'give it more time with timeoutMs, or see whether the peer is up',
  })

export class CallAttempts {
  readonly #deps: CallAttemptsDeps

  constructor(deps: CallAttemptsDeps) {
    this.#deps = deps
  }

  now(): number {
    return this.#deps.clock.monotonic()
  }

  /** The open link; undefined where one has to be opened. */
  openLink(peer: string, protocolId: string): Caller | undefined {
    return this.#deps.links.get(peer, protocolId)
  }

  /**
   * Asks the breaker, where anything failed a short time ago.
   * @returns the number of the probe, where this call is one
   * @throws COM002 for a peer that is left alone; STA003 `delegation-cycle`
   */
  enter(peer: string, target: MethodCodec, options: PeerCallOptions): number | undefined {
    const { breakers } = this.#deps
    const { anyway } = options
    const { protocolId } = target
    requireNew(options, peer, target)
    if (breakers.isQuiet() || this.#deps.isExempt(peer, protocolId)) return undefined
    const now = this.now()
    if (anyway === true && breakers.isOpen(peer, now)) return undefined
    const pass = breakers.ask(peer, now)
    if (pass.kind === 'refused') throw breakerOpenError(peer, pass.retryAfterMs)
    return pass.probe
  }

  /** The peer answered. */
  answered(peer: string, { protocolId }: MethodCodec, probe: number | undefined): void {
    const { breakers } = this.#deps
    if (breakers.isQuiet() || this.#deps.isExempt(peer, protocolId)) return
    breakers.success(peer, this.now(), probe)
  }

  /** The caller did not wait for the answer: the probe showed nothing. */
  abandoned(peer: string, probe: number): void {
    this.#deps.breakers.nothing(peer, this.now(), probe)
  }

  finished(peer: string, target: MethodCodec, startedAt: number, status: string): void {
    this.#deps.done(target, status, (this.now() - startedAt) / 1000, peer)
  }

  failed(
    peer: string,
    target: MethodCodec,
    startedAt: number,
    error: unknown,
    signal: AbortSignal | undefined,
    probe: number | undefined,
  ): void {
    const { breakers } = this.#deps
    this.finished(peer, target, startedAt, statusOf(error))
    if (isBreakerOpenError(error) || this.#deps.isExempt(peer, target.protocolId)) return
    const now = this.now()
    // What the caller gave up may have been answered a moment later.
    if (signal?.aborted) breakers.nothing(peer, now, probe)
    else {
      // A timer may be early by a fraction of a millisecond.
      const waitedMs = Math.ceil(now - startedAt)
      const isAllOfIt = waitedMs >= target.codec.timeoutMs
      breakers.failed(peer, error, now, probe, isAllOfIt ? Number.POSITIVE_INFINITY : waitedMs)
    }
  }

  /**
   * A turn of the event loop. Who calls a peer that is left alone again and again, without a pause, would keep everything
   * else from running, the peer's return included.
   */
  nextTurn(): Promise<void> {
    return delay(this.#deps.timers, 0)
  }

  /**
   * Attempts until one succeeds or there is no way to recover any more.
   * @param first why the first attempt failed, where it was made already
   */
  async run<T>(call: AttemptedCall<T>, first?: { error: unknown }): Promise<T> {
    const { peer, target } = call
    const state: AttemptsState = {
      payload: call.payload,
      isRevised: target.codec.revise === undefined || call.options.signal?.aborted === true,
      original: undefined,
    }
    let failure = first
    for (let count = failure === undefined ? 0 : 1; ; count += 1) {
      if (failure !== undefined) await this.#recover(call, state, failure.error, count)
      try {
        const link = this.openLink(peer, target.protocolId) ?? (await this.#linkTo(call))
        const leftMs = Math.max(1, call.deadlineAt() - this.now())
        const result = await call.run(link, state.payload, leftMs)
        if (state.original !== undefined) this.#deps.recoveries.ended(state.original.code, 'recovered')
        return result
      } catch (error) {
        failure = { error }
      }
    }
  }

  /** Waits until the next attempt is due. @throws the error where there is none */
  async #recover<T>(call: AttemptedCall<T>, state: AttemptsState, error: unknown, count: number): Promise<void> {
    const { target, options } = call
    observerOf(options)?.failed(isUnhandled(error))
    if (!(error instanceof ParleyError) || options.signal?.aborted === true) return this.#giveUp(call, state, error)
    const decision = decideRecovery(error, {
      count,
      most: options.attempts,
      idempotent: target.codec.idempotent,
      remainingMs: call.deadlineAt() - this.now(),
      chance: this.#deps.chance(),
      isRevised: state.isRevised,
    })
    if (decision.kind === 'revise') {
      state.isRevised = true
      const revised = target.codec.revise?.(state.payload, error)
      if (revised === undefined) return this.#giveUp(call, state, error)
      state.payload = revised
    } else if (decision.kind !== 'retry') return this.#giveUp(call, state, error)
    state.original ??= error
    this.#deps.retried()
    if (decision.kind === 'retry') await delay(this.#deps.timers, decision.delayMs, options.signal)
  }

  #giveUp<T>({ peer, target, options }: AttemptedCall<T>, { original, payload }: AttemptsState, error: unknown): never {
    // The mesh's own protocols have ways of their own to go on.
    const isMeant = options.isOneOfMany !== true && !this.#deps.isExempt(peer, target.protocolId)
    if (original !== undefined && isMeant && options.signal?.aborted !== true) {
      const call = { to: peer, label: target.codec.label, payload, conversationId: options.conversationId }
      this.#deps.recoveries.failed({ ...call, code: original.code, error: original, recoveryError: error }, true)
    }
    throw error
  }

  /** A link, dialled and opened within what is left of the call's time. */
  async #linkTo<T>({ peer, target, options: { signal }, deadlineAt }: AttemptedCall<T>): Promise<Caller> {
    const leftMs = Math.max(1, deadlineAt() - this.now())
    const limit = new AbortController()
    const stop = this.#deps.timers.after(leftMs, () => limit.abort(timedOut(target.codec.label, Math.round(leftMs))))
    const { protocolId, version } = target
    try {
      return await this.#deps.links.open(
        { peer, protocolId, version },
        signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]),
      )
    } finally {
      stop()
    }
  }
}

interface AttemptsState {
  /** As it was revised, where it was. */
  payload: Uint8Array
  isRevised: boolean
  /** What was recovered from. */
  original: ParleyError | undefined
}
