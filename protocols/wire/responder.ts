/**
 * The answering side of a link.
 *
 * State: the exchanges in work. Inbound order, in one place (accept): size (inbox, joiner) > decode (frame) > route
 * (membership, capability, rate: the router's) > a slot > schema > handler > reply. While answers pile up the stream is
 * not read, so a peer that does not take its answers cannot fill this node's memory.
 */
import type { Context } from '../define.ts'
import { type Fault, ParleyError, toFault } from '../errors.ts'
import type { Endpoint } from './contract.ts'
import type { Duplex } from './duplex.ts'
import type { Envelope } from './envelope.ts'
import { type Frame, frame, KIND, WIRE_CONTENTS, WIRE_PRIORITIES } from './frame.ts'
import { type LinkDeps, openWire, unitsOf, type Wire } from './link.ts'
import { exchangeId } from './message-id.ts'
import { createJoiner } from './parts.ts'
import { decodePayload, encodePayload } from './payload.ts'
import type { Slots } from './slots.ts'

export interface Reply {
  /** Peer id, or `topic:<name>`. */
  replyTo: string
  envelope: Envelope
  content: number
  payload?: Uint8Array
  fault?: Fault
}

export interface ResponderDeps extends LinkDeps {
  slots: Slots
  /** Finds the endpoint and checks what the caller may; throws what it is told. */
  route(method: string): Endpoint
  /** Takes an answer that goes to a third party. */
  reply(reply: Reply): Promise<void>
  /** Exchanges in work on this node; told with each answer. */
  load(): number
  /** Told once per finished request. */
  done(endpoint: string, status: string, seconds: number): void
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

const MAX_TIMER_MS = 2 ** 31 - 1
const EMPTY = new Uint8Array(0)

/** One request in work; it is the handler's context as well. */
class Work implements Context {
  readonly exchange: number
  readonly peer: string
  readonly priority: number
  readonly deadlineAt: number
  credit: number
  /** Wakes the stream that waits for credit. */
  wake: (() => void) | undefined
  ended = false
  private controller: AbortController | undefined
  private abortReason: unknown
  private made: Envelope | undefined
  private readonly now: () => number
  private readonly make: () => Envelope

