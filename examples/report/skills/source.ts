/**
 * Source code taken apart: its comments (the prose in it), and the code without comments and strings. Pure.
 *
 * One pass, linear in the length for every input: the next interesting sign is found by a sticky-free regular
 * expression without repetition, and what it opens is always consumed, closed or not. It is no parser: a regular
 * expression or a quote that it takes wrongly costs at most the rest of the line (a template the rest of the file).
 */
import type { CommentStyle, Language } from './language.ts'

export interface Comment {
  /** Without the comment signs; lines joined by newlines. */
  text: string
  /** 1-based line where it starts. */
  line: number
}

export interface SourceParts {
  comments: Comment[]
  /** Same lines as the source; comments and the inside of strings are blank. */
  code: string
}

const OPENERS: Record<CommentStyle, RegExp> = {
  c: /\/\/|\/\*|["'`/]/g,
  hash: /#|["'`]/g,
  python: /#|"""|'''|["']/g,
  dash: /--\[\[|--|\/\*|["']/g,
  semicolon: /;|"/g,
  percent: /%|"/g,
}

const LINE_COMMENTS = new Set(['//', '#', '--', ';', '%'])

const lineEnd = (text: string, from: number): number => {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end
}

const after = (text: string, closer: string, from: number): number => {
  const at = text.indexOf(closer, from)
  return at < 0 ? text.length : at + closer.length
}

/** End of a string that a backslash escapes in; an unclosed one ends with its line (`multiline`: with the text). */
const stringEnd = (text: string, quote: string, from: number, multiline: boolean): number => {
  for (let at = from; at < text.length; at += 1) {
    const char = text[at]
    if (char === '\\') at += 1
    else if (char === quote) return at + 1
    else if (char === '\n' && !multiline) return at
  }
  return text.length
}

const regexEnd = (text: string, from: number): number => {
  let inClass = false
  for (let at = from; at < text.length; at += 1) {
    const char = text[at]
    if (char === '\n') return at
    if (char === '\\') at += 1
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '/' && !inClass) return at + 1
  }
  return text.length
}

/** A slash starts a regular expression where a value may start: after an operator, a bracket or `return`. */
const startsRegex = (text: string, at: number): boolean => {
  const before = text.slice(Math.max(0, at - 20), at).trimEnd()
  return before === '' || /(?:[(,=:[!&|?{;+\-*%~^]|=>|\breturn)$/.test(before)
}

const startsLine = (text: string, at: number): boolean =>
  /(?:^|\n)[ \t]{0,60}[rRuUbB]?$/.test(text.slice(Math.max(0, at - 64), at))

const CHARACTER = /'(?:\\[^\n]{1,10}?|[^\\'\n]{1,2})'/y

const stripSigns = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.replace(/^[ \t]*(?:\*+|\/\/[/!]?|--+|#+|;+|%+)?[ \t]?/, ''))
    .join('\n')

/** Where what opens at `at` ends, and whether it is a comment; `end` is always beyond `at`. */
const consume = (text: string, at: number, opener: string, language: Language): { end: number; comment: boolean } => {
  const next = at + opener.length
  switch (opener) {
    case '//':
    case '--':
    case ';':
    case '%':
      return { end: lineEnd(text, next), comment: true }
    case '#': {
      const before = text[at - 1]
      const starts = before === undefined || before === '\n' || before === ' ' || before === '\t'
      return starts ? { end: lineEnd(text, next), comment: true } : { end: next, comment: false }
    }
    case '/*':
      return { end: after(text, '*/', next), comment: true }
    case '--[[':
      return { end: after(text, ']]', next), comment: true }
    case '"""':
    case "'''":
      return { end: after(text, opener, next), comment: startsLine(text, at) }
    case '`':
      if (language.name === 'Go') return { end: after(text, '`', next), comment: false }
      return { end: language.quotes === 'js' ? stringEnd(text, '`', next, true) : next, comment: false }
    case '/':
      return { end: language.quotes === 'js' && startsRegex(text, at) ? regexEnd(text, next) : next, comment: false }
    case "'":
      if (language.quotes === 'one') return { end: next, comment: false }
      if (language.quotes !== 'char') return { end: stringEnd(text, "'", next, false), comment: false }
      CHARACTER.lastIndex = at
      return { end: CHARACTER.test(text) ? CHARACTER.lastIndex : next, comment: false }
    default:
      return { end: stringEnd(text, opener, next, false), comment: false }
  }
}

const newlines = (text: string): number => {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1
  return count
}

/** A docstring or block comment without what opens and closes it. */
const body = (raw: string, opener: string): string => {
  if (opener === '"""' || opener === "'''") return raw.slice(3, raw.endsWith(opener) ? -3 : undefined)
  if (opener === '--[[') return raw.slice(4).replace(/\]\]$/, '')
  if (opener === '/*') return raw.slice(2).replace(/\*\/$/, '')
  return raw
}

/** @param text with `\n` line ends */
export const takeApart = (text: string, language: Language): SourceParts => {
  const comments: Comment[] = []
  const code: string[] = []
  const opener = new RegExp(OPENERS[language.comments ?? 'hash'])
  let kept = 0
  let line = 1
  /** Line of the last comment that had a line of its own; one on the next line continues it. */
  let runLine = -1
  for (let match = opener.exec(text); match !== null; match = opener.exec(text)) {
    const at = match.index
    const { end, comment } = consume(text, at, match[0], language)
    opener.lastIndex = end
    if (end === at + 1 && !comment) continue
    const before = text.slice(kept, at)
    line += newlines(before)
    const raw = text.slice(at, end)
    const inside = newlines(raw)
    code.push(before, comment ? '' : '""', '\n'.repeat(inside))
    if (comment) {
      const words = stripSigns(body(raw, match[0]))
      const previous = comments.at(-1)
      const lineStart = before.lastIndexOf('\n') + 1
      const isAlone = (lineStart > 0 || kept === 0) && before.slice(lineStart).trim() === ''
      const isLineComment = isAlone && LINE_COMMENTS.has(match[0])
      const continues = isLineComment && runLine === line - 1 && before.trim() === ''
      if (continues && previous !== undefined) previous.text += `\n${words}`
      else comments.push({ text: words, line })
      runLine = isLineComment ? line : -1
    }
    line += inside
    kept = end
  }
  code.push(text.slice(kept))
  return { comments, code: code.join('') }
}
