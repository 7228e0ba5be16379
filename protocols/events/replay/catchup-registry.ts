/** The subscriptions that catch up (catchup-subscription.ts), by first word. State: which there are. */
import type { CatchupSubscription } from './catchup-subscription.ts'

export interface CatchupRegistry {
  /** @param word undefined for one of all words */
  add(word: string | undefined, reader: CatchupSubscription): void
  remove(word: string | undefined, reader: CatchupSubscription): void
  of(word: string): Iterable<CatchupSubscription>
  /** True where there is one of this word. */
  has(word: string): boolean
  all(): Iterable<CatchupSubscription>
}

export const createCatchupRegistry = (): CatchupRegistry => {
  const open = new Set<CatchupSubscription>()
  const byWord = new Map<string, Set<CatchupSubscription>>()
  const setOf = (word: string | undefined): Set<CatchupSubscription> | undefined =>
    word === undefined ? open : byWord.get(word)
  return {
    add(word, reader) {
      if (word !== undefined && !byWord.has(word)) byWord.set(word, new Set())
      setOf(word)?.add(reader)
    },
    remove(word, reader) {
      setOf(word)?.delete(reader)
      if (word !== undefined && byWord.get(word)?.size === 0) byWord.delete(word)
    },
    *of(word) {
      yield* open
      yield* byWord.get(word) ?? []
    },
    has: (word) => open.size > 0 || byWord.has(word),
    *all() {
      yield* open
      for (const readers of byWord.values()) yield* readers
    },
  }
}
