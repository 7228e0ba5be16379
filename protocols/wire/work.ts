/**
 * One request in work on the answering side; it is the handler's context as well.
 *
 * State: whether it has ended, what the caller still takes of a stream, and the signal and the envelope, which are only
 * made when the handler looks at them.
 */
import type { Context } from '../define.ts'
import type { Envelope } from './envelope.ts'
import { type Frame, KIND } from './frame.ts'

export class Work implements Context {
  readonly exchange: number
  readonly peer: string
  readonly priority: number
  readonly oneWay: boolean
  readonly deadlineAt: number
  credit: number
  /** Wakes the stream that waits for credit. */
  wake: (() => void) | undefined
  ended = false
  /** The caller was told that the request was taken on; nothing more is sent to it. */
  answered = false
  private controller: AbortController | undefined
  private abortReason: unknown
  private made: Envelope | undefined
  private readonly now: () => number
  private readonly make: () => Envelope

  constructor(request: Frame, peer: string, deadlineAt: number, now: () => number, make: () => Envelope) {
    this.exchange = request.exchange
    this.peer = peer
    this.priority = request.priority
    this.oneWay = request.kind === KIND.oneWay
    this.credit = request.credit
    this.deadlineAt = deadlineAt
    this.now = now
    this.make = make
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.ended) this.controller.abort(this.abortReason)
    }
    return this.controller.signal
  }

  get envelope(): Envelope {
    this.made ??= this.make()
    return this.made
  }

  /** Bound to this request, so that a handler may take it out of its context. */
  readonly remainingMs = (): number => Math.max(0, this.deadlineAt - this.now())

  /** After this nothing more is sent for the exchange. */
  end(reason?: unknown): void {
    if (this.ended) return
    this.ended = true
    this.abortReason = reason
    if (reason !== undefined) this.controller?.abort(reason)
    this.wake?.()
  }
}
