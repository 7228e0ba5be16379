/**
 * What a peer sends in answer to calls: answers, items, progress, errors, and what comes too late.
 *
 * A frame of an exchange that is over is counted and never handed to another call. What an answer does wrong ends its
 * call, not the link.
 * State: the peer's load as it said it last, and the last late replies, at most 32.
 */
import { fromFault, type ParleyError } from '../../errors.ts'
import { type Frame, KIND } from '../frames/frame.ts'
import type { FrameFault } from '../frames/nested-messages.ts'
import type { LinkEnd } from '../link/link.ts'
import type { LinkDeps } from '../link/link-limits.ts'
import { readProgress } from '../link/progress-reports.ts'
import { decodePayload } from '../payload/payload.ts'
import type { Exchange } from './exchange.ts'
import type { OpenExchanges } from './open-exchanges.ts'
import { unexpectedKindError } from './outgoing-call.ts'

/** A reply to an exchange that had ended. */
export interface LateReply {
  exchange: number
  /** `summarize.once`; `unknown` where that was too long ago. */
  label: string
  kind: number
  bytes: number
  atMs: number
}

const MAX_LATE = 32
const EMPTY = new Uint8Array(0)
const NO_FAULT: FrameFault = { code: 'APP001', message: 'the peer failed', hint: '', details: EMPTY }

const isAnswer = (kind: number): boolean =>
  kind === KIND.response || kind === KIND.item || kind === KIND.end || kind === KIND.error || kind === KIND.ack

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

const readFault = (fault: FrameFault): ParleyError =>
  fromFault({
    code: fault.code,
    message: fault.message,
    ...(fault.hint === '' ? {} : { hint: fault.hint }),
    details: readDetails(fault.details),
  })

export class ResponseReader {
  readonly #link: LinkEnd
  readonly #exchanges: OpenExchanges
  readonly #deps: LinkDeps
  readonly #late: LateReply[] = []
  #peerLoad = 0

  constructor(link: LinkEnd, exchanges: OpenExchanges, deps: LinkDeps) {
    this.#link = link
    this.#exchanges = exchanges
    this.#deps = deps
  }

  onFrame(received: Frame): void {
    if (received.kind === KIND.goaway) {
      this.#exchanges.depart(received.exchange)
      return
    }
    if (!isAnswer(received.kind)) {
      if (received.kind === KIND.progress) this.#progress(received)
      else this.#deps.counts.unknownFrames += 1
      return
    }
    const exchange = this.#exchanges.get(received.exchange)
    if (exchange === undefined) {
      this.#quarantine(received)
      return
    }
    if (received.load > 0 || received.kind === KIND.response) this.#peerLoad = received.load
    try {
      const whole = this.#exchanges.join(received)
      if (whole !== undefined) this.#answer(exchange, whole)
    } catch (error) {
      this.#exchanges.giveUp(exchange, error)
    }
  }

  /** Load that the peer said it had with its last answer. */
  peerLoad(): number {
    return this.#peerLoad
  }

  late(): readonly LateReply[] {
    return this.#late
  }

  #answer(exchange: Exchange, whole: Frame): void {
    const remaining = whole.kind === KIND.item ? undefined : whole.extra?.budget?.amounts
    if (remaining !== undefined) exchange.call.onRemainder?.(remaining)
    if (whole.kind === KIND.error) {
      this.#deps.counts.faultsIn += 1
      const error = readFault(whole.fault ?? NO_FAULT)
      this.#exchanges.settle(exchange)
      exchange.sink.fail(error)
    } else if (whole.kind === exchange.endKind) {
      this.#deps.counts.answersIn += 1
      const payload = this.#link.decompress(whole)
      this.#exchanges.settle(exchange)
      exchange.sink.done(payload)
    } else if (whole.kind === KIND.item && exchange.sink.item !== undefined) {
      exchange.sink.item(this.#link.decompress(whole))
    } else throw unexpectedKindError(exchange.call, whole.kind)
  }

  #progress(received: Frame): void {
    const exchange = this.#exchanges.get(received.exchange)
    if (exchange === undefined) {
      this.#quarantine(received)
      return
    }
    this.#exchanges.extend(exchange)
    if (received.load > 0) this.#peerLoad = received.load
    try {
      exchange.sink.progress?.(readProgress(received.progress))
    } catch (error) {
      this.#deps.log.error(`onProgress of ${exchange.call.label} failed`, { error, messageType: 'REQUEST' })
    }
  }

  #quarantine({ exchange, kind, payload }: Frame): void {
    const { counts, clock } = this.#deps
    if (exchange === 0 || exchange > this.#exchanges.begun()) {
      counts.unknownFrames += 1
      return
    }
    counts.lateReplies += 1
    if (kind === KIND.progress) return
    const label = this.#exchanges.abandonedLabel(exchange) ?? 'unknown'
    this.#late.push({ exchange, label, kind, bytes: payload.length, atMs: clock.now() })
    if (this.#late.length > MAX_LATE) this.#late.shift()
  }
}
