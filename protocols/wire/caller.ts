/**
 * The calling side of a link.
 *
 * State: the exchanges that are open (at most maxInFlight), the calls that wait (at most maxQueuedCalls), and the numbers
 * of the last exchanges that were given up, so that their late answers are known for what they are: quarantined and
 * counted, never handed to another call. Every call ends: by its answer, its deadline, its signal, or the link's end.
 */
import { fromFault, ParleyError } from '../errors.ts'
import type { Duplex } from './duplex.ts'
import { type Extra, type Frame, frame, KIND } from './frame.ts'
import { type LinkDeps, openWire, unitsOf, type Wire } from './link.ts'
import { createJoiner, tooLarge } from './parts.ts'
import { decodePayload } from './payload.ts'

/** A call, with its input already written. */
export interface OutCall {
  /** `summarize.once`, for messages. */
  label: string
  method: string
  payload: Uint8Array
  content: number
  priority: number
  timeoutMs: number
  ttlMs?: number | undefined
  extra?: Extra | undefined
  signal?: AbortSignal | undefined
}

export interface LateReply {
  exchange: number
  label: string
  kind: number
  bytes: number
  atMs: number
}

export interface Caller {
  /** @returns the answer's bytes; for a call with replyTo, the id of the request, once the peer took it on */
  unary(call: OutCall): Promise<Uint8Array>
  stream(call: OutCall): AsyncIterableIterator<Uint8Array>
  /** Resolves when the bytes were handed to the stream: at most once, no answer. */
  oneWay(call: OutCall): Promise<void>
  inFlight(): number
  waiting(): number
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

interface Open {
  label: string
  /** Takes an answer frame, joined and with its payload decoded. */
  answer(kind: number, payload: Uint8Array, whole: Frame): void
  fail(error: unknown): void
  stopTimer: () => void
  sent: boolean
}

const MAX_ABANDONED = 1024
const MAX_LATE = 32
const MAX_TIMER_MS = 2 ** 31 - 1

const aborted = (signal: AbortSignal): unknown =>
  signal.reason ?? new ParleyError('COM001', 'the call was aborted', { hint: 'its signal was aborted by the caller' })

const readDetails = (bytes: Uint8Array): Record<string, unknown> => {
  if (bytes.length === 0) return {}
  const value = decodePayload('json', bytes)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

export const createCaller = (
  duplex: Duplex,
  deps: LinkDeps & { random(bytes: number): Uint8Array },
  self: { version: string; onClose(error: ParleyError): void },
): Caller => {
  const { limits, timers, counts } = deps
  const session = deps.random(8)
  const startedAtMs = Math.floor(deps.clock.now())
  const openedAt = deps.clock.monotonic()
  const open = new Map<number, Open>()
  const abandoned = new Map<number, string>()
  const late: LateReply[] = []
  const waiting = new Set<() => void>()
  // Answers are asked for: the bound for one is the message's, for all it is what the window lets in.
  const joiner = createJoiner(limits.maxMessageBytes, limits.maxMessageBytes * limits.maxInFlight)
  let exchanges = 0
  let load = 0
  let closing = false
  let gone: ParleyError | undefined
  let onIdle: (() => void) | undefined

  const lost = (sent: boolean): ParleyError =>
    new ParleyError('COM002', gone?.message ?? 'the link is closing', {
      ...(gone?.hint === undefined ? {} : { hint: gone.hint }),
      details: { sent },
      ...(gone === undefined ? {} : { cause: gone }),
    })

  const remember = (exchange: number, label: string): void => {
    abandoned.set(exchange, label)
    if (abandoned.size <= MAX_ABANDONED) return
    const oldest = abandoned.keys().next().value
    if (oldest !== undefined) abandoned.delete(oldest)
  }

  const admitNext = (): void => {
    while (waiting.size > 0 && open.size < limits.maxInFlight && !wire.outbox.full()) {
      const start = waiting.values().next().value
      if (start === undefined) return
      waiting.delete(start)
      start()
    }
    if (waiting.size > 0 && wire.outbox.full()) wire.outbox.whenRoom(admitNext)
  }

  const settle = (exchange: number): Open | undefined => {
    const entry = open.get(exchange)
    if (entry === undefined) return undefined
    open.delete(exchange)
    entry.stopTimer()
    joiner.drop(exchange)
    if (waiting.size > 0) admitNext()
    if (open.size === 0 && waiting.size === 0) onIdle?.()
    return entry
  }

  /** Ends an exchange from this side: the peer is told, and what it still sends is quarantined. */
  const giveUp = (exchange: number, error: unknown): void => {
    const entry = settle(exchange)
    if (entry === undefined) return
    remember(exchange, entry.label)
    wire.send(frame(KIND.cancel, exchange))
    entry.fail(error)
  }

  const quarantine = (received: Frame): void => {
    const label = abandoned.get(received.exchange)
    if (label === undefined && (received.exchange === 0 || received.exchange > exchanges)) {
      counts.unknownFrames += 1
      return
    }
    counts.lateReplies += 1
    late.push({
      exchange: received.exchange,
      label: label ?? 'unknown',
      kind: received.kind,
      bytes: received.payload.length,
      atMs: deps.clock.now(),
    })
    if (late.length > MAX_LATE) late.shift()
  }

  const onFrame = (received: Frame): void => {
    const entry = open.get(received.exchange)
    if (entry === undefined) {
      quarantine(received)
      return
    }
    if (received.load > 0 || received.kind === KIND.response) load = received.load
    try {
      const whole = joiner.add(received)
      if (whole === undefined) return
      if (whole.kind === KIND.error) {
        const fault = whole.fault ?? {
          code: 'APP001',
          message: 'the peer failed',
          hint: '',
          details: new Uint8Array(0),
        }
        settle(received.exchange)?.fail(
          fromFault({
            code: fault.code,
            message: fault.message,
            ...(fault.hint === '' ? {} : { hint: fault.hint }),
            details: readDetails(fault.details),
          }),
        )
      } else entry.answer(whole.kind, wire.open(whole), whole)
    } catch (error) {
      giveUp(received.exchange, error)
    }
  }

  const wire: Wire = openWire(
    duplex,
    deps,
    { version: self.version, session, startedAtMs },
    {
      frame: onFrame,
      close(error) {
        gone = error
        const all = [...open.entries()]
        for (const [exchange, entry] of all) {
          open.delete(exchange)
          entry.stopTimer()
          joiner.drop(exchange)
          entry.fail(lost(entry.sent))
        }
        const starts = [...waiting]
        waiting.clear()
        for (const start of starts) start()
        onIdle?.()
        self.onClose(error)
      },
    },
  )

  const fits = (call: OutCall): void => {
    const max = wire.peer()?.maxMessageBytes ?? limits.maxMessageBytes
    if (call.payload.length > max) throw tooLarge(call.payload.length, max)
    if (!(call.timeoutMs >= 1 && call.timeoutMs <= MAX_TIMER_MS)) {
      throw new ParleyError('MSG001', `timeoutMs ${call.timeoutMs} of ${call.label} is not usable`, {
        hint: `give milliseconds from 1 to ${MAX_TIMER_MS}`,
      })
    }
  }

  /** Waits for a place, at most until `deadlineAt`, then calls `start`; or `fail`. */
  const enter = (call: OutCall, deadlineAt: number, start: () => void, fail: (error: unknown) => void): void => {
    if (call.signal?.aborted) {
      fail(aborted(call.signal))
      return
    }
    if (gone !== undefined || closing) {
      fail(lost(false))
      return
    }
    if (open.size < limits.maxInFlight && waiting.size === 0 && !wire.outbox.full()) {
      start()
      return
    }
    if (waiting.size >= limits.maxQueuedCalls) {
      counts.overloaded += 1
      fail(
        new ParleyError('COM003', `${waiting.size} calls wait for the peer already`, {
          hint: 'slow down, or raise limits.maxQueuedCalls',
          details: { retryAfterMs: 100 },
        }),
      )
      return
    }
    const leave = (): void => {
      waiting.delete(go)
      stop()
      call.signal?.removeEventListener('abort', onAbort)
    }
    const onAbort = (): void => {
      leave()
      fail(call.signal === undefined ? lost(false) : aborted(call.signal))
    }
    const stop = timers.after(Math.max(1, deadlineAt - deps.clock.monotonic()), () => {
      leave()
      fail(timedOut(call, 'it still waited for a place on the link'))
    })
    const go = (): void => {
      leave()
      if (gone !== undefined) fail(lost(false))
      else start()
    }
    call.signal?.addEventListener('abort', onAbort, { once: true })
    waiting.add(go)
    wire.outbox.whenRoom(admitNext)
  }

  const timedOut = (call: OutCall, where: string): ParleyError =>
    new ParleyError('COM001', `${call.label} was not answered within ${call.timeoutMs} ms: ${where}`, {
      hint: 'give it more time with timeoutMs, or see whether the peer is overloaded',
      details: { timeoutMs: call.timeoutMs },
    })

  /** Opens an exchange and sends its first frame; it ends by settle() or giveUp(). */
  const begin = (
    kind: typeof KIND.request | typeof KIND.oneWay,
    call: OutCall,
    deadlineAt: number,
    credit: number,
    entry: Pick<Open, 'answer' | 'fail'> & { sent?(exchange: number): void },
  ): number => {
    exchanges += 1
    const exchange = exchanges
    const now = deps.clock.monotonic()
    const stop = timers.after(Math.max(1, deadlineAt - now), () => giveUp(exchange, timedOut(call, 'no answer came')))
    const record: Open = { label: call.label, answer: entry.answer, fail: entry.fail, sent: false, stopTimer: stop }
    const signal = call.signal
    if (signal !== undefined) {
      const onAbort = (): void => giveUp(exchange, aborted(signal))
      signal.addEventListener('abort', onAbort, { once: true })
      record.stopTimer = () => {
        stop()
        signal.removeEventListener('abort', onAbort)
      }
    }
    open.set(exchange, record)
    const request = frame(kind, exchange, call.payload)
    request.method = call.method
    request.content = call.content
    request.priority = call.priority
    request.atMs = Math.floor(now - openedAt)
    request.extra = call.extra
    request.credit = credit
    wire.send(request, {
      deadlineAt,
      expiresAt: call.ttlMs === undefined ? 0 : now + call.ttlMs,
      wanted: () => open.has(exchange),
      onExpired() {
        counts.expired += 1
        settle(exchange)?.fail(expired(call))
      },
      onSent() {
        record.sent = true
        entry.sent?.(exchange)
      },
    })
    return exchange
  }

  const expired = (call: OutCall): ParleyError =>
    new ParleyError('MSG005', `${call.label} expired after its ttl of ${call.ttlMs} ms, before it was sent`, {
      hint: 'the link is busy; give it more ttlMs or a higher priority',
    })

  const unary = (call: OutCall): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      fits(call)
      const deadlineAt = deps.clock.monotonic() + call.timeoutMs
      const start = (): void => {
        const exchange = begin(KIND.request, call, deadlineAt, 0, {
          fail: reject,
          answer(kind, payload) {
            if (kind !== KIND.response && kind !== KIND.ack) return
            settle(exchange)
            resolve(payload)
          },
        })
      }
      enter(call, deadlineAt, start, reject)
    })

