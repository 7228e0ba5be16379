/**
 * Which plans look again once agents changed: a few at a time, in turn, however often agents change. State: those that are to look,
 * and how many have lately.
 */

/** So many look in so many milliseconds. Each plan looks once a second anyway. */
const MAX_LOOKS = 32
const LOOKS_MS = 250

export class LookTurns {
  /** In their order. */
  readonly #toLook = new Set<string>()
  /** Looks since then, by the monotonic clock. */
  #looks = { since: Number.NEGATIVE_INFINITY, count: 0 }

  /** Who is there, or what they take, is otherwise than before: all of these are to look again. */
  add(ids: Iterable<string>): void {
    for (const id of ids) this.#toLook.add(id)
  }

  /** It is driven no more. */
  delete(id: string): void {
    this.#toLook.delete(id)
  }

  /** Those that look again now; the others are next. */
  next(nowMs: number): string[] {
    if (nowMs - this.#looks.since >= LOOKS_MS) this.#looks = { since: nowMs, count: 0 }
    const ids = [...this.#toLook].slice(0, MAX_LOOKS - this.#looks.count)
    this.#looks.count += ids.length
    for (const id of ids) this.#toLook.delete(id)
    return ids
  }
}
