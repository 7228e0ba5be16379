/**
 * The calling side of a link.
 *
 * State: the exchanges that are open, at most maxInFlight; further calls wait (waiting-line.ts), and answers that come too
 * late are quarantined (late-replies.ts). Every call ends: by its answer, its deadline, its signal, or the link's end.
 */
import { ParleyError } from '../../errors.ts'
import type { Duplex } from '../duplex.ts'
import { createReassembler } from '../frames/fragmentation.ts'
import { type Frame, type FrameFault, frame, KIND } from '../frames/frame.ts'
import { createDeadlines } from '../link/deadlines.ts'
import { createDrain } from '../link/drain.ts'
import { createExchangeTable } from '../link/exchange-table.ts'
import { type LinkDeps, type LinkEnd, openLinkEnd } from '../link/link.ts'
import { readProgress } from '../link/progress-reports.ts'
import { createCallQueue } from './call-queue.ts'
import { Exchange, type ExchangeHost, type ResponseSink } from './exchange.ts'
import { readFault } from './fault.ts'
import { createItemReader } from './item-reader.ts'
import { createLateReplies, type LateReply } from './late-replies.ts'
import {
  abortReasonOf,
  expiredError,
  extendMsOf,
  extraWithLimits,
  type OutgoingCall,
  stalledError,
  timeoutError,
  unexpectedKindError,
  validateCall,
} from './outgoing-call.ts'

export type { ResponseSink } from './exchange.ts'
export type { LateReply } from './late-replies.ts'
export type { OutgoingCall } from './outgoing-call.ts'

export interface Caller {
  /** @returns the answer's bytes; for a call with replyTo, the id of the request, once the peer took it on */
  unary(call: OutgoingCall): Promise<Uint8Array>
  /** unary() for who brings a sink of its own; `now` is the monotonic time, from which its deadline counts. */
  request(call: OutgoingCall, sink: ResponseSink, now: number): void
  stream(call: OutgoingCall): AsyncIterableIterator<Uint8Array>
  /** Resolves when the bytes were handed to the stream: at most once, no answer. */
  oneWay(call: OutgoingCall): Promise<void>
  inFlight(): number
  waiting(): number
  /** Calls that it has begun so far. */
  calls(): number
  queuedBytes(): number
  /** Load that the peer told with its last answer. */
  peerLoad(): number
  peerVersion(): string | undefined
  late(): readonly LateReply[]
  closed(): boolean
  /** Lets open exchanges end (at most `drainMs`), then closes. New calls are refused. */
  close(drainMs: number): Promise<void>
  abort(reason: ParleyError): void
}

const EMPTY = new Uint8Array(0)
/** No answer is awaited. */
const NOTHING = -1
const NO_FAULT: FrameFault = { code: 'APP001', message: 'the peer failed', hint: '', details: EMPTY }

const isAnswer = (kind: number): boolean =>
  kind === KIND.response || kind === KIND.item || kind === KIND.end || kind === KIND.error || kind === KIND.ack

const progressOf = ({ onProgress }: OutgoingCall): Pick<ResponseSink, 'progress'> =>
  onProgress === undefined ? {} : { progress: onProgress }

