/**
 * Relative links and imports that lead nowhere. `brokenLinks` is pure: from the paths that the walk found; what it names
 * may still exist where git ignores it, so `confirmMissing` looks before the report blames anybody.
 */
import { lstat } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path/posix'
import type { Links } from './contracts.ts'

/** Broken links that are kept; the others are counted. */
export const MAX_BROKEN = 1000

export interface BrokenLink {
  path: string
  line: number
  target: string
  /** Where the target was expected, relative to the folder. */
  expected: string
}

export interface BrokenLinks {
  broken: BrokenLink[]
  total: number
}

const ENDINGS = ['ts', 'tsx', 'mts', 'cts', 'd.ts', 'js', 'jsx', 'mjs', 'cjs', 'json', 'vue', 'svelte', 'css', 'scss']
const OTHER_ENDINGS = ['py', 'pyi', 'rs', 'rb']
const INDEX = ['index.ts', 'index.tsx', 'index.js', 'index.jsx', 'index.mjs', '__init__.py', 'mod.rs']

/** An import names a module, not a file: endings are left out, `.js` may stand for `.ts`, and both for `.d.ts`. */
const moduleFiles = (path: string): string[] => [
  ...[...ENDINGS, ...OTHER_ENDINGS].map((ending) => `${path}.${ending}`),
  ...INDEX.map((name) => join(path, name)),
  ...(/\.[cm]?jsx?$/.test(path) ? [path.replace(/js(x?)$/, 'ts$1'), path.replace(/\.jsx?$/, '.tsx')] : []),
  path.replace(/\.([cm]?)[jt]sx?$/, '.d.$1ts'),
]

/** Site generators let links leave the ending out, or name the page that is made of the file. */
const pageFiles = (path: string): string[] => [
  `${path}.md`,
  `${path}.html`,
  join(path, 'README.md'),
  ...(path.endsWith('.html') ? [path.replace(/html$/, 'md')] : []),
]

const decoded = (target: string): string => {
  try {
    return decodeURIComponent(target)
  } catch {
    // A lone percent sign: the target means itself.
    return target
  }
}

/** Path of the target inside the folder; undefined where it leaves the folder or names nothing in particular. */
const resolve = (from: string, target: string, kind: 'relative' | 'import'): string | undefined => {
  const bare = kind === 'relative' ? decoded(target.replace(/[?#].*$/s, '')) : target
  if (bare === '' || bare.includes('\0')) return undefined
  const path = normalize(join(dirname(from), bare)).replace(/\/$/, '')
  return path === '.' || path.startsWith('..') ? undefined : path
}

const foldersOf = (known: Iterable<string>): Set<string> => {
  const folders = new Set<string>()
  for (const path of known) {
    for (let above = dirname(path); above !== '.' && !folders.has(above); above = dirname(above)) folders.add(above)
  }
  return folders
}

/**
 * @param known every path that the walk found, also of documents that were skipped
 * @returns at most 1,000 broken links in the order of the documents, and how many there are
 */
export const brokenLinks = (
  documents: Iterable<{ path: string; links: Links['links'] }>,
  known: ReadonlySet<string>,
): BrokenLinks => {
  const folders = foldersOf(known)
  const exists = (path: string): boolean => known.has(path) || folders.has(path)
  const broken: BrokenLink[] = []
  let total = 0
  for (const { path, links } of documents) {
    for (const { kind, target, line } of links) {
      // An include may be found along a search path that only the build knows.
      if (kind === 'url' || (kind === 'import' && !/^\.\.?\//.test(target))) continue
      const expected = resolve(path, target, kind)
      if (expected === undefined || exists(expected)) continue
      if ((kind === 'import' ? moduleFiles(expected) : pageFiles(expected)).some(exists)) continue
      total += 1
      if (broken.length < MAX_BROKEN) broken.push({ path, line, target, expected })
    }
  }
  return { broken, total }
}

/** Leaves out what is there after all: files that git ignores, symbolic links. */
export const confirmMissing = async (root: string, { broken, total }: BrokenLinks): Promise<BrokenLinks> => {
  const missing: BrokenLink[] = []
  for (const link of broken) {
    const there = await lstat(join(root, link.expected)).catch(() => undefined)
    if (there === undefined) missing.push(link)
  }
  return { broken: missing, total: total - (broken.length - missing.length) }
}
