/**
 * What the answering side of a link sends: answers, items, progress, errors.
 *
 * State: whether reading is stopped. While answers pile up the stream is not read, so a peer that does not take its
 * answers cannot fill this node's memory.
 */
import type { Amounts } from '../../budget/amounts.ts'
import type { Progress } from '../../define.ts'
import { toFault } from '../../errors.ts'
import { type FrameKind, frame, KIND } from '../frames/frame.ts'
import type { LinkEnd } from '../link/link.ts'
import type { LinkCounts } from '../link/link-limits.ts'
import { writeProgress } from '../link/progress-reports.ts'
import { encodePayload } from '../payload/payload.ts'
import type { UnreadOnLink } from './unread-responses.ts'

export interface ResponseTarget {
  readonly exchange: number
  readonly priority: number
}

export interface ResponseWriter {
  /**
   * @returns a promise while the payload is being compressed; what comes after it in its exchange waits for that
   * @param remainder of the budget that came with the request
   * @throws COM002 where too much waits already for the peer to read it
   */
  send(
    kind: FrameKind,
    to: ResponseTarget,
    payload: Uint8Array,
    content?: number,
    remainder?: Amounts,
  ): Promise<void> | undefined
  progress(to: ResponseTarget, progress: Progress): void
  /** Sends the error that stands in place of an answer. */
  refuse(to: ResponseTarget, error: unknown, remainder?: Amounts): void
  /** A promise when there is no room for another item. */
  room(): Promise<void> | undefined
}

const MAX_TEXT = 2000
const EMPTY = new Uint8Array(0)

const writeDetails = (details: Record<string, unknown> | undefined, maxBytes: number): Uint8Array => {
  if (details === undefined) return EMPTY
  try {
    const bytes = encodePayload('json', details)
    return bytes.length <= maxBytes ? bytes : EMPTY
  } catch {
    // Details are a courtesy; a handler's unwritable ones must not hide its error.
    return EMPTY
  }
}

export const createResponseWriter = (
  link: LinkEnd,
  options: { maxDetailsBytes: number; unread: UnreadOnLink; counts: LinkCounts; load(): number },
): ResponseWriter => {
  const { unread, counts } = options
  let paused = false

  const isFull = (): boolean => link.writer.isFull() || unread.isFull()
  const whenRoom = (fn: () => void): void => {
    const retry = (): void => {
      if (unread.isFull() && !link.closed()) unread.whenRoom(() => whenRoom(fn))
      else fn()
    }
    link.writer.whenRoom(retry)
  }
  const throttle = (): void => {
    if (paused || !isFull()) return
    paused = true
    link.pause()
    whenRoom(() => {
      paused = false
      link.resume()
    })
  }

  return {
    send(kind, to, payload, content = 0, remainder) {
      unread.checkShare(payload.length)
      if (kind !== KIND.item) counts.answersOut += 1
      const reply = frame(kind, to.exchange, payload)
      reply.priority = to.priority
      reply.content = content
      if (remainder !== undefined) reply.extra = { budget: { amounts: remainder } }
      reply.load = options.load()
      const compressing = link.send(reply)
      throttle()
      return compressing
    },
    progress(to, progress) {
      const report = frame(KIND.progress, to.exchange)
      report.priority = to.priority
      report.load = options.load()
      report.progress = writeProgress(progress)
      link.send(report)
      throttle()
    },
    refuse(to, error, remainder) {
      const fault = toFault(error)
      counts.faultsOut += 1
      const reply = frame(KIND.error, to.exchange)
      if (remainder !== undefined) reply.extra = { budget: { amounts: remainder } }
      reply.priority = to.priority
      reply.load = options.load()
      reply.fault = {
        code: fault.code,
        message: fault.message.slice(0, MAX_TEXT),
        hint: (fault.hint ?? '').slice(0, MAX_TEXT),
        details: writeDetails(fault.details, options.maxDetailsBytes),
      }
      link.send(reply)
      throttle()
    },
    room: () => (isFull() ? new Promise(whenRoom) : undefined),
  }
}
