/**
 * What a subscription that catches up has of one publisher under one first word: where it stands, and the batches from there on.
 *
 * Batches come from gossip while the cursor keeps up, and out of the history, this node's or others', where it does not. So
 * a cursor needs no queue: what it has no room for is read again. What is gone for good is reported when its turn comes.
 *
 * State: the position, batches of at most MAX_CURSOR_BUFFER_BYTES (a page more after reading).
 */
import { isParleyError } from '../../errors.ts'
import {
  batchRange,
  type DecodedBatch,
  eventDecoder,
  type VerifiedBatch,
  type WireEvent,
} from '../batch/batch-decoder.ts'
import type { Retrieval } from '../repair/retrieval.ts'
import { type EventSeries, OPEN_END, type SequenceRange } from '../series.ts'

export const MAX_CURSOR_BUFFER_BYTES = 1024 * 1024
/** Ranges that gossip's side gave up, kept for a cursor that has not come that far. */
const MAX_GIVEN_UP = 64

export interface CursorEvent {
  readonly batch: DecodedBatch
  readonly index: number
  /** Undefined for one that cannot be read. */
  readonly wire: WireEvent | undefined
  readonly arrivedAt: number
}

export interface PublisherCursorHooks {
  retrieval: Pick<Retrieval, 'retrieve'>
  /** What gossip has brought in order, so that all before it is proven to exist. */
  position(): { readonly epoch: number; readonly next: number } | undefined
  /** The next epoch of the publisher that is known of. */
  epochAfter(epoch: number): number | undefined
  missed(series: EventSeries, range: SequenceRange): void
  monotonic(): number
}

export class PublisherCursor {
  readonly publisher: string
  readonly word: string
  readonly #hooks: PublisherCursorHooks
  #epoch: number
  #next: number
  /** Nothing was handled yet. */
  #isFresh = true
  #batches: VerifiedBatch[] = []
  #bytes = 0
  #opened: { batch: DecodedBatch; eventAt: (index: number) => WireEvent } | undefined
  #givenUp: (SequenceRange & { epoch: number })[] = []
  #isFilling = false
  /** Nothing followed when it was asked for last. */
  #isDry = false
  #closed = false
  /** Since when gaps were waited for, until all there is was read: their waits do not add up. */
  #waitingSince: number | undefined

  constructor(publisher: string, word: string, start: { epoch: number; next: number }, hooks: PublisherCursorHooks) {
    this.publisher = publisher
    this.word = word
    this.#hooks = hooks
    this.#epoch = start.epoch
    this.#next = start.next
  }

