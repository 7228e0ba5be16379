/**
 * One source of settings (flags, environment, a file) as a list of entries, each with its place, and what is wrong with
 * it. Pure.
 */
import { ParleyError } from '../../protocols/errors.ts'
import { nearest } from '../../protocols/nearest.ts'
import { alternatives, dotted, fieldsOf, find, type Group, isMap, type JsonSchema, type Shape, snake } from './shape.ts'

/** Where a value came from. */
export type Origin =
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string; readonly line: number }
  | { readonly kind: 'preset'; readonly name: string }
  | { readonly kind: 'default' }

export const placeOf = (origin: Origin): string => {
  if (origin.kind === 'file') return `${origin.path}:${origin.line}`
  return origin.kind === 'default' ? 'default' : origin.kind === 'preset' ? `preset ${origin.name}` : origin.name
}

export interface Entry {
  readonly path: readonly string[]
  /** Null for a group that is named and has nothing under it. */
  readonly value: unknown
  readonly origin: Origin
}

export interface Issue {
  readonly path: string
  readonly origin: Origin | undefined
  readonly message: string
  readonly hint?: string
}

export interface Layer {
  readonly entries: Entry[]
  readonly issues: Issue[]
}

export type Fields = ReadonlyMap<string, Shape>

const MAX_ISSUES = 20

const shown = ({ path, origin, message }: Issue): string =>
  `${origin === undefined ? '' : `${placeOf(origin)}: `}${path}: ${message}`

/** All of them as one error, each with its place. */
export const configError = (issues: readonly Issue[]): ParleyError => {
  const first = issues.slice(0, MAX_ISSUES)
  const more = issues.length > first.length ? `; and ${issues.length - first.length} more` : ''
  const hints = first.flatMap(({ path, hint }) => (hint === undefined ? [] : [`${path}: ${hint}`]))
  return new ParleyError('MSG001', `the configuration cannot be used: ${first.map(shown).join('; ')}${more}`, {
    hint: hints.join('; ') || 'parley config reference lists every key with what it takes',
    details: {
      issues: first.map(({ path, origin, message, hint }) => ({
        path,
        message,
        ...(origin !== undefined && { place: placeOf(origin) }),
        ...(hint !== undefined && { hint }),
      })),
    },
  })
}

export const unknownKey = (
  path: readonly string[],
  known: readonly string[],
  everywhere: readonly (readonly string[])[],
  origin: Origin,
): Issue => {
  const name = path.at(-1) ?? ''
  const elsewhere = everywhere.find((one) => one.at(-1) === name)
  const prefix = path.slice(0, -1)
  const close = nearest(name, known)
  const meant = close === undefined ? elsewhere : [...prefix, close]
  const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${dotted(meant)}?`
  return { path: dotted(path), origin, message: 'unknown key', hint }
}

/** Names that a value may have inside are keys in snake_case too. */
export const toOptionValue = (schema: JsonSchema, value: unknown, unknown: (name: string) => void): unknown => {
  const [items] = alternatives(schema).flatMap((one) =>
    one.type === 'array' && isMap(one.items) ? [one.items as JsonSchema] : [],
  )
  if (Array.isArray(value)) return items ? value.map((item) => toOptionValue(items, item, unknown)) : value
  const fields = alternatives(schema).flatMap(fieldsOf)
  if (!isMap(value) || fields.length === 0) return value
  const byKey = new Map(fields.map(([name, field]) => [snake(name), { name, field }]))
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const found = byKey.get(key)
      if (found === undefined) unknown(key)
      return found === undefined ? [key, inner] : [found.name, toOptionValue(found.field, inner, unknown)]
    }),
  )
}

export interface Reading {
  readonly fields: Fields
  /** Paths of all keys, for what stands in a wrong place. */
  readonly everywhere: readonly (readonly string[])[]
  /** Of the value at this path of the source. */
  originOf(at: readonly (string | number)[]): Origin
}

/** The entries of a tree of values, such as a file. */
export const readTree = (tree: Record<string, unknown>, reading: Reading): Layer => {
  const entries: Entry[] = []
  const issues: Issue[] = []

  const put = (path: readonly string[], value: unknown, origin: Origin): void => {
    const before = entries.find((one) => dotted(one.path) === dotted(path) && one.value !== null)
    if (before === undefined || value === null) entries.push({ path, value, origin })
    else issues.push({ path: dotted(path), origin, message: `is given already, at ${placeOf(before.origin)}` })
  }

  const section = (group: Group, value: unknown, at: readonly (string | number)[]): void => {
    const origin = reading.originOf(at)
    if (isMap(value)) {
      put(group.path, null, origin)
      fields(group, value, at)
    } else if (group.byType === true && Array.isArray(value))
      for (const [place, item] of value.entries()) typed(group, item, [...at, place])
    else if (value === null) put(group.path, null, origin)
    else if (group.scalar !== undefined) put(group.path, value, origin)
    else {
      const names = [...group.fields.keys()].join(', ')
      issues.push({
        path: dotted(group.path),
        origin,
        message: 'is a section with keys of its own',
        ...(names !== '' && { hint: `known are ${names}` }),
      })
    }
  }

  const typed = (group: Group, item: unknown, at: readonly (string | number)[]): void => {
    const origin = reading.originOf(at)
    const { type, ...rest } = isMap(item) ? item : {}
    const inner = typeof type === 'string' ? group.fields.get(type) : undefined
    if (inner?.kind === 'group') section(inner, rest, at)
    else {
      const known = [...group.fields.values()].flatMap(({ kind, path }) => (kind === 'group' ? [path.at(-1)] : []))
      issues.push({
        path: dotted(group.path),
        origin,
        message: `an item of type ${JSON.stringify(type)}`,
        hint: `known types are ${known.join(', ')}`,
      })
    }
  }

  const fields = (group: Group, values: Record<string, unknown>, at: readonly (string | number)[]): void => {
    for (const [name, value] of Object.entries(values)) {
      const path = [...group.path, name]
      const origin = reading.originOf([...at, name])
      const shape = find(reading.fields, path)
      if (shape === undefined) issues.push(unknownKey(path, [...group.fields.keys()], reading.everywhere, origin))
      else if (shape.kind === 'group') section(shape, value, [...at, name])
      else if (value === null || value === undefined) {
        issues.push({ path: dotted(path), origin, message: 'has no value', hint: 'give it one, or take the line out' })
      } else put(path, value, origin)
    }
  }

  fields({ kind: 'group', path: [], option: [], about: '', fields: reading.fields }, tree, [])
  return { entries, issues }
}
