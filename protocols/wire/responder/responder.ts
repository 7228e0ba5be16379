/**
 * The answering side of a link: runs the requests that come in, and closes when they have ended.
 *
 * Inbound order: sizes (frame-reader.ts, fragmentation.ts) > decode (frame.ts) > route (membership, capability, rate: the
 * router's) > a slot (all of that in request-intake.ts) > schema > handler (run-request.ts) > answer
 * (response-writer.ts).
 * State: the requests in work.
 */
import type { Progress } from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import type { Clock } from '../../port.ts'
import { sessionText } from '../child-calls.ts'
import type { Duplex } from '../duplex.ts'
import { messageTypeOf } from '../envelope.ts'
import { frame, KIND } from '../frames/frame.ts'
import type { Hello } from '../frames/nested-messages.ts'
import { createDrain, type Drain } from '../link/drain.ts'
import { createExchangeTable, type ExchangeTable } from '../link/exchange-table.ts'
import { LinkEnd } from '../link/link.ts'
import type { LinkDeps } from '../link/link-limits.ts'
import { createProgressReports, type ProgressReports, reportPeriodMs } from '../link/progress-reports.ts'
import type { Endpoint } from '../payload/contract.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import type { InboundRequest, InboundRequestHost, RequestAbout } from './inbound-request.ts'
import type { PeerConcurrency } from './peer-slots.ts'
import { RequestIntake } from './request-intake.ts'
import { createRequestTimer, type RequestTimer } from './request-timer.ts'
import { createResponseWriter, type ResponseWriter } from './response-writer.ts'
import { asHandled, type ForwardedReply, type RunOptions, runRequest } from './run-request.ts'
import type { UnreadResponses } from './unread-responses.ts'

export type { ForwardedReply } from './run-request.ts'

export interface ResponderDeps extends LinkDeps {
  slots: ConcurrencyLimiter
  /** What its peers have not read. */
  unread: UnreadResponses
  /** Finds the endpoint and checks what the caller may at `now`, monotonic milliseconds; throws the error that it receives. */
  route(method: string, now: number): Endpoint
  /** Takes an answer that goes to a third party. */
  reply(reply: ForwardedReply): Promise<void>
  /** Exchanges in work on this node; sent with each answer. */
  load(): number
  /** Called once per finished request; `method` is undefined where the request was refused before that was known. */
  done(method: string | undefined, status: string, seconds: number): void
  random(bytes: number): Uint8Array
}

export interface Responder {
  active(): number
  queuedBytes(): number
  closed(): boolean
  /** Those in line and in work. */
  requests(): InboundRequest[]
  /** @param session of the link, in hex; undefined where it is another one's */
  requestOf(session: string, exchange: number): InboundRequest | undefined
  /** Lets requests in work end (at most `drainMs`), then closes; new ones are refused with COM002. */
  close(drainMs: number): Promise<void>
  abort(reason: ParleyError): void
}

interface ResponderSelf {
  id: string
  protocol: string
  version: string
  peer: string
  onClose(): void
}

class ResponderLink implements Responder, InboundRequestHost {
  readonly about: RequestAbout
  readonly protocol: string
  readonly clock: Clock
  readonly #deps: ResponderDeps
  readonly #open: ExchangeTable<InboundRequest> = createExchangeTable()
  readonly #peerSlots: PeerConcurrency
  readonly #timer: RequestTimer
  readonly #link: LinkEnd
  readonly #responses: ResponseWriter
  readonly #intake: RequestIntake
  readonly #drain: Drain
  readonly #runOptions: RunOptions
  #sessionText: string | undefined
  #isGone = false