  /** Number of the next event that was not handled. */
  position(): { readonly epoch: number; readonly next: number } {
    return { epoch: this.#epoch, next: this.#next }
  }

  /** The next event, where it is here. */
  peek(): CursorEvent | undefined {
    const proven = this.#batches[0]
    if (proven === undefined) return undefined
    const { batch, arrivedAt } = proven
    if (this.#opened?.batch !== batch) this.#opened = { batch, eventAt: eventDecoder(batch) }
    const index = this.#next - batch.first
    try {
      return { batch, index, wire: this.#opened.eventAt(index), arrivedAt }
    } catch (error) {
      if (!isParleyError(error, 'MSG003')) throw error
      return { batch, index, wire: undefined, arrivedAt }
    }
  }

  /** The next event was handled. */
  advance(): void {
    const first = this.#batches[0]
    if (first === undefined) return
    this.#isFresh = false
    this.#next += 1
    if (this.#next <= batchRange(first.batch).to) return
    this.#batches.shift()
    this.#bytes -= first.bytes.length
  }

  /** A batch came in order. @returns false where it has to be read later */
  offer(proven: VerifiedBatch, room: boolean): boolean {
    const { batch } = proven
    this.#isDry = false
    if (this.#closed || this.#isFilling) return true
    // It was to start behind what there is: a neighbour told of events that there are not.
    if (this.#isFresh && this.#batches.length === 0 && batch.epoch === this.#epoch && batch.first < this.#next)
      this.#next = batch.first
    if (batch.epoch !== this.#epoch || batch.first !== this.#end() || !room || this.#bytes > MAX_CURSOR_BUFFER_BYTES)
      return false
    this.#put([proven])
    return true
  }

  /** Gossip's side gave these up. */
  lost(of: number, { from, to }: SequenceRange): void {
    this.#isDry = false
    this.#givenUp.push({ epoch: of, from, to })
    if (this.#givenUp.length > MAX_GIVEN_UP) this.#givenUp.shift()
  }

  /** Reads on, where nothing is here and there may be more. Settles when it did, or nothing follows. */
  async fill(): Promise<void> {
    if (this.#isFilling || this.#closed || this.#isDry || this.#batches.length > 0) return
    do {
      this.#isFilling = true
      try {
        while (this.#batches.length === 0 && (await this.#readOn()));
      } finally {
        this.#isFilling = false
      }
      this.#isDry =
        this.#batches.length === 0 && this.#target() === OPEN_END && this.#hooks.epochAfter(this.#epoch) === undefined
      if (this.#batches.length === 0) this.#waitingSince = undefined
      // Gossip may have gone on while the last of it was read.
    } while (!this.#closed && !this.#isDry && this.#batches.length === 0 && this.#next <= this.#target())
  }

  /** More may be known by now. */
  retry(): void {
    this.#isDry = false
  }

  bytes(): number {
    return this.#bytes
  }

  close(): void {
    this.#closed = true
    this.#batches = []
    this.#bytes = 0
  }

  #end(): number {
    const last = this.#batches.at(-1)
    return last === undefined ? this.#next : batchRange(last.batch).to + 1
  }

  #put(some: readonly VerifiedBatch[]): void {
    for (const proven of some) {
      const { from, to } = batchRange(proven.batch)
      if (to < this.#next || from > this.#end()) continue
      this.#batches.push(proven)
      this.#bytes += proven.bytes.length
    }
  }

  /** Up to where there is something to be read. */
  #target(): number {
    const known = this.#hooks.position()
    return known?.epoch === this.#epoch ? known.next - 1 : OPEN_END
  }

  #skip(to: number): void {
    this.#hooks.missed({ publisher: this.publisher, word: this.word, epoch: this.#epoch }, { from: this.#next, to })
    this.#next = to + 1
  }

  /** @returns false when nothing follows for now */
  async #readOn(): Promise<boolean> {
    const lost = this.#givenUp.find(
      (range) => range.epoch === this.#epoch && range.from <= this.#next && this.#next <= range.to,
    )
    if (lost !== undefined) {
      this.#skip(lost.to)
      return true
    }
    const to = this.#target()
    if (this.#next > to) return false
    const askedAt = this.#hooks.monotonic()
    const asking = { tailRounds: 1, needed: () => !this.#closed, since: this.#waitingSince }
    const { gone, batches: read } = await this.#hooks.retrieval.retrieve(
      { publisher: this.publisher, word: this.word, epoch: this.#epoch },
      { from: this.#next, to },
      asking,
    )
    if (this.#closed) return false
    if (gone !== undefined) {
      this.#waitingSince ??= askedAt
      this.#skip(gone.to)
    }
    this.#put(read)
    if (read.length > 0 || gone !== undefined) {
      // What came is of no use: its numbers overlap with others of its publisher.
      if (this.#batches.length === 0 && gone === undefined) this.#skip(this.#next)
      return true
    }
    const later = to === OPEN_END ? this.#hooks.epochAfter(this.#epoch) : undefined
    if (later === undefined) return false
    this.#epoch = later
    this.#next = 1
    this.#givenUp = this.#givenUp.filter((range) => range.epoch >= this.#epoch)
    return true
  }
}
