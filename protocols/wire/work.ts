/**
 * One request in work on the answering side; it is the handler's context as well.
 *
 * State: how far it got, what the caller still takes of a stream, and the signal and the envelope, which are only made
 * when the handler looks at them. It is the entry in every list that the request is in (slots, deadlines).
 */
import type { Progress } from '../define.ts'
import type { Endpoint, RunContext } from './contract.ts'
import { Deadline } from './deadlines.ts'
import type { Envelope } from './envelope.ts'
import { type Frame, KIND } from './frame.ts'
import { type Reports, toProgress } from './progress.ts'
import type { SlotUser } from './slots.ts'

/** The link's side of a request. */
export interface WorkHost {
  /** Monotonic milliseconds. */
  now(): number
  /** It has its slot. */
  start(work: Work): void
  overdue(work: Work): void
  envelope(request: Frame): Envelope
  progress(work: Work, report: Progress): void
}

const MAX_TIMER_MS = 2 ** 31 - 1

export class Work extends Deadline implements RunContext, SlotUser {
  readonly request: Frame
  readonly endpoint: Endpoint
  readonly exchange: number
  readonly peer: string
  readonly priority: number
  readonly oneWay: boolean
  /** Monotonic milliseconds. */
  readonly arrivedAt: number
  /** Monotonic milliseconds; progress puts it off. */
  deadlineAt: number
  /** What its handler tells of its progress; made with the first report. */
  reports: Reports | undefined = undefined
  credit: number
  /** It did not get its slot at once. */
  waits = false
  /** Wakes the stream that waits for credit. */
  wake: (() => void) | undefined = undefined
  started = false
  ended = false
  /** The caller was told that the request was taken on; nothing more is sent to it. */
  answered = false
  private controller: AbortController | undefined = undefined
  private abortReason: unknown = undefined
  private made: Envelope | undefined = undefined
  private readonly host: WorkHost

  constructor(host: WorkHost, endpoint: Endpoint, request: Frame, peer: string, arrivedAt: number) {
    super()
    this.host = host
    this.endpoint = endpoint
    this.request = request
    this.exchange = request.exchange
    this.peer = peer
    this.priority = request.priority
    this.oneWay = request.kind === KIND.oneWay
    this.credit = request.credit
    this.arrivedAt = arrivedAt
    this.deadlineAt = arrivedAt + (request.timeoutMs > 0 ? request.timeoutMs : endpoint.timeoutMs)
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.ended) this.controller.abort(this.abortReason)
    }
    return this.controller.signal
  }

  get envelope(): Envelope {
    this.made ??= this.host.envelope(this.request)
    return this.made
  }

  /** A getter that binds, so that a handler may take it out of its context. */
  get remainingMs(): () => number {
    return () => Math.max(0, this.deadlineAt - this.host.now())
  }

  /** Binds as well. */
  get progress(): (fraction?: number, note?: string) => void {
    return (fraction, note) => this.host.progress(this, toProgress(fraction, note))
  }

  get extendMs(): number {
    const { timeoutMs, extra } = this.request
    const ownMs = timeoutMs > 0 ? timeoutMs : this.endpoint.timeoutMs
    return Math.min(MAX_TIMER_MS, Math.max(ownMs, extra?.extendMs ?? 0))
  }

  /** Monotonic milliseconds: no progress puts the deadline off further. */
  get limitAt(): number {
    const limitMs = this.request.extra?.limitMs ?? 0
    return limitMs > 0 ? this.arrivedAt + limitMs : Number.POSITIVE_INFINITY
  }

  limitMs(): number {
    return Math.max(0, this.limitAt - this.host.now())
  }

  start(): void {
    this.host.start(this)
  }

  overdue(): void {
    this.host.overdue(this)
  }

  /** After this nothing more is sent for the exchange. */
  end(reason?: unknown): void {
    if (this.ended) return
    this.ended = true
    this.reports?.stop()
    this.abortReason = reason
    if (reason !== undefined) this.controller?.abort(reason)
    this.wake?.()
  }
}
