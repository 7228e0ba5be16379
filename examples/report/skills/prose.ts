/**
 * The prose in a document, as paragraphs on one line each: what summaries and keywords are made from. Pure.
 *
 * Markdown loses its code blocks, tables of short cells, links' targets and emphasis; HTML its tags; source keeps its
 * comments only, without licence texts, tags such as @param and directives to tools. Linear in the length.
 */
import type { Language } from './language.ts'
import { takeApart } from './source.ts'

/** A table cell with fewer words is a figure or a name, not prose. */
const MIN_CELL_WORDS = 8
/** Of a longer document this much is looked at: the beginning and three stretches spread evenly over the rest. */
export const MAX_PROSE = 384 * 1024
const STRETCHES = 3

export interface Paragraph {
  text: string
  /** Headings and titles name a subject; they are no sentences. */
  heading: boolean
}

export const unifyLineEnds = (text: string): string => (text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text)

/** The text itself, or of a very long one its beginning (half of the limit) and stretches of the rest. */
export const sample = (text: string, limit = MAX_PROSE): string => {
  if (text.length <= limit) return text
  const head = Math.floor(limit / 2)
  const stretch = Math.floor((limit - head) / STRETCHES)
  const parts = [text.slice(0, head)]
  for (let at = 1; at <= STRETCHES; at += 1) {
    const end = head + Math.floor((at * (text.length - head)) / STRETCHES)
    parts.push(text.slice(end - stretch, end))
  }
  return parts.join('\n\n').toWellFormed()
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', '#39': "'" }

/** Inline Markdown and HTML to plain words; every repetition is bounded, so that no input makes it slow. */
const withoutMarkup = (text: string): string =>
  text
    .replace(/!\[([^\][\n]{0,500})\]\([^()\n]{0,1000}\)/g, '$1')
    .replace(/(?<!\\)\[([^\][\n]{1,500})\](?:\([^()\n]{0,1000}\)|\[[^\][\n]{0,200}\])/g, '$1')
    .replace(/<(https?:\/\/[^<>\s]{1,1000})>/g, '$1')
    .replace(/<[a-zA-Z/!][^<>]{0,500}>/g, '')
    .replace(/&(amp|lt|gt|quot|apos|nbsp|#39);/g, (_, name: string) => ENTITIES[name] ?? ' ')
    .replace(/(?<!\\)(\*{1,3}|~~)(?=\S)([^*~]{1,2000})(?<!\\)\1/g, '$2')
    .replace(/(?<![\p{L}\p{N}])(_{1,3})(?=\S)([^_]{1,2000})\1(?![\p{L}\p{N}])/gu, '$2')
    .replace(/\\([!-/:-@[-`{-~])/g, '$1')

/** What stands in code spans is kept as it is. */
export const plainInline = (text: string): string => {
  if (!/[`*_~[<&\\]/.test(text)) return text
  return text
    .split(/(`[^`\n]{1,1000}`)/)
    .map((part, at) => (at % 2 === 1 ? part.slice(1, -1) : withoutMarkup(part)))
    .join('')
}

const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff00-\uffef]/u

/** Lines of one paragraph to one line; Chinese and Japanese lines join without a space. */
const join = (lines: string[]): string => {
  let joined = ''
  let last = ''
  for (const line of lines) {
    const trimmed = line.trim()
    const tight = last === '' || (UNSPACED.test(last) && UNSPACED.test(trimmed.slice(0, 1)))
    joined += tight ? trimmed : ` ${trimmed}`
    last = trimmed.slice(-1)
  }
  return joined.replace(/[ \t\u00a0]{2,}/g, ' ')
}

const cells = (row: string): string[] =>
  row
    .split('|')
    .map((cell) => cell.trim())
    .filter(
      (cell) =>
        cell.split(/\s+/, MIN_CELL_WORDS).length >= MIN_CELL_WORDS || (UNSPACED.test(cell) && cell.length >= 12),
    )

/** Collects lines into paragraphs: blank lines, headings, list items and table rows end one. */
const gather = (inline: (text: string) => string) => {
  const paragraphs: Paragraph[] = []
  let lines: string[] = []
  const end = (heading = false): void => {
    if (lines.length === 0) return
    const text = inline(join(lines)).trim()
    lines = []
    if (/[\p{L}\p{N}]/u.test(text)) paragraphs.push({ text, heading })
  }
  return {
    paragraphs,
    end,
    add: (line: string): void => {
      lines.push(line)
    },
    one: (line: string, heading = false): void => {
      end()
      lines.push(line)
      end(heading)
    },
  }
}

const FENCE = /^ {0,3}(`{3,}|~{3,})/
const BULLET = /^\s{0,20}(?:[-*+•]|\d{1,4}[.)])\s+/
const RULE = /^\s{0,3}([-=_*~^#+.:])(?:\s{0,3}\1){2,200}\s*$/

const frontMatterEnd = (lines: string[]): number => {
  if (lines[0]?.trimEnd() !== '---') return 0
  const end = lines.slice(1, 200).findIndex((line) => /^(?:---|\.\.\.)\s*$/.test(line))
  return end < 0 ? 0 : end + 2
}

const markdown = (text: string): Paragraph[] => {
  const lines = text.split('\n')
  const out = gather(plainInline)
  let fence = ''
  for (const line of lines.slice(frontMatterEnd(lines))) {
    if (line === '') {
      out.end()
      continue
    }
    const mark = FENCE.exec(line)?.[1] ?? ''
    if (fence !== '') {
      if (mark.startsWith(fence) && line.trim() === mark) fence = ''
      continue
    }
    const content = line.replace(/^(?:\s{0,3}>\s?){1,5}/, '')
    if (mark !== '') {
      out.end()
      fence = mark
    } else if (/^ {0,3}#{1,6}(?:\s|$)/.test(content)) out.one(content.trim().replace(/^#{1,6}\s*|\s#+$/g, ''), true)
    else if (/^\s*(?:=+|-+)\s*$/.test(content)) out.end(true)
    else if (RULE.test(content) || content.trim() === '') out.end()
    else if (/^\s*\|/.test(content)) {
      out.end()
      for (const cell of cells(content)) out.one(cell)
    } else if (BULLET.test(content)) {
      out.end()
      out.add(content.replace(BULLET, '').replace(/^\[[ xX]\]\s+/, ''))
    } else if (!/^\s{0,3}\[[^\]]{1,200}\]:\s/.test(content)) out.add(content)
  }
  out.end()
  return out.paragraphs
}

const plain = (text: string, inline = (line: string): string => line): Paragraph[] => {
  const out = gather(inline)
  for (const line of text.split('\n')) {
    if (line.trim() === '' || RULE.test(line)) out.end()
    else if (BULLET.test(line)) {
      out.end()
      out.add(line.replace(BULLET, ''))
    } else out.add(line)
  }
  out.end()
  return out.paragraphs
}

const html = (text: string): Paragraph[] =>
  plain(
    dropElements(text)
      .replace(
        /<\/?(?:p|div|h[1-6]|li|tr|td|th|ul|ol|table|section|article|header|footer|br|title)\b[^<>]{0,500}>/gi,
        '\n\n',
      )
      .replace(/<[a-zA-Z/!?][^<>]{0,2000}>/g, ' '),
  )

/** Without scripts, styles and comments, in one pass. */
const dropElements = (text: string): string => {
  const opener = /<(script|style)\b|<!--/gi
  const kept: string[] = []
  let from = 0
  for (let match = opener.exec(text); match !== null; match = opener.exec(text)) {
    const closer = match[1] === undefined ? '-->' : `</${match[1]}`
    kept.push(text.slice(from, match.index), '\n\n')
    const end = text.indexOf(closer, opener.lastIndex)
    from = end < 0 ? text.length : end
    opener.lastIndex = from
  }
  return [...kept, text.slice(from)].join('')
}

const LICENCE =
  /copyright|licen[sc]ed? under|spdx-licen[sc]e|all rights reserved|permission is hereby granted|without warrant/i
const DIRECTIVE =
  /^\s*(?:@\w+|eslint|biome-|prettier|tslint|ts-|#!|-\*-|vim:|noqa|type:|pylint|mypy|nolint|go:|clang-|NOLINT|!\/|[#@]\s?source|#?(?:end)?region\b|<reference|\/ <)/

/** The names that tests have are sentences of what the code does. */
const TEST_NAME = /\b(?:test|it|describe)\(\s{0,50}(['"`])([^'"`\\\n]{12,200})\1/g

const testNames = (text: string): Paragraph[] =>
  Array.from(text.matchAll(TEST_NAME), (match) => ({ text: `${match[2] ?? ''}.`, heading: false }))

/** A comment that ends like a statement is code that somebody switched off. */
const isCode = (paragraph: Paragraph): boolean => /[;{}]\s*$|=>|\w\(.{0,200}\);?$/.test(paragraph.text.slice(-300))

const ofComment = (comment: string): Paragraph[] => {
  if (LICENCE.test(comment.slice(0, 5000))) return []
  const lines = comment.split('\n').filter((line) => !DIRECTIVE.test(line) && !RULE.test(line))
  return plain(lines.join('\n'), plainInline).filter((paragraph) => !isCode(paragraph))
}

/** @param text any text; a long one is sampled (`MAX_PROSE`) */
export const proseOf = (text: string, language: Language): Paragraph[] => {
  const sampled = unifyLineEnds(sample(text))
  switch (language.kind) {
    case 'markdown':
      return markdown(sampled)
    case 'html':
      return html(sampled)
    case 'source':
      return [
        ...takeApart(sampled, language).comments.flatMap(({ text: comment }) => ofComment(comment)),
        ...testNames(sampled),
      ]
    case 'data':
      return []
    case 'text':
      return plain(sampled)
  }
}
