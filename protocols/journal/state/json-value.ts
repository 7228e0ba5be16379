/**
 * What the journal takes as a value: JSON, not nested too deeply. Pure.
 *
 * A value is the same on a member that was given it in an entry and on one that read it from a snapshot: no -0, NaN,
 * undefined, no objects of classes, and nothing that is changed later. The depth is bounded, since how deep a function may
 * call itself is not the same everywhere.
 */
import type { Json } from './command-kind.ts'

export const MAX_JSON_DEPTH = 64

/** Of any realm: what is made by `{}`, JSON or Object.create(null). */
const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || (typeof prototype === 'object' && Object.getPrototypeOf(prototype) === null)
}

/** Properties that are undefined count as absent, as in JSON. */
export const isJson = (value: unknown, depth: number = 0): value is Json => {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth >= MAX_JSON_DEPTH) return false
  // Holes of an array are not passed over.
  if (Array.isArray(value)) return Array.from(value).every((one: unknown) => isJson(one, depth + 1))
  return isPlain(value) && Object.values(value).every((one) => one === undefined || isJson(one, depth + 1))
}

/** A copy of what `isJson` said yes to, as it would be read again, that nobody can change. */
export const freezeJson = (value: Json): Json => {
  if (typeof value === 'number') return value === 0 ? 0 : value
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return Object.freeze(value.map(freezeJson))
  const kept = Object.entries(value as Record<string, Json | undefined>).flatMap(([name, one]) =>
    one === undefined ? [] : [[name, freezeJson(one)] as const],
  )
  return Object.freeze(Object.fromEntries(kept))
}
