/**
 * One request in work on the answering side; it is the handler's context as well.
 *
 * State: how far it got, what the caller still takes of a stream, and the signal and the envelope, which are only made
 * when the handler looks at them. It is the entry in every list that the request is in (slots, deadlines).
 */
import type { Progress } from '../../define.ts'
import type { Envelope } from '../envelope.ts'
import { retainedBytes } from '../frames/fragmentation.ts'
import { type Frame, KIND } from '../frames/frame.ts'
import { Deadline } from '../link/deadlines.ts'
import { MAX_CREDIT } from '../link/link.ts'
import { type ProgressReports, toProgress } from '../link/progress-reports.ts'
import type { Endpoint, RunContext } from '../payload/contract.ts'
import type { SlotHolder } from './concurrency-limiter.ts'

/** What a request holds: as it came, or what it becomes where it was compressed. */
const bytesOf = (request: Frame): number => {
  const bytes = Math.max(request.payload.length, request.encoding === 0 ? 0 : request.rawBytes)
  return request.extra === undefined ? bytes : bytes + retainedBytes(request) - request.payload.length
}

/** The link's side of a request. */
export interface InboundRequestHost {
  /** The longest deadline that a caller gets, milliseconds, where the method's own is not longer. */
  maxDeadlineMs(endpoint: Endpoint): number
  /** Monotonic milliseconds. */
  now(): number
  /** It has its slot. */
  start(work: InboundRequest): void
  overdue(work: InboundRequest): void
  envelope(request: Frame): Envelope
  progress(work: InboundRequest, report: Progress): void
}

export class InboundRequest extends Deadline implements RunContext, SlotHolder {
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
  /** What it may take until then, whatever its caller asks for. */
  readonly maxDeadlineMs: number
  /** Bytes that it was counted with. */
  readonly bytes: number
  /** It waits for its reader, without a slot. */
  isParked = false
  /** Monotonic milliseconds: the reader has to take something until then. */
  idleAt = Number.POSITIVE_INFINITY
  /** What its handler tells of its progress; made with the first report. */
  reports: ProgressReports | undefined = undefined
  credit: number
  /** It did not get its slot at once. */
  hasWaited = false
  /** Wakes the stream that waits for credit. */
  onCredit: (() => void) | undefined = undefined
  hasStarted = false
  hasEnded = false
  /** The caller was told that the request was taken on; nothing more is sent to it. */
  isForwarded = false
  private controller: AbortController | undefined = undefined
  private abortReason: unknown = undefined
  private cachedEnvelope: Envelope | undefined = undefined
  private readonly host: InboundRequestHost

  constructor(host: InboundRequestHost, endpoint: Endpoint, request: Frame, peer: string, arrivedAt: number) {
    super()
    this.host = host
    this.endpoint = endpoint
    this.request = request
    this.exchange = request.exchange
    this.peer = peer
    this.priority = request.priority
    this.oneWay = request.kind === KIND.oneWay
    this.credit = Math.min(request.credit, MAX_CREDIT)
    this.arrivedAt = arrivedAt
    this.bytes = bytesOf(request)
    this.maxDeadlineMs = Math.max(endpoint.timeoutMs, host.maxDeadlineMs(endpoint))
    const askedMs = request.timeoutMs > 0 ? request.timeoutMs : endpoint.timeoutMs
    this.deadlineAt = arrivedAt + Math.min(askedMs, this.maxDeadlineMs)
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.hasEnded) this.controller.abort(this.abortReason)
    }
    return this.controller.signal
  }

  get envelope(): Envelope {
    this.cachedEnvelope ??= this.host.envelope(this.request)
    return this.cachedEnvelope
  }

  /** A getter that binds, so that a handler may take it out of its context. */
  get remainingMs(): () => number {
    return () => Math.max(0, this.deadlineAt - this.host.now())
  }

  /** Binds as well. */
  get progress(): (fraction?: number, note?: string) => void {
    return (fraction, note) => this.host.progress(this, toProgress(fraction, note))
  }

  get conversationId(): string | undefined {
    return this.request.extra?.conversationId
  }

  get extendMs(): number {
    const { timeoutMs, extra } = this.request
    const ownMs = timeoutMs > 0 ? timeoutMs : this.endpoint.timeoutMs
    return Math.min(this.maxDeadlineMs, Math.max(ownMs, extra?.extendMs ?? 0))
  }

  /** Monotonic milliseconds: no progress puts the deadline off further. */
  get limitAt(): number {
    const limitMs = this.request.extra?.limitMs ?? 0
    return limitMs > 0 ? this.arrivedAt + limitMs : Number.POSITIVE_INFINITY
  }

  /** A payload that is kept for long must not keep the chunk alive that it was cut from. */
  detachPayload(): void {
    const { payload } = this.request
    if (payload.byteLength * 2 < payload.buffer.byteLength) this.request.payload = new Uint8Array(payload)
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
    if (this.hasEnded) return
    this.hasEnded = true
    this.reports?.stop()
    this.abortReason = reason
    if (reason !== undefined) this.controller?.abort(reason)
    this.onCredit?.()
  }
}
