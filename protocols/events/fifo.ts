/**
 * First in, first out, without shifting an array for each item.
 *
 * State: the items, and how many at the front of the array are taken; those are cut off when they are more than half.
 */
const CUT_FROM = 1024

export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  size(): number {
    return this.#items.length - this.#head
  }

  /** The one that is taken next. */
  first(): T | undefined {
    return this.#items[this.#head]
  }

  put(item: T): void {
    this.#items.push(item)
  }

  take(): T | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    // So that what was taken is not kept.
    this.#items[this.#head] = undefined
    this.#head += 1
    if (this.#head === this.#items.length) this.clear()
    else if (this.#head >= CUT_FROM && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }
}
