/**
 * One call on a link: from when it is made, perhaps waiting for a place, until its answer came or it was given up.
 *
 * State: its number once it is open, and how far it got. It is the entry in every list that the call is in (call queue,
 * exchange table, deadlines, frame writer), so that a call makes few objects.
 */
import type { Progress } from '../../define.ts'
import { Deadline } from '../link/deadlines.ts'
import type { TimedFrameOwner } from '../link/link.ts'
import type { OutgoingCall } from './outgoing-call.ts'

/** Frame kind of no frame: no answer is awaited. */
export const NO_ANSWER = -1

/** Who made the call. Exactly one of `done` and `fail` is called, once; neither may throw. */
export interface ResponseSink {
  /** The answer's payload; empty for an end, and for a one-way call whose bytes were handed down. */
  done(payload: Uint8Array): void
  fail(error: unknown): void
  /** An item of a stream. @throws what is wrong with it: the call is given up with that */
  item?(payload: Uint8Array): void
  /** The peer works on it; what it throws is logged. */
  progress?(progress: Progress): void
}

/** What an exchange hands on to its link. */
export interface ExchangeHost {
  overdue(exchange: Exchange): void
  aborted(exchange: Exchange): void
  expired(exchange: Exchange): void
  sent(exchange: Exchange): void
}

export class Exchange extends Deadline implements TimedFrameOwner {
  /** 0 while it waits for a place. */
  number = 0
  /** Its last byte was handed down. */
  isSent = false
  /** Given up: what is left of its request is not sent any more. */
  isDropped = false
  /** Its sink knows how it ended, or is about to. */
  hasEnded = false
  /** Frame kind of the request. */
  readonly kind: number
  /** Frame kind that ends it well, or NO_ANSWER. */
  readonly endKind: number
  readonly call: OutgoingCall
  readonly sink: ResponseSink
  readonly credit: number
  /** Progress puts it off, up to the limit. */
  deadlineAt: number
  readonly limitAt: number
  hasProgressed = false
  readonly expiresAt: number
  private readonly host: ExchangeHost
  private onAbort: (() => void) | undefined = undefined

  /** @param at monotonic milliseconds: what the deadline and the ttl count from */
  constructor(
    host: ExchangeHost,
    kind: number,
    endKind: number,
    call: OutgoingCall,
    sink: ResponseSink,
    credit: number,
    at: number,
  ) {
    super()
    this.host = host
    this.kind = kind
    this.endKind = endKind
    this.call = call
    this.sink = sink
    this.credit = credit
    this.limitAt = call.maxMs === undefined ? Number.POSITIVE_INFINITY : at + call.maxMs
    this.deadlineAt = Math.min(at + call.timeoutMs, this.limitAt)
    this.expiresAt = call.ttlMs === undefined ? 0 : at + call.ttlMs
  }

  /** Ends with its caller's signal, until unwatch(). */
  watch(signal: AbortSignal): void {
    this.onAbort = () => this.host.aborted(this)
    signal.addEventListener('abort', this.onAbort, { once: true })
  }

  unwatch(): void {
    if (this.onAbort !== undefined) this.call.signal?.removeEventListener('abort', this.onAbort)
    this.onAbort = undefined
  }

  overdue(): void {
    this.host.overdue(this)
  }

  /** An exchange that was answered early keeps sending: the peer waits for the last part. */
  wanted(): boolean {
    return !this.isDropped
  }

  expired(): void {
    this.host.expired(this)
  }

  sent(): void {
    this.isSent = true
    this.call.onSent?.()
    this.host.sent(this)
  }
}
