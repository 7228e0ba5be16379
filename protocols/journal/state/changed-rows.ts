/**
 * Rows of one collection that are in no snapshot yet. None of them is taken away: a row that is gone has no value.
 *
 * They are put in their order only where somebody lists them; what came since costs no more than that then.
 * State: the rows, their keys in order, as far as somebody asked.
 */
import { SortedKeys } from '../../sorted-keys.ts'

/** Keys that are put in their place in one go: some milliseconds. */
const KEYS_AT_ONCE = 2_048

export class ChangedRows extends Map<string, string | undefined> {
  readonly #keys = new SortedKeys([])
  #sorted = 0
  #unsorted: Iterator<string> | undefined

  /** @returns whether others have no place yet */
  sort(most: number = KEYS_AT_ONCE): boolean {
    // An iterator that has come to its end stays there: it is not asked for more than there are.
    this.#unsorted ??= this.keys()
    const end = Math.min(this.size, this.#sorted + most)
    for (; this.#sorted < end; this.#sorted += 1) this.#keys.add(this.#unsorted.next().value as string)
    return this.#sorted < this.size
  }

  /** The first one above. */
  nextKey(after: string): string | undefined {
    this.sort(Number.POSITIVE_INFINITY)
    return this.#keys.take(after, true, 1)[0]
  }
}
