/** Order statistics of measured figures. Pure. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Sorts numerically; a typed array sorts in place without boxing, so long runs stay cheap. */
const sorted = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).sort()

/**
 * The smallest value that at least `share` of the values do not exceed (nearest rank).
 * @param share 0 to 1; 0.99 for p99
 * @returns NaN when there are no values
 */
export const percentile = (values: ArrayLike<number>, share: number): number => {
  const ordered = sorted(values)
  const rank = Math.min(ordered.length, Math.max(1, Math.ceil(share * ordered.length)))
  return ordered[rank - 1] ?? Number.NaN
}

/** Median (the mean of the middle two when even), least and greatest; all NaN when there are no values. */
export const spread = (values: ArrayLike<number>): Spread => {
  const ordered = sorted(values)
  const half = ordered.length >> 1
  const upper = ordered[half] ?? Number.NaN
  const lower = ordered.length % 2 === 0 ? (ordered[half - 1] ?? Number.NaN) : upper
  return { median: (lower + upper) / 2, min: ordered[0] ?? Number.NaN, max: ordered.at(-1) ?? Number.NaN }
}

/** Four significant digits: more would pretend a precision that a shared machine does not have. */
export const rounded = (value: number): number => Number(value.toPrecision(4))

export const MOST_LATENCIES = 1 << 18

/**
 * Latencies in milliseconds, kept up to a bound. Past it every second value is dropped and from then on only every
 * second one is taken (again and again), so that the kept ones stay spread evenly over the whole run.
 */
export const latencies = (capacity = MOST_LATENCIES): { add(valueMs: number): void; values(): Float64Array } => {
  const kept = new Float64Array(capacity)
  let count = 0
  let stride = 1
  let skip = 0
  return {
    add: (valueMs) => {
      if (skip > 0) {
        skip--
        return
      }
      if (count === capacity) {
        for (let i = 0; 2 * i < count; i++) kept[i] = kept[2 * i] ?? 0
        count = Math.ceil(count / 2)
        stride *= 2
      }
      kept[count++] = valueMs
      skip = stride - 1
    },
    values: () => kept.slice(0, count),
  }
}
