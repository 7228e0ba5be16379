/**
 * What the two sides of a link share: limits, the outbox, the inbox, and the first frame.
 *
 * A link is one long-lived stream for one protocol. Who opened it calls (caller.ts), the other side answers
 * (responder.ts); a peer that wants to call back opens a link of its own. The roles are fixed, so that the answering
 * side may stop reading while its answers pile up, and no two sides can wait for each other.
 */
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Clock, Compression, Encoding, Log, Timers } from '../../port.ts'
import type { Duplex } from '../duplex.ts'
import { fragment, tooLarge } from '../frames/fragmentation.ts'
import { type Frame, frame, type Hello, KIND, WIRE_ENCODINGS } from '../frames/frame.ts'
import { createFrameReader } from '../frames/frame-reader.ts'
import { createFrameWriter, type FrameOwner, type FrameWriter } from '../frames/frame-writer.ts'
import { malformed } from '../frames/protobuf.ts'

export interface LinkLimits {
  /** Largest payload after decoding. */
  maxMessageBytes: number
  /** Largest frame that is taken; above it the link is broken off. */
  maxFrameBytes: number
  /** Payload bytes in one frame; larger ones are split. */
  partBytes: number
  /** Exchanges that one caller has open on a link; further calls wait. */
  maxInFlight: number
  /** Calls that wait for a place or for room; beyond it COM003. */
  maxQueuedCalls: number
  /** Bytes that wait in the outbox before callers wait and requests are no longer read. */
  maxQueuedBytes: number
  /** Bytes given to the stream that it has not taken yet. */
  maxUnsentBytes: number
  /** First window of a stream, in units of one item or each started 4 KiB of it. */
  streamWindow: number
  /** Payloads from this size on are compressed; 0 switches it off. */
  compressMinBytes: number
  /** The longest deadline that a caller gets for one answer, milliseconds; the method's own where that is longer. */
  maxCallMs: number
  /** The same for a stream. */
  maxStreamMs: number
  /** How long a stream waits for a reader that takes nothing, milliseconds. */
  streamIdleMs: number
}

/** Counters of all links of a node; read by the metrics when they are scraped. */
export interface LinkCounts {
  framesIn: number
  framesOut: number
  bytesIn: number
  bytesOut: number
  lateReplies: number
  expired: number
  refusedFrames: number
  unknownFrames: number
  overloaded: number
  /** Answers and ends of streams; `faults` are errors in their place. */
  answersIn: number
  answersOut: number
  faultsIn: number
  faultsOut: number
}

export const createLinkCounts = (): LinkCounts => ({
  framesIn: 0,
  framesOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  lateReplies: 0,
  expired: 0,
  refusedFrames: 0,
  unknownFrames: 0,
  overloaded: 0,
  answersIn: 0,
  answersOut: 0,
  faultsIn: 0,
  faultsOut: 0,
})

export interface LinkDeps {
  clock: Clock
  timers: Timers
  log: Log
  compression: Compression
  /** Runs a function at the end of this turn. */
  defer(fn: () => void): void
  limits: LinkLimits
  counts: LinkCounts
}

export const CREDIT_UNIT_BYTES = 4096

/** What an item takes from the window. */
export const creditUnitsOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / CREDIT_UNIT_BYTES))

/** Of a HELLO, which is kept as long as its link. */
const MAX_SESSION_BYTES = 64
/** Credit that an exchange has at most, in units. */
export const MAX_CREDIT = 1_000_000

const EMPTY = new Uint8Array(0)
const WRITE_BYTES = 32 * 1024
const WRITE_FRAMES = 16

/** Whose frame it is, and until when. */
export interface TimedFrameOwner extends FrameOwner {
  /** Monotonic milliseconds. */
  readonly deadlineAt: number
  /** Monotonic milliseconds; 0: none. */
  readonly expiresAt: number
}

