/**
 * What the two sides of a link share: the frames that are written and read, compression, pauses, and the first frame.
 *
 * A link is one long-lived stream for one protocol. Who opened it calls (caller.ts), the other side answers
 * (responder.ts); a peer that wants to call back opens a link of its own. The roles are fixed, so that the answering
 * side may stop reading while its answers pile up, and no two sides can wait for each other.
 *
 * State: the peer's HELLO, how often reading is paused, and what came meanwhile.
 */
import { isParleyError, ParleyError } from '../../errors.ts'
import type { Compression, Encoding } from '../../port.ts'
import type { Duplex } from '../duplex.ts'
import { fragment, tooLarge } from '../frames/fragmentation.ts'
import { type Frame, frame, KIND, WIRE_ENCODINGS } from '../frames/frame.ts'
import { createFrameReader, type FrameReader } from '../frames/frame-reader.ts'
import { type FrameOwner, FrameWriter } from '../frames/frame-writer.ts'
import type { Hello } from '../frames/nested-messages.ts'
import { malformed } from '../frames/protobuf.ts'
import type { LinkDeps } from './link-limits.ts'

/** Of a HELLO, which is kept as long as its link. */
const MAX_SESSION_BYTES = 64

const EMPTY = new Uint8Array(0)
const WRITE_BYTES = 32 * 1024
const WRITE_FRAMES = 16
/** A compressed payload has at most this share of the bytes that it had; one that saves less is not worth the other side's work. */
const WORTH_COMPRESSING = 0.9

/** Whose frame it is, and until when. */
export interface TimedFrameOwner extends FrameOwner {
  /** Monotonic milliseconds. */
  readonly deadlineAt: number
  /** Monotonic milliseconds; 0: none. */
  readonly expiresAt: number
}

/** The side of a link, caller or responder, that this end belongs to. */
export interface LinkSide {
  readonly frame: (frame: Frame) => void
  readonly close: (error: ParleyError) => void
  /** Nothing waits to be written any more. */
  readonly empty: () => void
  /** So many bytes more wait to be written, or fewer. */
  readonly queued?: (bytes: number) => void
}

const encodingsOf = (compression: Compression): number[] =>
  compression.encodings.map((name) => WIRE_ENCODINGS.indexOf(name))

const closedError = (reason: Error | undefined): ParleyError =>
  new ParleyError('COM002', reason === undefined ? 'the link was closed' : `the link broke: ${reason.message}`, {
    hint: 'the peer stopped or the connection was lost; call again, or another peer',
    ...(reason === undefined ? {} : { cause: reason }),
  })

/** The writer of a link's frames, which counts what it hands down. */
const createWriter = (duplex: Duplex, { limits, counts, clock, defer }: LinkDeps, side: LinkSide): FrameWriter =>
  new FrameWriter(
    {
      send(bytes) {
        counts.bytesOut += bytes.length
        duplex.send(bytes)
      },
      buffered: () => duplex.buffered(),
    },
    {
      maxWriteBytes: WRITE_BYTES,
      maxWriteFrames: WRITE_FRAMES,
      // Read at use: a node may change its limits while the link stands.
      get maxQueuedBytes() {
        return limits.maxQueuedBytes
      },
      get maxUnsentBytes() {
        return limits.maxUnsentBytes
      },
      defer,
      monotonic: () => clock.monotonic(),
      onEmpty: side.empty,
      ...(side.queued && { onQueued: side.queued }),
    },
  )

export class LinkEnd {
  readonly writer: FrameWriter
  readonly #duplex: Duplex
  readonly #deps: LinkDeps
  readonly #side: LinkSide
  readonly #reader: FrameReader
  #peerHello: Hello | undefined
  #hasEnded = false
  #pauses = 0
  #isHolding = false
  /** What came while it was paused: little, since nothing is read then. */
  #backlog: Uint8Array[] = []

  /**
   * Starts a link on a duplex: sends our HELLO, then hands over every further frame of the peer.
   * A peer that sends anything but a HELLO first, or malformed bytes, is broken off and counted.
   */
  constructor(
    duplex: Duplex,
    deps: LinkDeps,
    hello: { version: string; session: Uint8Array; startedAtMs: number },
    side: LinkSide,
  ) {
    this.#duplex = duplex
    this.#deps = deps
    this.#side = side
    this.#reader = createFrameReader(deps.limits.maxFrameBytes)
    this.writer = createWriter(duplex, deps, side)
    duplex.listen({
      data: (bytes) => this.#onData(bytes),
      writable: () => this.writer.flush(),
      close: (reason) => this.#finish(closedError(reason)),
    })
    const first = frame(KIND.hello, 0)
    first.priority = 3
    first.hello = {
      ...hello,
      encodings: encodingsOf(deps.compression),
      maxMessageBytes: deps.limits.maxMessageBytes,
    }
    this.#push(first)
  }

  /**
   * Sends a frame, split and compressed where that pays.
   * @returns a promise while it is being compressed: what must come after it in its exchange waits for that
   */
  send(whole: Frame, owner?: TimedFrameOwner): Promise<void> | undefined {
    const { compressMinBytes } = this.#deps.limits
    const encoding =
      compressMinBytes > 0 && whole.payload.length >= compressMinBytes ? this.#sharedEncoding() : undefined
    if (encoding !== undefined) return this.#compressAndPush(encoding, whole, owner)
    this.#push(whole, owner)
    return undefined
  }

