/**
 * What waits, by who it waits for, and whose turn is next.
 *
 * The most urgent goes first; of those that are as urgent, one of the key that had its turn longest ago. So a key that
 * fills its queue holds up nobody else. Urgency is what the asking side says of itself: each fourth turn goes by the order
 * of keys alone, so that nobody starves behind others whose work is always critical.
 *
 * State: for each key that waits, a list for each priority; how many turns there were. The bounds are its owner's.
 */

/** Order in which the wire priorities are served: critical, high, normal, low. */
const SERVED = [3, 2, 0, 1] as const
const EACH_ANYWAY = 4

interface Link<T> {
  readonly item: T
  next: Link<T> | undefined
}

interface List<T> {
  first: Link<T> | undefined
  last: Link<T> | undefined
}

export interface FairQueue<K, T> {
  add(key: K, priority: number, item: T): void
  /** Takes out whose turn it is, of the keys that `may` go on. */
  next(may: (key: K) => boolean): T | undefined
  size(): number
}

const shift = <T>(list: List<T> | undefined): T | undefined => {
  const link = list?.first
  if (list === undefined || link === undefined) return undefined
  list.first = link.next
  if (link.next === undefined) list.last = undefined
  return link.item
}

export const createFairQueue = <K, T>(): FairQueue<K, T> => {
  /** In the order of their last turn. */
  const lines = new Map<K, List<T>[]>()
  let size = 0
  let turns = 0

  const serve = (key: K, lists: List<T>[], priority: number): T | undefined => {
    const item = shift(lists[priority])
    if (item === undefined) return undefined
    size -= 1
    lines.delete(key)
    if (lists.some(({ first }) => first !== undefined)) lines.set(key, lists)
    return item
  }

  const anyway = (may: (key: K) => boolean): T | undefined => {
    for (const [key, lists] of lines) {
      if (!may(key)) continue
      const priority = SERVED.find((each) => lists[each]?.first !== undefined)
      if (priority !== undefined) return serve(key, lists, priority)
    }
    return undefined
  }

  return {
    add(key, priority, item) {
      let lists = lines.get(key)
      if (lists === undefined) {
        lists = SERVED.map(() => ({ first: undefined, last: undefined }))
        lines.set(key, lists)
      }
      const list = lists[priority & 3]
      if (list === undefined) return
      const link: Link<T> = { item, next: undefined }
      if (list.last === undefined) list.first = link
      else list.last.next = link
      list.last = link
      size += 1
    },
    next(may) {
      if (size === 0) return undefined
      turns += 1
      if (turns % EACH_ANYWAY === 0) return anyway(may)
      for (const priority of SERVED) {
        for (const [key, lists] of lines) {
          if (lists[priority]?.first !== undefined && may(key)) return serve(key, lists, priority)
        }
      }
      return undefined
    },
    size: () => size,
  }
}
