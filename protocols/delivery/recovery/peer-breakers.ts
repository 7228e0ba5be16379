/**
 * The circuit breakers of all destinations that failed lately, and what counts as a failure.
 *
 * A failure: no answer in time (COM001), or no connection (COM002), found out on this side. Whatever the peer itself
 * answered shows that it is there: its handler's errors (APP001), what does not fit (MSG*), and its COM003, which tells by
 * itself when to come again. What says nothing of the peer: a call that its caller gave up or gave hardly any time, a
 * message that could not be written or expired here, a full queue of this node's own, this node's stop.
 *
 * State: breakers by peer, at most `maxPeers`; who never failed has none, so a successful call costs nothing while
 * `isQuiet()`. Of too many the closed one used longest ago goes, and where all are open, the one used longest ago.
 */
import { isParleyError, ParleyError } from '../../errors.ts'
import {
  type BreakerInput,
  type BreakerSettings,
  type BreakerState,
  CLOSED_BREAKER,
  DEFAULT_BREAKER,
  stepBreaker,
} from './circuit-breaker.ts'

export interface CallBreakerSettings extends BreakerSettings {
  /** Milliseconds that a call has to wait in vain to count; 1,000 unless told. */
  readonly minWaitMs?: number
}
const MIN_WAIT_MS = 1_000

export type BreakerOutcome = 'success' | 'failure' | 'nothing'

/** What an error tells of the peer that was called. */
export const breakerOutcomeOf = (error: unknown): BreakerOutcome => {
  if (!(error instanceof ParleyError)) return 'nothing'
  if (error.remote) return 'success'
  if (isParleyError(error, 'COM001', 'COM002'))
    return error.details.breaker === 'open' || error.details.reason === 'stopping' ? 'nothing' : 'failure'
  // It does not speak this, or answered with what cannot be read: it is there.
  return isParleyError(error, 'MSG003', 'MSG004') ? 'success' : 'nothing'
}

/** `probe`: this call decides what becomes of the breaker, and has to report it. */
export type BreakerDecision =
  | { readonly kind: 'pass'; readonly probe?: number }
  | { readonly kind: 'refused'; readonly retryAfterMs: number }

export interface PeerBreakerView {
  readonly peer: string
  readonly state: BreakerState['kind']
  /** Of a closed one: failures within the window. */
  readonly failures: number
  /** Of the others: until the next probe may pass, milliseconds; 0 where one may pass now. */
  readonly retryAfterMs: number
}

export interface BreakerCounts {
  opened: number
  closed: number
  refused: number
  probes: number
  /** Breakers that were forgotten to make room. */
  forgotten: number
}

const MAX_PEERS = 1024
const PASS: BreakerDecision = { kind: 'pass' }

/** What a call is told that is not made. */
export const breakerOpenError = (peer: string, retryAfterMs: number): ParleyError =>
  new ParleyError('COM002', `${peer} failed too often lately and is left alone for ${Math.ceil(retryAfterMs)} ms`, {
    hint: 'call any() to reach another peer, or try again after details.retryAfterMs; is it running? See parley peers',
    details: { sent: false, breaker: 'open', retryAfterMs: Math.ceil(retryAfterMs) },
  })

/** True for the error of a call that was not made because of an open breaker. */
export const isBreakerOpenError = (error: unknown): boolean =>
  isParleyError(error, 'COM002') && !error.remote && error.details.breaker === 'open'

const RANKS = { open: 0, 'half-open': 1, closed: 2 }

const waitMs = (state: BreakerState, nowMs: number): number =>
  state.kind === 'closed' ? 0 : Math.max(0, state.untilMs - nowMs)

export class PeerBreakers {
  readonly #settings: Readonly<CallBreakerSettings>
  readonly #maxPeers: number
  /** Used longest ago first. */
  readonly #breakers = new Map<string, BreakerState>()
  readonly #counts: BreakerCounts = { opened: 0, closed: 0, refused: 0, probes: 0, forgotten: 0 }
  #probes = 0
  /** A number in place of what broke: an error keeps all that its stack names, such as the connection that ended. */
  readonly #numbers = new WeakMap<object, number>()
  #events = 0

  /** @param settings read at use; with `failures` 0 there are no breakers */
  constructor(settings: Readonly<CallBreakerSettings> = DEFAULT_BREAKER, maxPeers = MAX_PEERS) {
    this.#settings = settings
    this.#maxPeers = maxPeers
  }

  /** Nobody failed lately: there is nothing to ask and nothing to tell. */
  isQuiet(): boolean {
    return this.#breakers.size === 0
  }

