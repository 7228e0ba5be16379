/**
 * A call on its way out, with its input already written, and the ways in which it ends without an answer.
 */
import type { Amounts } from '../../budget/amounts.ts'
import type { Progress } from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import type { ChildCalls } from '../child-calls.ts'
import { EnvelopeSchema } from '../envelope.ts'
import { tooLarge } from '../frames/fragmentation.ts'
import { WIRE_PRIORITIES } from '../frames/frame.ts'
import type { EnvelopeExtra } from '../frames/nested-messages.ts'
import { validate } from '../payload/payload.ts'

export interface OutgoingCall {
  /** `summarize.once`, for messages. */
  label: string
  method: string
  payload: Uint8Array
  content: number
  priority: number
  timeoutMs: number
  ttlMs?: number | undefined
  /** Milliseconds that it may take at most, whatever progress comes. */
  maxMs?: number | undefined
  /** By how much progress puts its deadline off: the timeout, unless told. Of a later attempt: what the first one had. */
  extendMs?: number | undefined
  onProgress?: ((progress: Progress) => void) | undefined
  /** Told before it ends, where the peer says what is left of its budget. */
  onRemainder?: ((remaining: Amounts) => void) | undefined
  /** Told once its last byte was handed down: before that nobody can have begun it. */
  onSent?: (() => void) | undefined
  extra?: EnvelopeExtra | undefined
  /** Of the request on whose behalf it is made. */
  childCalls?: ChildCalls | undefined
  signal?: AbortSignal | undefined
}

const MAX_TIMER_MS = 2 ** 31 - 1
const MAX_METADATA_BYTES = 8192

/** What travels beside the payload has to fit a frame: a peer breaks the link off for a larger one. */
const ExtraSchema = EnvelopeSchema.pick({
  replyTo: true,
  correlationId: true,
  conversationId: true,
  traceparent: true,
  headers: true,
  chain: true,
}).partial()

const checkTime = (call: OutgoingCall, name: 'timeoutMs' | 'ttlMs' | 'maxMs', value: number): void => {
  if (value >= 1 && value <= MAX_TIMER_MS) return
  throw new ParleyError('MSG001', `${name} ${value} of ${call.label} is not usable`, {
    hint: `give milliseconds from 1 to ${MAX_TIMER_MS}`,
  })
}

const checkExtra = (call: OutgoingCall, extra: EnvelopeExtra): void => {
  validate(ExtraSchema, extra, `${call.label} envelope`)
  const bytes = extra.metadata?.length ?? 0
  if (bytes <= MAX_METADATA_BYTES) return
  throw new ParleyError(
    'MSG001',
    `${bytes} bytes of metadata for ${call.label}, at most ${MAX_METADATA_BYTES} are sent`,
    {
      hint: 'put it into the payload',
    },
  )
}

/** @throws MSG001 for what the peer would not take */
export const validateCall = (call: OutgoingCall, maxBytes: number): void => {
  if (call.payload.length > maxBytes) throw tooLarge(call.payload.length, maxBytes)
  checkTime(call, 'timeoutMs', call.timeoutMs)
  if (call.ttlMs !== undefined) checkTime(call, 'ttlMs', call.ttlMs)
  if (call.maxMs !== undefined) checkTime(call, 'maxMs', call.maxMs)
  if (WIRE_PRIORITIES[call.priority] === undefined) {
    throw new ParleyError('MSG001', `priority ${call.priority} of ${call.label} is not usable`, {
      hint: `give one of ${WIRE_PRIORITIES.join(', ')}`,
    })
  }
  if (call.extra !== undefined) checkExtra(call, call.extra)
}

/** What the caller's own signal was aborted with. */
export const abortReasonOf = (signal: AbortSignal | undefined): unknown =>
  signal?.reason ?? new ParleyError('COM001', 'the call was aborted', { hint: 'its signal was aborted by the caller' })

export const extendMsOf = (call: OutgoingCall): number => call.extendMs ?? call.timeoutMs

/** Of an attempt whose own time is hardly less than the call's, nothing needs to be said. */
const WORTH_TELLING = 1.1

/** What travels beside the payload, with the limits of the call's time where it has any. */
export const extraWithLimits = (call: OutgoingCall, limitMs: number): EnvelopeExtra | undefined => {
  if (call.extendMs === undefined && call.maxMs === undefined) return call.extra
  const tellsExtend = extendMsOf(call) > call.timeoutMs * WORTH_TELLING
  if (!tellsExtend && call.maxMs === undefined) return call.extra
  return {
    ...call.extra,
    ...(tellsExtend ? { extendMs: Math.ceil(extendMsOf(call)) } : {}),
    ...(call.maxMs === undefined ? {} : { limitMs: Math.max(1, Math.floor(limitMs)) }),
  }
}

export const timeoutError = (call: OutgoingCall, where: string): ParleyError =>
  new ParleyError('COM001', `${call.label} was not answered within ${Math.round(call.timeoutMs)} ms: ${where}`, {
    hint: 'give it more time with timeoutMs, or see whether the peer is overloaded',
    details: { timeoutMs: call.timeoutMs },
  })

/** It took its time after progress was reported. */
export const stalledError = (call: OutgoingCall, atLimit: boolean): ParleyError =>
  atLimit
    ? new ParleyError('COM001', `${call.label} was still at work when its limit of ${call.maxMs} ms was over`, {
        hint: 'give it more time with maxMs',
        details: { maxMs: call.maxMs },
      })
    : new ParleyError('COM001', `${call.label} reported progress, and then nothing for ${extendMsOf(call)} ms`, {
        hint: 'give it more time with timeoutMs, or see whether the peer is stuck',
        details: { timeoutMs: extendMsOf(call) },
      })

export const expiredError = (call: OutgoingCall): ParleyError =>
  new ParleyError('MSG005', `${call.label} expired after its ttl of ${call.ttlMs} ms, before it was sent`, {
    hint: 'the link is busy; give it more ttlMs or a higher priority',
  })

/** The peer answered in a way that this kind of method does not have. */
export const unexpectedKindError = (call: OutgoingCall, kind: number): ParleyError =>
  new ParleyError('MSG004', `the answer to ${call.label} is of another kind (frame kind ${kind})`, {
    hint: 'the contracts of the two sides differ; update the older of the two nodes',
  })
