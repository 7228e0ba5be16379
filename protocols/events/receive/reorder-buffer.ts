/**
 * Puts the batches of each publisher in order: finds replays and gaps, and keeps what came behind a gap until the gap is
 * filled or given up. Nothing is let in twice, and of one publisher nothing before what has the lower number.
 *
 * Pure state, for each publisher and first word a row: its epochs that are not over, the oldest first; only the
 * first is let in, a later one when the one before it has ended. Bounded: publishers (the one heard longest ago is
 * forgotten, and is then heard like a new one), epochs, and the bytes that wait, over all rows; what does not fit is
 * noted as missing and has to be fetched again. After the anti-replay window of RFC 4303 section 3.4.3, with ranges.
 */
import { type EventSeries, firstReaching, OPEN_END, type SequenceRange } from '../series.ts'

/** Of one publisher, that wait for each other. */
export const MAX_EPOCHS = 4

export interface BufferedBatch<T> extends SequenceRange {
  /** What it counts for in the bound. */
  readonly bytes: number
  /** Monotonic: when it came here. */
  readonly at: number
  readonly value: T
}

/** What is to be done with a batch that came. */
export interface AdmitResult<T> {
  /**
   * `next`: let in. `ahead`: behind a gap, or of an epoch that has not begun here yet, it is let in later; `unkept`: the
   * same, but there is no room, so that it has to come again. `duplicate`: holds something that was let in before, or that
   * waits. `stale`: of an epoch that is over.
   */
  readonly verdict: 'next' | 'ahead' | 'unkept' | 'duplicate' | 'stale'
  /** Let in now, in this order: the batch, and what waited for it. */
  readonly deliver: readonly BufferedBatch<T>[]
  /** The row waits for something that is to be asked for. */
  readonly ask: boolean
}

/** What a row waits for. `tail`: whatever follows, before the next epoch begins. */
export interface MissingRange {
  readonly kind: 'gap' | 'tail'
  readonly series: EventSeries
  readonly range: SequenceRange
}

interface EpochRun<T> {
  readonly epoch: number
  /** Of the next event to be let in. */
  next: number
  /** The highest number that is proven to exist. */
  horizon: number
  /** Behind `next`, with a gap before the first; in ascending order. */
  readonly waiting: BufferedBatch<T>[]
  /** When its publisher first said that there is more than was known here, while not all of that came. */
  announced: { readonly to: number; readonly at: number } | undefined
}

interface PublisherRow<T> {
  epochs: EpochRun<T>[]
  /** False after this node stopped listening: what it did not hear meanwhile was not missed. */
  listening: boolean
}

const NONE: readonly never[] = []
const AHEAD: AdmitResult<never> = { verdict: 'ahead', deliver: NONE, ask: true }
const UNKEPT: AdmitResult<never> = { verdict: 'unkept', deliver: NONE, ask: true }
const DUPLICATE: AdmitResult<never> = { verdict: 'duplicate', deliver: NONE, ask: false }
const STALE: AdmitResult<never> = { verdict: 'stale', deliver: NONE, ask: false }

const beginEpoch = <T>(epoch: number, next: number): EpochRun<T> => ({
  epoch,
  next,
  horizon: next - 1,
  waiting: [],
  announced: undefined,
})

export interface ReorderLimits {
  /** Remembered at one time. */
  readonly maxPublishers: number
  /** Of batches that wait, over all rows. */
  readonly maxWaitingBytes: number
}

export class ReorderBuffer<T> {
  readonly #limits: ReorderLimits
  // Insertion order is the order in which publishers were last heard.
  readonly #publishers = new Map<string, Map<string, PublisherRow<T>>>()
  #waitingBytes = 0

  constructor(limits: ReorderLimits) {
    this.#limits = limits
  }

  /** All of it was let in, or is of an epoch that is over: asked before a signature is paid for. */
  isPast({ publisher, word, epoch }: EventSeries, { to }: SequenceRange): 'duplicate' | 'stale' | undefined {
    const first = this.#find(publisher, word)?.epochs[0]
    if (first === undefined || epoch > first.epoch) return undefined
    if (epoch < first.epoch) return 'stale'
    return to < first.next ? 'duplicate' : undefined
  }

