/**
 * Whether a crashed agent is started again, and when. Pure, but for the times of its last crashes, which it keeps.
 */
export interface RestartLimits {
  /** Crashes within the window that are forgiven; the next one is the last. */
  readonly maxRestarts: number
  readonly windowMs: number
  /** Wait after the first crash of a window; it doubles with each. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
}

export const RESTART_LIMITS: RestartLimits = {
  maxRestarts: 5,
  windowMs: 60_000,
  backoffMinMs: 250,
  backoffMaxMs: 5_000,
}

/** @returns a function that is told of each crash (monotonic milliseconds): how long to wait, or undefined to give up */
export const createRestartPolicy = (
  limits: RestartLimits = RESTART_LIMITS,
): ((nowMs: number) => number | undefined) => {
  let crashes: number[] = []
  return (nowMs) => {
    crashes = [...crashes.filter((at) => nowMs - at < limits.windowMs), nowMs]
    if (crashes.length > limits.maxRestarts) return undefined
    return Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** (crashes.length - 1))
  }
}
