/** What comes of what nodes say of themselves, and what the coordinator ends: a node that is gone holds no budget. Pure. */
import { stateError } from '../../errors.ts'
import { type BudgetRecord, type HolderRecord, TAKE_MS } from '../budget-record.ts'
import { putAndClose, writeOff } from './budget-account.ts'
import type { BudgetChangeOf } from './budget-changes.ts'
import { type BudgetLedger, DRAW_BYTES } from './budget-ledger.ts'

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

/** @throws STA003 `ended` where nothing of it is over */
export const expireBudget = (ledger: BudgetLedger, { epoch, id, reason }: BudgetChangeOf<'expire'>): null => {
  ledger.requireCoordinator(epoch)
  const found = ledger.find(id)
  const { status, holder, registration, openedAt, limits } = found
  const { at } = ledger.facts
  const isHolderOver = registration !== undefined && ledger.isOver(holder, registration)
  const isUntaken = status === 'offered' && at - openedAt >= TAKE_MS
  const isLate =
    (status === 'offered' || status === 'open') && limits.deadlineAt !== undefined && at > limits.deadlineAt
  if (!isHolderOver && !isUntaken && !isLate)
    throw stateError('ended', `nothing that the budget ${id} rests on is over`, 'look at it again', { budget: id })
  const ended: BudgetRecord = { ...found, status: 'closing', reason }
  if (!isHolderOver) putAndClose(ledger, id, ended)
  else {
    ledger.putDraws(id, {})
    ledger.count(holder, -found.draws, -found.draws * DRAW_BYTES)
    putAndClose(ledger, id, writeOff(ended))
  }
  return null
}

export const forgetBudgets = (ledger: BudgetLedger, { epoch, ids }: BudgetChangeOf<'forget'>): null => {
  ledger.requireCoordinator(epoch)
  for (const id of ids) {
    const found = ledger.budget(id)
    if (found?.status === 'closed') ledger.delete(id, found)
  }
  return null
}