  constructor(duplex: Duplex, deps: ResponderDeps, self: ResponderSelf) {
    const { limits, timers, counts, clock } = deps
    const { protocol, peer } = self
    this.about = { source: peer, destination: self.id, type: messageTypeOf(protocol) }
    this.#deps = deps
    this.protocol = protocol
    this.clock = clock
    this.#peerSlots = deps.slots.open(peer)
    const unread = deps.unread.open(peer)
    this.#timer = createRequestTimer({ ...deps, protocol, slots: this.#peerSlots })
    this.#drain = createDrain(timers, () => this.#isBusy())
    const hello = { version: self.version, session: deps.random(8), startedAtMs: Math.floor(clock.now()) }
    this.#link = new LinkEnd(duplex, deps, hello, {
      frame: (received) => this.#intake.onFrame(received),
      empty: this.#drain.recheck,
      queued: unread.add,
      close: (error) => {
        this.#isGone = true
        for (const request of this.#open.values()) request.end(error)
        this.#intake.clear()
        unread.close()
        this.#peerSlots.close()
        this.#drain.recheck()
        self.onClose()
      },
    })
    this.#responses = createResponseWriter(this.#link, {
      maxDetailsBytes: limits.partBytes / 2,
      unread,
      counts,
      load: deps.load,
    })
    this.#intake = new RequestIntake(this, {
      clock,
      limits,
      counts,
      protocol,
      open: this.#open,
      peerSlots: this.#peerSlots,
      responses: this.#responses,
      route: deps.route,
      refused: (code) => deps.done(undefined, code, 0),
      pauseFor: (forMs) => this.#link.pauseFor(forMs),
    })
    this.#runOptions = {
      maxMessageBytes: limits.maxMessageBytes,
      forward: deps.reply,
      itemSent: (units) => {
        this.#intake.unitsSent(units)
        deps.slots.markActivity()
      },
      park: this.#timer.park,
      resume: this.#timer.resume,
    }
  }

  active(): number {
    return this.#open.size()
  }

  queuedBytes(): number {
    return this.#link.writer.queuedBytes()
  }

  closed(): boolean {
    return this.#isGone
  }

  async close(drainMs: number): Promise<void> {
    if (this.#isGone) return
    this.#intake.close()
    await this.#drain.wait(drainMs)
    for (const request of this.#open.values()) {
      const error = new ParleyError('COM002', 'the peer stopped before the request was done', {
        hint: 'call another peer',
        details: { sent: true },
      })
      this.#sendFault(request, error)
      request.end(error)
    }
    // What the caller has sent meanwhile is not read any more; it may go elsewhere. Behind every answer.
    const goaway = frame(KIND.goaway, this.#intake.lastExchange())
    goaway.priority = 1
    this.#link.send(goaway)
    this.#link.close()
  }

  abort(reason: ParleyError): void {
    this.#link.abort(reason)
  }

  peerHello(): Hello | undefined {
    return this.#link.peerHello()
  }

  maxDeadlineMs(endpoint: Endpoint): number {
    return this.#timer.maxDeadlineMs(endpoint)
  }

  /** Runs a request that has its slot; what can be done without waiting is done without waiting. */
  start(request: InboundRequest): void {
    const { frame: received, endpoint } = request
    request.hasStarted = true
    const now = request.hasWaited ? this.#deps.clock.monotonic() : request.arrivedAt
    if (request.hasWaited) this.#peerSlots.waitingBytes -= request.bytes
    if (request.hasEnded) {
      this.#conclude(request, now)
      return
    }
    let running: Promise<void> | undefined
    try {
      this.#timer.checkNotExpired(request, now)
      // What the handler sees in its envelope is the payload as it was before it was compressed.
      received.payload = this.#link.decompress(received)
      const replyTo = received.extra?.replyTo ?? ''
      running = runRequest(endpoint, received.payload, request, replyTo, this.#responses, this.#runOptions)
    } catch (error) {
      this.#conclude(request, now, { error })
      return
    }
    if (running === undefined) this.#conclude(request, now)
    else {
      this.#timer.watch(request, now)
      running.then(
        () => this.#conclude(request, now),
        (error: unknown) => this.#conclude(request, now, { error }),
      )
    }
  }

  /** The caller has given up by now; the handler's signal is aborted, and its slot stays taken until it returns. */
  overdue(request: InboundRequest): void {
    this.refuse(request, this.#timer.timeoutError(request))
  }

  refuse(request: InboundRequest, error: ParleyError): void {
    this.#sendFault(request, error)
    request.end(error)
  }

  sessionText(): string {
    const hello = this.peerHello()
    if (hello !== undefined) this.#sessionText ??= sessionText(hello.session)
    return this.#sessionText ?? ''
  }

  requests(): InboundRequest[] {
    return this.#open.values()
  }

  requestOf(session: string, exchange: number): InboundRequest | undefined {
    return this.sessionText() === session ? this.#open.get(exchange) : undefined
  }

  progress(request: InboundRequest, report: Progress): void {
    if (request.hasEnded) return
    this.#deps.slots.reportProgress(report.fraction)
    request.reports ??= this.#createReports(request)
    request.reports.add(report)
  }

  /** The only way out for a request that has a slot. */
  #conclude(request: InboundRequest, startedAt: number, failure?: { error: unknown }): void {
    const { slots, clock } = this.#deps
    if (request.reports !== undefined) {
      request.reports.flush()
      slots.reportProgress(undefined)
    }
    this.#timer.unwatch(request)
    const error = failure?.error
    const status = failure === undefined ? 'ok' : error instanceof ParleyError ? error.code : 'APP001'
    this.#deps.done(
      request.endpoint.name,
      request.hasEnded ? 'canceled' : status,
      (clock.monotonic() - startedAt) / 1000,
    )
    if (failure !== undefined) {
      // Nobody else hears of an answer that did not reach its third party.
      if (request.isForwarded || !(error instanceof ParleyError))
        this.#deps.log.error(`${this.protocol}.${request.endpoint.name} failed`, { error, ...request.logFields() })
      this.#sendFault(request, asHandled(error, request.frame.extra?.budget !== undefined))
    }
    request.end()
    this.#open.delete(request.exchange)
    this.#drain.recheck()
    if (request.isParked) this.#peerSlots.releaseParked(request.bytes)
    else this.#peerSlots.release(request.bytes)
  }

  /** Unless the exchange was given up meanwhile, or has no answer. */
  #sendFault(request: InboundRequest, error: unknown): void {
    if (!request.hasEnded && !request.isForwarded && !request.oneWay)
      this.#responses.refuse(request, error, request.remainder())
  }

  #createReports(request: InboundRequest): ProgressReports {
    return createProgressReports({
      now: this.#deps.clock.monotonic,
      timers: this.#deps.timers,
      periodMs: reportPeriodMs(request.extendMs),
      isFull: () => this.#link.writer.isFull(),
      send: (report) => {
        this.#timer.extend(request)
        if (!request.oneWay && !request.isForwarded) this.#responses.progress(request, report)
      },
    })
  }

  #isBusy(): boolean {
    return !this.#isGone && (this.#open.size() > 0 || this.#link.writer.queuedBytes() > 0)
  }
}

export const createResponder = (duplex: Duplex, deps: ResponderDeps, self: ResponderSelf): Responder =>
  new ResponderLink(duplex, deps, self)
