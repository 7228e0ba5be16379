/** The straight line through samples by least squares, how sure its slope is, and the slope that a few outliers do not move. Pure. */

export interface Point {
  readonly minute: number
  readonly value: number
}

export interface Slope {
  /** What the value grows by in a minute. */
  readonly perMinute: number
  /** Standard error of that, from the scatter around the line; 0 for fewer than three points. */
  readonly error: number
  /** Mean of the values. */
  readonly mean: number
}

/** Ordinary least squares; flat for fewer than two points or when all are of one minute. */
export const slopeOf = (points: readonly Point[]): Slope => {
  const n = points.length
  const mean = n === 0 ? 0 : points.reduce((sum, { value }) => sum + value, 0) / n
  const middle = n === 0 ? 0 : points.reduce((sum, { minute }) => sum + minute, 0) / n
  const spread = points.reduce((sum, { minute }) => sum + (minute - middle) ** 2, 0)
  if (n < 2 || spread === 0) return { perMinute: 0, error: 0, mean }
  const perMinute = points.reduce((sum, { minute, value }) => sum + (minute - middle) * (value - mean), 0) / spread
  if (n < 3) return { perMinute, error: 0, mean }
  const scatter = points.reduce(
    (sum, { minute, value }) => sum + (value - mean - perMinute * (minute - middle)) ** 2,
    0,
  )
  return { perMinute, error: Math.sqrt(scatter / (n - 2) / spread), mean }
}

/** Theil and Sen's slope: the median of those between any two points, so that a few samples far off do not move it. */
export const medianSlopeOf = (points: readonly Point[]): number => {
  const slopes = points
    .flatMap((one, i) =>
      points
        .slice(i + 1)
        .filter(({ minute }) => minute !== one.minute)
        .map((other) => (other.value - one.value) / (other.minute - one.minute)),
    )
    .sort((a, b) => a - b)
  const middle = slopes.length >> 1
  const [low = 0, high = 0] = [slopes[slopes.length % 2 === 0 ? middle - 1 : middle], slopes[middle]]
  return (low + high) / 2
}
