/**
 * The calls of one link, from when they are made until they ended: by their answer, their deadline, their signal, or the
 * link's end. Each of them ends exactly once.
 *
 * State: the exchanges that are open, at most maxInFlight; the calls that wait for a place (call-queue.ts); the parts of
 * answers that are not whole yet; and the numbers of the last exchanges that were given up, at most 1,024.
 */
import { ParleyError } from '../../errors.ts'
import { createReassembler, type Reassembler } from '../frames/fragmentation.ts'
import { type Frame, frame, KIND } from '../frames/frame.ts'
import { createDeadlines, type Deadlines } from '../link/deadlines.ts'
import { createDrain, type Drain } from '../link/drain.ts'
import { createExchangeTable, type ExchangeTable } from '../link/exchange-table.ts'
import type { LinkEnd } from '../link/link.ts'
import type { LinkDeps } from '../link/link-limits.ts'
import { type CallQueue, createCallQueue } from './call-queue.ts'
import { type Exchange, type ExchangeHost, NO_ANSWER } from './exchange.ts'
import {
  abortReasonOf,
  expiredError,
  extendMsOf,
  extraWithLimits,
  stalledError,
  timeoutError,
  validateCall,
} from './outgoing-call.ts'

const EMPTY = new Uint8Array(0)
const MAX_ABANDONED = 1024

/** What the calls of one link have in common. */
export interface CallerLinkAbout {
  /** Who is called. */
  readonly peer: string
  /** Of the HELLO, as keys of calls have it. */
  readonly session: string
}

export class OpenExchanges implements ExchangeHost {
  readonly #link: LinkEnd
  readonly #deps: LinkDeps
  readonly #about: CallerLinkAbout
  /** Monotonic milliseconds. */
  readonly #openedAt: number
  readonly #table: ExchangeTable<Exchange> = createExchangeTable()
  readonly #queue: CallQueue<Exchange>
  readonly #deadlines: Deadlines
  readonly #reassembler: Reassembler
  readonly #drain: Drain
  /** Labels of those that were given up, by number. */
  readonly #abandoned = new Map<number, string>()
  #begun = 0
  #isClosing = false
  /** The peer takes no more on this link. */
  #isDeparting = false
  #lost: ParleyError | undefined

