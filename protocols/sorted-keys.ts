/**
 * Keys in their order, in chunks, so that adding or removing one moves a few hundred others at most, however many there are.
 *
 * State: the chunks; none of them is empty.
 */

const CHUNK_KEYS = 512

/** How many of these are below the key. */
const countBelow = (keys: readonly string[], key: string): number => {
  let [low, high] = [0, keys.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] ?? '') < key) low = middle + 1
    else high = middle
  }
  return low
}

export class SortedKeys {
  readonly #chunks: string[][] = []

  /** @param keys in any order, each once */
  constructor(keys: Iterable<string>) {
    const sorted = [...keys].sort()
    for (let at = 0; at < sorted.length; at += CHUNK_KEYS) this.#chunks.push(sorted.slice(at, at + CHUNK_KEYS))
  }

  /** One that is not there. */
  add(key: string): void {
    const at = this.#chunkOf(key)
    const chunk = this.#chunks[at]
    if (chunk === undefined) {
      this.#chunks.push([key])
      return
    }
    chunk.splice(countBelow(chunk, key), 0, key)
    if (chunk.length > 2 * CHUNK_KEYS) this.#chunks.splice(at + 1, 0, chunk.splice(CHUNK_KEYS))
  }

  delete(key: string): void {
    const at = this.#chunkOf(key)
    const chunk = this.#chunks[at]
    const index = chunk === undefined ? 0 : countBelow(chunk, key)
    if (chunk?.[index] !== key) return
    chunk.splice(index, 1)
    if (chunk.length === 0) this.#chunks.splice(at, 1)
  }

  /** From this one on. */
  *from(key: string): Generator<string> {
    let at = this.#chunkOf(key)
    for (let i = countBelow(this.#chunks[at] ?? [], key); ; i = 0) {
      const chunk = this.#chunks[at]
      if (chunk === undefined) return
      for (; i < chunk.length; i += 1) yield chunk[i] ?? ''
      at += 1
    }
  }

  /** The first `count` of them from `key` on. @param isAfter without the key itself */
  take(key: string, isAfter: boolean, count: number): string[] {
    const found: string[] = []
    for (let at = this.#chunkOf(key); at < this.#chunks.length && found.length < count; at += 1) {
      const chunk = this.#chunks[at] ?? []
      let index = countBelow(chunk, key)
      if (isAfter && chunk[index] === key) index += 1
      found.push(...chunk.slice(index, index + count - found.length))
    }
    return found
  }

  /** The last chunk that begins at the key or below, or the first one. */
  #chunkOf(key: string): number {
    let [low, high] = [0, this.#chunks.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#chunks[middle]?.[0] ?? '') <= key) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }
}
