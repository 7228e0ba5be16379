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

export interface PeerBreakers {
  /** Nobody failed lately: there is nothing to ask and nothing to tell. */
  isQuiet(): boolean
  /** Whether a call may go there now. A probe that passes has to be reported. */
  ask(peer: string, nowMs: number): BreakerDecision
  /** The same without taking the probe: whether others should be preferred. */
  isOpen(peer: string, nowMs: number): boolean
  success(peer: string, nowMs: number, probe?: number): void
  /** @param event what broke several calls at once counts once */
  failure(peer: string, nowMs: number, probe?: number, event?: unknown): void
  /** A probe ended that tells nothing. */
  nothing(peer: string, nowMs: number, probe?: number): void
  /**
   * How a call ended, by its error; see outcomeOf.
   * @param waitedMs how long it waited; infinite (default) where that is as long as its definition gives it
   */
  failed(peer: string, error: unknown, nowMs: number, probe?: number, waitedMs?: number): void
  /** A new connection with it: worth a probe. */
  seen(peer: string, nowMs: number): void
  counts(): Readonly<BreakerCounts>
  /** Open ones first. */
  view(nowMs: number): PeerBreakerView[]
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

/** @param settings read at use; with `failures` 0 there are no breakers */
export const createPeerBreakers = (
  settings: Readonly<CallBreakerSettings> = DEFAULT_BREAKER,
  maxPeers = MAX_PEERS,
): PeerBreakers => {
  /** Used longest ago first. */
  const breakers = new Map<string, BreakerState>()
  const counts: BreakerCounts = { opened: 0, closed: 0, refused: 0, probes: 0, forgotten: 0 }
  let probes = 0
  /** A number in place of what broke: an error keeps all that its stack names, such as the connection that ended. */
  const numbers = new WeakMap<object, number>()
  let events = 0

  const makeRoom = (): void => {
    if (breakers.size < maxPeers) return
    let oldest: string | undefined
    for (const [peer, { kind }] of breakers) {
      oldest ??= peer
      if (kind !== 'closed') continue
      oldest = peer
      break
    }
    if (oldest === undefined) return
    breakers.delete(oldest)
    counts.forgotten += 1
  }

  const apply = (peer: string, input: BreakerInput, nowMs: number): BreakerState => {
    const before = breakers.get(peer) ?? CLOSED_BREAKER
    const after = stepBreaker(before, input, settings, nowMs)
    if (after === before) return after
    const isEmpty = after.kind === 'closed' && after.failures.length === 0
    if (!breakers.delete(peer) && !isEmpty) makeRoom()
    if (!isEmpty) breakers.set(peer, after)
    if (after.kind === 'open' && input.kind === 'failure') counts.opened += 1
    if (after.kind === 'closed' && before.kind !== 'closed') counts.closed += 1
    return after
  }

  const step = (peer: string, input: BreakerInput, nowMs: number): void => {
    if (settings.failures === 0 || (input.kind !== 'failure' && !breakers.has(peer))) return
    apply(peer, input, nowMs)
  }

  const numberOf = (event: unknown): unknown => {
    if (typeof event !== 'object' || event === null) return event
    const known = numbers.get(event)
    if (known !== undefined) return known
    events += 1
    numbers.set(event, events)
    return events
  }

  const failure = (peer: string, nowMs: number, probe?: number, event?: unknown): void =>
    step(peer, { kind: 'failure', probe, event: numberOf(event) }, nowMs)

  const waitMs = (state: BreakerState, nowMs: number): number =>
    state.kind === 'closed' ? 0 : Math.max(0, state.untilMs - nowMs)

  return {
    isQuiet: () => breakers.size === 0,
    ask(peer, nowMs) {
      const before = breakers.get(peer)
      // Breakers of before they were switched off count no more.
      if (before === undefined || before.kind === 'closed' || settings.failures === 0) return PASS
      const probe = probes + 1
      const after = apply(peer, { kind: 'ask', probe }, nowMs)
      if (after.kind === 'half-open' && after.probe === probe) {
        probes = probe
        counts.probes += 1
        return { kind: 'pass', probe }
      }
      counts.refused += 1
      return { kind: 'refused', retryAfterMs: waitMs(after, nowMs) }
    },
    isOpen(peer, nowMs) {
      const state = breakers.get(peer)
      return state !== undefined && state.kind !== 'closed' && settings.failures > 0 && nowMs < state.untilMs
    },
    success: (peer, nowMs, probe) => step(peer, { kind: 'success', probe }, nowMs),
    failure,
    nothing: (peer, nowMs, probe) => step(peer, { kind: 'nothing', probe }, nowMs),
    failed(peer, error, nowMs, probe, waitedMs = Number.POSITIVE_INFINITY) {
      const isHasty = waitedMs < (settings.minWaitMs ?? MIN_WAIT_MS) && isParleyError(error, 'COM001') && !error.remote
      const outcome = isHasty ? 'nothing' : breakerOutcomeOf(error)
      // Calls on one connection, or behind one dial, fail with one cause.
      if (outcome === 'failure') failure(peer, nowMs, probe, error instanceof Error ? (error.cause ?? error) : error)
      else step(peer, { kind: outcome, probe }, nowMs)
    },
    seen: (peer, nowMs) => step(peer, { kind: 'seen' }, nowMs),
    counts: () => counts,
    view(nowMs) {
      const rank = { open: 0, 'half-open': 1, closed: 2 }
      return [...breakers]
        .map(([peer, state]) => ({
          peer,
          state: state.kind,
          failures:
            state.kind === 'closed' ? state.failures.filter(({ atMs }) => nowMs - atMs < settings.windowMs).length : 0,
          retryAfterMs: waitMs(state, nowMs),
        }))
        .sort((a, b) => rank[a.state] - rank[b.state])
    },
  }
}
