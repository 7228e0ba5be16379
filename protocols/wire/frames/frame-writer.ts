/**
 * Gathers the frames of one link and writes them once per turn.
 *
 * State: one queue per priority. A high frame overtakes normal ones that still wait, and since large payloads are cut
 * into parts (split), it waits for one part at most. Frames are encoded when they are written, so that remaining times
 * (timeout, ttl) lose what was spent in the queue, and an expired request is dropped here.
 * Bound: above `maxQueuedBytes` room() makes callers wait; nothing is written while the layer below has more than
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
  /** Told after a write when nothing waits any more. */
  onEmpty?(): void
  /** Told how many bytes more wait, or fewer. */
  onQueued?(bytes: number): void
}

/** Whose frame it is: asked and told as the frame goes its way. */
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

export interface FrameWriter {
  /** Queues a frame; it does not block. Callers that respect backpressure await room() first. */
  push(waiting: QueuedFrame): void
  queuedBytes(): number
  isFull(): boolean
  /** Calls `fn` once there is room; at once when there is. The returned function takes it back. */
  whenRoom(fn: () => void): () => void
  /** The layer below has room again. */
  flush(): void
  /** Drops everything that waits. */
  clear(): void
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

export const createFrameWriter = (
  duplex: Pick<Duplex, 'send' | 'buffered'>,
  options: FrameWriterOptions,
): FrameWriter => {
  const queues: Queue[] = SERVED.map(() => ({ items: [], head: 0 }))
  const waiters = new Set<() => void>()
  // Most links are quiet: the buffer grows when there is more to write.
  const writer = new ProtobufWriter(FIRST_BUFFER_BYTES)
  let bytes = 0
  let scheduled = false

  const next = (): QueuedFrame | undefined => {
    for (const priority of SERVED) {
      const queue = queues[priority]
      const item = queue === undefined ? undefined : shift(queue)
      if (item !== undefined) return item
    }
    return undefined
  }

  const age = (item: QueuedFrame, now: number): boolean => {
    if (item.expiresAt > 0) {
      if (item.expiresAt <= now) return false
      item.frame.ttlMs = Math.max(1, Math.floor(item.expiresAt - now))
    }
    if (item.deadlineAt > 0) item.frame.timeoutMs = Math.max(1, Math.floor(item.deadlineAt - now))
    return true
  }

  const flush = (): void => {
    scheduled = false
    const now = options.monotonic()
    const before = bytes
    while (bytes > 0 && duplex.buffered() <= options.maxUnsentBytes) {
      writer.at = 0
      let sent: FrameOwner[] | undefined
      let frames = 0
      while (writer.at < options.maxWriteBytes && frames < options.maxWriteFrames) {
        const item = next()
        if (item === undefined) break
        bytes -= weigh(item.frame)
        const { owner } = item
        if (owner?.wanted() === false) continue
        if (!age(item, now)) {
          owner?.expired()
          continue
        }
        writeFrame(writer, item.frame)
        frames += 1
        if (owner === undefined || !item.last) continue
        sent ??= []
        sent.push(owner)
      }
      if (writer.at > 0) duplex.send(writer.finish())
      if (sent !== undefined) for (const sender of sent) sender.sent()
    }
    if (bytes < before) options.onQueued?.(bytes - before)
    while (waiters.size > 0 && bytes <= options.maxQueuedBytes) {
      const fn = waiters.values().next().value
      if (fn === undefined) break
      waiters.delete(fn)
      fn()
    }
    if (bytes === 0) options.onEmpty?.()
  }

  /** Never at once: a stream says that it has room in the middle of its own send(), and would take no more then. */
  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    options.defer(flush)
  }

  return {
    push(item) {
      const weight = weigh(item.frame)
      bytes += weight
      options.onQueued?.(weight)
      ;(queues[item.frame.priority & 3] ?? queues[0])?.items.push(item)
      schedule()
    },
    queuedBytes: () => bytes,
    isFull: () => bytes > options.maxQueuedBytes,
    whenRoom(fn) {
      if (bytes <= options.maxQueuedBytes) {
        fn()
        return () => {}
      }
      const waiter = () => fn()
      waiters.add(waiter)
      return () => waiters.delete(waiter)
    },
    flush: schedule,
    clear() {
      for (const queue of queues) {
        queue.items = []
        queue.head = 0
      }
      if (bytes > 0) options.onQueued?.(-bytes)
      bytes = 0
      const all = [...waiters]
      waiters.clear()
      for (const fn of all) fn()
    },
  }
}
