/**
 * What makes the tree hard to read, counted from the text of its sources as the formatter leaves it: rooms with too many
 * files, long functions, files and exported types whose names stand twice, crumbs, circles of imports. Pure.
 */
import { posix } from 'node:path'

/** By path from the root, with `/`. */
export type Sources = ReadonlyMap<string, string>

interface LongFunction {
  /** `path name` */
  readonly id: string
  readonly lines: number
}

export interface Figures {
  readonly lines: number
  /** Sources that lie in node/ itself. */
  readonly flatInNode: readonly string[]
  /** Folders with more sources than MAX_ROOM_FILES. */
  readonly crowdedRooms: readonly string[]
  /** Sources of more than MAX_FILE_LINES lines. */
  readonly longFiles: readonly string[]
  /** Functions and methods of more than MAX_FUNCTION_LINES lines. */
  readonly longFunctions: readonly LongFunction[]
  /** Sources of less than MIN_FILE_LINES lines that only one other imports. */
  readonly crumbs: readonly string[]
  /** Sources that import each other, by whatever way, types included. */
  readonly circles: readonly (readonly string[])[]
  /** Exported types by one name in several files. */
  readonly repeatedTypes: readonly string[]
  /** Names of files in several folders, but for those that say what part of a room it is. */
  readonly repeatedFiles: readonly string[]
}

export const MAX_ROOM_FILES = 16
export const MAX_FILE_LINES = 300
export const MIN_FILE_LINES = 60
export const MAX_FUNCTION_LINES = 100
const OF_EVERY_ROOM = new Set(['index.ts', 'api.ts', 'options.ts', 'contract.ts', 'protocol.ts', 'part.ts'])

const linesOf = (text: string): string[] => text.replace(/\n$/, '').split('\n')

/** The sources that a source imports or loads, of those that there are. */
const importsOf = (path: string, text: string, sources: Sources): string[] =>
  [...text.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].flatMap(([, specifier = '']) => {
    const target = posix.join(posix.dirname(path), specifier)
    return sources.has(target) ? [target] : []
  })

const OPENS = /[{(]$/
const FUNCTION = /^(?:export )?(?:default )?(?:async )?(?:function\*? (\w+)|const (\w+)\b.*=(?: async)? ?(?:<.*>)?\()/
const CLASS = /^(?:export )?(?:default )?(?:abstract )?class \w+/
const METHOD = /^ {2}(?:static )?(?:async )?(?:get |set )?\*?(#?\w+) ?(?:= (?:async )?)?\(/

/** From its first line to the one that closes it, which stands as far left. */
const lengthFrom = (lines: readonly string[], start: number, indent: string): number => {
  const end = lines.findIndex((line, at) => at > start && line.startsWith(`${indent}}`) && !OPENS.test(line))
  return end < 0 ? 1 : end - start + 1
}

const functionsOf = (lines: readonly string[]): { name: string; lines: number }[] => {
  const found: { name: string; lines: number }[] = []
  let classEnd = -1
  for (const [at, line] of lines.entries()) {
    if (CLASS.test(line)) classEnd = at + lengthFrom(lines, at, '')
    const isMethod = at < classEnd
    const [, ...names] = (isMethod ? METHOD : FUNCTION).exec(line) ?? []
    const name = names.find((one) => one !== undefined)
    if (name !== undefined && OPENS.test(line)) found.push({ name, lines: lengthFrom(lines, at, isMethod ? '  ' : '') })
  }
  return found
}

/** Groups of more than one that reach each other (Tarjan 1972). */
const circlesOf = (imports: ReadonlyMap<string, readonly string[]>): string[][] => {
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const circles: string[][] = []
  const visit = (at: string): number => {
    order.set(at, order.size)
    let lowest = order.get(at) ?? 0
    stack.push(at)
    for (const next of imports.get(at) ?? []) {
      if (!order.has(next)) lowest = Math.min(lowest, visit(next))
      else if (stack.includes(next)) lowest = Math.min(lowest, order.get(next) ?? lowest)
    }
    low.set(at, lowest)
    if (lowest === order.get(at)) {
      const group = stack.splice(stack.indexOf(at))
      if (group.length > 1) circles.push(group.sort())
    }
    return lowest
  }
  for (const at of imports.keys()) if (!order.has(at)) visit(at)
  return circles
}

/** Names that stand in several files, each with those. */
const repeated = (found: Iterable<readonly [name: string, path: string]>): string[] => {
  const at = new Map<string, Set<string>>()
  for (const [name, path] of found) at.set(name, (at.get(name) ?? new Set()).add(path))
  return [...at].flatMap(([name, paths]) => (paths.size > 1 ? [`${name}: ${[...paths].join(' ')}`] : []))
}

const exportedTypes = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => /^export (?:interface|type|class) (\w+)(?=[ <])(?!.*\bfrom ')/.exec(line)?.[1] ?? [])

export const figuresOf = (sources: Sources): Figures => {
  const files = [...sources].map(([path, text]) => ({ path, text, lines: linesOf(text) }))
  const imports = new Map(files.map(({ path, text }) => [path, importsOf(path, text, sources)]))
  const importers = new Map<string, Set<string>>()
  for (const [path, targets] of imports)
    for (const target of targets) importers.set(target, (importers.get(target) ?? new Set()).add(path))
  const rooms = new Map<string, number>()
  for (const { path } of files) rooms.set(posix.dirname(path), (rooms.get(posix.dirname(path)) ?? 0) + 1)
  return {
    lines: files.reduce((sum, { lines }) => sum + lines.length, 0),
    flatInNode: files.flatMap(({ path }) => (posix.dirname(path) === 'node' ? [path] : [])),
    crowdedRooms: [...rooms].flatMap(([room, count]) => (count > MAX_ROOM_FILES ? [`${room} ${count}`] : [])),
    longFiles: files.flatMap(({ path, lines }) => (lines.length > MAX_FILE_LINES ? [path] : [])),
    longFunctions: files
      .flatMap(({ path, lines }) => functionsOf(lines).map((one) => ({ id: `${path} ${one.name}`, lines: one.lines })))
      .filter(({ lines }) => lines > MAX_FUNCTION_LINES),
    crumbs: files.flatMap(({ path, lines }) =>
      lines.length < MIN_FILE_LINES && importers.get(path)?.size === 1 ? [path] : [],
    ),
    circles: circlesOf(imports),
    repeatedTypes: repeated(
      files.flatMap(({ path, lines }) => exportedTypes(lines).map((name) => [name, path] as const)),
    ),
    repeatedFiles: repeated(
      files.map(({ path }) => [posix.basename(path), path] as const).filter(([name]) => !OF_EVERY_ROOM.has(name)),
    ),
  }
}
