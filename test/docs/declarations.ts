/**
 * Declarations of the API, out of the .d.ts files that the compiler writes: what an entry exports, its comment, its text, and
 * what else its text names. As much of the form of these files as the compiler uses: a declaration begins at the left margin.
 * Pure; files come by a function.
 */
import { posix } from 'node:path'

export interface Declaration {
  readonly name: string
  /** Where it stands, without `export` and `declare`. */
  readonly file: string
  readonly kind: 'function' | 'class' | 'value' | 'type'
  readonly comment: string
  readonly text: string
}

interface File {
  readonly declared: ReadonlyMap<string, Declaration>
  /** Names that come from other files: the file, and the name there. */
  readonly imported: ReadonlyMap<string, readonly [file: string, name: string]>
  /** The same of what is handed on. */
  readonly exported: ReadonlyMap<string, readonly [file: string, name: string]>
}

const START = /^(?:export )?(?:declare )?(function|class|const|interface|type) (\w+)/
const KINDS = { function: 'function', class: 'class', const: 'value', interface: 'type', type: 'type' } as const
const FROM = /^(import|export) (?:type )?\{([^}]*)\} from '(\.[^']+)';$/gm

const depthOf = (line: string): number => {
  const bare = line.replace(/'[^']*'|"[^"]*"|=>/g, '')
  return [...bare].reduce((sum, one) => sum + ('{([<'.includes(one) ? 1 : '})]>'.includes(one) ? -1 : 0), 0)
}

const commentText = (lines: readonly string[]): string =>
  lines
    .map((line) => line.replace(/^\/\*\*\s?|\s?\*\/$|^ \* ?/g, '').trimEnd())
    .join('\n')
    .trim()

/** @param path of the file, from the root of the declarations */
export const readDeclarations = (path: string, source: string): File => {
  const names = (list: string, from: string): [string, readonly [string, string]][] =>
    list
      .split(',')
      .map((one) => one.trim().replace(/^type /, ''))
      .filter((one) => one !== '')
      .map((one) => {
        const [there = '', here = there] = one.split(' as ')
        const file = posix.join(posix.dirname(path), from).replace(/\.ts$/, '.d.ts')
        return [here, [file, there]]
      })
  const imported = new Map<string, readonly [string, string]>()
  const exported = new Map<string, readonly [string, string]>()
  for (const [, how, list = '', from = ''] of source.matchAll(FROM))
    for (const [name, place] of names(list, from)) (how === 'import' ? imported : exported).set(name, place)

  const declared = new Map<string, Declaration>()
  let comment: string[] = []
  let isComment = false
  const lines = source.split('\n')
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? ''
    if (line.startsWith('/**')) {
      comment = []
      isComment = true
    }
    if (isComment) {
      comment.push(line)
      if (line.endsWith('*/')) isComment = false
      continue
    }
    const [, word, name] = START.exec(line) ?? []
    if (word !== undefined && name !== undefined) {
      const first = at
      let depth = depthOf(line)
      while ((depth > 0 || !/[;}]$/.test(lines[at] ?? '')) && at + 1 < lines.length) {
        at += 1
        depth += depthOf(lines[at] ?? '')
      }
      const text = lines
        .slice(first, at + 1)
        .join('\n')
        .replace(/^(export )?(declare )?/, '')
      const isArrow = /^const \w+: [<(]/.test(text)
      const kind = isArrow ? 'function' : KINDS[word as keyof typeof KINDS]
      const before = declared.get(name)
      // A value and its type by one name, or a function with several signatures.
      declared.set(name, {
        name,
        file: path,
        kind: before?.kind ?? kind,
        comment: before?.comment || commentText(comment),
        text: before === undefined ? text : `${before.text}\n${text}`,
      })
    }
    comment = []
  }
  return { declared, imported, exported }
}

export interface Api {
  /** What the entry exports, by name. */
  readonly exported: readonly Declaration[]
  /** What these name and the entry does not export. */
  readonly used: readonly Declaration[]
}

/** @param entry path of its .d.ts @param read the text of a file, undefined where there is none */
export const apiOf = (entry: string, read: (path: string) => string | undefined): Api => {
  const files = new Map<string, File>()
  const fileOf = (path: string): File => {
    const known = files.get(path) ?? readDeclarations(path, read(path) ?? '')
    files.set(path, known)
    return known
  }
  const find = (path: string, name: string): Declaration | undefined => {
    const file = fileOf(path)
    const place = file.exported.get(name) ?? file.imported.get(name)
    return file.declared.get(name) ?? (place === undefined ? undefined : find(...place))
  }
  const exported: Declaration[] = []
  for (const [name, place] of fileOf(entry).exported) {
    const found = find(...place)
    if (found !== undefined) exported.push({ ...found, name })
  }
  const key = ({ file, text }: Declaration): string => `${file} ${text}`
  const known = new Set(exported.map(key))
  const used: Declaration[] = []
  for (const declaration of [...exported, ...used]) follow(declaration)
  function follow({ file, text }: Declaration): void {
    for (const [word] of text.matchAll(/\b[A-Z]\w+\b/g)) {
      const found = find(file, word)
      if (found === undefined || known.has(key(found))) continue
      known.add(key(found))
      used.push(found)
      follow(found)
    }
  }
  const byName = (a: Declaration, b: Declaration): number => a.name.localeCompare(b.name, 'en')
  return { exported: exported.toSorted(byName), used: used.toSorted(byName) }
}

/** Lines of a declaration that are shown: schemas spelled out are for the compiler. */
const MAX_LINES = 120

const sectionOf = ({ name, comment, text }: Declaration): string => {
  const lines = text.split('\n')
  const shown = lines.length > MAX_LINES ? `${lines[0]}\n  // ${lines.length} lines` : text
  return `### \`${name}\`\n\n${comment === '' ? '' : `${comment}\n\n`}\`\`\`typescript\n${shown}\n\`\`\``
}

const TITLES = { function: 'Functions', class: 'Classes', value: 'Values', type: 'Types' } as const

/** A page for one entry of the package. */
export const apiPage = (title: string, { exported, used }: Api): string => {
  const groups = Object.entries(TITLES).map(([kind, heading]) => {
    const these = exported.filter((one) => one.kind === kind)
    return these.length === 0 ? '' : `## ${heading}\n\n${these.map(sectionOf).join('\n\n')}\n`
  })
  const rest = used.length === 0 ? '' : `## Types that these use\n\n${used.map(sectionOf).join('\n\n')}\n`
  return [`# ${title}\n`, ...groups, rest].filter((part) => part !== '').join('\n')
}
