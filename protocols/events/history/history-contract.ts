/**
 * What keeps the history of a word, in memory or on a disk; node/store/ has the disk. A history is best effort: what is
 * not found is missing, what is found is what was kept.
 */
import type { EventSeries, SequenceRange } from '../series.ts'

/** The history of one first word. What is beyond a bound goes, the oldest first. */
export interface HistoryBounds {
  readonly maxBytes: number
  readonly maxEvents: number
  readonly maxAgeMs: number
}

export interface KeptBatch {
  readonly bytes: Uint8Array
  /** Since this node had it. */
  readonly ageMs: number
}

export interface FoundBatches {
  /** In order. */
  readonly batches: readonly KeptBatch[]
  /** There are more than fit into one answer. */
  readonly more: boolean
}

/** What is held of a series: `from` and `to` are the first and the last number; there may be gaps between. */
export interface HeldRange extends EventSeries, SequenceRange {
  /** The first number of a batch that its publisher sent at or after the time that was asked for. */
  readonly since?: number | undefined
}

export interface ChannelHistory {
  /**
   * @param sentAt by the publisher's clock, milliseconds since 1970
   * @param ageMs since somebody had it first; more than 0 for what is caught up, which is kept apart where it can be: the
   *   oldest goes first, whenever it came
   * @returns false where it is held already, too old or too large
   */
  keep(series: EventSeries, range: SequenceRange, bytes: Uint8Array, sentAt: number, ageMs?: number): boolean
  /** Something of `range` is held. */
  holds(series: EventSeries, range: SequenceRange): boolean
  /** The batches that hold events of `range`: at most MAX_FETCH_BYTES, unless the first one alone is larger. */
  find(series: EventSeries, range: SequenceRange): FoundBatches | Promise<FoundBatches>
  /** What is held. */
  list(since: number | undefined): HeldRange[]
  figures(): { bytes: number; events: number }
  /** When its oldest part was kept, by the clock of whoever keeps it; undefined where there is nothing. */
  oldestAt(): number | undefined
  /** Gives up its oldest part. */
  dropOldest(): void
  /** Writes what is not written yet. */
  close(): Promise<void>
}

/** Where a named subscription stands with one publisher. */
export interface CursorPosition extends EventSeries {
  /** Number of the next event. */
  readonly next: number
}

export interface SavedCursor {
  /** Milliseconds since 1970, this node's clock: when the subscription of this name was first made. */
  readonly createdAt: number
  readonly positions: readonly CursorPosition[]
}

/** Files of the data directory. */
export interface EventStore {
  /** Opens what is there; where nothing is, nothing is made before the first batch. */
  open(word: string, bounds: HistoryBounds): Promise<ChannelHistory>
  /** @throws STA003 with `details.reason` `damaged`, `newer`, `disk-full` or `disk-failed` */
  loadCursor(name: string): Promise<SavedCursor | undefined>
  /** On the disk once this resolves. */
  saveCursor(name: string, cursor: SavedCursor): Promise<void>
  /** Lets go of what the positions lie in; histories are closed one by one. */
  close(): Promise<void>
}
