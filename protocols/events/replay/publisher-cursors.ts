/**
 * The cursors of a subscription that catches up, one for each publisher and first word: where they start, which of them
 * read on, and whose turn it is.
 *
 * Where the subscription starts in the past, this node and its neighbours are asked first what they hold
 * (catalog-gathering.ts); publishers that are heard for the first time meanwhile wait for the answers.
 *
 * State: the cursors, at most `maxPublishers`, and which of them have something or are to read on.
 */
import type { Port } from '../../port.ts'
import type { StartPosition } from '../api.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import type { CursorPosition, SavedCursor } from '../history/history-contract.ts'
import type { Retrieval } from '../repair/retrieval.ts'
import type { EventSeries, SequenceRange } from '../series.ts'
import { CatalogGathering, type Newcomer } from './catalog-gathering.ts'
import type { CatalogQuery } from './history-catalog.ts'
import { PublisherCursor } from './publisher-cursor.ts'
import { type SeriesPosition, sinceMs, startPositionOf } from './start-position.ts'

/** Cursors that read from the history at one time. */
const MAX_READING = 8
/** Over all cursors; beyond it what is here is handed out first. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024

export interface CursorSlot {
  readonly cursor: PublisherCursor
  /** Of the next event. */
  attempts: number
  /** Its next event waits: for another attempt, or to be acknowledged. */
  isPaused: boolean
}

export interface PublisherCursorsOptions {
  from: StartPosition
  /** Where the subscription was when it ended, for one with a name. */
  cursor: SavedCursor | undefined
  maxPublishers: number
}

export interface PublisherCursorsHooks {
  retrieval: Pick<Retrieval, 'retrieve'>
  catalogs: CatalogQuery
  /** Where gossip has come to, this node's own publishing included. */
  position(publisher: string, word: string): SeriesPosition | undefined
  /** Publishers heard under a word, this node included. */
  publishers(word: string): string[]
  missed(series: EventSeries, range: SequenceRange): void
  /** There may be something to hand out. */
  changed(): void
}

const keyOf = (publisher: string, word: string): string => `${publisher} ${word}`

export class PublisherCursors {
  readonly #port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly #options: PublisherCursorsOptions
  readonly #hooks: PublisherCursorsHooks
  /** Where nothing is to be found out first. */
  readonly #isLive: boolean
  readonly #slots = new Map<string, CursorSlot>()
  readonly #words = new Set<string>()
  /** In turn. */
  readonly #ready = new Set<CursorSlot>()
  readonly #toRead = new Set<CursorSlot>()
  readonly #gathering: CatalogGathering
  #reading = 0
  #closed = false

