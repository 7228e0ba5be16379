/**
 * The calling side of a link.
 *
 * State: the exchanges that are open, at most maxInFlight; further calls wait (waiting-line.ts), and answers that come too
 * late are quarantined (late-replies.ts). Every call ends: by its answer, its deadline, its signal, or the link's end.
 */
import { fromFault, ParleyError } from '../errors.ts'
import type { Stop } from '../port.ts'
import { aborted, checkCall, expired, type OutCall, timedOut, unexpected } from './call.ts'
import { createDrain } from './drain.ts'
import type { Duplex } from './duplex.ts'
import { type Frame, frame, KIND, type WireFault } from './frame.ts'
import { createItemReader } from './item-reader.ts'
import { createLateReplies, type LateReply } from './late-replies.ts'
import { type LinkDeps, openWire, type Wire } from './link.ts'
import { createJoiner } from './parts.ts'
import { decodePayload } from './payload.ts'
import { createWaitingLine } from './waiting-line.ts'

export type { OutCall } from './call.ts'

export type { LateReply } from './late-replies.ts'

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
  /** Given up: what is left of its request is not sent any more. */
  dropped: boolean
}

const ANSWERS: ReadonlySet<number> = new Set([KIND.response, KIND.item, KIND.end, KIND.error, KIND.ack])
const NO_FAULT: WireFault = { code: 'APP001', message: 'the peer failed', hint: '', details: new Uint8Array(0) }

/** Details are a courtesy: unreadable ones must not hide the error that they came with. */
const readDetails = (bytes: Uint8Array): Record<string, unknown> => {
  if (bytes.length === 0) return {}
  try {
    const value = decodePayload('json', bytes)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {}
  } catch {
    return {}
  }
}