  /** One step: a verified batch came. @param minds false where nobody here minds a gap */
  admit({ publisher, word, epoch }: EventSeries, batch: BufferedBatch<T>, minds: boolean): AdmitResult<T> {
    const rows = this.#rowsOf(publisher)
    const row = rows.get(word)
    if (row === undefined) {
      const run = beginEpoch<T>(epoch, batch.from)
      rows.set(word, { epochs: [run], listening: true })
      return this.#release(run, batch)
    }
    const first = row.epochs[0]
    if (first === undefined || epoch < first.epoch) return STALE
    if (first.epoch === epoch && batch.from === first.next && row.listening) return this.#release(first, batch)
    if (!minds || !row.listening) {
      const last = row.epochs.at(-1) ?? first
      if (epoch < last.epoch) return STALE
      if (epoch === last.epoch && batch.from < last.next) return DUPLICATE
      this.#restartAt(row, epoch, batch.from)
      return this.#release(row.epochs[0] ?? first, batch)
    }
    const run = this.#epochOf(row, epoch)
    return run === undefined ? STALE : this.#wait(run, batch)
  }

  /** The publisher says that its last number is `last`. @returns true where something is missing */
  noteHead({ publisher, word, epoch }: EventSeries, last: number, at: number): boolean {
    const row = this.#find(publisher, word)
    if (row === undefined || !row.listening) return false
    const run = this.#epochOf(row, epoch)
    if (run === undefined) return false
    if (last > run.horizon && (run.announced === undefined || run.announced.to < run.next))
      run.announced = { to: last, at }
    run.horizon = Math.max(run.horizon, last)
    return run.next <= run.horizon || row.epochs.length > 1
  }

  /** What this publisher said from number `next` on is for us; where more is known already, nothing changes. */
  startAt({ publisher, word, epoch }: EventSeries, next: number): void {
    const rows = this.#rowsOf(publisher)
    const row = rows.get(word)
    if (row === undefined) rows.set(word, { epochs: [beginEpoch<T>(epoch, next)], listening: true })
    else if (!row.listening) {
      const last = row.epochs.at(-1)
      if (last === undefined || epoch > last.epoch) this.#restartAt(row, epoch, next)
      else if (epoch === last.epoch) this.#restartAt(row, epoch, Math.max(next, last.next))
    }
  }

  /** What the row waits for first. */
  missing(publisher: string, word: string): MissingRange | undefined {
    const row = this.#find(publisher, word)
    const run = row?.epochs[0]
    if (row === undefined || run === undefined || !row.listening) return undefined
    const { epoch, next, waiting, horizon } = run
    const series = { publisher, word, epoch }
    const to = (waiting[0]?.from ?? horizon + 1) - 1
    if (next <= to) return { kind: 'gap', series, range: { from: next, to } }
    return row.epochs.length > 1 ? { kind: 'tail', series, range: { from: next, to: OPEN_END } } : undefined
  }

  /** Since when something of the row waits, or is known to be missing; undefined where nothing is. */
  missingSince(publisher: string, word: string): number | undefined {
    let since = Number.POSITIVE_INFINITY
    for (const { waiting, announced, next } of this.#find(publisher, word)?.epochs ?? []) {
      for (const { at } of waiting) if (at < since) since = at
      if (announced !== undefined && announced.to >= next && announced.at < since) since = announced.at
    }
    return since === Number.POSITIVE_INFINITY ? undefined : since
  }

  /** These events of the first epoch will not come. @returns what waited for them */
  giveUp({ publisher, word, epoch }: EventSeries, { to }: SequenceRange): readonly BufferedBatch<T>[] {
    const run = this.#find(publisher, word)?.epochs[0]
    if (run === undefined || run.epoch !== epoch) return NONE
    run.next = Math.max(run.next, to + 1)
    return this.#drain(run)
  }

  /** The first epoch is over, where there is a later one. @returns what waited in the next */
  endEpoch({ publisher, word, epoch }: EventSeries): readonly BufferedBatch<T>[] {
    const row = this.#find(publisher, word)
    const [over, next] = row?.epochs ?? []
    if (over === undefined || next === undefined || over.epoch !== epoch) return NONE
    this.#dropWaiting([over])
    row?.epochs.shift()
    return this.#drain(next)
  }

  /** Where a publisher stands here, while it is heard. */
  position(publisher: string, word: string): { readonly epoch: number; readonly next: number } | undefined {
    const row = this.#find(publisher, word)
    const run = row?.epochs[0]
    return row?.listening !== true || run === undefined ? undefined : { epoch: run.epoch, next: run.next }
  }

