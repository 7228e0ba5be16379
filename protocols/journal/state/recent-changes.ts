/**
 * The last changes of a journal's records, from which watchers catch up. They are no part of what is agreed on: a member
 * that restored a snapshot has none before it.
 *
 * State: the changes (bounded by number and bytes), oldest first, and up to which version they were dropped.
 */
import type { Fence } from '../fencing/fence.ts'
import type { Json } from './command-kind.ts'

export const MAX_CHANGES = 8_192
export const MAX_CHANGES_BYTES = 16 * 1024 * 1024

export interface RecordChange {
  readonly key: string
  readonly fence: Fence
  /** Milliseconds since 1970. */
  readonly at: number
  /** Undefined: it was deleted. */
  readonly value: Json | undefined
  /** About what it takes to keep or tell it, bytes. */
  readonly size: number
}

export class RecentChanges {
  #changes: RecordChange[] = []
  #bytes = 0
  /** Changes up to this version are not here. */
  #floor = 0

  add(change: RecordChange): void {
    this.#changes.push(change)
    this.#bytes += change.size
    if (this.#changes.length > MAX_CHANGES || this.#bytes > MAX_CHANGES_BYTES) this.#dropHalf()
  }

  /** Changes after `version`, whole entries, and at least one; undefined where not all of them are here any more. */
  since(version: number, most: number, mostBytes: number): RecordChange[] | undefined {
    if (version < this.#floor) return undefined
    const changes = this.#changes
    const start = this.#placeAfter(version)
    let [end, size] = [start, 0]
    for (; end < changes.length; end += 1) {
      const one = changes[end]
      size += one?.size ?? 0
      // Those of one entry are told together.
      const isNext = one?.fence.index !== changes[end - 1]?.fence.index
      if (end > start && isNext && (end - start >= most || size > mostBytes)) break
    }
    return changes.slice(start, end)
  }

  /** What is newer than `version` comes from here on. */
  restart(version: number): void {
    this.#changes = []
    this.#bytes = 0
    this.#floor = version
  }

  /** A half at a time, so that it costs little; an entry's changes stay together. */
  #dropHalf(): void {
    const floor = this.#changes[this.#changes.length >> 1]?.fence.index ?? this.#floor
    this.#floor = floor
    this.#changes = this.#changes.filter(({ fence }) => fence.index > floor)
    this.#bytes = this.#changes.reduce((sum, { size }) => sum + size, 0)
  }

  #placeAfter(version: number): number {
    let [low, high] = [0, this.#changes.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#changes[middle]?.fence.index ?? 0) <= version) low = middle + 1
      else high = middle
    }
    return low
  }
}
