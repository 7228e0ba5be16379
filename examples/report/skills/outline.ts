/**
 * What a document looks like: its language, its size, its headings, declarations or keys, and the notes (TODO, FIXME)
 * that its authors left. Pure; linear in the length.
 */
import { type DocumentText, MAX_ITEMS, MAX_MARKERS, type Outline } from '../contracts.ts'
import { type Language, languageOf } from './language.ts'
import { keysOf } from './outline-data.ts'
import { headingsOf, type Item } from './outline-markup.ts'
import { declarationsOf } from './outline-source.ts'
import { plainInline, unifyLineEnds } from './prose.ts'
import { takeApart } from './source.ts'
import { isUnspaced, shorten } from './words.ts'

const MAX_LABEL = 200
const MAX_MARKED_LINE = 1000

/** Bounded, because a run of millions overflows the matcher's stack. */
const WORD = /[\p{L}\p{N}\p{M}]{1,1000}/gu

/** @param pattern global */
const hits = (text: string, pattern: RegExp): number => {
  pattern.lastIndex = 0
  let count = 0
  while (pattern.exec(text) !== null) count += 1
  return count
}

const codePoints = (text: string): number => text.length - hits(text, /[\ud800-\udbff][\udc00-\udfff]/g)

/** In scripts without spaces each sign counts, as word processors do. */
const countWords = (text: string): number => {
  if (!isUnspaced(text)) return hits(text, WORD)
  const signs = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/gu
  return hits(text, signs) + hits(text.replace(signs, ' '), WORD)
}

const measure = (text: string, lines: string[]) => {
  let longest = ''
  let paragraphs = 0
  let isOpen = false
  for (const line of lines) {
    if (line.length > longest.length) longest = line
    const isBlank = line.length < 200 && line.trim() === ''
    if (!isBlank && !isOpen) paragraphs += 1
    isOpen = !isBlank
  }
  return {
    // The newline that ends the last line starts no further one.
    lines: text === '' ? 0 : lines.length - (text.endsWith('\n') ? 1 : 0),
    words: countWords(text),
    characters: codePoints(text),
    longestLine: codePoints(longest),
    paragraphs,
  }
}

/** At the start of a comment's line, or with a colon: in prose the bare word is talked about, not left as a note. */
const COMMENT_MARKER = /^\s{0,20}(TODO|FIXME|XXX|HACK)\b(?:\([^()]{0,60}\))?:?\s{0,10}(.{0,300})/
const MARKER = /(?:^|[\s(])(TODO|FIXME|XXX|HACK)(?:\([^()]{0,60}\))?:\s{0,10}(.{0,300})/

const markersIn = (lines: string[], firstLine: number, pattern: RegExp): Outline['markers'] =>
  lines.flatMap((line, at) => {
    const found = pattern.exec(line.slice(0, MAX_MARKED_LINE))
    if (found === null) return []
    return [{ word: found[1] ?? '', text: shorten((found[2] ?? '').trim(), MAX_LABEL), line: firstLine + at }]
  })

const markersOf = (text: string, lines: string[], language: Language): Outline['markers'] => {
  if (!/TODO|FIXME|XXX|HACK/.test(text)) return []
  if (language.kind !== 'source') return markersIn(lines, 1, MARKER)
  return takeApart(text, language).comments.flatMap((comment) =>
    markersIn(comment.text.split('\n'), comment.line, COMMENT_MARKER),
  )
}

const contentsOf = (text: string, lines: string[], language: Language): { title?: string; items: Item[] } => {
  if (language.kind === 'source') return { items: declarationsOf(text, lines, language) }
  if (language.kind === 'data') return keysOf(text, lines, language)
  return headingsOf(text, lines, language)
}

/** The outline of a document. */
export const outline = ({ path, text: raw }: DocumentText): Outline => {
  const text = unifyLineEnds(raw)
  const lines = text.split('\n')
  const language = languageOf(path, text)
  const { title, items } = contentsOf(text, lines, language)
  const markers = markersOf(text, lines, language)
  const hasMarkup = language.kind === 'markdown' || language.kind === 'html'
  const label = (content: string): string => shorten(hasMarkup ? plainInline(content).trim() : content, MAX_LABEL)
  return {
    language: language.name,
    kind: language.kind,
    ...(title === undefined ? {} : { title: label(title) }),
    items: items.slice(0, MAX_ITEMS).map((item) => ({ ...item, text: label(item.text) })),
    totalItems: items.length,
    ...measure(text, lines),
    markers: markers.slice(0, MAX_MARKERS),
    totalMarkers: markers.length,
  }
}
