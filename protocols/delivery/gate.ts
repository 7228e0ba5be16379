/** The breaker of one destination, as its sessions use it: how many messages may go now. State: the breaker. */
import { type BreakerSettings, type BreakerState, CLOSED, step } from './breaker.ts'

export interface Gate {
  /** All, one as a probe, or none. */
  allowed(): number
  /** The peer gave a sign. @returns whether more may go than before */
  alive(): boolean
  /** No sign of what was sent. */
  failed(): void
  /** A new session stands. */
  reset(): void
  kind(): BreakerState['kind']
}

export const createGate = (settings: BreakerSettings, now: () => number, opened: () => void): Gate => {
  let state: BreakerState = CLOSED
  let probes = 0
  return {
    allowed() {
      // None is wanted any more.
      if (state.kind === 'closed' || settings.failures === 0) return Number.POSITIVE_INFINITY
      probes += 1
      const before = state
      state = step(state, { kind: 'ask', probe: probes }, settings, now())
      return state !== before && state.kind === 'half-open' && state.probe === probes ? 1 : 0
    },
    alive() {
      const wasClosed = state.kind === 'closed'
      state = step(state, { kind: 'success' }, settings, now())
      return !wasClosed && state.kind === 'closed'
    },
    failed() {
      // None is wanted.
      if (settings.failures === 0) return
      const wasOpen = state.kind === 'open'
      state = step(state, { kind: 'failure', event: now() }, settings, now())
      if (!wasOpen && state.kind === 'open') opened()
    },
    reset() {
      state = CLOSED
    },
    kind: () => state.kind,
  }
}
