/**
 * One request in work on the answering side; it is the handler's context as well.
 *
 * State: how far it got, what the caller still takes of a stream, and the signal and the envelope, which are only made
 * when the handler looks at them. It is the entry in every list that the request is in (concurrency
 * limiter, deadlines).
 */
import type { Amounts } from '../../budget/amounts.ts'
import { envelopeBudget, sliceOf } from '../../budget/carried/carried-budget.ts'
import type { Slice } from '../../budget/slice.ts'
import type { Progress } from '../../define.ts'
import type { ParleyError } from '../../errors.ts'
import type { Clock } from '../../port.ts'
import type { InheritedTrace } from '../../request-in-work.ts'
import { ChildCalls, callKeyOf } from '../child-calls.ts'
import { chainThrough, type DelegationChain, hopOf } from '../delegation-chain.ts'
import type { Envelope, MessageType } from '../envelope.ts'
import { retainedBytes } from '../frames/fragmentation.ts'
import { type Frame, KIND, WIRE_CONTENTS, WIRE_PRIORITIES } from '../frames/frame.ts'
import type { Hello } from '../frames/nested-messages.ts'
import { Deadline } from '../link/deadlines.ts'
import { MAX_CREDIT } from '../link/link-limits.ts'
import { type ProgressReports, toProgress } from '../link/progress-reports.ts'
import { exchangeId } from '../message-id.ts'
import type { Endpoint, RunContext } from '../payload/contract.ts'
import { decodePayload } from '../payload/payload.ts'
import type { SlotHolder } from './peer-slots.ts'

/** What a request holds: as it came, or what it becomes where it was compressed. */
const bytesOf = (request: Frame): number => {
  const bytes = Math.max(request.payload.length, request.encoding === 0 ? 0 : request.rawBytes)
  return request.extra === undefined ? bytes : bytes + retainedBytes(request) - request.payload.length
}

const EMPTY = new Uint8Array(0)

