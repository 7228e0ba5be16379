/**
 * Settings by key as the options of createMesh, with the place that each came from, and checked as a whole. Pure.
 */
import { dirname, resolve } from 'node:path'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import { type MeshOptions, type MeshOptionsInput, parseOptions } from '../schema.ts'
import { dotted, findShape, isMap, snakeCase } from './key-shape.ts'
import { keySpace, ProgramKeys, withKeyNames } from './key-space.ts'
import { type AliasedSetting, isPathWithin, mergeLayers, type RankedSetting, resolveAliases } from './merge-layers.ts'
import { idleKeys, type Sections, SectionsSchema, sectionOptions } from './sections.ts'
import {
  configError,
  type KeyFields,
  type Setting,
  type SettingIssue,
  type SettingOrigin,
  toOptionValue,
  unknownKey,
} from './setting-layer.ts'
import { listenSettings } from './transports-section.ts'

/** Where an option's value came from, and under which key. */
export interface OptionSource {
  readonly origin: SettingOrigin
  readonly key: string
}

export interface BuiltOptions {
  readonly input: MeshOptionsInput
  readonly options: MeshOptions
  /** By the option's key: `limits.max_connections`. */
  readonly sources: ReadonlyMap<string, OptionSource>
  readonly serve: readonly string[]
  /** Modules of parts. What their sections may hold is checked once they are loaded. */
  readonly parts: readonly string[]
  /** What is otherwise than it seems to be. */
  readonly notices: readonly string[]
}

type Path = readonly string[]

/** Keys whose values are files or folders: those of a file are found from where it is. */
const PLACES = [
  'data_dir',
  'secret_file',
  'serve',
  'parts',
  'transports.websocket.certificate_file',
  'transports.websocket.key_file',
]

/** @param cwd working directory, for what a file names */
export const resolvePaths = (entries: readonly Setting[], cwd: string): Setting[] =>
  entries.map((entry) => {
    const { origin } = entry
    if (origin.kind !== 'file' || !PLACES.includes(dotted(entry.path))) return entry
    const folder = dirname(resolve(cwd, origin.path))
    const found = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(found)
      return typeof value === 'string' && value !== '' ? resolve(folder, value) : value
    }
    return { ...entry, value: found(entry.value) }
  })

const set = (tree: Record<string, unknown>, path: Path, value: unknown): void => {
  const [first = '', ...rest] = path
  if (rest.length === 0) {
    tree[first] = value
    return
  }
  const inner = isMap(tree[first]) ? tree[first] : {}
  tree[first] = inner
  set(inner, rest, value)
}

const nested = (entries: readonly RankedSetting[]): Record<string, unknown> => {
  const tree: Record<string, unknown> = {}
  // What is only named comes first, so that it makes no room for what is under it.
  for (const { path } of entries.filter(({ value }) => value === null)) set(tree, path, {})
  for (const { path, value } of entries.filter((entry) => entry.value !== null)) set(tree, path, value)
  return tree
}

/** The most exact entry for this path: itself, one that holds it, or one under it. */
const entryAt = (entries: readonly RankedSetting[], path: Path): RankedSetting | undefined => {
  const holds = entries.filter((entry) => isPathWithin(path, entry.path))
  const under = entries.filter((entry) => isPathWithin(entry.path, path))
  return holds.toSorted((a, b) => b.path.length - a.path.length)[0] ?? under[0]
}

const checkSections = (entries: readonly RankedSetting[], issues: SettingIssue[]): Sections => {
  const parsed = SectionsSchema.safeParse(nested(entries))
  if (parsed.success) return parsed.data as Sections
  for (const issue of parsed.error.issues) {
    const path = issue.path.map(String)
    issues.push({ path: dotted(path), origin: entryAt(entries, path)?.origin, message: issue.message })
  }
  return {}
}

const checkProgram = (
  entries: readonly RankedSetting[],
  issues: SettingIssue[],
): Pick<BuiltOptions, 'serve' | 'parts'> => {
  const parsed = ProgramKeys.partial().safeParse(nested(entries))
  if (parsed.success) return { serve: parsed.data.serve ?? [], parts: parsed.data.parts ?? [] }
  for (const issue of parsed.error.issues) {
    const path = issue.path.map(String)
    issues.push({ path: dotted(path), origin: entryAt(entries, path)?.origin, message: issue.message })
  }
  return { serve: [], parts: [] }
}

