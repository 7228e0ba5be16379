/**
 * The calling side of a link: what its users see of it.
 *
 * Every call is an exchange (exchange.ts), which goes through open-exchanges.ts until it ended; what the peer sends comes
 * in by response-reader.ts.
 */
import type { ParleyError } from '../../errors.ts'
import { sessionText } from '../child-calls.ts'
import type { Duplex } from '../duplex.ts'
import { frame, KIND } from '../frames/frame.ts'
import { LinkEnd } from '../link/link.ts'
import type { LinkDeps } from '../link/link-limits.ts'
import { Exchange, NO_ANSWER, type ResponseSink } from './exchange.ts'
import { createItemReader } from './item-reader.ts'
import { OpenExchanges } from './open-exchanges.ts'
import type { OutgoingCall } from './outgoing-call.ts'
import { type LateReply, ResponseReader } from './response-reader.ts'

export type { ResponseSink } from './exchange.ts'
export type { OutgoingCall } from './outgoing-call.ts'
export type { LateReply } from './response-reader.ts'

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
  /** Load that the peer said it had with its last answer. */
  peerLoad(): number
  peerVersion(): string | undefined
  late(): readonly LateReply[]
  closed(): boolean
  /** Lets open exchanges end (at most `drainMs`), then closes. New calls are refused. */
  close(drainMs: number): Promise<void>
  abort(reason: ParleyError): void
}

type CallerDeps = LinkDeps & { random(bytes: number): Uint8Array }

interface CallerSelf {
  version: string
  /** Who is called. */
  peer: string
  onClose(error: ParleyError): void
}

const progressOf = ({ onProgress }: OutgoingCall): Pick<ResponseSink, 'progress'> =>
  onProgress === undefined ? {} : { progress: onProgress }

class CallerLink implements Caller {
  readonly #deps: CallerDeps
  readonly #link: LinkEnd
  readonly #exchanges: OpenExchanges
  readonly #responses: ResponseReader

  constructor(duplex: Duplex, deps: CallerDeps, self: CallerSelf) {
    this.#deps = deps
    const hello = {
      version: self.version,
      session: deps.random(8),
      startedAtMs: Math.floor(deps.clock.now()),
    }
    this.#link = new LinkEnd(duplex, deps, hello, {
      frame: (received) => this.#responses.onFrame(received),
      empty: () => this.#exchanges.recheckDrain(),
      close: (error) => {
        this.#exchanges.failAll(error)
        self.onClose(error)
      },
    })
    this.#exchanges = new OpenExchanges(this.#link, deps, {
      peer: self.peer,
      session: sessionText(hello.session),
    })
    this.#responses = new ResponseReader(this.#link, this.#exchanges, deps)
  }

  request(call: OutgoingCall, sink: ResponseSink, now: number): void {
    const endKind = (call.extra?.replyTo ?? '') === '' ? KIND.response : KIND.ack
    this.#exchanges.enter(new Exchange(this.#exchanges, KIND.request, endKind, call, sink, 0, now), now)
  }

  unary(call: OutgoingCall): Promise<Uint8Array> {
    return new Promise((resolve, reject) =>
      this.request(call, { done: resolve, fail: reject, ...progressOf(call) }, this.#deps.clock.monotonic()),
    )
  }

  oneWay(call: OutgoingCall): Promise<void> {
    return new Promise((resolve, reject) => {
      const now = this.#deps.clock.monotonic()
      const sink: ResponseSink = { done: () => resolve(), fail: reject }
      this.#exchanges.enter(new Exchange(this.#exchanges, KIND.oneWay, NO_ANSWER, call, sink, 0, now), now)
    })
  }

  stream(call: OutgoingCall): AsyncIterableIterator<Uint8Array> {
    const window = this.#deps.limits.streamWindow
    let exchange: Exchange | undefined
    const reader = createItemReader({
      window,
      open: () => {
        const now = this.#deps.clock.monotonic()
        const sink: ResponseSink = {
          item(payload) {
            // Whoever waited for a slot there has it.
            if (exchange !== undefined) call.childCalls?.ended(exchange)
            reader.item(payload)
          },
          done: () => reader.finish(),
          fail: (error) => reader.finish({ error }),
          ...progressOf(call),
        }
        exchange = new Exchange(this.#exchanges, KIND.request, KIND.end, call, sink, window, now)
        this.#exchanges.enter(exchange, now)
      },
      grant: (units) => {
        const grant = frame(KIND.credit, exchange?.number ?? 0)
        grant.credit = units
        grant.priority = 2
        this.#link.send(grant)
      },
      giveUp: () => {
        if (exchange !== undefined) this.#exchanges.giveUp(exchange, undefined)
      },
    })
    return reader.iterator
  }

  inFlight(): number {
    return this.#exchanges.inFlight()
  }

  waiting(): number {
    return this.#exchanges.waiting()
  }

  calls(): number {
    return this.#exchanges.begun()
  }

  queuedBytes(): number {
    return this.#link.writer.queuedBytes()
  }

  peerLoad(): number {
    return this.#responses.peerLoad()
  }

  peerVersion(): string | undefined {
    return this.#link.peerHello()?.version
  }

  late(): readonly LateReply[] {
    return this.#responses.late()
  }

  closed(): boolean {
    return this.#exchanges.isClosed()
  }

  async close(drainMs: number): Promise<void> {
    if (this.#exchanges.isLost()) return
    await this.#exchanges.drain(drainMs)
    this.#link.close()
  }

  abort(reason: ParleyError): void {
    this.#link.abort(reason)
  }
}

export const createCaller = (duplex: Duplex, deps: CallerDeps, self: CallerSelf): Caller =>
  new CallerLink(duplex, deps, self)