export interface LinkEnd {
  writer: FrameWriter
  /**
   * Sends a frame, split and compressed where that pays.
   * @returns a promise while it is being compressed: what must come after it in its exchange waits for that
   */
  send(whole: Frame, sender?: TimedFrameOwner): Promise<void> | undefined
  /** Undoes the encoding of a whole frame. */
  decompress(whole: Frame): Uint8Array
  /** The peer's first frame, once it came. */
  peerHello(): Hello | undefined
  /** Stops reading, and looking at what was read, until resume() was called as often. */
  pause(): void
  resume(): void
  /** Frames that came are not looked at for so long: others have their turn. */
  pauseFor(forMs: number): void
  closed(): boolean
  close(): void
  abort(reason: ParleyError): void
}

const encodingsOf = (compression: Compression): number[] =>
  compression.encodings.map((name) => WIRE_ENCODINGS.indexOf(name))

/**
 * Starts a link on a duplex: sends our HELLO, then hands over every further frame of the peer.
 * A peer that sends anything but a HELLO first, or malformed bytes, is broken off and counted.
 */
export const openLinkEnd = (
  duplex: Duplex,
  deps: LinkDeps,
  hello: { version: string; session: Uint8Array; startedAtMs: number },
  on: {
    frame(frame: Frame): void
    close(error: ParleyError): void
    /** Nothing waits in the outbox any more. */
    empty(): void
    /** So many bytes more wait in the outbox, or fewer. */
    queued?(bytes: number): void
  },
): LinkEnd => {
  const { limits, counts } = deps
  const inbox = createFrameReader(limits.maxFrameBytes)
  let peer: Hello | undefined
  let ended = false
  let pauses = 0
  let isHolding = false
  /** What came while it was paused: little, since nothing is read then. */
  let backlog: Uint8Array[] = []

  const finish = (error: ParleyError): void => {
    if (ended) return
    ended = true
    backlog = []
    outbox.clear()
    on.close(error)
  }

  const counted: Pick<Duplex, 'send' | 'buffered'> = {
    send(bytes) {
      counts.bytesOut += bytes.length
      duplex.send(bytes)
    },
    buffered: () => duplex.buffered(),
  }
  const outbox = createFrameWriter(counted, {
    maxWriteBytes: WRITE_BYTES,
    maxWriteFrames: WRITE_FRAMES,
    // Read at use: a node may change its limits while the link stands.
    get maxQueuedBytes() {
      return limits.maxQueuedBytes
    },
    get maxUnsentBytes() {
      return limits.maxUnsentBytes
    },
    defer: deps.defer,
    monotonic: () => deps.clock.monotonic(),
    onEmpty: on.empty,
    ...(on.queued && { onQueued: on.queued }),
  })

  const abort = (error: ParleyError): void => {
    if (ended) return
    duplex.abort(error)
    finish(error)
  }

  /** @returns whether the next one may come */
  const onFrame = (received: Frame): boolean => {
    if (ended) return false
    counts.framesIn += 1
    if (peer === undefined) {
      if (received.kind !== KIND.hello || received.hello === undefined) throw malformed('the first frame is no HELLO')
      if (received.hello.session.length > MAX_SESSION_BYTES) throw malformed('a long session')
      peer = received.hello
      return true
    }
    on.frame(received)
    return pauses === 0
  }

  const read = (bytes: Uint8Array): void => {
    try {
      inbox.push(bytes, onFrame)
    } catch (error) {
      counts.refusedFrames += 1
      deps.log.warn('link broken off: the peer sent what this protocol does not allow', { error })
      abort(isParleyError(error) ? error : malformed('the frame could not be handled'))
    }
  }

  const pause = (): void => {
    pauses += 1
    if (pauses === 1) duplex.pause()
  }
  const resume = (): void => {
    pauses -= 1
    // First what came before and was not looked at.
    if (pauses === 0) read(EMPTY)
    while (pauses === 0 && !ended) {
      const next = backlog.shift()
      if (next === undefined) break
      read(next)
    }
    if (pauses === 0 && !ended) duplex.resume()
  }

  duplex.listen({
    data(bytes) {
      counts.bytesIn += bytes.length
      if (pauses > 0) backlog.push(bytes)
      else read(bytes)
    },
    writable: () => outbox.flush(),
    close(reason) {
      finish(
        new ParleyError('COM002', reason === undefined ? 'the link was closed' : `the link broke: ${reason.message}`, {
          hint: 'the peer stopped or the connection was lost; call again, or another peer',
          ...(reason === undefined ? {} : { cause: reason }),
        }),
      )
    },
  })

  const queue = (part: Frame, sender: TimedFrameOwner | undefined, first: boolean, last: boolean): void => {
    counts.framesOut += 1
    outbox.push({
      frame: part,
      deadlineAt: first && sender !== undefined ? sender.deadlineAt : 0,
      // The first part carries the ttl. When it is dropped the others are not wanted any more.
      expiresAt: first && sender !== undefined ? sender.expiresAt : 0,
      owner: sender,
      last,
    })
  }

  const push = (whole: Frame, sender?: TimedFrameOwner): undefined => {
    if (ended || sender?.wanted() === false) return
    if (whole.payload.length <= limits.partBytes) {
      queue(whole, sender, true, true)
      return
    }
    const parts = fragment(whole, limits.partBytes)
    for (const [i, part] of parts.entries()) queue(part, sender, i === 0, i === parts.length - 1)
  }

  const encodingFor = (): Exclude<Encoding, 'identity'> | undefined => {
    const theirs = peer?.encodings ?? []
    return deps.compression.encodings.find((name) => theirs.includes(WIRE_ENCODINGS.indexOf(name)))
  }

  const first = frame(KIND.hello, 0)
  first.priority = 3
  first.hello = {
    ...hello,
    encodings: encodingsOf(deps.compression),
    maxMessageBytes: limits.maxMessageBytes,
  }
  push(first)

  return {
    writer: outbox,
    send(whole, sender) {
      const raw = whole.payload
      const encoding = limits.compressMinBytes > 0 && raw.length >= limits.compressMinBytes ? encodingFor() : undefined
      if (encoding === undefined) return push(whole, sender)
      return deps.compression.compress(encoding, raw).then(
        (bytes) => {
          // Less than a tenth saved is not worth the other side's work.
          if (bytes.length < raw.length * 0.9) {
            whole.payload = bytes
            whole.rawBytes = raw.length
            whole.encoding = WIRE_ENCODINGS.indexOf(encoding)
          }
          push(whole, sender)
        },
        (error) => {
          deps.log.warn('a payload could not be compressed; it goes as it is', { error })
          push(whole, sender)
        },
      )
    },
    decompress(whole) {
      const encoding = WIRE_ENCODINGS[whole.encoding]
      if (encoding === undefined) throw malformed(`encoding ${whole.encoding}`)
      if (encoding === 'identity') return whole.payload
      if (whole.rawBytes > limits.maxMessageBytes) throw tooLarge(whole.rawBytes, limits.maxMessageBytes)
      try {
        return deps.compression.decompress(encoding, whole.payload, Math.max(1, whole.rawBytes))
      } catch (cause) {
        throw new ParleyError('MSG003', `a payload said to be ${encoding} of ${whole.rawBytes} bytes is not`, {
          hint: 'the peer is broken',
          cause,
        })
      }
    },
    peerHello: () => peer,
    pause,
    resume,
    pauseFor(forMs) {
      if (isHolding || ended) return
      isHolding = true
      pause()
      deps.timers.after(forMs, () => {
        isHolding = false
        resume()
      })
    },
    closed: () => ended,
    close() {
      if (ended) return
      outbox.flush()
      // After that flush, which is deferred as well.
      deps.defer(() => duplex.close())
    },
    abort,
  }
}