  constructor(link: LinkEnd, deps: LinkDeps, about: CallerLinkAbout) {
    const { limits, clock, timers } = deps
    this.#link = link
    this.#deps = deps
    this.#about = about
    this.#openedAt = clock.monotonic()
    this.#deadlines = createDeadlines(clock, timers)
    // Answers are asked for: the bound for one is the message's, for all it is what the window lets in.
    this.#reassembler = createReassembler(limits.maxMessageBytes, limits.maxMessageBytes * limits.maxInFlight)
    this.#queue = createCallQueue<Exchange>({
      get maxWaiting() {
        return limits.maxQueuedCalls
      },
      hasCapacity: () => this.#table.size() < limits.maxInFlight,
      isFull: () => link.writer.isFull(),
      whenRoom: (fn) => void link.writer.whenRoom(fn),
      start: (exchange) => this.#begin(exchange, clock.monotonic()),
    })
    this.#drain = createDrain(timers, () => this.#isBusy())
  }

  /** Begins now, or when there is a place. */
  enter(exchange: Exchange, now: number): void {
    const { call, sink } = exchange
    const { signal } = call
    try {
      validateCall(call, this.#link.peerHello()?.maxMessageBytes || this.#deps.limits.maxMessageBytes)
      if (signal?.aborted) throw abortReasonOf(signal)
      if (this.isClosed()) throw this.#lostError(false)
    } catch (error) {
      exchange.hasEnded = true
      sink.fail(error)
      return
    }
    this.#deadlines.set(exchange, exchange.deadlineAt, now)
    if (signal !== undefined) exchange.watch(signal)
    if (this.#queue.canStartNow()) this.#begin(exchange, now)
    else if (!this.#queue.add(exchange)) {
      this.settle(exchange)
      sink.fail(this.#overloadedError())
    }
  }

  get(number: number): Exchange | undefined {
    return this.#table.get(number)
  }

  /** @returns the whole frame, once its last part came */
  join(part: Frame): Frame | undefined {
    return this.#reassembler.add(part)
  }

  /** Progress came: the deadline is as far away as it was when the call began, up to its limit. */
  extend(exchange: Exchange): void {
    const now = this.#deps.clock.monotonic()
    const at = Math.min(now + extendMsOf(exchange.call), exchange.limitAt)
    exchange.hasProgressed = true
    if (at <= exchange.deadlineAt) return
    exchange.deadlineAt = at
    this.#deadlines.set(exchange, at, now)
  }

  /** Takes an exchange off every list; from here on nobody but its sink hears of it. */
  settle(exchange: Exchange): void {
    exchange.hasEnded = true
    this.#deadlines.clear(exchange)
    exchange.unwatch()
    exchange.call.childCalls?.ended(exchange)
    if (exchange.number === 0) {
      this.#queue.remove(exchange)
    } else {
      this.#table.delete(exchange.number)
      this.#reassembler.drop(exchange.number)
      this.#queue.startWaiting()
    }
    this.#drain.recheck()
  }

  /** Ends an exchange from this side: a cancel goes to the peer, and what it still sends is late. */
  giveUp(exchange: Exchange, error: unknown): void {
    if (exchange.hasEnded) return
    this.settle(exchange)
    exchange.isDropped = true
    if (exchange.number > 0) {
      this.#abandon(exchange.number, exchange.call.label)
      const cancel = frame(KIND.cancel, exchange.number)
      // It may overtake: what is left of the request is not sent any more.
      cancel.priority = 2
      this.#link.send(cancel)
    }
    exchange.sink.fail(error)
  }

  /** The peer took on no exchange after the one it names: those and the calls that wait go elsewhere. */
  depart(lastTaken: number): void {
    this.#isDeparting = true
    const waiting = this.#queue.clear()
    const untaken = this.#table.values().filter(({ number }) => number > lastTaken)
    for (const exchange of [...untaken, ...waiting]) {
      this.settle(exchange)
      exchange.isDropped = true
      exchange.sink.fail(this.#lostError(false))
    }
  }

  /** The link is gone. */
  failAll(error: ParleyError): void {
    this.#lost = error
    for (const exchange of [...this.#table.values(), ...this.#queue.clear()]) {
      this.settle(exchange)
      exchange.sink.fail(this.#lostError(exchange.isSent))
    }
    this.#drain.recheck()
  }

  /** From now on new ones are refused. Resolves once the open ones have ended, or after `drainMs`. */
  drain(drainMs: number): Promise<void> {
    this.#isClosing = true
    return this.#drain.wait(drainMs)
  }

  /** Something was written: look whether that was the last of it. */
  recheckDrain(): void {
    this.#drain.recheck()
  }

  overdue(exchange: Exchange): void {
    const { call, number, hasProgressed } = exchange
    const error = hasProgressed
      ? stalledError(call, exchange.deadlineAt >= exchange.limitAt)
      : timeoutError(call, number === 0 ? 'it still waited for a place on the link' : 'no answer came')
    this.giveUp(exchange, error)
  }

  aborted(exchange: Exchange): void {
    this.giveUp(exchange, abortReasonOf(exchange.call.signal))
  }

  expired(exchange: Exchange): void {
    this.#deps.counts.expired += 1
    exchange.isDropped = true
    if (exchange.hasEnded) return
    this.settle(exchange)
    exchange.sink.fail(expiredError(exchange.call))
  }

  sent(exchange: Exchange): void {
    if (exchange.endKind !== NO_ANSWER || exchange.hasEnded) return
    this.settle(exchange)
    exchange.sink.done(EMPTY)
  }

  isLost(): boolean {
    return this.#lost !== undefined
  }

  /** It takes no more calls. */
  isClosed(): boolean {
    return this.#lost !== undefined || this.#isClosing || this.#isDeparting
  }

  inFlight(): number {
    return this.#table.size()
  }

  waiting(): number {
    return this.#queue.size()
  }

  /** How many it has begun so far; they are numbered from 1. */
  begun(): number {
    return this.#begun
  }

  /** Of an exchange that was given up not long ago. */
  abandonedLabel(number: number): string | undefined {
    return this.#abandoned.get(number)
  }

  /** Opens an exchange and sends its first frame; it ends by settle() or giveUp(). */
  #begin(exchange: Exchange, now: number): void {
    const { call } = exchange
    this.#begun += 1
    exchange.number = this.#begun
    this.#table.set(exchange.number, exchange)
    if (call.childCalls !== undefined && exchange.endKind !== NO_ANSWER)
      call.childCalls.begun(exchange, this.#about.peer, this.#about.session, exchange.number)
    const request = frame(exchange.kind, exchange.number, call.payload)
    request.method = call.method
    request.content = call.content
    request.priority = call.priority
    request.atMs = Math.floor(now - this.#openedAt)
    request.extra = extraWithLimits(call, exchange.limitAt - now)
    request.credit = exchange.credit
    this.#link.send(request, exchange)
  }

  #abandon(number: number, label: string): void {
    this.#abandoned.set(number, label)
    if (this.#abandoned.size <= MAX_ABANDONED) return
    const oldest = this.#abandoned.keys().next().value
    if (oldest !== undefined) this.#abandoned.delete(oldest)
  }

  #isBusy(): boolean {
    if (this.#lost !== undefined) return false
    return this.#table.size() > 0 || this.#queue.size() > 0 || this.#link.writer.queuedBytes() > 0
  }

  #lostError(sent: boolean): ParleyError {
    const lost = this.#lost
    return new ParleyError('COM002', lost?.message ?? 'the link is closing', {
      ...(lost?.hint === undefined ? {} : { hint: lost.hint }),
      details: { sent },
      ...(lost === undefined ? {} : { cause: lost }),
    })
  }

  #overloadedError(): ParleyError {
    this.#deps.counts.overloaded += 1
    return new ParleyError('COM003', `${this.#queue.size()} calls wait for the peer already`, {
      hint: 'slow down, or raise limits.maxQueuedCalls',
      details: { retryAfterMs: 100 },
    })
  }
}