  const oneWay = (call: OutCall): Promise<void> =>
    new Promise((resolve, reject) => {
      fits(call)
      const deadlineAt = deps.clock.monotonic() + call.timeoutMs
      const start = (): void => {
        begin(KIND.oneWay, call, deadlineAt, 0, {
          fail: reject,
          answer: () => {},
          sent(exchange) {
            settle(exchange)
            resolve()
          },
        })
      }
      enter(call, deadlineAt, start, reject)
    })

  const stream = (call: OutCall): AsyncIterableIterator<Uint8Array> => {
    const window = limits.streamWindow
    let items: Uint8Array[] = []
    let consumed = 0
    let exchange = 0
    let started = false
    let done = false
    let failure: { error: unknown } | undefined
    let pull: { resolve(result: IteratorResult<Uint8Array>): void; reject(error: unknown): void } | undefined

    const finish = (error?: { error: unknown }): void => {
      done = true
      failure = error
      const waiter = pull
      if (waiter === undefined || items.length > 0) return
      pull = undefined
      failure = undefined
      if (error === undefined) waiter.resolve({ value: undefined, done: true })
      else waiter.reject(error.error)
    }

    /** The reader took an item: grant what it freed once that is half a window. */
    const took = (item: Uint8Array): void => {
      consumed += unitsOf(item.length)
      if (done || consumed * 2 < window) return
      const grant = frame(KIND.credit, exchange)
      grant.credit = consumed
      grant.priority = 2
      consumed = 0
      wire.send(grant)
    }

    const begun = (): void => {
      const deadlineAt = deps.clock.monotonic() + call.timeoutMs
      const start = (): void => {
        if (done) return
        exchange = begin(KIND.request, call, deadlineAt, window, {
          fail: (error) => finish({ error }),
          answer(kind, payload) {
            if (kind === KIND.end) {
              settle(exchange)
              finish()
            } else if (kind === KIND.item) {
              const waiter = pull
              if (waiter === undefined) items.push(payload)
              else {
                pull = undefined
                took(payload)
                waiter.resolve({ value: payload, done: false })
              }
            }
          },
        })
      }
      try {
        fits(call)
        enter(call, deadlineAt, start, (error) => finish({ error }))
      } catch (error) {
        finish({ error })
      }
    }

    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next() {
        if (!started) {
          started = true
          begun()
        }
        const item = items.shift()
        if (item !== undefined) {
          took(item)
          return Promise.resolve({ value: item, done: false })
        }
        if (failure !== undefined) {
          const { error } = failure
          failure = undefined
          return Promise.reject(error)
        }
        if (done) return Promise.resolve({ value: undefined, done: true })
        if (pull !== undefined)
          return Promise.reject(new TypeError('next() was called before the last one was answered'))
        return new Promise((resolve, reject) => {
          pull = { resolve, reject }
        })
      },
      return() {
        started = true
        items = []
        if (!done) {
          const waiter = pull
          pull = undefined
          done = true
          waiter?.resolve({ value: undefined, done: true })
          if (exchange > 0) giveUp(exchange, undefined)
          failure = undefined
        }
        return Promise.resolve({ value: undefined, done: true })
      },
    }
  }

  return {
    unary,
    stream,
    oneWay,
    inFlight: () => open.size,
    waiting: () => waiting.size,
    queuedBytes: () => wire.outbox.queuedBytes(),
    peerLoad: () => load,
    peerVersion: () => wire.peer()?.version,
    late: () => late,
    closed: () => gone !== undefined || closing,
    async close(drainMs) {
      if (gone !== undefined) return
      closing = true
      if (open.size > 0 || waiting.size > 0) {
        await new Promise<void>((resolve) => {
          const stop = timers.after(Math.max(1, drainMs), resolve)
          onIdle = () => {
            stop()
            resolve()
          }
        })
      }
      wire.close()
    },
    abort: (reason) => wire.abort(reason),
  }
}