  /** Whether a call may go there now. A probe that passes has to be reported. */
  ask(peer: string, nowMs: number): BreakerDecision {
    const before = this.#breakers.get(peer)
    // Breakers of before they were switched off count no more.
    if (before === undefined || before.kind === 'closed' || this.#settings.failures === 0) return PASS
    const probe = this.#probes + 1
    const after = this.#apply(peer, { kind: 'ask', probe }, nowMs)
    if (after.kind === 'half-open' && after.probe === probe) {
      this.#probes = probe
      this.#counts.probes += 1
      return { kind: 'pass', probe }
    }
    this.#counts.refused += 1
    return { kind: 'refused', retryAfterMs: waitMs(after, nowMs) }
  }

  /** The same without taking the probe: whether others should be preferred. */
  isOpen(peer: string, nowMs: number): boolean {
    const state = this.#breakers.get(peer)
    return state !== undefined && state.kind !== 'closed' && this.#settings.failures > 0 && nowMs < state.untilMs
  }

  success(peer: string, nowMs: number, probe?: number): void {
    this.#step(peer, { kind: 'success', probe }, nowMs)
  }

  /** @param event what broke several calls at once counts once */
  failure(peer: string, nowMs: number, probe?: number, event?: unknown): void {
    this.#step(peer, { kind: 'failure', probe, event: this.#numberOf(event) }, nowMs)
  }

  /** A probe ended that tells nothing. */
  nothing(peer: string, nowMs: number, probe?: number): void {
    this.#step(peer, { kind: 'nothing', probe }, nowMs)
  }

  /**
   * How a call ended, by its error; see breakerOutcomeOf.
   * @param waitedMs how long it waited; infinite (default) where that is as long as its definition gives it
   */
  failed(peer: string, error: unknown, nowMs: number, probe?: number, waitedMs = Number.POSITIVE_INFINITY): void {
    const { minWaitMs = MIN_WAIT_MS } = this.#settings
    const isHasty = waitedMs < minWaitMs && isParleyError(error, 'COM001') && !error.remote
    const outcome = isHasty ? 'nothing' : breakerOutcomeOf(error)
    // Calls on one connection, or behind one dial, fail with one cause.
    if (outcome === 'failure') this.failure(peer, nowMs, probe, error instanceof Error ? (error.cause ?? error) : error)
    else this.#step(peer, { kind: outcome, probe }, nowMs)
  }

  /** A new connection with it: worth a probe. */
  seen(peer: string, nowMs: number): void {
    this.#step(peer, { kind: 'seen' }, nowMs)
  }

  counts(): Readonly<BreakerCounts> {
    return this.#counts
  }

  /** Open ones first. */
  view(nowMs: number): PeerBreakerView[] {
    const isRecent = ({ atMs }: { readonly atMs: number }): boolean => nowMs - atMs < this.#settings.windowMs
    return [...this.#breakers]
      .map(([peer, state]) => ({
        peer,
        state: state.kind,
        failures: state.kind === 'closed' ? state.failures.filter(isRecent).length : 0,
        retryAfterMs: waitMs(state, nowMs),
      }))
      .sort((a, b) => RANKS[a.state] - RANKS[b.state])
  }

  #step(peer: string, input: BreakerInput, nowMs: number): void {
    if (this.#settings.failures === 0 || (input.kind !== 'failure' && !this.#breakers.has(peer))) return
    this.#apply(peer, input, nowMs)
  }

  #apply(peer: string, input: BreakerInput, nowMs: number): BreakerState {
    const before = this.#breakers.get(peer) ?? CLOSED_BREAKER
    const after = stepBreaker(before, input, this.#settings, nowMs)
    if (after === before) return after
    const isEmpty = after.kind === 'closed' && after.failures.length === 0
    if (!this.#breakers.delete(peer) && !isEmpty) this.#makeRoom()
    if (!isEmpty) this.#breakers.set(peer, after)
    if (after.kind === 'open' && input.kind === 'failure') this.#counts.opened += 1
    if (after.kind === 'closed' && before.kind !== 'closed') this.#counts.closed += 1
    return after
  }

  #makeRoom(): void {
    if (this.#breakers.size < this.#maxPeers) return
    let oldest: string | undefined
    for (const [peer, { kind }] of this.#breakers) {
      oldest ??= peer
      if (kind !== 'closed') continue
      oldest = peer
      break
    }
    if (oldest === undefined) return
    this.#breakers.delete(oldest)
    this.#counts.forgotten += 1
  }

  #numberOf(event: unknown): unknown {
    if (typeof event !== 'object' || event === null) return event
    const known = this.#numbers.get(event)
    if (known !== undefined) return known
    this.#events += 1
    this.#numbers.set(event, this.#events)
    return this.#events
  }
}
