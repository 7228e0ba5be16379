/**
 * The entries since the last snapshot, in memory.
 *
 * State: where the snapshot ends, and the entries after it, without a gap. Bounded by whoever takes snapshots.
 */
import type { Entry } from './raft-messages.ts'

export interface EntryId {
  readonly index: number
  readonly term: number
}

export class RaftLog {
  #base: EntryId
  #entries: Entry[]

  /** @param entries follow `base` one by one */
  constructor(base: EntryId = { index: 0, term: 0 }, entries: readonly Entry[] = []) {
    this.#base = base
    this.#entries = [...entries]
  }

  /** Where the snapshot ends; 0 without one. */
  get base(): EntryId {
    return this.#base
  }
  get lastIndex(): number {
    return this.#base.index + this.#entries.length
  }
  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#base.term
  }

  /** @returns undefined for what is not here any more, or not yet */
  termAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term
    return this.#entries[index - this.#base.index - 1]?.term
  }

  at(index: number): Entry | undefined {
    return this.#entries[index - this.#base.index - 1]
  }

  /** Entries from `first` on, at most `most` and about `mostBytes` of data, but at least one where there is one. */
  from(first: number, most: number = Number.POSITIVE_INFINITY, mostBytes: number = Number.POSITIVE_INFINITY): Entry[] {
    const found: Entry[] = []
    let bytes = 0
    for (let at = first - this.#base.index - 1; at < this.#entries.length && found.length < most; at += 1) {
      const entry = this.#entries[at]
      if (entry === undefined) break
      bytes += entry.data.length
      if (found.length > 0 && bytes > mostBytes) break
      found.push(entry)
    }
    return found
  }

  /** A log that ends like this is at least as complete as this one (dissertation, section 3.6.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /** Adds at the end. */
  push(...entries: readonly Entry[]): void {
    this.#entries.push(...entries)
  }

  /** Forgets `index` and all after it. */
  truncate(index: number): void {
    this.#entries.length = Math.max(0, index - this.#base.index - 1)
  }

  /** First index of the term that the entry at `index` has, as far as it is here. */
  firstOfTerm(index: number): number {
    const term = this.termAt(index)
    let first = index
    while (first - 1 > this.#base.index && this.termAt(first - 1) === term) first -= 1
    return first
  }

  /** Last index at or below `index` whose term is at most `term`. */
  lastAtMost(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex)
    while (at > this.#base.index && (this.termAt(at) ?? 0) > term) at -= 1
    return at
  }

  /** Drops what a snapshot up to `index` holds. */
  compact(index: number): void {
    const term = this.termAt(index)
    if (term === undefined || index <= this.#base.index) return
    this.#entries = this.#entries.slice(index - this.#base.index)
    this.#base = { index, term }
  }

  /** A snapshot from elsewhere takes the place of everything. */
  restore(base: EntryId): void {
    this.#base = base
    this.#entries = []
  }
}
