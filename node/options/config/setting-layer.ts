/**
 * One source of settings (flags, environment, a file) as a list of entries, each with its place, and what is wrong with
 * it. Pure.
 */
import { ParleyError } from '../../../protocols/errors.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import {
  alternatives,
  dotted,
  findShape,
  isMap,
  type JsonSchema,
  type KeyGroup,
  type KeyShape,
  schemaFieldsOf,
  snakeCase,
} from './key-shape.ts'

/** Where a value came from. */
export type SettingOrigin =
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string; readonly line: number }
  | { readonly kind: 'preset'; readonly name: string }
  | { readonly kind: 'default' }

export const originText = (origin: SettingOrigin): string => {
  if (origin.kind === 'file') return `${origin.path}:${origin.line}`
  return origin.kind === 'default' ? 'default' : origin.kind === 'preset' ? `preset ${origin.name}` : origin.name
}

export interface Setting {
  readonly path: readonly string[]
  /** Null for a group that is named and has nothing under it. */
  readonly value: unknown
  readonly origin: SettingOrigin
}

export interface SettingIssue {
  readonly path: string
  readonly origin: SettingOrigin | undefined
  readonly message: string
  readonly hint?: string
}

export interface SettingLayer {
  readonly entries: Setting[]
  readonly issues: SettingIssue[]
}

export type KeyFields = ReadonlyMap<string, KeyShape>

const MAX_ISSUES = 20

const shown = ({ path, origin, message }: SettingIssue): string =>
  `${origin === undefined ? '' : `${originText(origin)}: `}${path}: ${message}`

/** All of them as one error, each with its place. */
export const configError = (issues: readonly SettingIssue[]): ParleyError => {
  const first = issues.slice(0, MAX_ISSUES)
  const more = issues.length > first.length ? `; and ${issues.length - first.length} more` : ''
  const hints = first.flatMap(({ path, hint }) => (hint === undefined ? [] : [`${path}: ${hint}`]))
  return new ParleyError('MSG001', `the configuration cannot be used: ${first.map(shown).join('; ')}${more}`, {
    hint: hints.join('; ') || 'parley config reference lists every key with what it takes',
    details: {
      issues: first.map(({ path, origin, message, hint }) => ({
        path,
        message,
        ...(origin !== undefined && { place: originText(origin) }),
        ...(hint !== undefined && { hint }),
      })),
    },
  })
}

export const unknownKey = (
  path: readonly string[],
  known: readonly string[],
  everywhere: readonly (readonly string[])[],
  origin: SettingOrigin,
): SettingIssue => {
  const name = path.at(-1) ?? ''
  const elsewhere = everywhere.find((one) => one.at(-1) === name)
  const prefix = path.slice(0, -1)
  const close = nearestName(name, known)
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
  const fields = alternatives(schema).flatMap(schemaFieldsOf)
  if (!isMap(value) || fields.length === 0) return value
  const byKey = new Map(fields.map(([name, field]) => [snakeCase(name), { name, field }]))
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const found = byKey.get(key)
      if (found === undefined) unknown(key)
      return found === undefined ? [key, inner] : [found.name, toOptionValue(found.field, inner, unknown)]
    }),
  )
}

export interface TreeReading {
  readonly fields: KeyFields
  /** Paths of all keys, for what stands in a wrong place. */
  readonly everywhere: readonly (readonly string[])[]
  /** Of the value at this path of the source. */
  originOf(at: readonly (string | number)[]): SettingOrigin
}

/** The entries of a tree of values, such as a file. */
export const readTree = (tree: Record<string, unknown>, reading: TreeReading): SettingLayer => {
  const entries: Setting[] = []
  const issues: SettingIssue[] = []

  const put = (path: readonly string[], value: unknown, origin: SettingOrigin): void => {
    const before = entries.find((one) => dotted(one.path) === dotted(path) && one.value !== null)
    if (before === undefined || value === null) entries.push({ path, value, origin })
    else issues.push({ path: dotted(path), origin, message: `is given already, at ${originText(before.origin)}` })
  }

  const section = (group: KeyGroup, value: unknown, at: readonly (string | number)[]): void => {
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

  const typed = (group: KeyGroup, item: unknown, at: readonly (string | number)[]): void => {
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

  const fields = (group: KeyGroup, values: Record<string, unknown>, at: readonly (string | number)[]): void => {
    for (const [name, value] of Object.entries(values)) {
      const path = [...group.path, name]
      const origin = reading.originOf([...at, name])
      const shape = findShape(reading.fields, path)
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
