/**
 * The answering side of a link.
 *
 * State: the exchanges in work. Inbound order, in one place (accept): size (inbox, joiner) > decode (frame) > route
 * (membership, capability, rate: the router's) > a slot > schema > handler > reply (answers.ts).
 */
import { ParleyError } from '../../errors.ts'
import type { Duplex } from '../duplex.ts'
import { messageTypeOf } from '../envelope.ts'
import { createReassembler } from '../frames/fragmentation.ts'
import { type Frame, frame, KIND } from '../frames/frame.ts'
import { createDrain } from '../link/drain.ts'
import { createExchangeTable } from '../link/exchange-table.ts'
import { type LinkDeps, type LinkEnd, MAX_CREDIT, openLinkEnd } from '../link/link.ts'
import { createProgressReports, reportPeriodMs } from '../link/progress-reports.ts'
import type { Endpoint } from '../payload/contract.ts'
import type { ConcurrencyLimiter } from './concurrency-limiter.ts'
import { createFloodLimit } from './flood-limit.ts'
import { InboundRequest, type InboundRequestHost } from './inbound-request.ts'
import { requestEnvelope, requestLogFields } from './request-envelope.ts'
import { createRequestTimer } from './request-timer.ts'
import { createResponseWriter } from './response-writer.ts'
import { type ForwardedReply, runRequest } from './run-request.ts'
import type { UnreadResponses } from './unread-responses.ts'

export type { ForwardedReply } from './run-request.ts'

export interface ResponderDeps extends LinkDeps {
  slots: ConcurrencyLimiter
  /** What its peers have not read. */
  unread: UnreadResponses
  /** Finds the endpoint and checks what the caller may at `now`, monotonic milliseconds; throws what it is told. */
  route(method: string, now: number): Endpoint
  /** Takes an answer that goes to a third party. */
  reply(reply: ForwardedReply): Promise<void>
  /** Exchanges in work on this node; told with each answer. */
  load(): number
  /** Told once per finished request; `method` is undefined where the request was refused before that was known. */
  done(method: string | undefined, status: string, seconds: number): void
  random(bytes: number): Uint8Array
}

export interface Responder {
  active(): number
  queuedBytes(): number
  closed(): boolean
  /** Lets requests in work end (at most `drainMs`), then closes; new ones are refused with COM002. */
  close(drainMs: number): Promise<void>
  abort(reason: ParleyError): void
}

/**
 * What a handler threw, for its caller. Callers send again, or elsewhere, by code: an error of another link that passed
 * through a handler must not look as if this request had never been handled.
 */
const ofHandler = (error: unknown): unknown => {
  if (!(error instanceof ParleyError)) return error
  const { code, message, details } = error
  const hint = error.hint === undefined ? {} : { hint: error.hint }
  if (code === 'COM002') return new ParleyError(code, message, { ...hint, details: { ...details, sent: true } })
  if (!error.remote || (code !== 'COM003' && code !== 'MSG004')) return error
  return new ParleyError('APP001', message, { ...hint, details: { ...details, code } })
}

