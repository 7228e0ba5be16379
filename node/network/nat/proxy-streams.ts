/**
 * Two streams as one: what comes on either goes out on the other, no faster than the other takes it, and no faster than
 * the pace that all splices of a relay share.
 *
 * State, per splice: what one side has read and the other has not sent, at most `HIGH_BYTES` and one message each way.
 * An end on one side ends the other, a break breaks it. Written against `for await`, which has no backpressure in
 * libp2p 3, and against `drain` alone, which may come inside the very `send` that it belongs to.
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import type { Clock, Timers } from '../../../protocols/port.ts'

/** Unsent on one side from which on the other is not read, bytes; and from which on it is again. */
export const HIGH_BYTES = 256 * 1024
const LOW_BYTES = 64 * 1024
/** Of a second's bytes, so many may go at once. */
const BURST = 0.25

/** Counts bytes against a rate. */
export interface SharedRate {
  /** Takes what has gone already. @returns milliseconds to wait before more; 0 for none */
  take(bytes: number): number
}

export const createSharedRate = (clock: Pick<Clock, 'monotonic'>, bytesPerSecond: number): SharedRate => {
  /** May be below zero: a message is not cut. */
  let room = bytesPerSecond * BURST
  let at = clock.monotonic()
  return {
    take(bytes) {
      const now = clock.monotonic()
      room = Math.min(bytesPerSecond * BURST, room + ((now - at) / 1000) * bytesPerSecond) - bytes
      at = now
      return room >= 0 ? 0 : Math.ceil((-room / bytesPerSecond) * 1000)
    },
  }
}

export interface StreamProxyDeps {
  readonly rate: SharedRate
  readonly timers: Pick<Timers, 'after'>
  passed(bytes: number): void
  /** It waits for the pace. */
  slowed(): void
  /** Called once. */
  ended(): void
}

export interface StreamProxy {
  abort(reason: Error): void
}

type Side = { readonly stream: Stream; readonly rest: Uint8Array | undefined }

export const proxyStreams = (left: Side, right: Side, deps: StreamProxyDeps): StreamProxy => {
  let isOver = false
  let open = 2

  const abort = (reason: Error): void => {
    for (const { stream } of [left, right]) stream.abort(reason)
    if (isOver) return
    isOver = true
    deps.ended()
  }

  const join = (from: Side, to: Stream): void => {
    const { stream } = from
    let waits = false
    let halfDue = false
    const half = (): void => {
      // What was read and not handed out yet comes first.
      halfDue = stream.readStatus === 'paused'
      if (!halfDue) to.close().catch((error: Error) => to.abort(error))
    }
    const resume = (): void => {
      if (isOver || waits || to.writeBufferLength > LOW_BYTES || stream.readStatus !== 'paused') return
      try {
        // Tells the sender that there is room, which fails where the connection below has just ended.
        stream.resume()
      } catch (error) {
        abort(error instanceof Error ? error : new Error(String(error)))
        return
      }
      if (halfDue) half()
    }
    const pass = (data: StreamMessageEvent['data']): void => {
      if (to.writeStatus !== 'writable') return
      try {
        to.send(data)
      } catch (error) {
        abort(error instanceof Error ? error : new Error(String(error)))
        return
      }
      deps.passed(data.byteLength)
      const waitMs = deps.rate.take(data.byteLength)
      if (waitMs > 0 && !waits) {
        waits = true
        deps.slowed()
        deps.timers.after(waitMs, () => {
          waits = false
          resume()
        })
      }
      if ((waits || to.writeBufferLength > HIGH_BYTES) && stream.readStatus === 'readable') stream.pause()
    }
    to.addEventListener('drain', resume)
    to.addEventListener('idle', resume)
    if (from.rest !== undefined) pass(from.rest)
    stream.addEventListener('message', ({ data }: StreamMessageEvent) => pass(data))
    stream.addEventListener('remoteCloseWrite', half)
    stream.addEventListener('close', ({ error }: StreamCloseEvent) => {
      if (error !== undefined) abort(error)
      else {
        half()
        open -= 1
        if (open === 0 && !isOver) {
          isOver = true
          deps.ended()
        }
      }
    })
    // It was paused while its first message was read.
    resume()
  }

  join(left, right.stream)
  join(right, left.stream)
  for (const { stream } of [left, right])
    if (stream.status !== 'open') abort(new Error(`the stream was ${stream.status} when it was handed over`))
  return { abort }
}
