/**
 * Who may have how much of what all share: slots, waiting requests, bytes, places in a table (createShares), and who may
 * do something how often (createRates). The key is whoever is counted together: today a peer, later also an issuer.
 *
 * Shares follow the dynamic threshold of Choudhury and Hahne (Dynamic queue length thresholds for shared-memory packet
 * switches, 1998): a key may take more while it holds less than three times of what is free. An only user gets three
 * quarters; of k users that all want more, each gets 3/(3k+1), and a third of one such share always stays free: whoever
 * holds nothing gets what it asks for at once. So no figure says beforehand how many users there are, nothing lies idle
 * for those that may never come but that rest, and who comes under more names leaves less for each of them. Below four
 * units nothing can be kept free, and one may have all.
 *
 * Rates are token buckets. State: an account for each key that holds something; a bucket for each of the last `maxKeys`
 * keys. Both take the time as a number: no clock here.
 */

/** Of what is free, how many times as much one key may hold. */
const THRESHOLD = 3

export interface ShareAccount {
  readonly key: string
  /** Units that it holds. */
  readonly held: number
}

export interface FairShares {
  /** Takes `amount` for `key`. False, and counted, where that is more than its share. */
  take(key: string, amount?: number): boolean
  /** Gives back what was taken; more than that is not given. */
  give(key: string, amount?: number): void
  /** Whether take() would be true, without taking or counting. */
  allows(key: string, amount?: number): boolean
  held(key: string): number
  /** An account that stays until it was closed as often as it was opened: for hot paths, which then need no look-up. */
  open(key: string): ShareAccount
  close(account: ShareAccount): void
  /** take(), give() and allows() by an account that is open. */
  takeFor(account: ShareAccount, amount?: number): boolean
  giveFor(account: ShareAccount, amount?: number): void
  allowsFor(account: ShareAccount, amount?: number): boolean
  /** allowsFor(), counted where it is false. */
  mayFor(account: ShareAccount, amount: number): boolean
  /** Of what is there already, whatever the share: it is asked for before that, by mayFor(). */
  addFor(account: ShareAccount, amount: number): void
  total(): number
  free(): number
  /** How often a take was false. */
  refused(): number
  /** Those that hold the most, most first. */
  top(count: number): ShareAccount[]
  /** From now on; who holds more keeps it. */
  resize(most: number, mostEach?: number): void
}

interface Entry {
  readonly key: string
  held: number
  /** Times that it was opened and not closed. */
  opened: number
}

/**
 * @param most units for all keys together
 * @param mostEach units for one key, whatever is free
 */
export const createFairShares = (most: number, mostEach = Number.POSITIVE_INFINITY): FairShares => {
  const entries = new Map<string, Entry>()
  let limit = most
  let each = mostEach
  let total = 0
  let refused = 0

  const fits = (held: number, amount: number): boolean =>
    total + amount <= limit && held + amount <= each && (held === 0 || held + amount <= THRESHOLD * (limit - total))

  const entryOf = (key: string): Entry => {
    let entry = entries.get(key)
    if (entry === undefined) {
      entry = { key, held: 0, opened: 0 }
      entries.set(key, entry)
    }
    return entry
  }

  const tidy = (entry: Entry): void => {
    if (entry.held <= 0 && entry.opened === 0) entries.delete(entry.key)
  }

  const takeFor = (account: ShareAccount, amount = 1): boolean => {
    if (!fits(account.held, amount)) {
      refused += 1
      return false
    }
    total += amount
    ;(account as Entry).held += amount
    return true
  }

  const giveFor = (account: ShareAccount, amount = 1): void => {
    const given = Math.min(amount, account.held)
    total -= given
    ;(account as Entry).held -= given
  }

  return {
    take(key, amount = 1) {
      const entry = entryOf(key)
      const took = takeFor(entry, amount)
      tidy(entry)
      return took
    },
    give(key, amount = 1) {
      const entry = entries.get(key)
      if (entry === undefined) return
      giveFor(entry, amount)
      tidy(entry)
    },
    allows: (key, amount = 1) => fits(entries.get(key)?.held ?? 0, amount),
    held: (key) => entries.get(key)?.held ?? 0,
    open(key) {
      const entry = entryOf(key)
      entry.opened += 1
      return entry
    },
    close(account) {
      const entry = account as Entry
      entry.opened -= 1
      tidy(entry)
    },
    takeFor,
    giveFor,
    allowsFor: ({ held }, amount = 1) => fits(held, amount),
    mayFor({ held }, amount) {
      const may = fits(held, amount)
      if (!may) refused += 1
      return may
    },
    addFor(account, amount) {
      total += amount
      ;(account as Entry).held += amount
    },
    total: () => total,
    free: () => Math.max(0, limit - total),
    refused: () => refused,
    top: (count) =>
      [...entries.values()]
        .filter(({ held }) => held > 0)
        .sort((a, b) => b.held - a.held)
        .slice(0, count)
        .map(({ key, held }) => ({ key, held })),
    resize(next, nextEach = Number.POSITIVE_INFINITY) {
      limit = next
      each = nextEach
    },
  }
}

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
