/**
 * Options that change while a node runs.
 *
 * The options of a running node are one object, which its parts read at use; a change is written into it, and the parts that
 * hold figures of their own are told (live-settings.ts). Guarantees: all is checked before anything is written, so a change
 * that cannot be used changes nothing; what needs a restart is named and stays wholly as it was.
 */
import { isDeepStrictEqual } from 'node:util'
import { isParleyError } from '../../protocols/errors.ts'
import { type KeyShape, shapeOfSchema } from './config/key-shape.ts'
import { type MeshOptions, MeshOptionsSchema, parseOptions } from './schema.ts'

/** Paths of options, such as `limits.maxActive`. */
export interface Reloaded {
  readonly applied: string[]
  readonly needsRestart: string[]
  /** They are what the node runs by already. */
  readonly unchanged: string[]
}

/** One part of a node that takes new settings. */
export interface LiveSetting {
  /** Whether this change is one that it can take. */
  takes?(next: MeshOptions): boolean
  /**
   * What may fail or take time, before anything is written.
   * @returns what follows once all is written, and cannot fail; undefined where this needs a restart after all
   */
  prepare?(next: MeshOptions): Promise<(() => void) | undefined>
  /** Told once all is written. */
  apply?(): void
}

/** @returns undefined for an option that needs a restart */
export type LiveSettings = (path: readonly string[]) => LiveSetting | undefined

interface Change {
  readonly path: readonly string[]
  readonly live: LiveSetting | undefined
}

type Tree = Record<string, unknown>

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.getPrototypeOf(value) === Object.prototype

/** The fields of a group are options; those of all other objects are values. */
const leaves = (
  tree: Tree,
  shapes: ReadonlyMap<string, KeyShape>,
  above: string[] = [],
): { path: string[]; value: unknown }[] => {
  const byName = new Map([...shapes.values()].map((shape) => [shape.option?.at(-1), shape]))
  return Object.entries(tree).flatMap(([name, value]) => {
    const path = [...above, name]
    const shape = byName.get(name)
    const isGroup = shape?.kind === 'group' && !(shape.open || shape.scalar || shape.optional)
    return isGroup && isTree(value) ? leaves(value, shape.fields, path) : [{ path, value }]
  })
}

const at = (tree: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, name) => (isTree(inner) ? inner[name] : undefined), tree)

const put = (tree: Tree, path: readonly string[], value: unknown): void => {
  const [name = '', ...rest] = path
  if (rest.length > 0) {
    const inner = isTree(tree[name]) ? tree[name] : {}
    tree[name] = inner
    put(inner, rest, value)
  } else if (value === undefined) delete tree[name]
  else tree[name] = value
}

/** As createMesh takes them. */
const asInput = (options: MeshOptions): Tree => {
  const copy = (value: unknown): unknown =>
    isTree(value) ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, copy(inner)])) : value
  const { secret = [], ...rest } = options
  const input = copy(rest) as Tree
  const [only] = secret
  if (only !== undefined) input.secret = secret.length === 1 ? only : secret
  return input
}

/** The running options with these of another set. */
const mixed = (running: MeshOptions, from: unknown, paths: readonly (readonly string[])[]): Tree => {
  const input = asInput(running)
  for (const path of paths) put(input, path, at(from, path))
  return input
}

const parses = (input: Tree): boolean => {
  try {
    parseOptions(input)
    return true
  } catch (error) {
    // The changes do not go without others that need a restart; those are named.
    if (isParleyError(error)) return false
    throw error
  }
}

/** Those of one group go together: their figures may depend on each other. */
const byGroup = (changes: readonly Change[]): Change[][] => [...Map.groupBy(changes, ({ path }) => path[0]).values()]

const written = ({ path }: Change): string => path.join('.')

/**
 * @param running the options of the node, written in place
 * @throws MSG001, SEC001 for changes that cannot be used; what a part throws while it prepares
 */
export const reloadOptions = async (
  running: MeshOptions,
  changes: unknown,
  settings: LiveSettings,
): Promise<Reloaded> => {
  // Not an object, or a group that is none: refused with the same words as by createMesh.
  if (!isTree(changes)) parseOptions(changes)
  const given = isTree(changes) ? leaves(changes, shapeOfSchema(MeshOptionsSchema, true)) : []
  const input = asInput(running)
  for (const { path, value } of given) put(input, path, value)
  // The figures of another preset come with the restart that it needs.
  const next = parseOptions({ ...input, preset: running.preset })
  const preset = at(changes, ['preset'])
  if (preset !== undefined) parseOptions({ ...input, preset })
  const target: unknown = { ...next, preset: preset ?? running.preset }
  const unchanged = given.filter(({ path }) => isDeepStrictEqual(at(target, path), at(running, path)))
  const all = given
    .filter((one) => !unchanged.includes(one))
    .map(({ path }): Change => {
      const live = settings(path)
      return { path, live: live?.takes?.(next) === false ? undefined : live }
    })

  let taken: Change[] = []
  for (const group of byGroup(all.filter(({ live }) => live !== undefined))) {
    const tried = [...taken, ...group]
    if (
      parses(
        mixed(
          running,
          asInput(next),
          tried.map(({ path }) => path),
        ),
      )
    )
      taken = tried
  }
  const follow: (() => void)[] = []
  for (const change of taken) {
    const { live } = change
    if (live?.prepare === undefined) continue
    const done = await live.prepare(next)
    if (done === undefined) taken = taken.filter((other) => other !== change)
    else follow.push(done)
  }
  for (const { path } of taken) put(running as unknown as Tree, path, at(next, path))
  for (const live of new Set(taken.map((change) => change.live))) live?.apply?.()
  for (const done of follow) done()
  const applied = taken.map(written)
  return {
    applied,
    needsRestart: all.map(written).filter((path) => !applied.includes(path)),
    unchanged: unchanged.filter(({ value }) => value !== undefined).map(({ path }) => path.join('.')),
  }
}
