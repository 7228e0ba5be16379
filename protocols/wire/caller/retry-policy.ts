/**
 * What a caller does after a failed attempt. Pure; the driver waits and calls.
 *
 * A request may be tried again when it cannot have been handled (not sent, or refused for load) or when handling it twice
 * is as good as once (`idempotent`); after an attempt that was not answered in its time (COM001) only then. Backoff is
 * exponential with full jitter in its upper half.
 */
import { isParleyError, ParleyError } from '../../errors.ts'

export interface CallAttempt {
  /** How many were made, from 1. */
  count: number
  /** How many there may be; MAX_ATTEMPTS unless told. */
  most?: number | undefined
  idempotent: boolean
  /** Milliseconds left for the whole call. */
  remainingMs: number
  /** A number from 0 to 1. */
  chance: number
}

export type RetryDecision = { kind: 'give-up' } | { kind: 'retry'; delayMs: number }

export const MAX_ATTEMPTS = 4
const FIRST_DELAY_MS = 50
const MAX_DELAY_MS = 2_000

/** A handler had no more to spend, and will not have by waiting. */
export const hasNoBudgetLeft = ({ code, reason }: ParleyError): boolean =>
  code === 'COM003' && (reason === 'budget-exhausted' || reason === 'budget-depth')

/** True where the request cannot have reached a handler. One that ran, and may have spent, says `sent: true` with COM003. */
export const neverHandled = (error: ParleyError): boolean =>
  (error.code === 'COM003' && error.details.sent !== true && !hasNoBudgetLeft(error)) ||
  (error.code === 'COM002' && error.details.sent === false)

const retryAfter = (error: ParleyError): number => {
  const askedMs = error.details.retryAfterMs
  return typeof askedMs === 'number' && askedMs > 0 && askedMs < 60_000 ? askedMs : 0
}

/** Whether a failed call is tried again at the same peer, and after how long. */
export const decideRetry = (error: unknown, attempt: CallAttempt): RetryDecision => {
  if (!isParleyError(error, 'COM001', 'COM002', 'COM003')) return { kind: 'give-up' }
  if (hasNoBudgetLeft(error) || attempt.count >= (attempt.most ?? MAX_ATTEMPTS)) return { kind: 'give-up' }
  if (!neverHandled(error) && !attempt.idempotent) return { kind: 'give-up' }
  const top = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt.count - 1))
  const delayMs = Math.max(retryAfter(error), top / 2 + (top / 2) * attempt.chance)
  return delayMs >= attempt.remainingMs ? { kind: 'give-up' } : { kind: 'retry', delayMs }
}

/** True where another peer may succeed with the same request. */
export const mayFailOver = (error: unknown, idempotent: boolean): error is ParleyError => {
  if (!(error instanceof ParleyError) || hasNoBudgetLeft(error)) return false
  // The peer's record was old: it does not speak this any more.
  if (error.code === 'MSG004') return true
  if (error.code === 'COM001') return idempotent
  return (error.code === 'COM002' || error.code === 'COM003') && (idempotent || neverHandled(error))
}
