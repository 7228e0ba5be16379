/**
 * Who may have how much of what all share: slots, waiting requests, bytes, places in a table. The key is whoever is counted
 * together: today a peer, later also an issuer.
 *
 * Shares follow the dynamic threshold of Choudhury and Hahne (Dynamic queue length thresholds for shared-memory packet
 * switches, 1998): a key may take more while it holds less than three times of what is free. An only user gets three
 * quarters; of k users that all want more, each gets 3/(3k+1), and a third of one such share always stays free: whoever
 * holds nothing gets what it asks for at once. So no figure says beforehand how many users there are, nothing lies idle
 * for those that may never come but that rest, and who comes under more names leaves less for each of them. Below four
 * units nothing can be kept free, and one may have all.
 *
 * State: an account for each key that holds something.
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
