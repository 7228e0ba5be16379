/**
 * Amounts of resources, in whole units: `cpu` in thousandths of a core, `memory` and `storage` in bytes, `gpu` in devices, and
 * whatever else a node names. Planner and applier ask the same `fits`. Pure.
 */
import * as z from 'zod'

/** Resources that one node, or one part of an allocation, names. */
export const MAX_NAMES = 32

export const ResourceName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,47}$/, 'use 1 to 48 small letters, digits and . _ -, beginning with a letter or digit')
export const UnitsSchema = z
  .record(ResourceName, z.int().nonnegative().max(Number.MAX_SAFE_INTEGER))
  .refine((units) => Object.keys(units).length <= MAX_NAMES, `name at most ${MAX_NAMES} resources`)
  .meta({ maxProperties: MAX_NAMES })
export type Units = Readonly<Record<string, number>>
export const NONE: Units = {}

/** Also of a name that every object has, as `constructor`. */
export const amountOf = (units: Units, name: string): number => (Object.hasOwn(units, name) ? (units[name] ?? 0) : 0)

/** Whether there is room for so much more. */
export const fits = (capacity: Units, used: Units, asked: Units): boolean => {
  for (const name of Object.keys(asked)) {
    const amount = amountOf(asked, name)
    // Not used + amount: that may be more than a number holds exactly.
    if (amount > 0 && amount > amountOf(capacity, name) - amountOf(used, name)) return false
  }
  return true
}

/** Names of nothing are left out. @param sign -1: so much less, and never below nothing */
export const plus = (units: Units, more: Units, sign: 1 | -1 = 1): Units => {
  const sum = new Map<string, number>()
  for (const name of Object.keys(units)) sum.set(name, amountOf(units, name))
  for (const name of Object.keys(more)) sum.set(name, (sum.get(name) ?? 0) + sign * amountOf(more, name))
  return Object.fromEntries([...sum].filter(([, amount]) => amount > 0).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Of each name the most that any of them has. Its cost grows with the number of amounts alone. */
export const most = (...all: readonly Units[]): Units => {
  const found = new Map<string, number>()
  for (const units of all)
    for (const name of Object.keys(units)) found.set(name, Math.max(found.get(name) ?? 0, amountOf(units, name)))
  return Object.fromEntries(found)
}

export interface OwnedAmount {
  readonly owner: string
  readonly name: string
  readonly amount: number
}

/** What each owner has of each name, added up. Its cost grows with the number of amounts alone. */
export const sumsByOwner = (amounts: Iterable<OwnedAmount>): Map<string, Units> => {
  const sums = new Map<string, Map<string, number>>()
  for (const { owner, name, amount } of amounts) {
    const of = sums.get(owner) ?? new Map<string, number>()
    sums.set(owner, of.set(name, (of.get(name) ?? 0) + amount))
  }
  return new Map([...sums].map(([owner, of]) => [owner, Object.fromEntries(of)]))
}

export const isNone = (units: Units): boolean => Object.keys(units).every((name) => amountOf(units, name) === 0)
/** The first name of which there is not enough. */
export const lackOf = (capacity: Units, used: Units, asked: Units): string | undefined =>
  Object.keys(asked).find((name) => !fits(capacity, used, { [name]: amountOf(asked, name) }))