const readMetadata = (bytes: Uint8Array | undefined): Record<string, unknown> => {
  if (bytes === undefined || bytes.length === 0) return {}
  const value = decodePayload('json', bytes)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

/** What the link implies of each request on it. */
export interface RequestAbout {
  /** Peer id of the caller. */
  readonly source: string
  /** Peer id of this node. */
  readonly destination: string
  readonly type: MessageType
}

const atMsOf = (request: Frame, hello: Hello | undefined): number => (hello?.startedAtMs ?? 0) + request.atMs

const idOf = (request: Frame, hello: Hello | undefined): string =>
  exchangeId(hello?.session ?? EMPTY, atMsOf(request, hello), request.exchange)

/** The envelope, put together from its frame and from what the link implies. @throws MSG003 when the metadata are no JSON */
const envelopeOf = (request: Frame, hello: Hello | undefined, about: RequestAbout): Envelope => {
  const extra = request.extra ?? {}
  return {
    id: idOf(request, hello),
    timestamp: atMsOf(request, hello),
    ...about,
    payload: request.payload,
    contentType:
      WIRE_CONTENTS[request.content] === 'bytes'
        ? 'application/octet-stream'
        : `application/${WIRE_CONTENTS[request.content] ?? 'json'}`,
    headers: extra.headers ?? {},
    priority: WIRE_PRIORITIES[request.priority] ?? 'normal',
    metadata: readMetadata(extra.metadata),
    ...(request.ttlMs > 0 ? { ttl: request.ttlMs } : {}),
    ...(request.timeoutMs > 0 ? { deadline: request.timeoutMs } : {}),
    ...(extra.replyTo === undefined ? {} : { replyTo: extra.replyTo }),
    ...(extra.correlationId === undefined ? {} : { correlationId: extra.correlationId }),
    ...(extra.conversationId === undefined ? {} : { conversationId: extra.conversationId }),
    ...(extra.traceparent === undefined ? {} : { traceparent: extra.traceparent }),
    ...(extra.chain === undefined ? {} : { chain: [...extra.chain] }),
    ...(extra.budget === undefined ? {} : { budget: envelopeBudget(extra.budget) }),
  }
}

/** The link's side of a request. */
export interface InboundRequestHost {
  readonly about: RequestAbout
  /** Its name. */
  readonly protocol: string
  /** The caller's first frame. */
  peerHello(): Hello | undefined
  /** Its session, as keys of calls have it. */
  sessionText(): string
  /** The longest deadline that a caller gets, milliseconds, where the method's own is not longer. */
  maxDeadlineMs(endpoint: Endpoint): number
  readonly clock: Clock
  /** It has its slot. */
  start(request: InboundRequest): void
  overdue(request: InboundRequest): void
  /** Its caller gets the error, and no more is done. */
  refuse(request: InboundRequest, error: ParleyError): void
  progress(request: InboundRequest, report: Progress): void
}

export class InboundRequest extends Deadline implements RunContext, SlotHolder {
  readonly frame: Frame
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
  /** What its handler reports of its progress; made with the first report. */
  reports: ProgressReports | undefined = undefined
  credit: number
  /** It did not get its slot at once. */
  hasWaited = false
  /** Wakes the stream that waits for credit. */
  onCredit: (() => void) | undefined = undefined
  hasStarted = false
  hasEnded = false
  /** The caller has its acknowledgement, and the answer goes elsewhere: nothing more is sent to it. */
  isForwarded = false
  private children: ChildCalls | undefined = undefined
  private controller: AbortController | undefined = undefined
  private abortReason: unknown = undefined
  private slice: Slice | undefined = undefined
  private cachedEnvelope: Envelope | undefined = undefined
  private readonly host: InboundRequestHost

  constructor(host: InboundRequestHost, endpoint: Endpoint, frame: Frame, arrivedAt: number) {
    super()
    this.host = host
    this.endpoint = endpoint
    this.frame = frame
    this.exchange = frame.exchange
    this.peer = host.about.source
    this.priority = frame.priority
    this.oneWay = frame.kind === KIND.oneWay
    this.credit = Math.min(frame.credit, MAX_CREDIT)
    this.arrivedAt = arrivedAt
    this.bytes = bytesOf(frame)
    this.maxDeadlineMs = Math.max(endpoint.timeoutMs, host.maxDeadlineMs(endpoint))
    const askedMs = frame.timeoutMs > 0 ? frame.timeoutMs : endpoint.timeoutMs
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
    this.cachedEnvelope ??= envelopeOf(this.frame, this.host.peerHello(), this.host.about)
    return this.cachedEnvelope
  }

  /** Made once it is looked at. */
  get budget(): Slice | undefined {
    const carried = this.frame.extra?.budget
    if (carried === undefined) return undefined
    this.slice ??= sliceOf(carried, this.host.clock.now() - (this.host.clock.monotonic() - this.arrivedAt))
    return this.slice
  }

  /** What goes back of its budget, of which nothing is spent from here on; undefined where it came without one. */
  remainder(): Amounts | undefined {
    return this.budget?.close()
  }

  /** Made anew each time: few handlers look at it, and those once. */
  get chain(): DelegationChain {
    const { about, protocol } = this.host
    const hop = hopOf(about.destination, `${protocol}.${this.endpoint.name}`)
    return chainThrough(this.frame.extra?.chain, about.source, hop)
  }

  get childCalls(): ChildCalls {
    this.children ??= new ChildCalls(this.host.clock)
    return this.children
  }

  /** Undefined where none was made on its behalf. */
  get knownCalls(): ChildCalls | undefined {
    return this.children
  }

  /** By which its caller knows it too. */
  get callKey(): string {
    return callKeyOf(this.host.sessionText(), this.exchange)
  }

  get passesOn(): InheritedTrace {
    return { priority: WIRE_PRIORITIES[this.priority], traceparent: this.frame.extra?.traceparent }
  }

  /** A getter that binds, so that a handler may take it out of its context. */
  get remainingMs(): () => number {
    return () => Math.max(0, this.deadlineAt - this.host.clock.monotonic())
  }

  /** Binds as well. */
  get progress(): (fraction?: number, note?: string) => void {
    return (fraction, note) => this.host.progress(this, toProgress(fraction, note))
  }

  /** What a line of the log says of it; nothing in it has to be read first. */
  logFields() {
    const { about } = this.host
    return {
      source: about.source,
      destination: about.destination,
      correlationId: idOf(this.frame, this.host.peerHello()),
      messageType: about.type,
    }
  }

  get conversationId(): string | undefined {
    return this.frame.extra?.conversationId
  }

  get extendMs(): number {
    const { timeoutMs, extra } = this.frame
    const ownMs = timeoutMs > 0 ? timeoutMs : this.endpoint.timeoutMs
    return Math.min(this.maxDeadlineMs, Math.max(ownMs, extra?.extendMs ?? 0))
  }

  /** Monotonic milliseconds: no progress puts the deadline off further. */
  get limitAt(): number {
    const limitMs = this.frame.extra?.limitMs ?? 0
    return limitMs > 0 ? this.arrivedAt + limitMs : Number.POSITIVE_INFINITY
  }

  /** A payload that is kept for long must not keep the chunk alive that it was cut from. */
  detachPayload(): void {
    const { payload } = this.frame
    if (payload.byteLength * 2 < payload.buffer.byteLength) this.frame.payload = new Uint8Array(payload)
  }

  limitMs(): number {
    return Math.max(0, this.limitAt - this.host.clock.monotonic())
  }

  start(): void {
    this.host.start(this)
  }

  overdue(): void {
    this.host.overdue(this)
  }

  /** Of one that is in line. */
  refuse(error: ParleyError): void {
    this.host.refuse(this, error)
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
