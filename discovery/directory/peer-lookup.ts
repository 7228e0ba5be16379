/**
 * Looking for an agent that this node has not heard of: a few neighbours are compared with, one after another, until the
 * directory knows it. A newcomer is heard of by everybody within a moment; a call need not fail in that moment.
 *
 * State: searches under way, and who was not found a moment ago. Both are bounded: beyond that nobody is asked.
 */
import type { Clock, Member } from '../../protocols/port.ts'

/** Neighbours that one search asks. */
const MAX_ASKED = 3
const MAX_SEARCHES = 16
/** Nobody is asked again for the same peer within this time, milliseconds. */
const NOT_FOUND_MS = 1_000
const MAX_NOT_FOUND = 256

interface Seeking {
  readonly clock: Clock
  known(peer: string): boolean
  /** Neighbours in any order, `count` at most. */
  some(count: number): Member[]
  /** Never rejects. */
  compare(neighbour: string): Promise<void>
}

export const createPeerLookup = ({ clock, known, some, compare }: Seeking) => {
  const searches = new Map<string, Promise<void>>()
  /** When each was asked for in vain, the oldest first. */
  const notFound = new Map<string, number>()

  const forget = (now: number): void => {
    for (const [peer, at] of notFound) {
      if (now - at < NOT_FOUND_MS && notFound.size < MAX_NOT_FOUND) return
      notFound.delete(peer)
    }
  }

  const search = async (peer: string): Promise<void> => {
    for (const { id } of some(MAX_ASKED)) {
      await compare(id)
      if (known(peer)) return
    }
    const now = clock.monotonic()
    forget(now)
    notFound.set(peer, now)
  }

  /** Resolves when it is known or the neighbours were asked in vain. Never rejects. */
  return (peer: string): Promise<void> => {
    const current = searches.get(peer)
    if (current !== undefined) return current
    forget(clock.monotonic())
    if (known(peer) || notFound.has(peer) || searches.size >= MAX_SEARCHES) return Promise.resolve()
    const begun = search(peer).finally(() => searches.delete(peer))
    searches.set(peer, begun)
    return begun
  }
}
