/** The breaker of one destination, as its sessions use it: how many messages may go now. State: the breaker. */
import { type BreakerSettings, type BreakerState, CLOSED_BREAKER, stepBreaker } from './circuit-breaker.ts'

export interface SessionBreaker {
  /** All, one as a probe, or none. */
  allowed(): number
  /** The peer gave a sign. @returns whether more may go than before */
  recordSuccess(): boolean
  /** No sign of what was sent. */
  recordFailure(): void
  /** A new session stands. */
  reset(): void
  kind(): BreakerState['kind']
}

export const createSessionBreaker = (
  settings: BreakerSettings,
  now: () => number,
  opened: () => void,
): SessionBreaker => {
  let state: BreakerState = CLOSED_BREAKER
  let probes = 0
  return {
    allowed() {
      // None is wanted any more.
      if (state.kind === 'closed' || settings.failures === 0) return Number.POSITIVE_INFINITY
      probes += 1
      const before = state
      state = stepBreaker(state, { kind: 'ask', probe: probes }, settings, now())
      return state !== before && state.kind === 'half-open' && state.probe === probes ? 1 : 0
    },
    recordSuccess() {
      const wasClosed = state.kind === 'closed'
      state = stepBreaker(state, { kind: 'success' }, settings, now())
      return !wasClosed && state.kind === 'closed'
    },
    recordFailure() {
      // None is wanted.
      if (settings.failures === 0) return
      const wasOpen = state.kind === 'open'
      state = stepBreaker(state, { kind: 'failure', event: now() }, settings, now())
      if (!wasOpen && state.kind === 'open') opened()
    },
    reset() {
      state = CLOSED_BREAKER
    },
    kind: () => state.kind,
  }
}