  /** Undoes the encoding of a whole frame. */
  decompress(whole: Frame): Uint8Array {
    const encoding = WIRE_ENCODINGS[whole.encoding]
    if (encoding === undefined) throw malformed(`encoding ${whole.encoding}`)
    if (encoding === 'identity') return whole.payload
    const { limits, compression } = this.#deps
    if (whole.rawBytes > limits.maxMessageBytes) throw tooLarge(whole.rawBytes, limits.maxMessageBytes)
    try {
      return compression.decompress(encoding, whole.payload, Math.max(1, whole.rawBytes))
    } catch (cause) {
      throw new ParleyError('MSG003', `a payload said to be ${encoding} of ${whole.rawBytes} bytes is not`, {
        hint: 'the peer is broken',
        cause,
      })
    }
  }

  /** The peer's first frame, once it came. */
  peerHello(): Hello | undefined {
    return this.#peerHello
  }

  /** Stops reading, and looking at what was read, until resume() was called as often. */
  pause(): void {
    this.#pauses += 1
    if (this.#pauses === 1) this.#duplex.pause()
  }

  resume(): void {
    this.#pauses -= 1
    // First what came before and was not looked at.
    if (this.#pauses === 0) this.#read(EMPTY)
    while (this.#pauses === 0 && !this.#hasEnded) {
      const next = this.#backlog.shift()
      if (next === undefined) break
      this.#read(next)
    }
    if (this.#pauses === 0 && !this.#hasEnded) this.#duplex.resume()
  }

  /** Frames that came are not looked at for so long: others have their turn. */
  pauseFor(forMs: number): void {
    if (this.#isHolding || this.#hasEnded) return
    this.#isHolding = true
    this.pause()
    this.#deps.timers.after(forMs, () => {
      this.#isHolding = false
      this.resume()
    })
  }

  closed(): boolean {
    return this.#hasEnded
  }

  close(): void {
    if (this.#hasEnded) return
    this.writer.flush()
    // After that flush, which is deferred as well.
    this.#deps.defer(() => this.#duplex.close())
  }

  abort(error: ParleyError): void {
    if (this.#hasEnded) return
    this.#duplex.abort(error)
    this.#finish(error)
  }

  #finish(error: ParleyError): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#backlog = []
    this.writer.clear()
    this.#side.close(error)
  }

  #onData(bytes: Uint8Array): void {
    this.#deps.counts.bytesIn += bytes.length
    if (this.#pauses > 0) this.#backlog.push(bytes)
    else this.#read(bytes)
  }

  #read(bytes: Uint8Array): void {
    try {
      this.#reader.push(bytes, this.#onFrame)
    } catch (error) {
      this.#deps.counts.refusedFrames += 1
      this.#deps.log.warn('link broken off: the peer sent what this protocol does not allow', { error })
      this.abort(isParleyError(error) ? error : malformed('the frame could not be handled'))
    }
  }

  /** @returns whether the next one may come */
  readonly #onFrame = (received: Frame): boolean => {
    if (this.#hasEnded) return false
    this.#deps.counts.framesIn += 1
    if (this.#peerHello === undefined) {
      if (received.kind !== KIND.hello || received.hello === undefined) throw malformed('the first frame is no HELLO')
      if (received.hello.session.length > MAX_SESSION_BYTES) throw malformed('a long session')
      this.#peerHello = received.hello
      return true
    }
    this.#side.frame(received)
    return this.#pauses === 0
  }

  #sharedEncoding(): Exclude<Encoding, 'identity'> | undefined {
    const theirs = this.#peerHello?.encodings ?? []
    return this.#deps.compression.encodings.find((name) => theirs.includes(WIRE_ENCODINGS.indexOf(name)))
  }

  #compressAndPush(encoding: Exclude<Encoding, 'identity'>, whole: Frame, owner?: TimedFrameOwner): Promise<void> {
    const raw = whole.payload
    return this.#deps.compression.compress(encoding, raw).then(
      (bytes) => {
        if (bytes.length < raw.length * WORTH_COMPRESSING) {
          whole.payload = bytes
          whole.rawBytes = raw.length
          whole.encoding = WIRE_ENCODINGS.indexOf(encoding)
        }
        this.#push(whole, owner)
      },
      (error) => {
        this.#deps.log.warn('a payload could not be compressed; it goes as it is', { error })
        this.#push(whole, owner)
      },
    )
  }

  #push(whole: Frame, owner?: TimedFrameOwner): void {
    if (this.#hasEnded || owner?.wanted() === false) return
    const { partBytes } = this.#deps.limits
    if (whole.payload.length <= partBytes) {
      this.#queue(whole, owner, true, true)
      return
    }
    const parts = fragment(whole, partBytes)
    for (const [i, part] of parts.entries()) this.#queue(part, owner, i === 0, i === parts.length - 1)
  }

  #queue(part: Frame, owner: TimedFrameOwner | undefined, first: boolean, last: boolean): void {
    this.#deps.counts.framesOut += 1
    this.writer.push({
      frame: part,
      deadlineAt: first && owner !== undefined ? owner.deadlineAt : 0,
      // The first part carries the ttl. When it is dropped the others are not wanted any more.
      expiresAt: first && owner !== undefined ? owner.expiresAt : 0,
      owner,
      last,
    })
  }
}
