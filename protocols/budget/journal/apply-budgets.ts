/** What comes of changes of budgets: nobody gets more of one than is free of it. Pure. */
import { ParleyError, stateError } from '../../errors.ts'
import {
  type Amounts,
  atMost,
  type Limits,
  less,
  limitedBy,
  MAX_DEPTH,
  partOf,
  passedOn,
  requireLeft,
  sum,
} from '../amounts.ts'
import { type BudgetRecord, type BudgetStatus, freeOf } from '../budget-record.ts'
import { putAndClose, reserve, settle } from './budget-account.ts'
import type { BudgetChangeOf } from './budget-changes.ts'
import { type BudgetLedger, DRAW_BYTES } from './budget-ledger.ts'

/** Open draws of one budget. */
export const MAX_OPEN_DRAWS = 128
/** How much larger a record may become than what it is made of: sums, a reason, and what all of them have. */
const GROWTH_BYTES = 1_050

export interface Opened {
  readonly status: BudgetStatus
  /** It was there before, just so. */
  readonly isKnown: boolean
}

const named = (id: string): string => `the budget ${id}`

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

const sameLimits = (one: Limits, other: Limits): boolean =>
  one.deadlineAt === other.deadlineAt && one.depth === other.depth

/** @throws STA003 `exists` where there is another one */
const known = (
  ledger: BudgetLedger,
  id: string,
  before: BudgetRecord,
  { limits, ...wanted }: Pick<BudgetRecord, 'holder' | 'lender' | 'parent' | 'amounts' | 'limits'>,
): Opened => {
  const { holder, lender, parent, amounts, status } = before
  const isSame = same({ holder, lender, parent, amounts }, wanted)
  if (isSame && (!ledger.comparesLimits || sameLimits(before.limits, limits))) return { status, isKnown: true }
  throw stateError('exists', `there is a budget ${id} already`, 'choose another id', { budget: id })
}

type Terms = Pick<
  BudgetRecord,
  'status' | 'holder' | 'registration' | 'parent' | 'lender' | 'level' | 'amounts' | 'limits'
>

const fresh = ({ facts: { at } }: BudgetLedger, id: string, terms: Terms): BudgetRecord => {
  const sums = { spent: {}, drawn: {}, lent: {}, returned: {}, draws: 0, loans: 0 }
  const { holder, lender, parent, amounts, limits } = terms
  const size = JSON.stringify([id, holder, lender, parent, amounts, limits]).length + GROWTH_BYTES
  return { ...terms, ...sums, openedAt: at, changedAt: at, size }
}

const add = (ledger: BudgetLedger, id: string, record: BudgetRecord): Opened => {
  const { by } = ledger.facts
  ledger.put(id, record)
  ledger.count(by, 1, record.size)
  if (record.registration !== undefined) ledger.countHeld(record.holder, 1)
  return { status: record.status, isKnown: false }
}

export const openBudget = (ledger: BudgetLedger, change: BudgetChangeOf<'open'>): Opened => {
  const { id, registration, amounts, limits } = change
  const { by } = ledger.facts
  ledger.live(by, registration)
  const before = ledger.budget(id)
  if (before !== undefined)
    return known(ledger, id, before, { holder: by, lender: undefined, parent: undefined, amounts, limits })
  const record = fresh(ledger, id, { status: 'open', holder: by, registration, level: 0, amounts, limits })
  ledger.requireRoom(by, record.size)
  return add(ledger, id, record)
}

export const lend = (ledger: BudgetLedger, change: BudgetChangeOf<'lend'>): Opened => {
  const { id, parent, registration, to, limits } = change
  const { by } = ledger.facts
  const from = ledger.usable(parent, registration)
  const amounts = partOf(from.amounts, change.amounts)
  const before = ledger.budget(id)
  if (before !== undefined) {
    // One that may not be lent on has lent nothing.
    const passed = from.limits.depth === 0 ? limits : passedOn(named(parent), from.limits, limits)
    return known(ledger, id, before, { holder: to, lender: by, parent, amounts, limits: passed })
  }
  const passed = passedOn(named(parent), from.limits, limits)
  const level = from.level + 1
  if (level > MAX_DEPTH)
    throw new ParleyError('COM003', `${named(parent)} stands ${from.level} below its root`, {
      hint: 'do the work there, or draw from it',
      details: { reason: 'budget-depth' },
    })
  requireLeft(named(parent), freeOf(from), amounts)
  const terms = { status: 'offered', holder: to, parent, lender: by, level, amounts, limits: passed } as const
  const record = fresh(ledger, id, terms)
  ledger.requireRoom(by, record.size)
  ledger.put(parent, reserve(from, 'lent', amounts))
  return add(ledger, id, record)
}