export const createCaller = (
  duplex: Duplex,
  deps: LinkDeps & { random(bytes: number): Uint8Array },
  self: { version: string; onClose(error: ParleyError): void },
): Caller => {
  const { limits, timers, counts } = deps
  const session = deps.random(8)
  const startedAtMs = Math.floor(deps.clock.now())
  const openedAt = deps.clock.monotonic()
  const open = createExchangeTable<Exchange>()
  const deadlines = createDeadlines(deps.clock, timers)
  const late = createLateReplies(deps.clock)
  // Answers are asked for: the bound for one is the message's, for all it is what the window lets in.
  const joiner = createReassembler(limits.maxMessageBytes, limits.maxMessageBytes * limits.maxInFlight)
  let exchanges = 0
  let load = 0
  let closing = false
  /** The peer takes no more on this link. */
  let departing = false
  let gone: ParleyError | undefined
  const drain = createDrain(
    timers,
    () => gone === undefined && (open.size() > 0 || line.size() > 0 || wire.writer.queuedBytes() > 0),
  )

  const lost = (sent: boolean): ParleyError =>
    new ParleyError('COM002', gone?.message ?? 'the link is closing', {
      ...(gone?.hint === undefined ? {} : { hint: gone.hint }),
      details: { sent },
      ...(gone === undefined ? {} : { cause: gone }),
    })

  const line = createCallQueue<Exchange>({
    get maxWaiting() {
      return limits.maxQueuedCalls
    },
    hasCapacity: () => open.size() < limits.maxInFlight,
    isFull: () => wire.writer.isFull(),
    whenRoom: (fn) => void wire.writer.whenRoom(fn),
    start: (exchange) => begin(exchange, deps.clock.monotonic()),
  })

  /** Takes an exchange off every list; from here on nobody but its sink hears of it. */
  const settle = (exchange: Exchange): void => {
    exchange.hasEnded = true
    deadlines.clear(exchange)
    exchange.unwatch()
    if (exchange.number === 0) {
      line.remove(exchange)
    } else {
      open.delete(exchange.number)
      joiner.drop(exchange.number)
      line.startWaiting()
    }
    drain.recheck()
  }

  /** Ends an exchange from this side: the peer is told, and what it still sends is quarantined. */
  const giveUp = (exchange: Exchange, error: unknown): void => {
    if (exchange.hasEnded) return
    settle(exchange)
    exchange.isDropped = true
    if (exchange.number > 0) {
      late.expect(exchange.number, exchange.call.label)
      const cancel = frame(KIND.cancel, exchange.number)
      // It may overtake: what is left of the request is not sent any more.
      cancel.priority = 2
      wire.send(cancel)
    }
    exchange.sink.fail(error)
  }

  const host: ExchangeHost = {
    overdue(exchange) {
      const { call, number, hasProgressed } = exchange
      const error = hasProgressed
        ? stalledError(call, exchange.deadlineAt >= exchange.limitAt)
        : timeoutError(call, number === 0 ? 'it still waited for a place on the link' : 'no answer came')
      giveUp(exchange, error)
    },
    aborted: (exchange) => giveUp(exchange, abortReasonOf(exchange.call.signal)),
    expired(exchange) {
      counts.expired += 1
      exchange.isDropped = true
      if (exchange.hasEnded) return
      settle(exchange)
      exchange.sink.fail(expiredError(exchange.call))
    },
    sent(exchange) {
      if (exchange.endKind !== NOTHING || exchange.hasEnded) return
      settle(exchange)
      exchange.sink.done(EMPTY)
    },
  }

  const quarantine = (received: Frame): void => {
    if (received.exchange === 0 || received.exchange > exchanges) {
      counts.unknownFrames += 1
      return
    }
    counts.lateReplies += 1
    if (received.kind !== KIND.progress) late.add(received)
  }

  /** The deadline is as far away as it was when the call began. */
  const progress = (received: Frame): void => {
    const exchange = open.get(received.exchange)
    if (exchange === undefined) {
      quarantine(received)
      return
    }
    const now = deps.clock.monotonic()
    const at = Math.min(now + extendMsOf(exchange.call), exchange.limitAt)
    exchange.hasProgressed = true
    if (at > exchange.deadlineAt) {
      exchange.deadlineAt = at
      deadlines.set(exchange, at, now)
    }
    if (received.load > 0) load = received.load
    try {
      exchange.sink.progress?.(readProgress(received.progress))
    } catch (error) {
      deps.log.error(`onProgress of ${exchange.call.label} failed`, { error, messageType: 'REQUEST' })
    }
  }

  const answer = (exchange: Exchange, whole: Frame): void => {
    if (whole.kind === KIND.error) {
      counts.faultsIn += 1
      const error = readFault(whole.fault ?? NO_FAULT)
      settle(exchange)
      exchange.sink.fail(error)
    } else if (whole.kind === exchange.endKind) {
      counts.answersIn += 1
      const payload = wire.decompress(whole)
      settle(exchange)
      exchange.sink.done(payload)
    } else if (whole.kind === KIND.item && exchange.sink.item !== undefined) {
      exchange.sink.item(wire.decompress(whole))
    } else throw unexpectedKindError(exchange.call, whole.kind)
  }

  /** The peer took on no exchange after the one it names: those and the calls that wait go elsewhere. */
  const depart = (lastTaken: number): void => {
    departing = true
    const waiting = line.clear()
    const untaken = open.values().filter(({ number }) => number > lastTaken)
    for (const exchange of [...untaken, ...waiting]) {
      settle(exchange)
      exchange.isDropped = true
      exchange.sink.fail(lost(false))
    }
  }

  const onFrame = (received: Frame): void => {
    if (received.kind === KIND.goaway) {
      depart(received.exchange)
      return
    }
    if (!isAnswer(received.kind)) {
      if (received.kind === KIND.progress) progress(received)
      else counts.unknownFrames += 1
      return
    }
    const exchange = open.get(received.exchange)
    if (exchange === undefined) {
      quarantine(received)
      return
    }
    if (received.load > 0 || received.kind === KIND.response) load = received.load
    try {
      const whole = joiner.add(received)
      if (whole !== undefined) answer(exchange, whole)
    } catch (error) {
      giveUp(exchange, error)
    }
  }

  const wire: LinkEnd = openLinkEnd(
    duplex,
    deps,
    { version: self.version, session, startedAtMs },
    {
      frame: onFrame,
      empty: drain.recheck,
      close(error) {
        gone = error
        for (const exchange of [...open.values(), ...line.clear()]) {
          settle(exchange)
          exchange.sink.fail(lost(exchange.isSent))
        }
        drain.recheck()
        self.onClose(error)
      },
    },
  )

  /** Opens an exchange and sends its first frame; it ends by settle() or giveUp(). */
  const begin = (exchange: Exchange, now: number): void => {
    const { call } = exchange
    exchanges += 1
    exchange.number = exchanges
    open.set(exchanges, exchange)
    const request = frame(exchange.kind, exchanges, call.payload)
    request.method = call.method
    request.content = call.content
    request.priority = call.priority
    request.atMs = Math.floor(now - openedAt)
    request.extra = extraWithLimits(call, exchange.limitAt - now)
    request.credit = exchange.credit
    wire.send(request, exchange)
  }

  const refused = (): ParleyError => {
    counts.overloaded += 1
    return new ParleyError('COM003', `${line.size()} calls wait for the peer already`, {
      hint: 'slow down, or raise limits.maxQueuedCalls',
      details: { retryAfterMs: 100 },
    })
  }

  /** Begins now, or when there is a place. */
  const enter = (exchange: Exchange, now: number): void => {
    const { call, sink } = exchange
    const { signal } = call
    try {
      validateCall(call, wire.peerHello()?.maxMessageBytes || limits.maxMessageBytes)
      if (signal?.aborted) throw abortReasonOf(signal)
      if (gone !== undefined || closing || departing) throw lost(false)
    } catch (error) {
      exchange.hasEnded = true
      sink.fail(error)
      return
    }
    deadlines.set(exchange, exchange.deadlineAt, now)
    if (signal !== undefined) exchange.watch(signal)
    if (line.canStartNow()) begin(exchange, now)
    else if (!line.add(exchange)) {
      settle(exchange)
      sink.fail(refused())
    }
  }

  const request = (call: OutgoingCall, sink: ResponseSink, now: number): void => {
    const ends = (call.extra?.replyTo ?? '') === '' ? KIND.response : KIND.ack
    enter(new Exchange(host, KIND.request, ends, call, sink, 0, now), now)
  }

  const unary = (call: OutgoingCall): Promise<Uint8Array> =>
    new Promise((resolve, reject) =>
      request(call, { done: resolve, fail: reject, ...progressOf(call) }, deps.clock.monotonic()),
    )

  const oneWay = (call: OutgoingCall): Promise<void> =>
    new Promise((resolve, reject) => {
      const now = deps.clock.monotonic()
      const sink: ResponseSink = { done: () => resolve(), fail: reject }
      enter(new Exchange(host, KIND.oneWay, NOTHING, call, sink, 0, now), now)
    })

  const stream = (call: OutgoingCall): AsyncIterableIterator<Uint8Array> => {
    const window = limits.streamWindow
    let exchange: Exchange | undefined
    const reader = createItemReader({
      window,
      open() {
        const now = deps.clock.monotonic()
        const sink: ResponseSink = {
          item: (payload) => reader.item(payload),
          done: () => reader.finish(),
          fail: (error) => reader.finish({ error }),
          ...progressOf(call),
        }
        exchange = new Exchange(host, KIND.request, KIND.end, call, sink, window, now)
        enter(exchange, now)
      },
      grant(units) {
        const grant = frame(KIND.credit, exchange?.number ?? 0)
        grant.credit = units
        grant.priority = 2
        wire.send(grant)
      },
      giveUp() {
        if (exchange !== undefined) giveUp(exchange, undefined)
      },
    })
    return reader.iterator
  }

  return {
    request,
    unary,
    stream,
    oneWay,
    inFlight: open.size,
    waiting: line.size,
    calls: () => exchanges,
    queuedBytes: () => wire.writer.queuedBytes(),
    peerLoad: () => load,
    peerVersion: () => wire.peerHello()?.version,
    late: late.list,
    closed: () => gone !== undefined || closing || departing,
    async close(drainMs) {
      if (gone !== undefined) return
      closing = true
      await drain.wait(drainMs)
      wire.close()
    },
    abort: (reason) => wire.abort(reason),
  }
}
