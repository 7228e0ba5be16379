/**
 * Budgets as one change of the journal sees and changes them: holders, budgets, open draws, and what each node answers for.
 *
 * A change that is refused has written nothing: it checks first. What fails once something was written (the journal is full)
 * fails the whole command. State: whether anything was written.
 */
import { ParleyError, stateError } from '../../errors.ts'
import { requireCoordinator } from '../../journal/fencing/require-coordinator.ts'
import { agreedKey, readAgreed } from '../../journal/part-records.ts'
import type { EntryFacts, JournalTx, Json } from '../../journal/state/command-kind.ts'
import {
  BUDGETS_PART,
  type BudgetRecord,
  budgetKey,
  drawsKey,
  type HolderRecord,
  holderKey,
  type OpenDraws,
  shareKey,
} from '../budget-record.ts'

/** Budgets and open draws of all nodes, with budgets that are closed and kept to be read. */
export const MAX_ITEMS = 20_000
const MAX_ITEM_BYTES = 13 * 1024 * 1024
/** How much room an open draw takes. */
export const DRAW_BYTES = 160
/** A node may have three times of what is free, as shares of the journal are cut. */
const TIMES_FREE = 3
const EVERYBODY = 'all'
/** From this level of the part on, the same id with other limits is another budget. */
const LIMITS_LEVEL = 2

interface OwnShare {
  readonly items: number
  readonly bytes: number
}
const NO_SHARE: OwnShare = { items: 0, bytes: 0 }

export class BudgetLedger {
  readonly facts: EntryFacts
  hasWritten = false
  readonly #tx: JournalTx

  constructor(tx: JournalTx, facts: EntryFacts) {
    this.#tx = tx
    this.facts = facts
  }

  /** All voters know that limits are compared: a voter of level 1 passes over them, and has to come to the same. */
  get comparesLimits(): boolean {
    return (readAgreed(this.#tx.get(agreedKey(BUDGETS_PART)))?.level ?? 0) >= LIMITS_LEVEL
  }

  holder(peer: string): HolderRecord | undefined {
    // This part wrote it.
    return this.#tx.get(holderKey(peer)) as unknown as HolderRecord | undefined
  }

  budget(id: string): BudgetRecord | undefined {
    return this.#tx.get(budgetKey(id)) as unknown as BudgetRecord | undefined
  }

  draws(id: string): OpenDraws {
    return (this.#tx.get(drawsKey(id)) as unknown as OpenDraws | undefined) ?? {}
  }

  /** A life of a node that counts. @throws STA002 */
  live(peer: string, registration: number): HolderRecord {
    const record = this.holder(peer)
    if (record !== undefined && record.registration === registration && record.isOver !== true) return record
    throw new ParleyError('STA002', `the registration ${registration} of ${peer} is over`, {
      hint: 'spend no more than was drawn before, and register again',
      details: { registration },
    })
  }

  isOver(peer: string, registration: number): boolean {
    const record = this.holder(peer)
    return record?.registration !== registration || record.isOver === true
  }

  /** @throws STA001 */
  find(id: string): BudgetRecord {
    const found = this.budget(id)
    if (found !== undefined) return found
    throw new ParleyError('STA001', `there is no budget ${id}`, {
      hint: 'it was closed a while ago, or never opened',
      details: { budget: id },
    })
  }

  /** A budget that whoever asks may draw from or lend of. @throws STA001, SEC002, STA002, STA003 `ended`, MSG005 */
  usable(id: string, registration: number): BudgetRecord {
    const { by, at } = this.facts
    const found = this.held(id)
    this.live(by, registration)
    if (found.status !== 'open')
      throw stateError('ended', `the budget ${id} is ${found.status}`, 'take it first, or use another one', {
        budget: id,
        status: found.status,
      })
    if (found.registration !== registration)
      throw new ParleyError('STA002', `the budget ${id} is of another life of ${by}`, { hint: 'ask for another one' })
    const { deadlineAt } = found.limits
    if (deadlineAt !== undefined && at > deadlineAt)
      throw new ParleyError('MSG005', `the deadline of the budget ${id} has passed`, {
        hint: 'end the work',
        details: { budget: id, deadlineAt },
      })
    return found
  }

  /** @throws STA001; SEC002 for anybody but its holder */
  held(id: string): BudgetRecord {
    const found = this.find(id)
    if (found.holder === this.facts.by) return found
    throw new ParleyError('SEC002', `only who holds the budget ${id} uses it`, { hint: 'ask its holder to lend of it' })
  }

  /** @throws SEC002, STA002 */
  requireCoordinator(epoch: number): void {
    requireCoordinator(this.#tx, this.facts, epoch, 'ends budgets of others')
  }

  putHolder(peer: string, record: HolderRecord): void {
    this.hasWritten = true
    this.#tx.put(holderKey(peer), record as unknown as Json)
  }

  deleteHolder(peer: string): void {
    this.hasWritten = true
    this.#tx.delete(holderKey(peer))
  }

  put(id: string, record: BudgetRecord): void {
    this.hasWritten = true
    this.#tx.put(budgetKey(id), { ...record, changedAt: this.facts.at } as unknown as Json)
  }

  delete(id: string, { holder, lender = holder, size }: BudgetRecord): void {
    this.hasWritten = true
    this.#tx.delete(budgetKey(id))
    this.count(lender, -1, -size)
  }

  putDraws(id: string, draws: OpenDraws): void {
    this.hasWritten = true
    if (Object.keys(draws).length > 0) this.#tx.put(drawsKey(id), draws as unknown as Json)
    else this.#tx.delete(drawsKey(id))
  }

  /** Whether one more ends with the life of its holder, or does not any more. */
  countHeld(peer: string, by: 1 | -1): void {
    const record = this.holder(peer)
    if (record === undefined) throw new Error(`the node ${peer} went while it held a budget`)
    this.putHolder(peer, { ...record, holds: record.holds + by })
  }

  /** For one more. @throws COM003 `budget-share` */
  requireRoom(peer: string, bytes: number): void {
    const all = this.#share(EVERYBODY)
    const own = this.#share(peer)
    const isFree = all.items < MAX_ITEMS && all.bytes + bytes <= MAX_ITEM_BYTES
    const isFair =
      own.items + 1 <= TIMES_FREE * (MAX_ITEMS - all.items) &&
      own.bytes + bytes <= TIMES_FREE * (MAX_ITEM_BYTES - all.bytes)
    if (isFree && isFair) return
    throw new ParleyError('COM003', `${peer} has ${own.items} budgets and draws, of ${all.items}`, {
      hint: 'close some of them, then ask again',
      details: { reason: 'budget-share', retryAfterMs: 1_000 },
    })
  }

  count(peer: string, items: number, bytes: number): void {
    if (items === 0) return
    for (const whose of [peer, EVERYBODY]) {
      const now = this.#share(whose)
      const next = { items: now.items + items, bytes: now.bytes + bytes }
      if (next.items > 0) this.#tx.put(shareKey(whose), next)
      else this.#tx.delete(shareKey(whose))
    }
  }

  #share(peer: string): OwnShare {
    return (this.#tx.get(shareKey(peer)) as unknown as OwnShare | undefined) ?? NO_SHARE
  }
}
