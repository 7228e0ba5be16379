/**
 * Holders and budgets as the coordinator looks after them: a step from what the journal has, and the time, to the changes that it
 * wants. State: that, and what it has asked for and not seen decided.
 *
 * What a node holds ends with it; a loan that nobody takes, and what is left after a deadline, go back.
 */
import { LEASE_MARGIN_MS, LEASE_MS } from '../../resource/planner/resource-board.ts'
import { type BudgetRecord, DEADLINE, type HolderRecord, TAKE_MS } from '../budget-record.ts'
import type { BudgetChange } from '../journal/budget-changes.ts'

/** What was closed is kept so long to be read. Milliseconds. */
export const KEPT_MS = 60_000
const FORGET_AT_ONCE = 256
/** Of one look; the next one goes on. */
const MAX_EXPIRED = 1_024

/** Milliseconds. */
export interface KeepTime {
  /** Since 1970. */
  readonly now: number
  readonly monotonic: number
}

interface SeenHolder {
  readonly record: HolderRecord
  /** By this node's monotonic clock, from when its renewal was applied here. */
  readonly renewedAt: number
}

type Want = (change: BudgetChange) => void

const keyOf = (change: BudgetChange): string =>
  'id' in change ? `b ${change.id}` : 'peer' in change ? `h ${change.peer}` : change.do

export class BudgetBoard {
  readonly #epoch: number
  readonly #holders = new Map<string, SeenHolder>()
  /** All that are not closed. */
  readonly #open = new Map<string, BudgetRecord>()
  /** Those that end with the life of their holder. */
  readonly #byHolder = new Map<string, Set<string>>()
  /** Loans that are not taken, in the order in which they were made: since when. */
  readonly #offered = new Map<string, number>()
  readonly #deadlines = new Map<string, number>()
  /** None of them is earlier. */
  #nextDeadline = Number.POSITIVE_INFINITY
  /** In the order in which they were closed: when. */
  readonly #closed = new Map<string, number>()
  readonly #asked = new Map<string, BudgetChange>()

  constructor(epoch: number) {
    this.#epoch = epoch
  }

  counts(): { readonly holders: number; readonly open: number } {
    return { holders: this.#holders.size, open: this.#open.size }
  }

  /** Nothing is here that time alone could change. */
  isIdle(): boolean {
    return this.#holders.size + this.#open.size + this.#closed.size === 0
  }

  /** @param nowMs monotonic */
  setHolder(peer: string, record: HolderRecord | undefined, nowMs: number): void {
    if (record === undefined) this.#holders.delete(peer)
    else {
      const before = this.#holders.get(peer)
      const isRenewed = before === undefined || before.record.renewedAt !== record.renewedAt
      this.#holders.set(peer, { record, renewedAt: isRenewed ? nowMs : before.renewedAt })
    }
  }

  setBudget(id: string, record: BudgetRecord | undefined): void {
    const before = this.#open.get(id)
    if (before !== undefined) this.#byHolder.get(before.holder)?.delete(id)
    if (record?.status !== 'offered') this.#offered.delete(id)
    this.#deadlines.delete(id)
    if (record === undefined || record.status === 'closed') {
      this.#open.delete(id)
      if (record === undefined) this.#closed.delete(id)
      else if (!this.#closed.has(id)) this.#closed.set(id, record.changedAt)
      return
    }
    this.#open.set(id, record)
    this.#list(id, record)
  }

  #list(id: string, { status, holder, registration, openedAt, limits }: BudgetRecord): void {
    if (registration !== undefined) {
      const ids = this.#byHolder.get(holder) ?? new Set()
      this.#byHolder.set(holder, ids)
      ids.add(id)
    }
    if (status === 'closing') return
    if (status === 'offered') this.#offered.set(id, openedAt)
    if (limits.deadlineAt === undefined) return
    this.#deadlines.set(id, limits.deadlineAt)
    this.#nextDeadline = Math.min(this.#nextDeadline, limits.deadlineAt)
  }

  /** It was decided, or refused: what came of it has been read. */
  answered(change: BudgetChange): void {
    if (this.#asked.get(keyOf(change)) === change) this.#asked.delete(keyOf(change))
  }

  wanted(time: KeepTime): BudgetChange[] {
    const wanted: BudgetChange[] = []
    const want: Want = (change) => {
      if (this.#asked.has(keyOf(change)) || wanted.length >= MAX_EXPIRED) return
      this.#asked.set(keyOf(change), change)
      wanted.push(change)
    }
    this.#endLives(time, want)
    this.#endLate(time, want)
    this.#forgetSome(time, want)
    return wanted
  }

  #endLives({ monotonic }: KeepTime, want: Want): void {
    const epoch = this.#epoch
    for (const [peer, { record, renewedAt }] of this.#holders) {
      const dismiss = { do: 'dismiss', epoch, peer, registration: record.registration } as const
      const isLate = monotonic - renewedAt > LEASE_MS + LEASE_MARGIN_MS
      if (record.isOver === true) {
        for (const id of this.#byHolder.get(peer) ?? [])
          want({ do: 'expire', epoch, id, reason: `holder-lost: ${peer}` })
        if (record.holds === 0) want(dismiss)
      } else if (isLate) want(dismiss)
    }
  }

  #endLate({ now }: KeepTime, want: Want): void {
    const epoch = this.#epoch
    for (const [id, openedAt] of this.#offered) {
      if (now - openedAt < TAKE_MS) break
      want({ do: 'expire', epoch, id, reason: 'not-taken' })
    }
    if (now <= this.#nextDeadline) return
    let next = Number.POSITIVE_INFINITY
    for (const [id, deadlineAt] of this.#deadlines) {
      next = Math.min(next, deadlineAt)
      if (now > deadlineAt) want({ do: 'expire', epoch, id, reason: DEADLINE })
    }
    this.#nextDeadline = next
  }

  #forgetSome({ now }: KeepTime, want: Want): void {
    const ids: string[] = []
    for (const [id, closedAt] of this.#closed) {
      if (now - closedAt < KEPT_MS || ids.length >= FORGET_AT_ONCE) break
      ids.push(id)
    }
    if (ids.length > 0) want({ do: 'forget', epoch: this.#epoch, ids })
  }
}
