/** What is counted by one run of numbers, and ranges of those numbers. Pure. */

/** Events of one publisher under one first word, in one epoch of the publisher. */
export interface EventSeries {
  readonly publisher: string
  readonly word: string
  /** The publisher's incarnation. */
  readonly epoch: number
}

export interface SequenceRange {
  readonly from: number
  /** Inclusive. */
  readonly to: number
}

/** The end of a range whose last number is not known. */
export const OPEN_END = Number.MAX_SAFE_INTEGER

export const seriesKey = ({ publisher, word, epoch }: EventSeries): string => `${publisher} ${word} ${epoch}`

/** Position in `items`, which are in ascending order, of the first one that ends at `number` or behind it. */
export const firstReaching = (items: readonly SequenceRange[], number: number): number => {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((items[middle]?.to ?? 0) < number) low = middle + 1
    else high = middle
  }
  return low
}