  /** Publishers known under a first word. */
  publishers(word: string): string[] {
    return [...this.#publishers].flatMap(([publisher, rows]) => (rows.has(word) ? [publisher] : []))
  }

  /** First words under which this publisher is known. */
  wordsOf(publisher: string): string[] {
    return [...(this.#publishers.get(publisher)?.keys() ?? [])]
  }

  /** This node stopped listening to `word`: the next batch of each publisher is no gap, but an old one stays old. */
  stopListening(word: string): void {
    for (const rows of this.#publishers.values()) {
      const row = rows.get(word)
      const last = row?.epochs.at(-1)
      if (row === undefined || last === undefined) continue
      this.#restartAt(row, last.epoch, Math.max(last.next, last.horizon + 1))
      row.listening = false
    }
  }

  /** Publishers remembered. */
  size(): number {
    return this.#publishers.size
  }

  waitingBytes(): number {
    return this.#waitingBytes
  }

  #dropWaiting(epochs: readonly EpochRun<T>[]): void {
    for (const { waiting } of epochs) for (const { bytes } of waiting) this.#waitingBytes -= bytes
  }

  #rowsOf(publisher: string): Map<string, PublisherRow<T>> {
    const rows = this.#publishers.get(publisher) ?? new Map<string, PublisherRow<T>>()
    this.#publishers.delete(publisher)
    this.#publishers.set(publisher, rows)
    if (this.#publishers.size > this.#limits.maxPublishers) {
      for (const [oldest, forgotten] of this.#publishers) {
        this.#publishers.delete(oldest)
        for (const { epochs } of forgotten.values()) this.#dropWaiting(epochs)
        break
      }
    }
    return rows
  }

  #find(publisher: string, word: string): PublisherRow<T> | undefined {
    return this.#publishers.get(publisher)?.get(word)
  }

  /** Takes out what follows `next` without a gap. */
  #drain(run: EpochRun<T>): readonly BufferedBatch<T>[] {
    const ready: BufferedBatch<T>[] = []
    for (let batch = run.waiting[0]; batch !== undefined && batch.from <= run.next; batch = run.waiting[0]) {
      run.waiting.shift()
      this.#waitingBytes -= batch.bytes
      // One that was overtaken by another with the same numbers is left out.
      if (batch.from < run.next) continue
      ready.push(batch)
      run.next = batch.to + 1
    }
    run.horizon = Math.max(run.horizon, run.next - 1)
    return ready
  }

  /** The epoch, added where it is a new one; undefined where it is over. */
  #epochOf(row: PublisherRow<T>, epoch: number): EpochRun<T> | undefined {
    const known = row.epochs.find((run) => run.epoch === epoch)
    if (known !== undefined) return known
    if (epoch < (row.epochs[0]?.epoch ?? 0)) return undefined
    const run = beginEpoch<T>(epoch, 1)
    row.epochs.push(run)
    row.epochs.sort((a, b) => a.epoch - b.epoch)
    // The second, not the first, which is being let in, and not the newest.
    if (row.epochs.length > MAX_EPOCHS) this.#dropWaiting(row.epochs.splice(1, 1))
    return row.epochs.includes(run) ? run : undefined
  }

  /** Nobody minds what was not heard: the row continues behind it. */
  #restartAt(row: PublisherRow<T>, epoch: number, next: number): void {
    this.#dropWaiting(row.epochs)
    row.epochs = [beginEpoch<T>(epoch, next)]
    row.listening = true
  }

  #wait(run: EpochRun<T>, batch: BufferedBatch<T>): AdmitResult<T> {
    const at = firstReaching(run.waiting, batch.from)
    const behind = run.waiting[at]
    if (batch.from < run.next || (behind !== undefined && behind.from <= batch.to)) return DUPLICATE
    run.horizon = Math.max(run.horizon, batch.to)
    if (this.#waitingBytes + batch.bytes > this.#limits.maxWaitingBytes) return UNKEPT
    run.waiting.splice(at, 0, batch)
    this.#waitingBytes += batch.bytes
    return AHEAD
  }

  #release(run: EpochRun<T>, batch: BufferedBatch<T>): AdmitResult<T> {
    run.next = batch.to + 1
    if (run.next > run.horizon) run.horizon = batch.to
    if (run.waiting.length === 0) return { verdict: 'next', deliver: [batch], ask: false }
    return { verdict: 'next', deliver: [batch, ...this.#drain(run)], ask: false }
  }
}
