/**
 * Who may do something how often: a token bucket for each key. The time comes as a number: no clock here.
 *
 * State: a bucket for each of the last `maxKeys` keys.
 */
interface Bucket {
  level: number
  /** Monotonic milliseconds. */
  at: number
}

export interface RateLimiterOptions {
  perSecond: number
  /** What a key may do at once that did nothing for long. */
  burst: number
  /** Keys that are remembered. The one that did nothing for the longest time goes first, and comes back with a full burst. */
  maxKeys: number
}

export interface RateLimiter {
  /**
   * Whether `key` may do it now; then it has done it. False, and counted, where it may not.
   * @param cost up to `burst`; what costs more never may
   */
  take(key: string, nowMs: number, cost?: number): boolean
  /** Milliseconds until it may; 0 where it may now. */
  waitMs(key: string, nowMs: number, cost?: number): number
  forget(key: string): void
  refused(): number
  keys(): number
}

export const createRateLimiter = ({ perSecond, burst, maxKeys }: RateLimiterOptions): RateLimiter => {
  /** In the order of their last use. */
  const buckets = new Map<string, Bucket>()
  let refused = 0

  const levelOf = (bucket: Bucket | undefined, nowMs: number): number =>
    bucket === undefined ? burst : Math.min(burst, bucket.level + (Math.max(0, nowMs - bucket.at) * perSecond) / 1000)

  const keep = (key: string, bucket: Bucket): void => {
    buckets.delete(key)
    buckets.set(key, bucket)
    if (buckets.size <= maxKeys) return
    const [oldest] = buckets.keys()
    if (oldest !== undefined) buckets.delete(oldest)
  }

  return {
    take(key, nowMs, cost = 1) {
      const bucket = buckets.get(key)
      const level = levelOf(bucket, nowMs)
      const may = cost <= level
      if (!may) refused += 1
      const kept = bucket ?? { level, at: nowMs }
      kept.level = may ? level - cost : level
      kept.at = Math.max(nowMs, kept.at)
      keep(key, kept)
      return may
    },
    waitMs(key, nowMs, cost = 1) {
      const missing = cost - levelOf(buckets.get(key), nowMs)
      if (missing <= 0) return 0
      return cost > burst ? Number.POSITIVE_INFINITY : Math.ceil((missing * 1000) / perSecond)
    },
    forget(key) {
      buckets.delete(key)
    },
    refused: () => refused,
    keys: () => buckets.size,
  }
}