const claimsOf = (sections: Sections, entries: readonly RankedSetting[], notices: string[]): AliasedSetting[] => {
  const claims = sectionOptions(sections).flatMap(({ key, option: path, value }): AliasedSetting[] => {
    const written = entryAt(entries, key)
    return written === undefined ? [] : [{ written, path, value }]
  })
  notices.push(...idleKeys(sections))
  const sites = sections.transports === undefined ? undefined : listenSettings(sections.transports)
  const [highest] = entries.filter(({ path }) => path[0] === 'transports').toSorted((a, b) => b.rank - a.rank)
  if (sites !== undefined && highest !== undefined) {
    const written = { ...highest, path: ['transports'] }
    claims.push({ written, path: ['listen'], value: sites.listen })
    if (sites.certificate !== undefined) claims.push({ written, path: ['tls'], value: sites.certificate })
    notices.push(...sites.notices)
  }
  return claims
}

const checkOptions = (
  input: Record<string, unknown>,
  sourceOf: (key: Path) => OptionSource | undefined,
): MeshOptions => {
  try {
    return parseOptions(input)
  } catch (error) {
    if (!isParleyError(error)) throw error
    const { issues } = error.details
    if (!Array.isArray(issues))
      throw new ParleyError(error.code, error.message, { ...error, hint: withKeyNames(error.hint ?? '') })
    throw configError(
      issues.map((issue: { path: string; message: string; hint?: string }): SettingIssue => {
        const path = issue.path.split('.').map(snakeCase)
        const source = sourceOf(path)
        return {
          path: dotted(path),
          origin: source?.origin,
          message: `${withKeyNames(issue.message)}${source === undefined || dotted(path).startsWith(source.key) ? '' : ` (given as ${source.key})`}`,
          ...(issue.hint !== undefined && { hint: withKeyNames(issue.hint) }),
        }
      }),
    )
  }
}

const optionOf = (path: Path): readonly string[] | undefined => findShape(keySpace().options, path)?.option

/**
 * @param layers lowest first; each already without keys that nobody knows
 * @param found what is wrong with the layers themselves
 * @throws MSG001 with every problem and its place; SEC001 where the node would be open to others
 */
export const buildOptions = (layers: readonly (readonly Setting[])[], found: readonly SettingIssue[]): BuiltOptions => {
  const issues = [...found]
  const notices: string[] = []
  const { sections: known, program } = keySpace()
  const all = mergeLayers(layers)
  const ofSections = all.filter(({ path }) => known.has(path[0] ?? ''))
  const claims = claimsOf(checkSections(ofSections, issues), ofSections, notices)
  const settled = resolveAliases(
    all.filter(({ path }) => !known.has(path[0] ?? '')),
    claims,
  )
  issues.push(...settled.issues)

  const input: Record<string, unknown> = {}
  const sources = new Map<string, OptionSource>()
  const ofProgram = settled.entries.filter(({ path }) => program.has(path[0] ?? ''))
  const { serve, parts } = checkProgram(ofProgram, issues)
  for (const { path, origin } of ofProgram) sources.set(dotted(path), { origin, key: dotted(path) })
  for (const { path, value, origin } of settled.entries) {
    const option = optionOf(path)
    if (option === undefined || value === null) continue
    const shape = findShape(keySpace().options, path)
    const schema = shape?.kind === 'leaf' ? shape.schema : {}
    const unknown = (name: string): void => void issues.push(unknownKey([...path, name], [], [], origin))
    set(input, option, toOptionValue(schema, value, unknown))
    sources.set(dotted(path), { origin, key: dotted(path) })
  }
  for (const { written, path, value } of settled.claims) {
    set(input, optionOf(path) ?? path, value)
    sources.set(dotted(path), { origin: written.origin, key: dotted(written.path) })
  }
  if (issues.length > 0) throw configError(issues)
  const sourceOf = (key: Path): OptionSource | undefined =>
    [...sources]
      .filter(([at]) => isPathWithin(key, at.split('.')) || isPathWithin(at.split('.'), key))
      .toSorted(([a], [b]) => b.length - a.length)[0]?.[1]
  // Whose sections they are is known once the modules are loaded.
  const { partOptions = {}, ...others } = input as MeshOptionsInput
  const options = checkOptions(parts.length === 0 ? input : others, sourceOf)
  return {
    // It passed the schema just now.
    input: input as MeshOptionsInput,
    options: { ...options, partOptions },
    sources,
    serve,
    parts,
    notices,
  }
}

const complete = (fields: KeyFields, given: unknown): Record<string, unknown> =>
  Object.fromEntries(
    [...fields.values()].map((shape): [string, unknown] => {
      const name = shape.option?.at(-1) ?? ''
      const value = isMap(given) ? given[name] : undefined
      const isValue = shape.kind === 'leaf' || shape.open !== undefined || shape.scalar !== undefined
      // A group that is off as a whole is one value too.
      return [name, isValue || shape.optional === true ? value : complete(shape.fields, value)]
    }),
  )

/** A whole configuration as a change of a running node: what it does not name goes back to its default. */
export const completeChanges = (input: MeshOptionsInput): MeshOptionsInput =>
  complete(keySpace().options, input) as MeshOptionsInput