  constructor(
    port: Pick<Port, 'clock' | 'timers' | 'log'>,
    options: PublisherCursorsOptions,
    hooks: PublisherCursorsHooks,
  ) {
    this.#port = port
    this.#options = options
    this.#hooks = hooks
    this.#isLive = options.from === 'latest' && options.cursor === undefined
    this.#gathering = new CatalogGathering(port, hooks.catalogs, sinceMs(options.from, options.cursor), {
      gathered: (word, publishers) => this.#openCursors(word, publishers),
      complete: (newcomers) => this.#openNewcomers(newcomers),
    })
  }

  /** Begins with a word: finds out what is held of it. */
  async begin(word: string): Promise<void> {
    if (this.#words.has(word)) return
    this.#words.add(word)
    for (const { publisher, word: of, epoch, next } of this.#options.cursor?.positions ?? []) {
      if (of !== word) continue
      const slot = this.#addSlot(publisher, word, { epoch, next })
      // Of whom nothing was heard: nobody is asked before somebody says that it holds something of it.
      if (this.#hooks.position(publisher, word) === undefined) this.#toRead.delete(slot)
    }
    if (!this.#isLive) await this.#gathering.begin(word)
  }

  /** A batch was let in, or published here, in order. */
  offer(proven: VerifiedBatch): void {
    if (this.#closed) return
    const { publisher, word, epoch, first } = proven.batch
    const isWaited = !this.#slots.has(keyOf(publisher, word)) && this.#gathering.isRunning()
    if (isWaited && this.#gathering.addNewcomer({ publisher, word, epoch, first }, this.#options.maxPublishers)) return
    const slot = this.#slotOf(publisher, word, { epoch, next: first })
    if (slot === undefined) return
    if (slot.cursor.offer(proven, this.bytes() <= MAX_BUFFERED_BYTES)) this.#ready.add(slot)
    else this.#toRead.add(slot)
    this.#hooks.changed()
  }

  /** Gossip's side gave these up. */
  lost({ publisher, word, epoch }: EventSeries, range: SequenceRange): void {
    if (this.#closed) return
    const slot = this.#slotOf(publisher, word, { epoch, next: range.from })
    if (slot === undefined) return
    slot.cursor.lost(epoch, range)
    this.#toRead.add(slot)
    this.#hooks.changed()
  }

  /** More may be known of what this publisher said. */
  refresh(publisher: string, word: string): void {
    const slot = this.#slots.get(keyOf(publisher, word))
    if (slot === undefined || this.#closed) return
    slot.cursor.retry()
    this.#toRead.add(slot)
    this.#hooks.changed()
  }

  /** A neighbour came, which may hold more. */
  neighbourJoined(peer: string): void {
    if (this.#isLive || this.#closed) return
    for (const word of this.#words) this.#gathering.askPeer(word, peer)
  }

  /** A cursor whose turn it is, perhaps with an event; `markReady` puts it to the end of the line. */
  takeReady(): CursorSlot | undefined {
    for (const slot of this.#ready) {
      this.#ready.delete(slot)
      if (slot.isPaused) continue
      if (slot.cursor.bytes() > 0) return slot
      this.#toRead.add(slot)
    }
    return undefined
  }

  markReady(slot: CursorSlot): void {
    this.#ready.add(slot)
  }

  /** Lets cursors that have nothing read on. */
  readOn(): void {
    for (const slot of this.#toRead) {
      if (this.#closed || this.#reading >= MAX_READING || this.bytes() > MAX_BUFFERED_BYTES) return
      this.#toRead.delete(slot)
      this.#reading += 1
      slot.cursor
        .fill()
        .catch((error: unknown) => {
          const { publisher, word } = slot.cursor
          this.#port.log.error('events could not be read from the history', { publisher, word, error })
        })
        .finally(() => {
          this.#reading -= 1
          if (slot.cursor.bytes() > 0) this.#ready.add(slot)
          this.#hooks.changed()
        })
    }
  }

  positions(): CursorPosition[] {
    const open = [...this.#slots.values()].map(({ cursor }) => ({
      publisher: cursor.publisher,
      word: cursor.word,
      ...cursor.position(),
    }))
    // Of words that nobody holds at the moment.
    const kept = (this.#options.cursor?.positions ?? []).filter(({ word }) => !this.#words.has(word))
    return [...open, ...kept]
  }

  /** Of batches that wait to be handed out. */
  bytes(): number {
    let sum = 0
    for (const { cursor } of this.#slots.values()) sum += cursor.bytes()
    return sum
  }

  close(): void {
    this.#closed = true
    this.#gathering.close()
    for (const { cursor } of this.#slots.values()) cursor.close()
  }

  /** What is held of a word is known better: of these publishers, and of those that are heard. */
  #openCursors(word: string, publishers: readonly string[]): void {
    for (const publisher of new Set([...publishers, ...this.#hooks.publishers(word)])) {
      const slot = this.#slotOf(publisher, word, this.#hooks.position(publisher, word))
      slot?.cursor.retry()
      if (slot !== undefined) this.#toRead.add(slot)
    }
    if (this.#gathering.isRunning()) this.#hooks.changed()
  }

  #openNewcomers(newcomers: readonly Newcomer[]): void {
    for (const { publisher, word, epoch, first } of newcomers) {
      const slot = this.#slotOf(publisher, word, this.#hooks.position(publisher, word) ?? { epoch, next: first })
      if (slot !== undefined) this.#toRead.add(slot)
    }
    this.#hooks.changed()
  }

  /** The next epoch of the publisher that is known of. */
  #epochAfter(publisher: string, word: string, epoch: number): number | undefined {
    const live = this.#hooks.position(publisher, word)?.epoch
    const known = [...this.#gathering.heldOf(publisher, word).keys(), ...(live === undefined ? [] : [live])]
    const later = known.filter((one) => one > epoch)
    return later.length === 0 ? undefined : Math.min(...later)
  }

  /** The cursor of a publisher, begun where it starts; undefined where that is not known. */
  #slotOf(publisher: string, word: string, live: SeriesPosition | undefined): CursorSlot | undefined {
    const known = this.#slots.get(keyOf(publisher, word))
    if (known !== undefined) return known
    const { from, cursor } = this.#options
    const start = startPositionOf(from, cursor, this.#gathering.heldOf(publisher, word), live)
    return start === undefined ? undefined : this.#addSlot(publisher, word, start)
  }

  #addSlot(publisher: string, word: string, start: SeriesPosition): CursorSlot {
    this.#makeRoom()
    const cursor = new PublisherCursor(publisher, word, start, {
      retrieval: this.#hooks.retrieval,
      position: () => this.#hooks.position(publisher, word),
      epochAfter: (epoch) => this.#epochAfter(publisher, word, epoch),
      missed: this.#hooks.missed,
      monotonic: () => this.#port.clock.monotonic(),
    })
    const slot: CursorSlot = { cursor, attempts: 0, isPaused: false }
    this.#slots.set(keyOf(publisher, word), slot)
    this.#toRead.add(slot)
    return slot
  }

  /** In a full table the first cursor goes that has nothing to hand out. */
  #makeRoom(): void {
    if (this.#slots.size < this.#options.maxPublishers) return
    for (const [key, { cursor }] of this.#slots) {
      if (cursor.bytes() > 0) continue
      cursor.close()
      this.#slots.delete(key)
      return
    }
  }
}