const readFault = (fault: WireFault): ParleyError =>
  fromFault({
    code: fault.code,
    message: fault.message,
    ...(fault.hint === '' ? {} : { hint: fault.hint }),
    details: readDetails(fault.details),
  })

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
  const late = createLateReplies(deps.clock)
  // Answers are asked for: the bound for one is the message's, for all it is what the window lets in.
  const joiner = createJoiner(limits.maxMessageBytes, limits.maxMessageBytes * limits.maxInFlight)
  let exchanges = 0
  let load = 0
  let closing = false
  let gone: ParleyError | undefined
  const drain = createDrain(
    timers,
    () => gone === undefined && (open.size > 0 || line.size() > 0 || wire.outbox.queuedBytes() > 0),
  )

  const lost = (sent: boolean): ParleyError =>
    new ParleyError('COM002', gone?.message ?? 'the link is closing', {
      ...(gone?.hint === undefined ? {} : { hint: gone.hint }),
      details: { sent },
      ...(gone === undefined ? {} : { cause: gone }),
    })

  const line = createWaitingLine({
    clock: deps.clock,
    timers,
    maxWaiting: limits.maxQueuedCalls,
    place: () => open.size < limits.maxInFlight,
    full: () => wire.outbox.full(),
    whenRoom: (fn) => void wire.outbox.whenRoom(fn),
    gone: () => (gone === undefined ? undefined : lost(false)),
    onRefused() {
      counts.overloaded += 1
    },
  })

  const settle = (exchange: number): Open | undefined => {
    const entry = open.get(exchange)
    if (entry === undefined) return undefined
    open.delete(exchange)
    entry.stopTimer()
    joiner.drop(exchange)
    line.admit()
    drain.look()
    return entry
  }

  /** Ends an exchange from this side: the peer is told, and what it still sends is quarantined. */
  const giveUp = (exchange: number, error: unknown): void => {
    const entry = settle(exchange)
    if (entry === undefined) return
    late.expect(exchange, entry.label)
    entry.dropped = true
    const cancel = frame(KIND.cancel, exchange)
    // It may overtake: what is left of the request is not sent any more.
    cancel.priority = 2
    wire.send(cancel)
    entry.fail(error)
  }

  const quarantine = (received: Frame): void => {
    if (received.exchange === 0 || received.exchange > exchanges) {
      counts.unknownFrames += 1
      return
    }
    counts.lateReplies += 1
    late.add(received)
  }

  const onFrame = (received: Frame): void => {
    if (!ANSWERS.has(received.kind)) {
      counts.unknownFrames += 1
      return
    }
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
        const error = readFault(whole.fault ?? NO_FAULT)
        settle(received.exchange)?.fail(error)
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
      empty: drain.look,
      close(error) {
        gone = error
        const all = [...open.entries()]
        for (const [exchange, entry] of all) {
          open.delete(exchange)
          entry.stopTimer()
          joiner.drop(exchange)
          entry.fail(lost(entry.sent))
        }
        line.clear()
        drain.look()
        self.onClose(error)
      },
    },
  )

  const fits = (call: OutCall): void => checkCall(call, wire.peer()?.maxMessageBytes || limits.maxMessageBytes)

  /** @returns takes the call back while it still waits for a place */
  const enter = (call: OutCall, deadlineAt: number, start: () => void, fail: (error: unknown) => void): Stop => {
    if (!call.signal?.aborted && gone === undefined && !closing) return line.enter(call, deadlineAt, start, fail)
    fail(call.signal?.aborted ? aborted(call.signal) : lost(false))
    return () => {}
  }

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
    const record: Open = {
      label: call.label,
      answer: entry.answer,
      fail: entry.fail,
      sent: false,
      dropped: false,
      stopTimer: stop,
    }
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
      // An exchange that was answered early keeps sending: the peer waits for the last part.
      wanted: () => !record.dropped,
      onExpired() {
        counts.expired += 1
        record.dropped = true
        settle(exchange)?.fail(expired(call))
      },
      onSent() {
        record.sent = true
        entry.sent?.(exchange)
      },
    })
    return exchange
  }

  const unary = (call: OutCall): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      fits(call)
      const deadlineAt = deps.clock.monotonic() + call.timeoutMs
      const expected = (call.extra?.replyTo ?? '') === '' ? KIND.response : KIND.ack
      const start = (): void => {
        const exchange = begin(KIND.request, call, deadlineAt, 0, {
          fail: reject,
          answer(kind, payload) {
            if (kind !== expected) throw unexpected(call, kind)
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
    let exchange = 0
    let leaveLine: Stop = () => {}
    const opened = (): void => {
      const deadlineAt = deps.clock.monotonic() + call.timeoutMs
      const start = (): void => {
        exchange = begin(KIND.request, call, deadlineAt, window, {
          fail: (error) => reader.finish({ error }),
          answer(kind, payload) {
            if (kind === KIND.item) reader.item(payload)
            else if (kind === KIND.end) {
              settle(exchange)
              reader.finish()
            } else throw unexpected(call, kind)
          },
        })
      }
      try {
        fits(call)
        leaveLine = enter(call, deadlineAt, start, (error) => reader.finish({ error }))
      } catch (error) {
        reader.finish({ error })
      }
    }
    const reader = createItemReader({
      window,
      open: opened,
      grant(units) {
        const grant = frame(KIND.credit, exchange)
        grant.credit = units
        grant.priority = 2
        wire.send(grant)
      },
      giveUp() {
        leaveLine()
        if (exchange > 0) giveUp(exchange, undefined)
      },
    })
    return reader.iterator
  }

  return {
    unary,
    stream,
    oneWay,
    inFlight: () => open.size,
    waiting: line.size,
    queuedBytes: () => wire.outbox.queuedBytes(),
    peerLoad: () => load,
    peerVersion: () => wire.peer()?.version,
    late: late.list,
    closed: () => gone !== undefined || closing,
    async close(drainMs) {
      if (gone !== undefined) return
      closing = true
      await drain.wait(drainMs)
      wire.close()
    },
    abort: (reason) => wire.abort(reason),
  }
}
