/**
 * Looking for an agent, or an offer, that this node has not heard of: a few neighbours are compared with, one after
 * another, until the directory knows it. What is new is heard of by everybody within a moment; a call need not fail in
 * that moment.
 *
 * State: searches under way, and what was not found a moment ago. Both are bounded: beyond that nobody is asked.
 */
import type { Clock, Member } from '../../protocols/port.ts'
import type { DirectoryState } from './tables/directory-state.ts'

/** Neighbours that one search asks. */
const MAX_ASKED = 3
const MAX_SEARCHES = 16
/** Nobody is asked again for the same within this time, milliseconds. */
const NOT_FOUND_MS = 1_000
const MAX_NOT_FOUND = 256

/** What a search is for: an agent by its peer id or its name, or anybody who offers a major version of a protocol. */
export type Sought =
  | { readonly peer: string }
  | { readonly name: string }
  | { readonly protocol: string; readonly major: number }

const keyOf = (sought: Sought): string =>
  'peer' in sought ? sought.peer : 'name' in sought ? `name ${sought.name}` : `offer ${sought.protocol} ${sought.major}`

type Known = Pick<DirectoryState, 'get' | 'view' | 'offers'>

const isKnown = (state: Known, sought: Sought): boolean => {
  if ('peer' in sought) return state.get(sought.peer) !== undefined
  if ('name' in sought) return state.view().some(({ name }) => name === sought.name)
  return state.offers(sought.protocol, sought.major).length > 0
}

interface Seeking {
  readonly clock: Clock
  readonly state: Known
  /** Neighbours in any order, `count` at most. */
  some(count: number): Member[]
  /** Never rejects. */
  compare(neighbour: string): Promise<void>
}

export const createLookup = ({ clock, state, some, compare }: Seeking) => {
  const searches = new Map<string, Promise<void>>()
  /** When each was asked for in vain, the oldest first. */
  const notFound = new Map<string, number>()

  const forget = (now: number): void => {
    for (const [key, at] of notFound) {
      if (now - at < NOT_FOUND_MS && notFound.size < MAX_NOT_FOUND) return
      notFound.delete(key)
    }
  }

  const search = async (sought: Sought, key: string): Promise<void> => {
    for (const { id } of some(MAX_ASKED)) {
      await compare(id)
      if (isKnown(state, sought)) return
    }
    const now = clock.monotonic()
    forget(now)
    notFound.set(key, now)
  }

  /** Resolves when it is known or the neighbours were asked in vain. Never rejects. */
  return (sought: Sought): Promise<void> => {
    const key = keyOf(sought)
    const current = searches.get(key)
    if (current !== undefined) return current
    forget(clock.monotonic())
    if (isKnown(state, sought) || notFound.has(key) || searches.size >= MAX_SEARCHES) return Promise.resolve()
    const begun = search(sought, key).finally(() => searches.delete(key))
    searches.set(key, begun)
    return begun
  }
}
