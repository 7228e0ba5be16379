/**
 * The circuit breaker of one destination: what does not answer is left alone for a while. `stepBreaker` is pure; calls keep
 * a table of states (peer-breakers.ts), each destination of messages has a `SessionBreaker`.
 *
 * closed: calls pass. After `failures` failures within `windowMs`, and no more successes than that since the first of
 * them, it opens: a peer that answers thousands of calls is not given up for a few that were slow. What broke several
 * calls at once, as a connection does, counts once. open: calls fail at once. After `halfOpenAfterMs` it is half-open: one
 * probe passes, all others still fail. Its success closes, its failure opens again. A probe that ended without telling
 * anything (its caller gave it up) makes room for the next one, as does one that is not heard of for `halfOpenAfterMs`.
 *
 * Source: M. Nygard, Release It!, "Circuit Breaker".
 */

export interface BreakerSettings {
  /** How many open it. */
  readonly failures: number
  /** Milliseconds in which they have to happen. */
  readonly windowMs: number
  /** Milliseconds that it stays open before a probe passes. */
  readonly halfOpenAfterMs: number
}

export const DEFAULT_BREAKER: BreakerSettings = { failures: 5, windowMs: 10_000, halfOpenAfterMs: 30_000 }

interface Failure {
  readonly atMs: number
  /** Successes between this one and the next. */
  readonly successes: number
}

export type BreakerState =
  | {
      readonly kind: 'closed'
      /** Oldest first, fewer than `settings.failures`. */
      readonly failures: readonly Failure[]
      /** What the last one came from. */
      readonly event: unknown
    }
  | { readonly kind: 'open'; readonly untilMs: number }
  /** `probe`: the number of the one that is out; nobody else passes until `untilMs`. */
  | { readonly kind: 'half-open'; readonly probe: number; readonly untilMs: number }

export const CLOSED_BREAKER: BreakerState = { kind: 'closed', failures: [], event: undefined }

export type BreakerInput =
  /** Somebody wants to call; `probe` is the number that it gets, should it be the probe. */
  | { readonly kind: 'ask'; readonly probe: number }
  /** It answered, whatever the answer. */
  | { readonly kind: 'success'; readonly probe?: number | undefined }
  /** `event`: what it came from; another failure of the same one, as it is compared by `===`, does not count. */
  | { readonly kind: 'failure'; readonly probe?: number | undefined; readonly event?: unknown }
  /** A call ended that tells nothing of the destination. */
  | { readonly kind: 'nothing'; readonly probe?: number | undefined }
  /** The destination was seen, as by a new connection: it is worth a probe now. */
  | { readonly kind: 'seen' }

const failed = (
  state: BreakerState & { kind: 'closed' },
  event: unknown,
  settings: BreakerSettings,
  nowMs: number,
): BreakerState => {
  const recent = state.failures.filter(({ atMs }) => nowMs - atMs < settings.windowMs)
  if (event !== undefined && event === state.event && recent.length > 0) return { ...state, failures: recent }
  const failures = [...recent, { atMs: nowMs, successes: 0 }].slice(-settings.failures)
  const successes = failures.reduce((sum, failure) => sum + failure.successes, 0)
  if (failures.length >= settings.failures && successes <= settings.failures)
    return { kind: 'open', untilMs: nowMs + settings.halfOpenAfterMs }
  return { kind: 'closed', failures, event }
}

const succeeded = (
  state: BreakerState & { kind: 'closed' },
  settings: BreakerSettings,
  nowMs: number,
): BreakerState => {
  const last = state.failures.at(-1)
  if (last === undefined || nowMs - last.atMs >= settings.windowMs) return CLOSED_BREAKER
  // More do not change what it comes to.
  if (last.successes > settings.failures) return state
  return { ...state, failures: [...state.failures.slice(0, -1), { ...last, successes: last.successes + 1 }] }
}

/**
 * What becomes of a breaker. Of the answers only `ask` has one: the call passes where the next state is closed, or is
 * half-open with its own number; else it is refused.
 * @param nowMs monotonic
 */
export const stepBreaker = (
  state: BreakerState,
  input: BreakerInput,
  settings: BreakerSettings,
  nowMs: number,
): BreakerState => {
  if (state.kind === 'closed') {
    if (input.kind === 'failure') return failed(state, input.event, settings, nowMs)
    return input.kind === 'success' ? succeeded(state, settings, nowMs) : state
  }
  if (input.kind === 'ask')
    return nowMs < state.untilMs
      ? state
      : { kind: 'half-open', probe: input.probe, untilMs: nowMs + settings.halfOpenAfterMs }
  // Calls that were begun before it opened: those that fail are no news, one that is answered is.
  if (input.kind === 'success') return CLOSED_BREAKER
  if (state.kind === 'open') return input.kind === 'seen' ? { ...state, untilMs: nowMs } : state
  if (input.kind === 'seen' || input.probe !== state.probe) return state
  return { kind: 'open', untilMs: input.kind === 'failure' ? nowMs + settings.halfOpenAfterMs : nowMs }
}

/** The breaker of one destination of messages, as its sessions use it: how many messages may go now. */
export class SessionBreaker {
  readonly #settings: BreakerSettings
  readonly #now: () => number
  readonly #opened: () => void
  #state: BreakerState = CLOSED_BREAKER
  #probes = 0

  /** @param settings read at use */
  constructor(settings: BreakerSettings, now: () => number, opened: () => void) {
    this.#settings = settings
    this.#now = now
    this.#opened = opened
  }

  /** All, one as a probe, or none. */
  allowed(): number {
    const before = this.#state
    // With 0 failures no breaker is wanted any more.
    if (before.kind === 'closed' || this.#settings.failures === 0) return Number.POSITIVE_INFINITY
    this.#probes += 1
    const after = stepBreaker(before, { kind: 'ask', probe: this.#probes }, this.#settings, this.#now())
    this.#state = after
    return after !== before && after.kind === 'half-open' && after.probe === this.#probes ? 1 : 0
  }

  /** The peer gave a sign. @returns whether more may go than before */
  recordSuccess(): boolean {
    const wasClosed = this.#state.kind === 'closed'
    this.#state = stepBreaker(this.#state, { kind: 'success' }, this.#settings, this.#now())
    return !wasClosed && this.#state.kind === 'closed'
  }

  /** No sign of what was sent. */
  recordFailure(): void {
    if (this.#settings.failures === 0) return
    const wasOpen = this.#state.kind === 'open'
    const nowMs = this.#now()
    this.#state = stepBreaker(this.#state, { kind: 'failure', event: nowMs }, this.#settings, nowMs)
    if (!wasOpen && this.#state.kind === 'open') this.#opened()
  }

  /** A new session stands. */
  reset(): void {
    this.#state = CLOSED_BREAKER
  }

  get kind(): BreakerState['kind'] {
    return this.#state.kind
  }
}
