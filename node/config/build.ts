/**
 * Settings by key as the options of createMesh, with the place that each came from, and checked as a whole. Pure.
 */
import { dirname, resolve } from 'node:path'
import { isParleyError, ParleyError } from '../../protocols/errors.ts'
import { type MeshOptions, type MeshOptionsInput, parseOptions } from '../options.ts'
import { configError, type Entry, type Issue, type Origin, toOptionValue, unknownKey } from './layer.ts'
import { type Claim, isWithin, merge, type Ranked, settle } from './merge.ts'
import { inKeys, keySpace, Program } from './schema.ts'
import { idleKeys, Sections, standsFor } from './sections.ts'
import { dotted, find, isMap, snake } from './shape.ts'
import { listening } from './transports.ts'

/** Where an option's value came from, and under which key. */
export interface Source {
  readonly origin: Origin
  readonly key: string
}

export interface Built {
  readonly input: MeshOptionsInput
  readonly options: MeshOptions
  /** By the option's key: `limits.max_connections`. */
  readonly sources: ReadonlyMap<string, Source>
  readonly serve: readonly string[]
  /** What is otherwise than it seems to be. */
  readonly notices: readonly string[]
}

type Path = readonly string[]

/** Keys whose values are files or folders: those of a file are found from where it is. */
const PLACES = [
  'data_dir',
  'secret_file',
  'serve',
  'transports.websocket.certificate_file',
  'transports.websocket.key_file',
]

/** @param cwd working directory, for what a file names */
export const locate = (entries: readonly Entry[], cwd: string): Entry[] =>
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

const nested = (entries: readonly Ranked[]): Record<string, unknown> => {
  const tree: Record<string, unknown> = {}
  // What is only named comes first, so that it makes no room for what is under it.
  for (const { path } of entries.filter(({ value }) => value === null)) set(tree, path, {})
  for (const { path, value } of entries.filter((entry) => entry.value !== null)) set(tree, path, value)
  return tree
}

/** The most exact entry for this path: itself, one that holds it, or one under it. */
const entryAt = (entries: readonly Ranked[], path: Path): Ranked | undefined => {
  const holds = entries.filter((entry) => isWithin(path, entry.path))
  const under = entries.filter((entry) => isWithin(entry.path, path))
  return holds.toSorted((a, b) => b.path.length - a.path.length)[0] ?? under[0]
}

const checkSections = (entries: readonly Ranked[], issues: Issue[]): Sections => {
  const parsed = Sections.safeParse(nested(entries))
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    const path = issue.path.map(String)
    issues.push({ path: dotted(path), origin: entryAt(entries, path)?.origin, message: issue.message })
  }
  return {}
}

const checkProgram = (entries: readonly Ranked[], issues: Issue[]): readonly string[] => {
  const parsed = Program.partial().safeParse(nested(entries))
  if (parsed.success) return parsed.data.serve ?? []
  for (const issue of parsed.error.issues) {
    const path = issue.path.map(String)
    issues.push({ path: dotted(path), origin: entryAt(entries, path)?.origin, message: issue.message })
  }
  return []
}

const claimsOf = (sections: Sections, entries: readonly Ranked[], notices: string[]): Claim[] => {
  const claims = standsFor(sections).flatMap(({ key, for: path, value }): Claim[] => {
    const written = entryAt(entries, key)
    return written === undefined ? [] : [{ written, path, value }]
  })
  notices.push(...idleKeys(sections))
  const sites = sections.transports === undefined ? undefined : listening(sections.transports)
  const [highest] = entries.filter(({ path }) => path[0] === 'transports').toSorted((a, b) => b.rank - a.rank)
  if (sites !== undefined && highest !== undefined) {
    const written = { ...highest, path: ['transports'] }
    claims.push({ written, path: ['listen'], value: sites.listen })
    if (sites.certificate !== undefined) claims.push({ written, path: ['tls'], value: sites.certificate })
    notices.push(...sites.notices)
  }
  return claims
}

const checkOptions = (input: Record<string, unknown>, sourceOf: (key: Path) => Source | undefined): MeshOptions => {
  try {
    return parseOptions(input)
  } catch (error) {
    if (!isParleyError(error)) throw error
    const { issues } = error.details
    if (!Array.isArray(issues))
      throw new ParleyError(error.code, error.message, { ...error, hint: inKeys(error.hint ?? '') })
    throw configError(
      issues.map((issue: { path: string; message: string; hint?: string }): Issue => {
        const path = issue.path.split('.').map(snake)
        const source = sourceOf(path)
        return {
          path: dotted(path),
          origin: source?.origin,
          message: `${inKeys(issue.message)}${source === undefined || dotted(path).startsWith(source.key) ? '' : ` (given as ${source.key})`}`,
          ...(issue.hint !== undefined && { hint: inKeys(issue.hint) }),
        }
      }),
    )
  }
}

const optionOf = (path: Path): readonly string[] | undefined => find(keySpace().options, path)?.option

/**
 * @param layers lowest first; each already without keys that nobody knows
 * @param found what is wrong with the layers themselves
 * @throws MSG001 with every problem and its place; SEC001 where the node would be open to others
 */
export const build = (layers: readonly (readonly Entry[])[], found: readonly Issue[]): Built => {
  const issues = [...found]
  const notices: string[] = []
  const { sections: known, program } = keySpace()
  const all = merge(layers)
  const ofSections = all.filter(({ path }) => known.has(path[0] ?? ''))
  const claims = claimsOf(checkSections(ofSections, issues), ofSections, notices)
  const settled = settle(
    all.filter(({ path }) => !known.has(path[0] ?? '')),
    claims,
  )
  issues.push(...settled.issues)

  const input: Record<string, unknown> = {}
  const sources = new Map<string, Source>()
  const ofProgram = settled.entries.filter(({ path }) => program.has(path[0] ?? ''))
  const serve = checkProgram(ofProgram, issues)
  for (const { path, origin } of ofProgram) sources.set(dotted(path), { origin, key: dotted(path) })
  for (const { path, value, origin } of settled.entries) {
    const option = optionOf(path)
    if (option === undefined || value === null) continue
    const shape = find(keySpace().options, path)
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
  const sourceOf = (key: Path): Source | undefined =>
    [...sources]
      .filter(([at]) => isWithin(key, at.split('.')) || isWithin(at.split('.'), key))
      .toSorted(([a], [b]) => b.length - a.length)[0]?.[1]
  const options = checkOptions(input, sourceOf)
  // It passed the schema just now.
  return { input: input as MeshOptionsInput, options, sources, serve, notices }
}
