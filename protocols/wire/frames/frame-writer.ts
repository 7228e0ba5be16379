/**
 * Gathers the frames of one link and writes them once per turn.
 *
 * State: one queue per priority. A high frame overtakes normal ones that still wait, and since large payloads are cut
 * into parts (fragmentation.ts), it waits for one part at most. Frames are encoded when they are written, so that remaining times
 * (timeout, ttl) lose what was spent in the queue, and an expired request is dropped here.
 * Bound: above `maxQueuedBytes` whenRoom() makes callers wait; nothing is written while the layer below has more than
 * `maxUnsentBytes`, so that it is the queue, with its priorities, that decides what goes first.
 */
import type { Duplex } from '../duplex.ts'
import { type Frame, writeFrame } from './frame.ts'
import { ProtobufWriter } from './protobuf.ts'

export interface FrameWriterOptions {
  /** Bytes gathered for one write; a larger frame is written as it is. */
  maxWriteBytes: number
  /** Frames gathered for one write: of a burst of small ones, the other side starts on the first while the rest is written. */
  maxWriteFrames: number
  maxQueuedBytes: number
  maxUnsentBytes: number
  /** Runs a function at the end of this turn. */
  defer(fn: () => void): void
  monotonic(): number
  /** After a write, when nothing waits any more. */
  onEmpty?(): void
  /** So many bytes more wait, or fewer. */
  onQueued?(bytes: number): void
}

/** Whose frame it is. */
export interface FrameOwner {
  /** Asked when its turn comes: false and it is left out. */
  wanted(): boolean
  /** Instead of sending, when the ttl has passed. */
  expired(): void
  /** Once the bytes of the last part were handed down. */
  sent(): void
}

/** A frame that waits, with what is only known when it is written. */
export interface QueuedFrame {
  frame: Frame
  /** Monotonic milliseconds; 0: none. */
  deadlineAt: number
  /** Monotonic milliseconds; 0: none. */
  expiresAt: number
  owner: FrameOwner | undefined
  /** The last part of what the sender sends. */
  last: boolean
}

/** Order in which the wire priorities are served: critical, high, normal, low. */
const SERVED = [3, 2, 0, 1] as const
/** Tags, numbers and length of a frame beside its payload; an estimate for the accounts only. */
const FRAME_OVERHEAD_BYTES = 24

const FIRST_BUFFER_BYTES = 512

const weigh = (frame: Frame): number => frame.payload.length + FRAME_OVERHEAD_BYTES

interface Queue {
  items: QueuedFrame[]
  head: number
}

const shift = (queue: Queue): QueuedFrame | undefined => {
  const item = queue.items[queue.head]
  if (item === undefined) return undefined
  queue.head += 1
  if (queue.head === queue.items.length) {
    queue.items.length = 0
    queue.head = 0
  } else if (queue.head > 1024) {
    queue.items.splice(0, queue.head)
    queue.head = 0
  }
  return item
}

/** Takes what was spent in the queue off the frame's remaining times. @returns false when its ttl has passed */
const age = (item: QueuedFrame, now: number): boolean => {
  if (item.expiresAt > 0) {
    if (item.expiresAt <= now) return false
    item.frame.ttlMs = Math.max(1, Math.floor(item.expiresAt - now))
  }
  if (item.deadlineAt > 0) item.frame.timeoutMs = Math.max(1, Math.floor(item.deadlineAt - now))
  return true
}

export class FrameWriter {
  readonly #duplex: Pick<Duplex, 'send' | 'buffered'>
  readonly #options: FrameWriterOptions
  readonly #queues: Queue[] = SERVED.map(() => ({ items: [], head: 0 }))
  readonly #waiters = new Set<() => void>()
  // Most links are quiet: the buffer grows when there is more to write.
  readonly #buffer = new ProtobufWriter(FIRST_BUFFER_BYTES)
  #queuedBytes = 0
  #isScheduled = false

  constructor(duplex: Pick<Duplex, 'send' | 'buffered'>, options: FrameWriterOptions) {
    this.#duplex = duplex
    this.#options = options
  }

  /** Queues a frame; it does not block. Callers that respect backpressure ask whenRoom() first. */
  push(item: QueuedFrame): void {
    const weight = weigh(item.frame)
    this.#queuedBytes += weight
    this.#options.onQueued?.(weight)
    ;(this.#queues[item.frame.priority & 3] ?? this.#queues[0])?.items.push(item)
    this.flush()
  }

  queuedBytes(): number {
    return this.#queuedBytes
  }

  isFull(): boolean {
    return this.#queuedBytes > this.#options.maxQueuedBytes
  }

  /** Calls `fn` once there is room; at once when there is. The returned function takes it back. */
  whenRoom(fn: () => void): () => void {
    if (!this.isFull()) {
      fn()
      return () => {}
    }
    const waiter = () => fn()
    this.#waiters.add(waiter)
    return () => this.#waiters.delete(waiter)
  }

  /**
   * Has everything written that may be, at the end of this turn; the layer below has room again.
   * Never at once: a stream says that it has room in the middle of its own send(), and would take no more then.
   */
  flush(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#options.defer(this.#write)
  }

  /** Drops everything that waits. */
  clear(): void {
    for (const queue of this.#queues) {
      queue.items = []
      queue.head = 0
    }
    if (this.#queuedBytes > 0) this.#options.onQueued?.(-this.#queuedBytes)
    this.#queuedBytes = 0
    const all = [...this.#waiters]
    this.#waiters.clear()
    for (const fn of all) fn()
  }

  readonly #write = (): void => {
    this.#isScheduled = false
    const options = this.#options
    const now = options.monotonic()
    const before = this.#queuedBytes
    while (this.#queuedBytes > 0 && this.#duplex.buffered() <= options.maxUnsentBytes) this.#writeOnce(now)
    if (this.#queuedBytes < before) options.onQueued?.(this.#queuedBytes - before)
    while (this.#waiters.size > 0 && !this.isFull()) {
      const fn = this.#waiters.values().next().value
      if (fn === undefined) break
      this.#waiters.delete(fn)
      fn()
    }
    if (this.#queuedBytes === 0) options.onEmpty?.()
  }

  /** Gathers frames for one write, and hands it down. */
  #writeOnce(now: number): void {
    const { maxWriteBytes, maxWriteFrames } = this.#options
    const buffer = this.#buffer
    buffer.at = 0
    let sent: FrameOwner[] | undefined
    let frames = 0
    while (buffer.at < maxWriteBytes && frames < maxWriteFrames) {
      const item = this.#next()
      if (item === undefined) break
      this.#queuedBytes -= weigh(item.frame)
      const { owner } = item
      if (owner?.wanted() === false) continue
      if (!age(item, now)) {
        owner?.expired()
        continue
      }
      writeFrame(buffer, item.frame)
      frames += 1
      if (owner === undefined || !item.last) continue
      sent ??= []
      sent.push(owner)
    }
    if (buffer.at > 0) this.#duplex.send(buffer.take())
    if (sent !== undefined) for (const owner of sent) owner.sent()
  }

  #next(): QueuedFrame | undefined {
    for (const priority of SERVED) {
      const queue = this.#queues[priority]
      const item = queue === undefined ? undefined : shift(queue)
      if (item !== undefined) return item
    }
    return undefined
  }
}