export const createResponder = (
  duplex: Duplex,
  deps: ResponderDeps,
  self: { id: string; protocol: string; version: string; peer: string; onClose(): void },
): Responder => {
  const { limits, timers, counts } = deps
  const type = messageTypeOf(self.protocol)
  const works = createExchangeTable<InboundRequest>()
  const mine = deps.slots.open(self.peer)
  const unread = deps.unread.open(self.peer)
  const floods = createFloodLimit(mine, deps.clock, (forMs) => wire.pauseFor(forMs))
  const times = createRequestTimer({ ...deps, protocol: self.protocol, slots: mine })
  const joiner = createReassembler(limits.maxMessageBytes, limits.maxMessageBytes * 4, mine)
  let gone = false
  let closing = false
  /** Highest exchange that was taken on or refused. */
  let last = 0
  const drain = createDrain(timers, () => !gone && (works.size() > 0 || wire.writer.queuedBytes() > 0))

  /** Answers unless the exchange was given up meanwhile, or has no answer. */
  const tell = (work: InboundRequest, error: unknown): void => {
    if (!work.hasEnded && !work.isForwarded && !work.oneWay) answers.refuse(work, error)
  }

  const log = (work: InboundRequest, error: unknown): void =>
    deps.log.error(`${self.protocol}.${work.endpoint.name} failed`, {
      error,
      source: self.peer,
      destination: self.id,
      ...requestLogFields(work.request, wire.peerHello(), type),
    })

  /** The only way out for a request that has a slot. */
  const conclude = (work: InboundRequest, startedAt: number, failure?: { error: unknown }): void => {
    if (work.reports !== undefined) {
      work.reports.flush()
      deps.slots.reportProgress(undefined)
    }
    times.unwatch(work)
    const error = failure?.error
    const status = failure === undefined ? 'ok' : error instanceof ParleyError ? error.code : 'APP001'
    deps.done(work.endpoint.name, work.hasEnded ? 'canceled' : status, (deps.clock.monotonic() - startedAt) / 1000)
    if (failure !== undefined) {
      // Nobody else is told of an answer that did not reach its third party.
      if (work.isForwarded || !(error instanceof ParleyError)) log(work, error)
      tell(work, ofHandler(error))
    }
    work.end()
    works.delete(work.exchange)
    drain.recheck()
    if (work.isParked) mine.releaseParked(work.bytes)
    else mine.release(work.bytes)
  }

  const runOptions = {
    maxMessageBytes: limits.maxMessageBytes,
    reply: deps.reply,
    gave(units: number) {
      floods.unitsSent(units)
      deps.slots.markActivity()
    },
    park: times.park,
    resume: times.resume,
  }

  const reportsOf = (work: InboundRequest) =>
    createProgressReports({
      now: deps.clock.monotonic,
      timers,
      periodMs: reportPeriodMs(work.extendMs),
      isFull: () => wire.writer.isFull(),
      send(report) {
        times.extend(work)
        if (!work.oneWay && !work.isForwarded) answers.progress(work, report)
      },
    })

  /** Runs a request that has its slot; what can be done without waiting is done without waiting. */
  const start = (work: InboundRequest): void => {
    const { request, endpoint } = work
    work.hasStarted = true
    const now = work.hasWaited ? deps.clock.monotonic() : work.arrivedAt
    if (work.hasWaited) mine.waitingBytes -= work.bytes
    if (work.hasEnded) {
      conclude(work, now)
      return
    }
    let running: Promise<void> | undefined
    try {
      times.checkNotExpired(work, now)
      // What the handler sees in its envelope is the payload as it was before it was compressed.
      request.payload = wire.decompress(request)
      running = runRequest(endpoint, request.payload, work, request.extra?.replyTo ?? '', answers, runOptions)
    } catch (error) {
      conclude(work, now, { error })
      return
    }
    if (running === undefined) conclude(work, now)
    else {
      times.watch(work, now)
      running.then(
        () => conclude(work, now),
        (error: unknown) => conclude(work, now, { error }),
      )
    }
  }

  const host: InboundRequestHost = {
    now: () => deps.clock.monotonic(),
    maxDeadlineMs: times.maxDeadlineMs,
    start,
    /** The caller has given up by now; the handler is told, and its slot stays taken until it returns. */
    overdue(work) {
      const error = times.timeoutError(work)
      tell(work, error)
      work.end(error)
    },
    progress(work, report) {
      if (work.hasEnded) return
      deps.slots.reportProgress(report.fraction)
      work.reports ??= reportsOf(work)
      work.reports.add(report)
    },
    envelope: (request) =>
      requestEnvelope(request, wire.peerHello(), { source: self.peer, destination: self.id, type }),
  }

  /** A slot now, or a place in the line for one; what waits is bounded in bytes for each peer. */
  const enter = (work: InboundRequest): void => {
    if (mine.waitingBytes > limits.maxQueuedBytes) {
      throw new ParleyError('COM003', `${mine.waitingBytes} bytes of requests of this peer wait already`, {
        hint: 'send fewer large requests at once',
        details: { retryAfterMs: 200, reason: 'bytes' },
      })
    }
    mine.acquire(work.priority, work, work.bytes)
    if (work.hasStarted) return
    work.hasWaited = true
    work.detachPayload()
    mine.waitingBytes += work.bytes
  }

  const checkOpen = (request: Frame): void => {
    if (closing) {
      throw new ParleyError('COM002', 'the peer is stopping', { hint: 'call another peer', details: { sent: false } })
    }
    if (works.get(request.exchange) !== undefined) {
      throw new ParleyError('SEC003', `exchange ${request.exchange} is open already`, {
        hint: 'number exchanges upwards',
      })
    }
  }

  const accept = (request: Frame): void => {
    last = Math.max(last, request.exchange)
    floods.request()
    try {
      checkOpen(request)
      const now = deps.clock.monotonic()
      const endpoint = deps.route(request.method, now)
      // A request that brings a window asks for a stream.
      const kind = request.kind === KIND.oneWay ? 'one-way' : request.credit > 0 ? 'stream' : 'unary'
      if (kind !== endpoint.kind) {
        throw new ParleyError('MSG004', `${self.protocol}.${endpoint.name} is ${endpoint.kind}`, {
          hint: 'the contracts of the two sides differ',
        })
      }
      const work = new InboundRequest(host, endpoint, request, self.peer, now)
      works.set(request.exchange, work)
      try {
        enter(work)
      } catch (error) {
        works.delete(request.exchange)
        throw error
      }
    } catch (error) {
      refuse(request, error)
    }
  }

  const refuse = (request: Frame, error: unknown): void => {
    const code = error instanceof ParleyError ? error.code : 'APP001'
    floods.refused(code)
    if (code === 'COM003') counts.overloaded += 1
    deps.done(undefined, code, 0)
    if (request.kind !== KIND.oneWay) answers.refuse(request, error)
  }

  const onFrame = (received: Frame): void => {
    if (received.kind !== KIND.request && received.kind !== KIND.oneWay) floods.control()
    if (received.kind === KIND.cancel) {
      joiner.drop(received.exchange)
      works
        .get(received.exchange)
        ?.end(new ParleyError('COM001', 'the caller gave the call up', { hint: 'stop working on it' }))
      return
    }
    if (received.kind === KIND.credit) {
      const work = works.get(received.exchange)
      if (work === undefined) return
      work.credit = Math.min(work.credit + received.credit, MAX_CREDIT)
      work.onCredit?.()
      return
    }
    if (received.kind !== KIND.request && received.kind !== KIND.oneWay) {
      counts.unknownFrames += 1
      return
    }
    let whole: Frame | undefined
    try {
      whole = joiner.add(received)
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code === 'MSG003') throw error
      refuse(received, error)
      return
    }
    if (whole !== undefined) accept(whole)
  }

  const wire: LinkEnd = openLinkEnd(
    duplex,
    deps,
    { version: self.version, session: deps.random(8), startedAtMs: Math.floor(deps.clock.now()) },
    {
      frame: onFrame,
      empty: drain.recheck,
      queued: unread.add,
      close(error) {
        gone = true
        for (const work of works.values()) work.end(error)
        joiner.clear()
        unread.close()
        mine.close()
        drain.recheck()
        self.onClose()
      },
    },
  )

  const answers = createResponseWriter(wire, { maxDetailsBytes: limits.partBytes / 2, unread, counts, load: deps.load })

  return {
    active: works.size,
    queuedBytes: () => wire.writer.queuedBytes(),
    closed: () => gone,
    async close(drainMs) {
      if (gone) return
      closing = true
      await drain.wait(drainMs)
      for (const work of works.values()) {
        const error = new ParleyError('COM002', 'the peer stopped before the request was done', {
          hint: 'call another peer',
          details: { sent: true },
        })
        tell(work, error)
        work.end(error)
      }
      // What the caller has sent meanwhile is not read any more; it may go elsewhere. Behind every answer.
      const goaway = frame(KIND.goaway, last)
      goaway.priority = 1
      wire.send(goaway)
      wire.close()
    },
    abort: (reason) => wire.abort(reason),
  }
}
