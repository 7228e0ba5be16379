/**
 * What a reading subscription has of one publisher under one first word: where it stands, and the batches from there on.
 *
 * Batches come from gossip while the lane keeps up, and out of the history, this node's or others', where it does not. So
 * a lane needs no queue: what it has no room for is read again. What is gone for good is told when its turn comes.
 *
 * State: the position, batches of at most MAX_LANE_BYTES (a page more after reading).
 */
import { isParleyError } from '../../errors.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import { batchRange, type DecodedBatch, eventDecoder, type WireEvent } from '../batch/batch-decoder.ts'
import type { Retrieve } from '../repair/retrieve.ts'
import { type EventSeries, OPEN_END, type SequenceRange } from '../series.ts'

export const MAX_CURSOR_BUFFER_BYTES = 1024 * 1024
/** Ranges that gossip's side gave up, kept for a lane that is not there yet. */
const MAX_LOSSES = 64

export interface CursorEvent {
  readonly batch: DecodedBatch
  readonly index: number
  /** Undefined for one that cannot be read. */
  readonly wire: WireEvent | undefined
  readonly arrivedAt: number
}

export interface PublisherCursorHooks {
  retrieve: Retrieve
  /** What gossip has brought in order, so that all before it is proven to exist. */
  position(): { readonly epoch: number; readonly next: number } | undefined
  /** The next life of the publisher that is known of. */
  epochAfter(epoch: number): number | undefined
  missed(series: EventSeries, range: SequenceRange): void
  monotonic(): number
}

export interface PublisherCursor {
  readonly publisher: string
  readonly word: string
  /** Number of the next event that was not handled. */
  position(): { readonly epoch: number; readonly next: number }
  /** The next event, where it is here. */
  peek(): CursorEvent | undefined
  /** The next event was handled. */
  advance(): void
  /** A batch came in order. @returns false where it has to be read later */
  offer(proven: VerifiedBatch, room: boolean): boolean
  /** Gossip's side gave these up. */
  lost(epoch: number, range: SequenceRange): void
  /** Reads on, where nothing is here and there may be more. Settles when it did, or nothing follows. */
  fill(): Promise<void>
  /** More may be known by now. */
  retry(): void
  bytes(): number
  close(): void
}

export const createPublisherCursor = (
  publisher: string,
  word: string,
  start: { epoch: number; next: number },
  hooks: PublisherCursorHooks,
): PublisherCursor => {
  let { epoch, next } = start
  let fresh = true
  let batches: VerifiedBatch[] = []
  let bytes = 0
  let opened: { batch: DecodedBatch; eventAt: (index: number) => WireEvent } | undefined
  let losses: (SequenceRange & { epoch: number })[] = []
  let filling = false
  /** Nothing followed when it was asked for last. */
  let dry = false
  let closed = false
  /** Since when gaps were waited for, until all there is was read: their waits do not add up. */
  let waitingSince: number | undefined

  const end = (): number => {
    const last = batches.at(-1)
    return last === undefined ? next : batchRange(last.batch).to + 1
  }

  const put = (some: readonly VerifiedBatch[]): void => {
    for (const proven of some) {
      const { from, to } = batchRange(proven.batch)
      if (to < next || from > end()) continue
      batches.push(proven)
      bytes += proven.bytes.length
    }
  }

  /** Up to where there is something to be read. */
  const target = (): number => {
    const known = hooks.position()
    return known?.epoch === epoch ? known.next - 1 : OPEN_END
  }

  const skip = (to: number): void => {
    hooks.missed({ publisher, word, epoch }, { from: next, to })
    next = to + 1
  }

  /** @returns false when nothing follows for now */
  const readOn = async (): Promise<boolean> => {
    const loss = losses.find((range) => range.epoch === epoch && range.from <= next && next <= range.to)
    if (loss !== undefined) {
      skip(loss.to)
      return true
    }
    const to = target()
    if (next > to) return false
    const askedAt = hooks.monotonic()
    const asking = { tailRounds: 1, needed: () => !closed, since: waitingSince }
    const { gone, batches: read } = await hooks.retrieve({ publisher, word, epoch }, { from: next, to }, asking)
    if (closed) return false
    if (gone !== undefined) {
      waitingSince ??= askedAt
      skip(gone.to)
    }
    put(read)
    if (read.length > 0 || gone !== undefined) {
      // What came is of no use: its numbers overlap with others of its publisher.
      if (batches.length === 0 && gone === undefined) skip(next)
      return true
    }
    const later = to === OPEN_END ? hooks.epochAfter(epoch) : undefined
    if (later === undefined) return false
    epoch = later
    next = 1
    losses = losses.filter((range) => range.epoch >= epoch)
    return true
  }

  return {
    publisher,
    word,
    position: () => ({ epoch, next }),
    peek() {
      const proven = batches[0]
      if (proven === undefined) return undefined
      const { batch, arrivedAt } = proven
      if (opened?.batch !== batch) opened = { batch, eventAt: eventDecoder(batch) }
      const index = next - batch.first
      try {
        return { batch, index, wire: opened.eventAt(index), arrivedAt }
      } catch (error) {
        if (!isParleyError(error, 'MSG003')) throw error
        return { batch, index, wire: undefined, arrivedAt }
      }
    },
    advance() {
      const first = batches[0]
      if (first === undefined) return
      fresh = false
      next += 1
      if (next <= batchRange(first.batch).to) return
      batches.shift()
      bytes -= first.bytes.length
    },
    offer(proven, room) {
      const { batch } = proven
      dry = false
      if (closed || filling) return true
      // It was to start behind what there is: a neighbour told of events that there are not.
      if (fresh && batches.length === 0 && batch.epoch === epoch && batch.first < next) next = batch.first
      if (batch.epoch !== epoch || batch.first !== end() || !room || bytes > MAX_CURSOR_BUFFER_BYTES) return false
      put([proven])
      return true
    },
    lost(of, { from, to }) {
      dry = false
      losses.push({ epoch: of, from, to })
      if (losses.length > MAX_LOSSES) losses.shift()
    },
    async fill() {
      if (filling || closed || dry || batches.length > 0) return
      do {
        filling = true
        try {
          while (batches.length === 0 && (await readOn()));
        } finally {
          filling = false
        }
        dry = batches.length === 0 && target() === OPEN_END && hooks.epochAfter(epoch) === undefined
        if (batches.length === 0) waitingSince = undefined
        // Gossip may have gone on while the last of it was read.
      } while (!closed && !dry && batches.length === 0 && next <= target())
    },
    retry() {
      dry = false
    },
    bytes: () => bytes,
    close() {
      closed = true
      batches = []
      bytes = 0
    },
  }
}
