/**
 * What is open, by a number that counts upwards: the exchanges of one side of a link.
 *
 * A Map does the same, at a price. One whose entries come and go is rebuilt again and again, and each table that it has
 * left behind keeps what it last held alive until the next full collection of garbage: measured at 64 calls in flight,
 * about 500 bytes for each call.
 *
 * State: a table with a place for each number modulo its length, which doubles while numbers crowd, up to 4,096 places;
 * beyond that, and for those that find their place taken by an old one, a Map.
 */
const FIRST_PLACES = 16
const MAX_PLACES = 4096

export interface ExchangeTable<T> {
  get(number: number): T | undefined
  /** Puts `entry` in, in the place of one with the same number. */
  set(number: number, entry: T): void
  delete(number: number): void
  size(): number
  /** A copy, in no special order. */
  values(): T[]
}

export const createExchangeTable = <T extends object>(): ExchangeTable<T> => {
  let entries: (T | undefined)[] = new Array(FIRST_PLACES).fill(undefined)
  let numbers: number[] = new Array(FIRST_PLACES).fill(0)
  let mask = FIRST_PLACES - 1
  let placed = 0
  const others = new Map<number, T>()

  const place = (number: number, entry: T): boolean => {
    const at = number & mask
    if (entries[at] === undefined) placed += 1
    else if (numbers[at] !== number) return false
    entries[at] = entry
    numbers[at] = number
    return true
  }

  const grow = (): void => {
    const [before, beforeNumbers] = [entries, numbers]
    const length = before.length * 2
    entries = new Array(length).fill(undefined)
    numbers = new Array(length).fill(0)
    mask = length - 1
    placed = 0
    // No two of them meet: what differs in the lower bits differs in more bits too.
    for (const [at, entry] of before.entries()) if (entry !== undefined) place(beforeNumbers[at] ?? 0, entry)
  }

  return {
    get(number) {
      const at = number & mask
      const entry = entries[at]
      if (entry !== undefined && numbers[at] === number) return entry
      return others.size === 0 ? undefined : others.get(number)
    },
    set(number, entry) {
      if (others.size > 0 && others.has(number)) {
        others.set(number, entry)
        return
      }
      // A place is taken: more places where many are, the Map where an old entry just sits there.
      while (!place(number, entry)) {
        if (placed * 2 < entries.length || entries.length >= MAX_PLACES) {
          others.set(number, entry)
          return
        }
        grow()
      }
    },
    delete(number) {
      const at = number & mask
      if (entries[at] !== undefined && numbers[at] === number) {
        entries[at] = undefined
        placed -= 1
      } else if (others.size > 0) others.delete(number)
    },
    size: () => placed + others.size,
    values: () => [...entries.filter((entry) => entry !== undefined), ...others.values()],
  }
}
