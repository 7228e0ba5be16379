/**
 * One call to one peer as a link sends it, and the time that it and each of its attempts may take. Pure.
 */
import type { AttemptObserver } from '../../protocols/budget/carried/budget-share.ts'
import type { CallOptions } from '../../protocols/define.ts'
import type { OutgoingCall } from '../../protocols/wire/caller/caller.ts'
import { Headers } from '../../protocols/wire/envelope.ts'
import { WIRE_PRIORITIES } from '../../protocols/wire/frames/frame.ts'
import type { EnvelopeExtra } from '../../protocols/wire/frames/nested-messages.ts'
import { encodePayload, validate } from '../../protocols/wire/payload/payload.ts'
import type { Inherited } from './call-parent.ts'
import type { MethodCodec } from './method-codecs.ts'

export type PeerCallOptions = CallOptions &
  Inherited & {
    /** By how much progress puts the deadline off, where it is not the timeout. */
    extendMs?: number | undefined
    replyTo?: string | undefined
    /** How many there may be at this peer, where others could be asked as well. */
    attempts?: number | undefined
    /** Whoever chose this peer tells of recoveries that failed. */
    isOneOfMany?: boolean | undefined
    /** Also where the peer is left alone, since there is nobody else. */
    anyway?: boolean | undefined
  }

const extraOf = (options: PeerCallOptions): EnvelopeExtra | undefined => {
  const { replyTo, correlationId, conversationId, traceparent, headers, metadata, chain, share } = options
  if (
    (replyTo ?? correlationId ?? conversationId ?? traceparent ?? headers ?? metadata ?? chain ?? share) === undefined
  )
    return undefined
  return {
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(conversationId === undefined ? {} : { conversationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(headers === undefined ? {} : { headers: validate(Headers, headers, 'headers') }),
    ...(metadata === undefined ? {} : { metadata: encodePayload('json', metadata) }),
    ...(chain === undefined ? {} : { chain }),
    ...(share === undefined ? {} : { budget: share.begin() }),
  }
}

/** Whoever has to know how far its attempts came. */
export const observerOf = ({ share, attemptObserver }: Inherited): AttemptObserver | undefined =>
  share ?? attemptObserver

export const toOutgoingCall = (
  target: MethodCodec,
  payload: Uint8Array,
  options: PeerCallOptions,
  timeoutMs: number,
): OutgoingCall => {
  const { codec } = target
  const { share } = options
  const observer = observerOf(options)
  return {
    label: codec.label,
    method: codec.name,
    payload,
    content: codec.content,
    priority: options.priority === undefined ? codec.priority : WIRE_PRIORITIES.indexOf(options.priority),
    timeoutMs,
    ttlMs: options.ttlMs,
    maxMs: options.maxMs,
    extendMs: options.extendMs === undefined ? undefined : attemptMs(target, options, options.extendMs),
    signal: options.signal,
    onRemainder: share && ((remaining) => share.told(remaining)),
    onSent: observer && (() => observer.sent()),
    extra: extraOf(options),
    childCalls: options.childCalls,
  }
}

export const timeoutOf = ({ codec }: MethodCodec, options: PeerCallOptions): number =>
  options.timeoutMs ?? codec.timeoutMs

/** When the call ends: by its limit, whatever is reported, or a timeout after it began or last reported progress. */
export const endOf = (
  target: MethodCodec,
  options: PeerCallOptions,
  startedAt: number,
  progressedAt: number,
): number => {
  const timeoutMs = timeoutOf(target, options)
  const extendedAt = progressedAt === 0 ? 0 : progressedAt + (options.extendMs ?? timeoutMs)
  return Math.min(Math.max(startedAt + timeoutMs, extendedAt), startedAt + (options.maxMs ?? Number.POSITIVE_INFINITY))
}

/** What is left of the limit for an attempt that begins now; what its progress gives is not less for being a later one. */
export const laterOptions = (
  target: MethodCodec,
  options: PeerCallOptions,
  startedAt: number,
  now: number,
): PeerCallOptions => ({
  ...options,
  extendMs: options.extendMs ?? timeoutOf(target, options),
  ...(options.maxMs === undefined ? {} : { maxMs: Math.max(1, options.maxMs - (now - startedAt)) }),
})

/** What one attempt may take of the time that is left. */
export const attemptMs = ({ codec }: MethodCodec, options: PeerCallOptions, leftMs: number): number => {
  const each = options.attemptTimeoutMs ?? codec.attemptTimeoutMs
  return each === undefined || !codec.idempotent ? leftMs : Math.min(each, leftMs)
}
