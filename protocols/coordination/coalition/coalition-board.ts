/**
 * All coalitions as the coordinator watches them: which of them have to be looked at, whom to direct, what to decide. Pure.
 * State: the coalitions, of one epoch; what of each is being decided; who has which share of the directives on their way.
 */

import type { Fence } from '../../journal/fencing/fence.ts'
import { createFairShares } from '../../limits/fair-shares.ts'
import type { CoalitionChange } from '../journal/coalition-changes.ts'
import type { CoalitionRecord } from './coalition-record.ts'
import { type Reached, type Told, WatchedCoalition } from './watched-coalition.ts'

/** Directives on their way, for all owners; each has a share of them. */
export const MAX_SENDING = 128
/** Milliseconds that one that is dissolved is kept to be read; more than so many, or of so many bytes, for a minute alone. */
export const RETAIN_MS = 3_600_000
export const MOST_DISSOLVED = 256
const MOST_BYTES = 1024 * 1024
const RETAIN_LEAST_MS = 60_000
const FORGET_AT_ONCE = 256
/** From one forgetting to the next: milliseconds. */
const FORGET_EACH_MS = 5_000

export interface WantedDirective extends Told {
  readonly id: string
  readonly fence: Fence
  /** Whose share it is of. */
  readonly owner: string
}

export interface BoardWork {
  readonly changes: readonly CoalitionChange[]
  readonly directives: readonly WantedDirective[]
}

export interface CoalitionBoardCounts {
  readonly forming: number
  readonly active: number
  readonly dissolved: number
  /** Directives on their way. */
  readonly sending: number
}

export class CoalitionBoard {
  readonly #epoch: number
  readonly #isThere: (peer: string) => boolean
  readonly #all = new Map<string, WatchedCoalition>()
  readonly #look = new Set<string>()
  /** By id: when it has to be looked at again, whatever happens. */
  readonly #due = new Map<string, number>()
  /** Ids of those about which something is being decided. */
  readonly #asked = new Set<string>()
  readonly #shares = createFairShares(MAX_SENDING)
  #isForgetting = false
  #forgetAt = 0

  constructor(epoch: number, isThere: (peer: string) => boolean) {
    this.#epoch = epoch
    this.#isThere = isThere
  }

  counts(): CoalitionBoardCounts {
    const counts = { forming: 0, active: 0, dissolved: 0 }
    for (const { record } of this.#all.values()) counts[record.state] += 1
    return { ...counts, sending: this.#shares.total() }
  }

  ids(): string[] {
    return [...this.#all.keys()]
  }

  set(id: string, record: CoalitionRecord | undefined): void {
    const known = this.#all.get(id)
    this.#look.add(id)
    if (record === undefined) {
      this.#all.delete(id)
      this.#due.delete(id)
    }
    // Proposed anew under an id that was forgotten, it is another one.
    else if (known === undefined || known.record.madeAt !== record.madeAt)
      this.#all.set(id, new WatchedCoalition(id, record))
    else known.set(record)
  }

  /** The failure detector says something else of a peer. */
  presenceChanged(peer: string): void {
    const isThere = this.#isThere(peer)
    for (const [id, one] of this.#all) {
      if (!one.concerns(peer)) continue
      if (isThere) one.cameBack(peer)
      this.#look.add(id)
    }
  }

  /** @param now milliseconds since 1970 */
  wanted(now: number): BoardWork {
    for (const [id, due] of this.#due) if (due <= now) this.#look.add(id)
    const changes: CoalitionChange[] = []
    const directives: WantedDirective[] = []
    for (const id of [...this.#look]) {
      this.#look.delete(id)
      const one = this.#all.get(id)
      if (one === undefined) continue
      const change = this.#asked.has(id) ? undefined : one.wanted(this.#epoch, this.#isThere, now)
      if (change !== undefined) {
        this.#asked.add(id)
        changes.push(change)
        // What is told is as of what is decided now.
        continue
      }
      this.#direct(one, now, directives)
      const due = one.nextDueAt(this.#isThere)
      if (due === undefined) this.#due.delete(id)
      else this.#due.set(id, due)
    }
    const forget = this.#forgotten(now)
    return { changes: forget === undefined ? changes : [...changes, forget], directives }
  }

  /** A change was decided, or refused; what became of it was read. */
  answered(change: CoalitionChange): void {
    if (change.do === 'forget') {
      this.#isForgetting = false
      return
    }
    this.#asked.delete(change.id)
    this.#look.add(change.id)
  }

  directed({ id, peer, owner }: WantedDirective, reached: Reached, now: number): void {
    this.#shares.give(owner)
    this.#all.get(id)?.answered(peer, reached, now)
    this.#look.add(id)
  }

  /** Milliseconds since 1970. */
  nextDueAt(): number | undefined {
    let next: number | undefined
    for (const [id, due] of this.#due) if (!this.#asked.has(id) && (next === undefined || due < next)) next = due
    return next
  }

  #direct(one: WatchedCoalition, now: number, directives: WantedDirective[]): void {
    const { owner, fence } = one.record
    for (const told of one.told(this.#isThere, now)) {
      if (!this.#shares.take(owner)) {
        // Its turn comes once others of its owner are answered.
        this.#look.add(one.id)
        return
      }
      one.sending(told.peer)
      directives.push({ ...told, id: one.id, fence, owner })
    }
  }

  /** Ids of those that are not kept any more. */
  #old(now: number): string[] {
    const newestFirst = [...this.#all.values()]
      .filter(({ record }) => record.state === 'dissolved')
      .sort((a, b) => b.record.changedAt - a.record.changedAt)
    let bytes = 0
    return newestFirst.flatMap(({ id, record }, i) => {
      bytes += record.size
      const isTooMuch = i >= MOST_DISSOLVED || bytes > MOST_BYTES
      return now - record.changedAt >= (isTooMuch ? RETAIN_LEAST_MS : RETAIN_MS) ? [id] : []
    })
  }

  #forgotten(now: number): CoalitionChange | undefined {
    if (this.#isForgetting || now < this.#forgetAt) return undefined
    this.#forgetAt = now + FORGET_EACH_MS
    const ids = this.#old(now).slice(0, FORGET_AT_ONCE)
    if (ids.length === 0) return undefined
    this.#isForgetting = true
    return { do: 'forget', epoch: this.#epoch, ids }
  }
}
