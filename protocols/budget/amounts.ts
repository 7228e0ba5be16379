/**
 * What a budget is of: tokens, cost, and fan-out, in whole amounts; and its limits, which are not used up. Pure.
 *
 * An allowance that does not name an amount is without limit for it. Amounts that are spent, drawn or asked for are of nothing
 * where they name nothing.
 */
import * as z from 'zod'
import { ParleyError } from '../errors.ts'

/** `cost`: millionths of the currency that the program means. `fanOut`: calls and tasks that are begun for the work. */
export const AMOUNT_NAMES = ['tokens', 'cost', 'fanOut'] as const
export type AmountName = (typeof AMOUNT_NAMES)[number]

const Amount = z.int().nonnegative()
/** A zero has a sign, which says nothing here. */
const positiveZero = (amount: number | undefined): number | undefined => (amount === 0 ? 0 : amount)
export const AmountsSchema = z.object({
  tokens: Amount.optional(),
  cost: Amount.optional(),
  fanOut: Amount.optional(),
})
/** As a program gives them: a name that is not known is a mistake. */
export const GivenAmounts = AmountsSchema.strict().overwrite((given) => byName((name) => positiveZero(given[name])))
/** A name that is undefined is not named. */
export type Amounts = Readonly<Partial<Record<AmountName, number | undefined>>>
export const NO_AMOUNTS: Amounts = {}

/** Delegations that there may be below each other, at most. */
export const MAX_DEPTH = 16
export const LimitsSchema = z.object({
  /** Milliseconds since 1970. */
  deadlineAt: z.int().nonnegative().optional(),
  /** How often what is left may be passed on from one to the next. */
  depth: z.int().min(0).max(MAX_DEPTH).optional(),
})
export type Limits = z.output<typeof LimitsSchema>

const byName = (amountFor: (name: AmountName) => number | undefined): Amounts => {
  const found: Partial<Record<AmountName, number>> = {}
  for (const name of AMOUNT_NAMES) {
    const amount = amountFor(name)
    if (amount !== undefined) found[name] = amount
  }
  return found
}

export const amountIn = (amounts: Amounts, name: AmountName): number => amounts[name] ?? 0
export const isLimited = (allowance: Amounts, name: AmountName): boolean => allowance[name] !== undefined
export const isNothing = (amounts: Amounts): boolean => AMOUNT_NAMES.every((name) => amountIn(amounts, name) === 0)

/** Of names that one of them names; never more than a number holds exactly. */
export const sum = (one: Amounts, other: Amounts): Amounts =>
  byName((name) =>
    isLimited(one, name) || isLimited(other, name)
      ? Math.min(Number.MAX_SAFE_INTEGER, amountIn(one, name) + amountIn(other, name))
      : undefined,
  )

/** What is left of each amount that the first one names, never less than nothing. */
export const less = (amounts: Amounts, taken: Amounts): Amounts =>
  byName((name) =>
    isLimited(amounts, name) ? Math.max(0, amountIn(amounts, name) - amountIn(taken, name)) : undefined,
  )

/** Of each amount that the first one names the smaller one; what the second one does not name is no bound. */
export const atMost = (amounts: Amounts, bound: Amounts): Amounts =>
  byName((name) => {
    if (!isLimited(amounts, name)) return undefined
    return isLimited(bound, name) ? Math.min(amountIn(amounts, name), amountIn(bound, name)) : amountIn(amounts, name)
  })

/** Of what an allowance limits alone. */
export const limitedBy = (allowance: Amounts, amounts: Amounts): Amounts =>
  byName((name) => (isLimited(allowance, name) ? amountIn(amounts, name) : undefined))

/** Those that are more than nothing. */
export const withoutZeros = (amounts: Amounts): Amounts => byName((name) => amountIn(amounts, name) || undefined)

/**
 * The allowance of who gets a part of another one: as much as was asked for. Of what the other one limits and nobody asked for
 * it has nothing, so that it is never freer than where it comes from.
 */
export const partOf = (allowance: Amounts, asked: Amounts): Amounts =>
  byName((name) => (isLimited(asked, name) || isLimited(allowance, name) ? amountIn(asked, name) : undefined))

export interface Lack {
  readonly amount: AmountName
  readonly asked: number
  readonly left: number
}

/** The first amount of which there is not enough left; undefined: there is enough. */
export const lackIn = (left: Amounts, asked: Amounts): Lack | undefined => {
  const amount = AMOUNT_NAMES.find((name) => isLimited(left, name) && amountIn(asked, name) > amountIn(left, name))
  return amount && { amount, asked: amountIn(asked, amount), left: amountIn(left, amount) }
}

/** @param of what it is that has too little, for people */
export const exhausted = (of: string, { amount, asked, left }: Lack): ParleyError =>
  new ParleyError('COM003', `${of} has ${left} ${amount} left, and ${asked} were asked for`, {
    hint: 'end the work, ask for less, or for a larger budget',
    details: { reason: 'budget-exhausted', amount, asked, left },
  })

/** @throws COM003 `budget-exhausted` with which amount, how much was asked for, and how much is left */
export const requireLeft = (of: string, left: Amounts, asked: Amounts): void => {
  const lack = lackIn(left, asked)
  if (lack !== undefined) throw exhausted(of, lack)
}

const earlier = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)

/**
 * The limits of who gets a part: the earlier deadline, and one delegation less.
 * @throws COM003 `budget-depth` where nothing may be passed on any more
 */
export const passedOn = (of: string, limits: Limits, asked: Limits = {}): Limits => {
  if (limits.depth === 0)
    throw new ParleyError('COM003', `${of} may not be passed on any further`, {
      hint: 'do the work here, or begin with a budget of a larger depth',
      details: { reason: 'budget-depth' },
    })
  const deadlineAt = earlier(limits.deadlineAt, asked.deadlineAt)
  const depth = earlier(limits.depth === undefined ? undefined : limits.depth - 1, asked.depth)
  return { ...(deadlineAt !== undefined && { deadlineAt }), ...(depth !== undefined && { depth }) }
}