  constructor(request: Frame, peer: string, deadlineAt: number, now: () => number, make: () => Envelope) {
    this.exchange = request.exchange
    this.peer = peer
    this.priority = request.priority
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

  remainingMs(): number {
    return Math.max(0, this.deadlineAt - this.now())
  }

  /** After this nothing more is sent for the exchange. */
  end(reason?: unknown): void {
    if (this.ended) return
    this.ended = true
    this.abortReason = reason
    if (reason !== undefined) this.controller?.abort(reason)
    this.wake?.()
  }
}

const readMetadata = (bytes: Uint8Array | undefined): Record<string, unknown> => {
  if (bytes === undefined || bytes.length === 0) return {}
  const value = decodePayload('json', bytes)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

export const createResponder = (
  duplex: Duplex,
  deps: ResponderDeps,
  self: { id: string; protocol: string; version: string; peer: string; onClose(): void },
): Responder => {
  const { limits, timers, counts } = deps
  const works = new Map<number, Work>()
  const joiner = createJoiner(limits.maxMessageBytes, limits.maxMessageBytes * 4)
  let paused = false
  let gone = false
  let closing = false
  let onIdle: (() => void) | undefined

  const envelopeOf = (request: Frame): Envelope => {
    const hello = wire.peer()
    const atMs = (hello?.startedAtMs ?? 0) + request.atMs
    const extra = request.extra ?? {}
    return {
      id: exchangeId(hello?.session ?? EMPTY, atMs, request.exchange),
      timestamp: atMs,
      source: self.peer,
      destination: self.id,
      type: 'REQUEST',
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
      ...(extra.chain === undefined ? {} : { chain: extra.chain }),
    }
  }

  /** Answers stop being taken: stop reading requests until they are. */
  const throttle = (): void => {
    if (paused || !wire.outbox.full()) return
    paused = true
    duplex.pause()
    wire.outbox.whenRoom(() => {
      paused = false
      if (!gone) duplex.resume()
    })
  }

  const answer = (
    kind: Frame['kind'],
    exchange: number,
    priority: number,
    payload: Uint8Array,
    content = 0,
  ): Promise<void> | undefined => {
    const reply = frame(KIND.response, exchange, payload)
    reply.kind = kind
    reply.priority = priority
    reply.content = content
    reply.load = deps.load()
    const compressing = wire.send(reply)
    throttle()
    return compressing
  }

  const refuse = (exchange: number, priority: number, error: unknown): void => {
    const fault = toFault(error)
    const reply = frame(KIND.error, exchange)
    reply.priority = priority
    reply.load = deps.load()
    reply.fault = {
      code: fault.code,
      message: fault.message.slice(0, 2000),
      hint: (fault.hint ?? '').slice(0, 2000),
      details: fault.details === undefined ? EMPTY : writeDetails(fault.details),
    }
    wire.send(reply)
    throttle()
  }

  const writeDetails = (details: Record<string, unknown>): Uint8Array => {
    try {
      const bytes = encodePayload('json', details)
      return bytes.length <= limits.partBytes / 2 ? bytes : EMPTY
    } catch {
      // Details are a courtesy; a handler's unwritable ones must not hide its error.
      return EMPTY
    }
  }

  const leave = (work: Work): void => {
    works.delete(work.exchange)
    if (works.size === 0) onIdle?.()
  }

  /** Answers unless the exchange was given up meanwhile. */
  const conclude = (work: Work, endpoint: Endpoint, startedAt: number, error?: { error: unknown }): void => {
    const status = error === undefined ? 'ok' : error.error instanceof ParleyError ? error.error.code : 'APP001'
    deps.done(endpoint.name, work.ended ? 'canceled' : status, (deps.clock.monotonic() - startedAt) / 1000)
    if (error !== undefined && !(error.error instanceof ParleyError)) {
      deps.log.error(`${self.protocol}.${endpoint.name} failed`, { error: error.error, source: self.peer })
    }
    if (!work.ended && error !== undefined && endpoint.kind !== 'one-way') refuse(work.exchange, work.priority, error.error)
    work.end()
    leave(work)
  }

  const runUnary = async (endpoint: Endpoint, payload: Uint8Array, work: Work): Promise<void> => {
    const result = (await (endpoint.run(payload, work) as Promise<Uint8Array>)) ?? EMPTY
    if (work.ended || endpoint.kind === 'one-way') return
    if (result.length > limits.maxMessageBytes) {
      throw new ParleyError(
        'APP001',
        `the answer has ${result.length} bytes, at most ${limits.maxMessageBytes} are sent`,
        {
          hint: 'the agent that serves it has to stream large answers',
        },
      )
    }
    await answer(KIND.response, work.exchange, work.priority, result, endpoint.content)
  }

  const creditOf = (work: Work): Promise<void> | undefined => {
    if (work.credit > 0 || work.ended) return undefined
    return new Promise((resolve) => {
      work.wake = () => {
        if (work.credit <= 0 && !work.ended) return
        work.wake = undefined
        resolve()
      }
    })
  }

  const runStream = async (endpoint: Endpoint, payload: Uint8Array, work: Work): Promise<void> => {
    const items = (endpoint.run(payload, work) as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    try {
      for (;;) {
        await creditOf(work)
        if (work.ended) return
        const result = await items.next()
        if (work.ended) return
        if (result.done === true) break
        work.credit -= unitsOf(result.value.length)
        await answer(KIND.item, work.exchange, work.priority, result.value, endpoint.content)
        await room()
      }
      answer(KIND.end, work.exchange, work.priority, EMPTY)
    } finally {
      await items.return?.()
    }
  }

  const room = (): Promise<void> | undefined =>
    wire.outbox.full() ? new Promise((resolve) => wire.outbox.whenRoom(resolve)) : undefined

  /** The answer goes elsewhere: the caller is told that the request was taken on, once its handler runs. */
  const runForwarded = async (endpoint: Endpoint, payload: Uint8Array, work: Work, replyTo: string): Promise<void> => {
    if (endpoint.kind !== 'unary') {
      throw new ParleyError('MSG004', `${endpoint.name} is no unary method; it cannot answer to a third party`, {
        hint: 'leave out replyTo',
      })
    }
    const reply: Reply = { replyTo, envelope: work.envelope, content: endpoint.content }
    await answer(KIND.ack, work.exchange, work.priority, encodePayload('json', work.envelope.id))
    try {
      reply.payload = await (endpoint.run(payload, work) as Promise<Uint8Array>)
    } catch (error) {
      reply.fault = toFault(error)
    }
    await deps.reply(reply)
  }

  const execute = async (
    endpoint: Endpoint,
    request: Frame,
    work: Work,
    done: () => void,
    arrivedAt: number,
  ): Promise<void> => {
    const startedAt = deps.clock.monotonic()
    const remaining = work.deadlineAt - startedAt
    if (work.ended) {
      leave(work)
      done()
      return
    }
    let stop = (): void => {}
    try {
      if (request.ttlMs > 0 && startedAt - arrivedAt >= request.ttlMs) {
        counts.expired += 1
        throw new ParleyError('MSG005', `${self.protocol}.${endpoint.name} expired while it waited for its turn`, {
          hint: 'the peer is busy; give it more ttlMs, or a higher priority',
        })
      }
      stop = timers.after(Math.min(MAX_TIMER_MS, Math.max(1, remaining)), () => overdue(endpoint, work))
      const payload = wire.open(request)
      const replyTo = request.extra?.replyTo
      if (replyTo !== undefined && replyTo !== '') await runForwarded(endpoint, payload, work, replyTo)
      else if (endpoint.kind === 'stream') await runStream(endpoint, payload, work)
      else await runUnary(endpoint, payload, work)
      conclude(work, endpoint, startedAt)
    } catch (error) {
      conclude(work, endpoint, startedAt, { error })
    } finally {
      stop()
      done()
    }
  }

  /** The caller has given up by now; the handler is told, and its slot stays taken until it returns. */
  const overdue = (endpoint: Endpoint, work: Work): void => {
    if (work.ended) return
    const error = new ParleyError('COM001', `${self.protocol}.${endpoint.name} did not finish in the caller's time`, {
      hint: 'give it more time with timeoutMs',
    })
    if (endpoint.kind !== 'one-way') refuse(work.exchange, work.priority, error)
    work.end(error)
  }

  const accept = (request: Frame): void => {
    const arrivedAt = deps.clock.monotonic()
    const oneWay = request.kind === KIND.oneWay
    try {
      if (closing) {
        throw new ParleyError('COM002', 'the peer is stopping', { hint: 'call another peer', details: { sent: false } })
      }
      if (works.has(request.exchange)) {
        throw new ParleyError('SEC003', `exchange ${request.exchange} is open already`, {
          hint: 'number exchanges upwards',
        })
      }
      const endpoint = deps.route(request.method)
      if (oneWay !== (endpoint.kind === 'one-way')) {
        throw new ParleyError('MSG004', `${self.protocol}.${endpoint.name} is ${endpoint.kind}`, {
          hint: 'the contracts of the two sides differ',
        })
      }
      const timeoutMs = request.timeoutMs > 0 ? request.timeoutMs : endpoint.timeoutMs
      const work = new Work(
        request,
        self.peer,
        arrivedAt + timeoutMs,
        () => deps.clock.monotonic(),
        () => envelopeOf(request),
      )
      works.set(request.exchange, work)
      try {
        deps.slots.enter(request.priority, (done) => void execute(endpoint, request, work, done, arrivedAt))
      } catch (error) {
        leave(work)
        throw error
      }
    } catch (error) {
      if (error instanceof ParleyError && error.code === 'COM003') counts.overloaded += 1
      deps.done('refused', error instanceof ParleyError ? error.code : 'APP001', 0)
      if (!oneWay) refuse(request.exchange, request.priority, error)
    }
  }

  const onFrame = (received: Frame): void => {
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
      work.credit = Math.min(work.credit + received.credit, 1_000_000)
      work.wake?.()
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
      refuse(received.exchange, received.priority, error)
      return
    }
    if (whole !== undefined) accept(whole)
  }

  const wire: Wire = openWire(
    duplex,
    deps,
    { version: self.version, session: deps.random(8), startedAtMs: Math.floor(deps.clock.now()) },
    {
      frame: onFrame,
      close(error) {
        gone = true
        for (const work of [...works.values()]) work.end(error)
        onIdle?.()
        self.onClose()
      },
    },
  )

  return {
    active: () => works.size,
    queuedBytes: () => wire.outbox.queuedBytes(),
    closed: () => gone,
    async close(drainMs) {
      if (gone) return
      closing = true
      if (works.size > 0) {
        await new Promise<void>((resolve) => {
          const stop = timers.after(Math.max(1, drainMs), resolve)
          onIdle = () => {
            stop()
            resolve()
          }
        })
        for (const work of [...works.values()]) {
          const error = new ParleyError('COM002', 'the peer stopped before the request was done', {
            hint: 'call another peer',
            details: { sent: true },
          })
          refuse(work.exchange, work.priority, error)
          work.end(error)
        }
      }
      wire.close()
    },
    abort: (reason) => wire.abort(reason),
  }
}
