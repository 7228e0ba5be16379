/** A message that failed: whether it may succeed with the same peer later, and after how long it is tried again. */
import type { Fault } from '../../../errors.ts'
import type { StateReason } from '../../../state-reasons.ts'
import type { RetryPolicy } from '../../options.ts'
import type { WindowEntry } from './send-lane.ts'

/** Codes after which the same message may succeed with the same peer later. */
const RETRYABLE: ReadonlySet<string> = new Set([
  'COM001',
  'COM002',
  'COM003',
  'COM004',
  'APP001',
  'MSG004',
  'STA001',
  'STA003',
])
const MAX_RETRY_AFTER_MS = 60_000

/** A peer without a data directory never keeps anything: with one it would be another peer. A delegation chain stays as it is. */
const FINAL: ReadonlySet<unknown> = new Set([
  'volatile',
  'delegation-cycle',
  'delegation-depth',
] satisfies StateReason[])

export const mayPass = ({ code, details }: Fault): boolean => RETRYABLE.has(code) && !FINAL.has(details?.reason)

/**
 * Milliseconds, doubled with each attempt; at least what the peer asks for.
 * @param attempts failed ones that count
 */
export const retryDelayMs = (
  { initialDelayMs, maxDelayMs }: RetryPolicy,
  attempts: number,
  fault: Fault,
  chance: number,
): number => {
  const top = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(30, Math.max(0, attempts - 1)))
  const asked = fault.details?.retryAfterMs
  const least = typeof asked === 'number' && asked > 0 ? Math.min(asked, MAX_RETRY_AFTER_MS) : 0
  return Math.max(least, Math.min(maxDelayMs, top * (0.75 + 0.5 * chance)))
}

export const noteFailure = (entry: WindowEntry, fault: Fault, wallMs: number): void => {
  entry.fault = fault
  entry.firstFailureAt ??= wallMs
  entry.lastFailureAt = wallMs
}
