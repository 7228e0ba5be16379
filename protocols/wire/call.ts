/**
 * A call on its way out, with its input already written, and the ways in which it ends without an answer.
 * Keeps no state.
 */
import { ParleyError } from '../errors.ts'
import type { Extra } from './frame.ts'
import { tooLarge } from './parts.ts'

export interface OutCall {
  /** `summarize.once`, for messages. */
  label: string
  method: string
  payload: Uint8Array
  content: number
  priority: number
  timeoutMs: number
  ttlMs?: number | undefined
  extra?: Extra | undefined
  signal?: AbortSignal | undefined
}

const MAX_TIMER_MS = 2 ** 31 - 1

/** @throws MSG001 for what the peer would not take */
export const checkCall = (call: OutCall, maxBytes: number): void => {
  if (call.payload.length > maxBytes) throw tooLarge(call.payload.length, maxBytes)
  if (!(call.timeoutMs >= 1 && call.timeoutMs <= MAX_TIMER_MS)) {
    throw new ParleyError('MSG001', `timeoutMs ${call.timeoutMs} of ${call.label} is not usable`, {
      hint: `give milliseconds from 1 to ${MAX_TIMER_MS}`,
    })
  }
}

/** What the caller's own signal was aborted with. */
export const aborted = (signal: AbortSignal): unknown =>
  signal.reason ?? new ParleyError('COM001', 'the call was aborted', { hint: 'its signal was aborted by the caller' })

export const timedOut = (call: OutCall, where: string): ParleyError =>
  new ParleyError('COM001', `${call.label} was not answered within ${call.timeoutMs} ms: ${where}`, {
    hint: 'give it more time with timeoutMs, or see whether the peer is overloaded',
    details: { timeoutMs: call.timeoutMs },
  })

export const expired = (call: OutCall): ParleyError =>
  new ParleyError('MSG005', `${call.label} expired after its ttl of ${call.ttlMs} ms, before it was sent`, {
    hint: 'the link is busy; give it more ttlMs or a higher priority',
  })
