/** What comes of what nodes say of themselves: a node that is not there any more holds no budget. Pure. */
import type { HolderRecord } from '../budget-record.ts'
import type { BudgetChangeOf } from './budget-changes.ts'
import type { BudgetLedger } from './budget-ledger.ts'

/** Absent: an earlier life of this node has to end first; it registers again after a while. */
export interface RegisteredHolder {
  readonly registration?: number
}

/** Of the same process it stays the same one; one that was started again has nothing of what it had. */
export const registerHolder = (ledger: BudgetLedger, change: BudgetChangeOf<'register'>): RegisteredHolder => {
  const { incarnation } = change
  const { by, at, fence } = ledger.facts
  const before = ledger.holder(by)
  if (before !== undefined && before.incarnation > incarnation) ledger.live(by, -1)
  if (before?.incarnation === incarnation && before.isOver !== true) {
    ledger.putHolder(by, { ...before, renewedAt: at })
    return { registration: before.registration }
  }
  if (before !== undefined && before.holds > 0) {
    if (before.isOver !== true) ledger.putHolder(by, { ...before, isOver: true })
    return {}
  }
  ledger.putHolder(by, { registration: fence.index, incarnation, renewedAt: at, holds: 0 })
  return { registration: fence.index }
}

export const renewHolder = (ledger: BudgetLedger, { registration }: BudgetChangeOf<'renew'>): null => {
  const { by, at } = ledger.facts
  const record = ledger.live(by, registration)
  if (record.renewedAt !== at) ledger.putHolder(by, { ...record, renewedAt: at })
  return null
}

/** @returns whether nothing has to end first */
const endHolder = (ledger: BudgetLedger, peer: string, record: HolderRecord): boolean => {
  if (record.holds === 0) ledger.deleteHolder(peer)
  else if (record.isOver !== true) ledger.putHolder(peer, { ...record, isOver: true })
  return record.holds === 0
}

export const withdrawHolder = (
  ledger: BudgetLedger,
  { registration }: BudgetChangeOf<'withdraw'>,
): { isGone: boolean } => {
  const { by } = ledger.facts
  return { isGone: endHolder(ledger, by, ledger.live(by, registration)) }
}

/** Not renewed for as long as it may; said again once all that it held has ended. */
export const dismissHolder = (ledger: BudgetLedger, change: BudgetChangeOf<'dismiss'>): { isGone: boolean } => {
  const { epoch, peer, registration } = change
  ledger.requireCoordinator(epoch)
  const record = ledger.holder(peer)
  if (record?.registration !== registration) return { isGone: true }
  return { isGone: endHolder(ledger, peer, record) }
}
