/**
 * Which plans are driven and which wait for it: so many at once, in fair shares of their owners, since a plan is driven for as long
 * as it is open, also where it only waits. And which of them look again once agents changed: a few at a time, in turn. State: the
 * plans of each.
 */
import { createFairShares } from '../../limits/fair-shares.ts'

/** Plans that are driven at once; others wait until one of these is over. */
const MAX_DRIVEN = 1_024
/** Plans that look again because agents changed: so many in so many milliseconds. Each looks once a second anyway. */
const MAX_LOOKS = 32
const LOOKS_MS = 250

export class DrivenPlans {
  readonly #shares = createFairShares(MAX_DRIVEN)
  /** Owners, by plan. */
  readonly #driven = new Map<string, string>()
  readonly #waiting = new Map<string, string>()
  /** Those that wait by owner, in their order; whose turn was last is last. */
  readonly #byOwner = new Map<string, Set<string>>()
  /** Driven, and agents changed since they were to look last: in their order. */
  readonly #toLook = new Set<string>()
  /** Looks since then, by the monotonic clock. */
  #looks = { since: Number.NEGATIVE_INFINITY, count: 0 }

  /** Driven, or waiting for it. */
  size(): number {
    return this.#driven.size + this.#waiting.size
  }

  /** It is to be driven, if it is not yet. */
  add(id: string, owner: string): void {
    if (this.#driven.has(id) || this.#waiting.get(id) === owner) return
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

  /** The next one, which is driven from now on; owners take turns. Undefined: nobody may have more. */
  next(): string | undefined {
    for (const [owner, ids] of this.#byOwner) {
      const [id] = ids
      if (id === undefined || !this.#shares.allows(owner)) continue
      this.#shares.take(owner)
      this.#byOwner.delete(owner)
      if (ids.size > 1) this.#byOwner.set(owner, ids)
      this.delete(id)
      this.#driven.set(id, owner)
      return id
    }
    return undefined
  }

  /** Who is there, or what they take, is otherwise than before: all that are driven are to look again. */
  agentsChanged(): void {
    for (const id of this.#driven.keys()) this.#toLook.add(id)
  }

  /** Those that look again now: however often agents change, no more than can be afforded; the others are next. */
  lookAgain(nowMs: number): string[] {
    if (nowMs - this.#looks.since >= LOOKS_MS) this.#looks = { since: nowMs, count: 0 }
    const ids = [...this.#toLook].slice(0, MAX_LOOKS - this.#looks.count)
    this.#looks.count += ids.length
    for (const id of ids) this.#toLook.delete(id)
    return ids
  }

  /** It is driven no more. */
  done(id: string): void {
    const owner = this.#driven.get(id)
    if (owner === undefined) return
    this.#driven.delete(id)
    this.#toLook.delete(id)
    this.#shares.give(owner)
  }
}