export const takeLoan = (ledger: BudgetLedger, { id, registration }: BudgetChangeOf<'take'>): null => {
  const { by } = ledger.facts
  const found = ledger.held(id)
  ledger.live(by, registration)
  if (found.status === 'open' && found.registration === registration) return null
  if (found.status !== 'offered')
    throw stateError('ended', `${named(id)} is ${found.status}`, 'ask who lent it for another one', { budget: id })
  ledger.put(id, { ...found, status: 'open', registration })
  ledger.countHeld(by, 1)
  return null
}

export interface Drawn {
  readonly amounts: Amounts
}

/** Amounts that are asked for, as far as they are there. @throws COM003 `budget-exhausted` for less than the least */
const drawable = (id: string, budget: BudgetRecord, change: BudgetChangeOf<'draw'>): Amounts => {
  const free = freeOf(budget)
  const { amounts: asked, least = asked } = change
  requireLeft(named(id), free, least)
  // What the least names and the rest does not is wanted too.
  return atMost(sum(asked, less(least, asked)), free)
}

export const draw = (ledger: BudgetLedger, change: BudgetChangeOf<'draw'>): Drawn => {
  const { id, registration, draw: name } = change
  const { by } = ledger.facts
  const budget = ledger.usable(id, registration)
  const draws = ledger.draws(id)
  const before = Object.hasOwn(draws, name) ? draws[name] : undefined
  if (before !== undefined) return { amounts: before }
  const amounts = drawable(id, budget, change)
  if (budget.draws >= MAX_OPEN_DRAWS)
    throw new ParleyError('COM003', `${named(id)} has ${budget.draws} open draws`, {
      hint: 'settle some of them, or draw in chunks',
      details: { reason: 'budget-share', retryAfterMs: 1_000 },
    })
  ledger.requireRoom(by, DRAW_BYTES)
  const all = partOf(budget.amounts, amounts)
  ledger.put(id, reserve(budget, 'drawn', all))
  ledger.putDraws(id, { ...draws, [name]: all })
  ledger.count(by, 1, DRAW_BYTES)
  return { amounts: all }
}

export interface Receipted {
  /** False: there is no such draw; it was settled before, or written off. */
  readonly isSettled: boolean
  /** What was spent above the draw. */
  readonly above: Amounts
}

export const receipt = (ledger: BudgetLedger, change: BudgetChangeOf<'receipt'>): Receipted => {
  const { id, registration, draw: name, spent } = change
  const { by } = ledger.facts
  const budget = ledger.held(id)
  ledger.live(by, registration)
  const draws = ledger.draws(id)
  const { [name]: reserved, ...others } = draws
  if (reserved === undefined || !Object.hasOwn(draws, name) || budget.registration !== registration)
    return { isSettled: false, above: {} }
  const above = less(limitedBy(reserved, spent), reserved)
  ledger.putDraws(id, others)
  ledger.count(by, -1, -DRAW_BYTES)
  putAndClose(ledger, id, settle(budget, 'drawn', reserved, spent))
  return { isSettled: true, above }
}

/** Its holder, and who lent it. What was closed before is closed. */
export const close = (ledger: BudgetLedger, { id }: BudgetChangeOf<'close'>): { status: BudgetStatus } => {
  const found = ledger.find(id)
  const { by } = ledger.facts
  if (by !== found.holder && by !== found.lender)
    throw new ParleyError('SEC002', `${named(id)} is not of ${by}`, { hint: 'its holder closes it, or who lent it' })
  if (found.status === 'offered' || found.status === 'open') putAndClose(ledger, id, { ...found, status: 'closing' })
  return { status: ledger.find(id).status }
}
