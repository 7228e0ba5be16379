/**
 * What receiving remembers of publishers: the ranges of their events that were given up last, and when they were heard last.
 * Both are bounded; what is oldest is forgotten first.
 */
import type { EventSeries, SequenceRange } from '../series.ts'

const MAX_GIVEN_UP = 256

/** The ranges that were given up last. */
export class GivenUpRanges {
  readonly #ranges: (EventSeries & SequenceRange)[] = []

  add(series: EventSeries, range: SequenceRange): void {
    this.#ranges.push({ ...series, ...range })
    if (this.#ranges.length > MAX_GIVEN_UP) this.#ranges.shift()
  }

  /** The one that holds number `at`. */
  find(publisher: string, word: string, epoch: number, at: number): SequenceRange | undefined {
    return this.#ranges.find(
      (range) =>
        range.publisher === publisher &&
        range.word === word &&
        range.epoch === epoch &&
        range.from <= at &&
        at <= range.to,
    )
  }
}

/** When publishers were heard last; the one heard longest ago is forgotten first. */
export class LastBatchTimes {
  readonly #maxPublishers: number
  /** In the order in which they were first heard. */
  readonly #times = new Map<string, number>()

  constructor(maxPublishers: number) {
    this.#maxPublishers = maxPublishers
  }

  set(publisher: string, nowMs: number): void {
    const [oldest] = this.#times.size >= this.#maxPublishers && !this.#times.has(publisher) ? this.#times.keys() : []
    if (oldest !== undefined) this.#times.delete(oldest)
    this.#times.set(publisher, nowMs)
  }

  isSince(publisher: string, sinceMs: number): boolean {
    return (this.#times.get(publisher) ?? Number.NEGATIVE_INFINITY) > sinceMs
  }
}
