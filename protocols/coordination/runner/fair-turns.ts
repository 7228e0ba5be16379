/**
 * Turns. What is in work and what waits for its turn: so much at once, in fair shares of owners, who take turns. So nobody who has
 * a lot holds up anybody else. And what looks again once agents changed: a few at a time, in turn, however often they change.
 * State: what is in work, what waits, and what is to look.
 */
import { createFairShares, type FairShares } from '../../limits/fair-shares.ts'

/** So many look in so many milliseconds. Each plan looks once a second anyway. */
const MAX_LOOKS = 32
const LOOKS_MS = 250

export class FairTurns {
  readonly #shares: FairShares
  /** Owners, by id. */
  readonly #inWork = new Map<string, string>()
  readonly #waiting = new Map<string, string>()
  /** Ids that wait by owner, in their order; the owner whose turn was last is last. */
  readonly #byOwner = new Map<string, Set<string>>()

  /** @param most in work at once */
  constructor(most: number) {
    this.#shares = createFairShares(most)
  }

  /** In work, or waiting for it. */
  size(): number {
    return this.#inWork.size + this.#waiting.size
  }

  /** It waits for its turn, if it does not yet and is not in work. */
  add(id: string, owner: string): void {
    if (this.#inWork.has(id) || this.#waiting.get(id) === owner) return
    this.delete(id)
    this.#waiting.set(id, owner)
    const ids = this.#byOwner.get(owner) ?? new Set<string>()
    this.#byOwner.set(owner, ids.add(id))
  }

  /** It waits no more. */
  delete(id: string): void {
    const owner = this.#waiting.get(id)
    if (owner === undefined) return
    this.#waiting.delete(id)
    const ids = this.#byOwner.get(owner)
    ids?.delete(id)
    if (ids?.size === 0) this.#byOwner.delete(owner)
  }

  /** The next one, which is in work from now on. Undefined: nobody may have more. */
  next(): string | undefined {
    if (this.#shares.free() === 0) return undefined
    for (const [owner, ids] of this.#byOwner) {
      const [id] = ids
      if (id === undefined || !this.#shares.allows(owner)) continue
      this.#shares.take(owner)
      this.#byOwner.delete(owner)
      if (ids.size > 1) this.#byOwner.set(owner, ids)
      this.delete(id)
      this.#inWork.set(id, owner)
      return id
    }
    return undefined
  }

  /** It is in work no more. */
  done(id: string): void {
    const owner = this.#inWork.get(id)
    if (owner === undefined) return
    this.#inWork.delete(id)
    this.#shares.give(owner)
  }
}

/** Plans that are to look again. */
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
