/** The subscriptions that read (reader.ts), by first word. State: which there are. */
import type { Reader } from './reader.ts'

export interface Readers {
  /** @param word undefined for one that reads all words */
  add(word: string | undefined, reader: Reader): void
  remove(word: string | undefined, reader: Reader): void
  of(word: string): Iterable<Reader>
  /** True where somebody reads this word. */
  has(word: string): boolean
  all(): Iterable<Reader>
}

export const createReaders = (): Readers => {
  const open = new Set<Reader>()
  const byWord = new Map<string, Set<Reader>>()
  const setOf = (word: string | undefined): Set<Reader> | undefined => (word === undefined ? open : byWord.get(word))
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
