/**
 * Outlines of what people read: the headings of Markdown, HTML, plain text and its relatives. Pure; line by line, and of
 * a line only its beginning is matched, so that a line of megabytes costs no more than a short one.
 */
import type { Language } from './language.ts'

export interface Item {
  /** 1 to 6. */
  level: number
  text: string
  /** 1-based. */
  line: number
}

export interface Headings {
  title?: string
  items: Item[]
}

/** A heading is never longer; nothing beyond is looked at. */
const MAX_HEADING = 400

/** Still with its markup: of a million headings only the listed ones are worth reading. */
const heading = (level: number, text: string, line: number): Item[] =>
  text.trim() === '' ? [] : [{ level: Math.min(6, Math.max(1, level)), text: text.trim(), line }]

const firstText = (lines: string[]): string | undefined =>
  lines
    .find((line) => /[\p{L}\p{N}]/u.test(line.slice(0, MAX_HEADING)))
    ?.slice(0, MAX_HEADING)
    .trim()

/** Level-1 heading first, then any heading. */
const titleOf = (items: Item[]): string | undefined => (items.find(({ level }) => level === 1) ?? items[0])?.text

/** The `title` of a YAML front matter, and the line after it. */
const frontMatter = (lines: string[]): { title?: string; end: number } => {
  if (lines[0]?.trimEnd() !== '---') return { end: 0 }
  const end = lines.slice(1, 200).findIndex((line) => /^(?:---|\.\.\.)\s*$/.test(line.slice(0, 20)))
  if (end < 0) return { end: 0 }
  const found = lines.slice(1, end + 1).find((line) => line.startsWith('title:'))
  const title = found
    ?.slice(6, MAX_HEADING)
    .trim()
    .replace(/^["']|["']$/g, '')
  return { end: end + 2, ...(title ? { title } : {}) }
}

/** A line that a row of = or - under it makes a heading (setext): not a list item, a quote, a table or a heading. */
const canBeUnderlined = (line: string): boolean =>
  line.trim() !== '' && !/^(?: {4}|\t|\s{0,3}(?:[-*+>|#]|\d{1,9}[.)]\s|```|~~~))/.test(line)

const markdown = (lines: string[]): Headings => {
  const { title, end } = frontMatter(lines)
  const items: Item[] = []
  let fence = ''
  let isComment = false
  let previous = ''
  for (let at = end; at < lines.length; at += 1) {
    const line = (lines[at] ?? '').slice(0, MAX_HEADING)
    if (line === '' && !isComment) {
      previous = ''
      continue
    }
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? ''
    if (fence !== '') {
      if (mark.startsWith(fence) && line.trim() === mark) fence = ''
      continue
    }
    if (isComment || line.startsWith('<!--')) {
      isComment = !(lines[at] ?? '').includes('-->')
      continue
    }
    const atx = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/.exec(line)
    const under = /^ {0,3}(=+|-+)[ \t]*$/.exec(line)?.[1]
    if (mark !== '') fence = mark
    else if (atx !== null) items.push(...heading(atx[1]?.length ?? 1, withoutClosing(atx[2] ?? ''), at + 1))
    else if (under !== undefined && canBeUnderlined(previous))
      items.push(...heading(under[0] === '=' ? 1 : 2, previous, at))
    previous = mark !== '' || atx !== null || under !== undefined ? '' : line
  }
  const name = title ?? titleOf(items) ?? firstText(lines.slice(end))
  return { items, ...(name === undefined ? {} : { title: name }) }
}

/** `# Title ##` closes with signs that are no part of it. */
const withoutClosing = (text: string): string => {
  const words = text.trimEnd().split(' ')
  return /^#+$/.test(words.at(-1) ?? '') ? words.slice(0, -1).join(' ') : text
}

/** A heading with at most a few elements in it. */
const HTML_HEADING = /<h([1-6])\b[^<>]{0,300}>([^<]{0,300}(?:<(?!\/?h[1-6])[^<>]{0,200}>[^<]{0,200}){0,8})/gi

const html = (text: string, language: Language): Headings => {
  if (language.name === 'XML') {
    const root = /<([\p{L}_][\w:.-]{0,100})[\s/>]/u.exec(text.slice(0, 10_000))?.[1]
    return { items: [], ...(root === undefined ? {} : { title: `<${root}>` }) }
  }
  const items: Item[] = []
  let line = 1
  let counted = 0
  for (const match of text.matchAll(HTML_HEADING)) {
    const before = text.slice(counted, match.index)
    line += before.split('\n').length - 1
    counted = match.index
    items.push(...heading(Number(match[1]), (match[2] ?? '').replace(/\s+/g, ' '), line))
  }
  const title = /<title\b[^<>]{0,300}>([^<]{1,300})/i.exec(text.slice(0, 100_000))?.[1]?.trim() ?? titleOf(items)
  return { items, ...(title === undefined ? {} : { title: title.replace(/\s+/g, ' ') }) }
}

const LATEX = ['part', 'chapter', 'section', 'subsection', 'subsubsection', 'paragraph']

const latex = (lines: string[]): Headings => {
  const items: Item[] = []
  let title: string | undefined
  for (const [at, line] of lines.entries()) {
    const found =
      /^\s{0,20}\\(title|part|chapter|section|subsection|subsubsection|paragraph)\*?\{([^{}]{1,200})\}/.exec(
        line.slice(0, MAX_HEADING),
      )
    if (found?.[1] === 'title') title = found[2]
    else if (found !== null) items.push(...heading(LATEX.indexOf(found[1] ?? '') + 1, found[2] ?? '', at + 1))
  }
  const name = title ?? titleOf(items)
  return { items, ...(name === undefined ? {} : { title: name }) }
}

/** AsciiDoc `== Title`, Org `** Title`. */
const marked = (lines: string[], sign: RegExp): Headings => {
  const items = lines.flatMap((line, at) => {
    const found = sign.exec(line.slice(0, MAX_HEADING))
    return found === null ? [] : heading(found[1]?.length ?? 1, found[2] ?? '', at + 1)
  })
  const title = titleOf(items) ?? firstText(lines)
  return { items, ...(title === undefined ? {} : { title }) }
}

const UNDERLINE = /^([=\-~^"'`#*+.:_])\1{2,199}\s{0,10}$/
const isUpperCase = (line: string): boolean => line === line.toUpperCase() && line !== line.toLowerCase()

/** Underlined lines (reStructuredText too), and short lines of their own that are numbered or in capitals. */
const text = (lines: string[]): Headings => {
  const levels: string[] = []
  const items: Item[] = []
  for (const [at, raw] of lines.entries()) {
    if (raw === '') continue
    const line = raw.slice(0, MAX_HEADING).trim()
    if (line.length < 3 || line.length > 80 || UNDERLINE.test(line)) continue
    const under = UNDERLINE.exec((lines[at + 1] ?? '').slice(0, 220))?.[1]
    const alone = (lines[at - 1] ?? '').trim() === '' && (lines[at + 1] ?? '').slice(0, MAX_HEADING).trim() === ''
    if (under !== undefined && (lines[at + 1] ?? '').trim().length >= Math.min(line.length, 8)) {
      if (!levels.includes(under)) levels.push(under)
      items.push({ level: Math.min(6, levels.indexOf(under) + 1), text: line, line: at + 1 })
    } else if (
      alone &&
      !/[.!?,;。]$/.test(line) &&
      (/^(?:\d{1,3}\.){1,4}\d{0,3}\s+\p{Lu}/u.test(line) || isUpperCase(line))
    ) {
      items.push({
        level: Math.max(1, (/^[\d.]+/.exec(line)?.[0] ?? '').split('.').filter(Boolean).length),
        text: line,
        line: at + 1,
      })
    }
  }
  const title = items[0]?.line === 1 ? items[0].text : firstText(lines)
  return { items, ...(title === undefined ? {} : { title }) }
}

/** Headings and title as they stand, with inline markup. */
export const headingsOf = (content: string, lines: string[], language: Language): Headings => {
  if (language.kind === 'markdown') return markdown(lines)
  if (language.kind === 'html') return html(content, language)
  if (language.name === 'LaTeX') return latex(lines)
  if (language.name === 'AsciiDoc') return marked(lines, /^(={1,6})\s+(.{1,300})$/)
  if (language.name === 'Org') return marked(lines, /^(\*{1,6})\s+(.{1,300})$/)
  return text(lines)
}
