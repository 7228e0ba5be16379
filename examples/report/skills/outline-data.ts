/**
 * The outline of data: top keys of JSON, YAML, TOML and INI, columns of tables. Pure and linear; JSON is scanned, not
 * parsed, so that a broken, cut or commented file has an outline too.
 */
import type { Language } from './language.ts'
import type { Item } from './outline-markup.ts'

const MAX_KEY = 200

/** End of the string that opens at `from`, behind its quote. */
const stringEnd = (text: string, from: number): number => {
  for (let at = from + 1; at < text.length; at += 1) {
    const char = text[at]
    if (char === '\\') at += 1
    else if (char === '"') return at + 1
  }
  return text.length
}

interface Entry {
  key: string
  line: number
  /** Values inside, where it is an object or an array. */
  size?: number
  bracket?: string
}

const describe = ({ key, size, bracket }: Entry): string =>
  size === undefined ? key : `${key} ${bracket === '{' ? `{${size}}` : `[${size}]`}`

/** Keys of the outermost object with the sizes of what is under them; an outermost array counts its values. */
const scanJson = (text: string): { entries: Entry[]; values: number; isArray: boolean } => {
  const entries: Entry[] = []
  const sign = /["{}[\],\n]|\/\/|\/\*/g
  let depth = 0
  let line = 1
  let values = 0
  let isArray = false
  let isKey = true
  /** Something stands after the last bracket or comma, so that the next comma or bracket ends a value. */
  let filled = 0
  for (let match = sign.exec(text); match !== null; match = sign.exec(text)) {
    const char = match[0]
    const between = match.index > filled && /[^\s:]/.test(text.slice(filled, Math.min(match.index, filled + 200)))
    const last = entries.at(-1)
    const ends = () => {
      if (depth === 1 && isArray) values += 1
      if (depth === 2 && !isArray && last?.size !== undefined) last.size += 1
    }
    if (char === '\n') {
      line += 1
      continue
    }
    if (char === '//' || char === '/*') {
      const end = text.indexOf(char === '//' ? '\n' : '*/', sign.lastIndex)
      const next = end < 0 ? text.length : end
      line += char === '/*' ? text.slice(match.index, next).split('\n').length - 1 : 0
      sign.lastIndex = next
      continue
    }
    if (char === '"') {
      const end = stringEnd(text, match.index)
      if (depth === 1 && !isArray && isKey)
        entries.push({ key: text.slice(match.index + 1, Math.min(end - 1, match.index + MAX_KEY)), line })
      isKey = false
      sign.lastIndex = end
      continue
    }
    if (char === '{' || char === '[') {
      if (depth === 0) isArray = char === '['
      if (depth === 1 && !isArray && last !== undefined) Object.assign(last, { size: 0, bracket: char })
      depth += 1
      isKey = true
    } else if (char === ',') {
      ends()
      isKey = true
    } else {
      if (between || !isKey) ends()
      depth = Math.max(0, depth - 1)
      isKey = false
    }
    filled = sign.lastIndex
  }
  return { entries, values, isArray }
}

const json = (text: string): { title?: string; items: Item[] } => {
  const { entries, values, isArray } = scanJson(text)
  if (isArray) return { title: `array of ${values} values`, items: [] }
  return { items: entries.map((entry) => ({ level: 1, text: describe(entry), line: entry.line })) }
}

const matching = (lines: string[], pattern: RegExp): Item[] =>
  lines.flatMap((line, at) => {
    const found = pattern.exec(line.slice(0, MAX_KEY))?.[1]
    return found === undefined ? [] : [{ level: 1, text: found, line: at + 1 }]
  })

/** Keys before the first section, then sections. */
const sections = (lines: string[]): Item[] => {
  const first = lines.findIndex((line) => line.startsWith('['))
  return [
    ...matching(first < 0 ? lines : lines.slice(0, first), /^([\p{L}_][\p{L}\p{N}_.\-/]{0,100})\s{0,20}=/u),
    ...matching(lines, /^\[\[?([^\][]{1,150})\]/),
  ].sort((a, b) => a.line - b.line)
}

const columns = (lines: string[], separator: string): Item[] =>
  (lines[0] ?? '')
    .slice(0, 20_000)
    .split(separator)
    .map((column) => column.trim().replace(/^"|"$/g, ''))
    .filter(Boolean)
    .map((text) => ({ level: 1, text, line: 1 }))

export const keysOf = (text: string, lines: string[], language: Language): { title?: string; items: Item[] } => {
  switch (language.name) {
    case 'JSON':
      return json(text)
    case 'Lock file':
      return text.startsWith('{') ? json(text) : { items: [] }
    case 'YAML':
      return { items: matching(lines, /^["']?([\p{L}\p{N}_$./][\p{L}\p{N}_$.\-/ ]{0,100}?)["']?:(?:\s|$)/u) }
    case 'TOML':
    case 'INI':
      return { items: sections(lines) }
    case 'CSV':
      return { items: columns(lines, (lines[0] ?? '').slice(0, 20_000).includes(';') ? ';' : ',') }
    case 'TSV':
      return { items: columns(lines, '\t') }
    case 'Ignore list':
      return { items: matching(lines, /^([^#\s].{0,150})/) }
    default:
      return { items: [] }
  }
}
