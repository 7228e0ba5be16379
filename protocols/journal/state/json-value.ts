/**
 * What the journal takes as a value: JSON, not nested too deeply. Pure.
 *
 * A value is the same on a member that was given it in an entry and on one that read it from a snapshot: no -0, NaN,
 * undefined, no objects of classes, and nothing that is changed later. The depth is bounded, since how deep a function may
 * call itself is not the same everywhere.
 */
import type { Json } from './command-kind.ts'

export const MAX_JSON_DEPTH = 64

const OWN = { configurable: true, enumerable: true, writable: true } as const

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
  if (Array.isArray(value)) {
    // Holes are not passed over.
    for (let i = 0; i < value.length; i += 1) if (!isJson(value[i], depth + 1)) return false
    return true
  }
  if (!isPlain(value)) return false
  for (const one of Object.values(value)) if (one !== undefined && !isJson(one, depth + 1)) return false
  return true
}

/** A copy of what `isJson` said yes to, as it would be read again, that nobody can change. */
export const freezeJson = (value: Json): Json => {
  if (typeof value === 'number') return value === 0 ? 0 : value
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return Object.freeze(value.map(freezeJson))
  const kept: Record<string, Json> = {}
  for (const [name, one] of Object.entries(value as Record<string, Json | undefined>)) {
    if (one === undefined) continue
    // A property of its own, as JSON has it: an assignment would be none.
    if (name === '__proto__') Object.defineProperty(kept, name, { ...OWN, value: freezeJson(one) })
    else kept[name] = typeof one === 'string' ? one : freezeJson(one)
  }
  return Object.freeze(kept)
}
