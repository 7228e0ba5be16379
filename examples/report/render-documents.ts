/**
 * The part of the report about each folder and each document. Pure.
 *
 * How much is told of a document depends on how many there are, so that the report of ten thousand can still be read;
 * the level is told in the report.
 */
import { dirname, join, relative } from 'node:path'
import type { Outline } from './contracts.ts'
import { topicsOf } from './findings.ts'
import { anchor, href, link, name, number, plural, prose, size } from './markdown.ts'
import { isExactName } from './names.ts'
import type { DocumentResult, Report } from './results.ts'
import { shorten } from './skills/words.ts'

/** Up to so many documents each is told in full, up to so many in a few lines, beyond in one line. */
export const MAX_FULL = 400
export const MAX_SHORT = 2000
/** Lines about documents; those beyond are counted for each folder. */
export const MAX_LISTED_DOCUMENTS = 10_000
const HEADINGS = 14
const DECLARATIONS = 16
const MAX_HEADING_LEVEL = 3

export type Detail = 'full' | 'short' | 'line'

export const detailFor = (documents: number): Detail =>
  documents <= MAX_FULL ? 'full' : documents <= MAX_SHORT ? 'short' : 'line'

const fileName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '')

/** The document, as a link where its name can be linked to. */
export const documentLink = (report: Report, path: string, label = path): string => {
  if (!isExactName(path)) return name(label)
  const target = relative(dirname(report.out), join(report.root, path)).replaceAll('\\', '/')
  return link(name(label), href(target))
}

const measures = ({ outline, bytes, truncatedFrom }: DocumentResult): string => {
  const parts =
    outline === undefined ? [] : [prose(outline.language), plural(outline.lines, 'line'), plural(outline.words, 'word')]
  const whole = truncatedFrom === undefined ? '' : ', of which only the head was read'
  return `${[...parts, size(bytes)].join(' · ')}${whole}`
}

/** A sentence in a row of sentences needs an end. */
const sentence = (text: string): string => (/(?:[\p{L}\p{N}]|(?<![.!?])\))$/u.test(text) ? `${text}.` : text)

const keywordList = (document: DocumentResult, count: number): string =>
  (document.keywords?.keywords ?? [])
    .slice(0, count)
    .map(({ text }) => prose(text))
    .join(', ')

const headings = ({ items, totalItems, title }: Outline): string => {
  const inner = items.filter(({ text, level }) => text !== title && level <= MAX_HEADING_LEVEL)
  const least = Math.min(...inner.map(({ level }) => level))
  const shown = inner.slice(0, HEADINGS)
  const lines = shown.map(({ level, text }) => `${'  '.repeat(level - least)}- ${prose(shorten(text, 100))}`)
  const more = totalItems - shown.length - (items.length - inner.length)
  return [...lines, ...(more > 0 && lines.length > 0 ? [`- … ${number(more)} more`] : [])].join('\n')
}

/** What others can use comes first, then the rest, each in the order of the code. */
const declarations = ({ items, totalItems, kind }: Outline, path: string): string => {
  const isOpen = ({ text }: { text: string }): boolean => /^(?:export|pub|public)\b/.test(text)
  const ordered = kind === 'source' && items.some(isOpen) ? items.filter(isOpen) : items
  const shown = ordered
    .slice(0, DECLARATIONS)
    .map(({ text }) => prose(shorten(text.replace(/^export (?:default )?/, ''), 80)))
  const more = totalItems - shown.length
  if (shown.length === 0) return ''
  const title = /[._-](?:test|spec)\./.test(path) ? 'Tests' : kind === 'source' ? 'Declares' : 'Holds'
  return `**${title}:** ${shown.join(' · ')}${more > 0 ? ` · … ${number(more)} more` : ''}`
}

const outlineOf = (outline: Outline, path: string): string =>
  outline.kind === 'source' || outline.kind === 'data' ? declarations(outline, path) : headings(outline)

const full = (report: Report, document: DocumentResult): string => {
  const { path, outline, summary } = document
  const title = outline?.title
  const sentences = (summary?.sentences ?? []).map(({ text }) => prose(sentence(text))).join(' ')
  const keywords = keywordList(document, 8)
  return [
    `#### ${documentLink(report, path, fileName(path))}`,
    `${title === undefined ? '' : `*${prose(shorten(title, 120))}* · `}${measures(document)}`,
    sentences,
    keywords === '' ? '' : `**Keywords:** ${keywords}`,
    outline === undefined ? '' : outlineOf(outline, path),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

const line = (report: Report, document: DocumentResult, limit: number, keywordCount: number): string => {
  const { path, outline, summary } = document
  const about = summary?.sentences[0]?.text ?? outline?.title
  const keywords = keywordList(document, keywordCount)
  const facts = [outline?.language, outline === undefined ? undefined : plural(outline.lines, 'line')]
    .filter(Boolean)
    .join(', ')
  return [
    `- ${documentLink(report, path, fileName(path))}`,
    facts === '' ? '' : ` (${facts})`,
    about === undefined ? '' : `: ${prose(shorten(about, limit))}`,
    keywords === '' ? '' : ` — ${keywords}`,
  ].join('')
}

export interface FolderPart {
  folder: string
  id: string
  documents: DocumentResult[]
}

/** Processed documents by their folder, in the order of the walk. */
export const foldersOf = (documents: DocumentResult[]): FolderPart[] => {
  const folders = new Map<string, FolderPart>()
  for (const document of documents) {
    if (document.status !== 'processed') continue
    const folder = folderOf(document.path)
    const part = folders.get(folder) ?? { folder, id: `folder-${folders.size + 1}`, documents: [] }
    folders.set(folder, part)
    part.documents.push(document)
  }
  return [...folders.values()].sort((a, b) => (a.folder < b.folder ? -1 : a.folder > b.folder ? 1 : 0))
}

export const folderName = (report: Report, folder: string): string =>
  folder === '' ? `${name(report.folder)} (top)` : name(`${folder}/`)

const folderPart = (report: Report, part: FolderPart, detail: Detail, room: number): string => {
  const { folder, id, documents } = part
  const lines = documents.reduce((sum, { outline }) => sum + (outline?.lines ?? 0), 0)
  const topics = documents.length > 2 ? topicsOf(documents, 6, 2).map(({ text }) => prose(text)) : []
  const shown = documents.slice(0, room)
  const bodies = shown.map((document) => {
    if (detail === 'full') return full(report, document)
    return detail === 'short' ? line(report, document, 200, 5) : line(report, document, 110, 3)
  })
  return [
    `### ${anchor(id)}${folderName(report, folder)}`,
    `${plural(documents.length, 'document')}, ${plural(lines, 'line')}${topics.length === 0 ? '' : `; often: ${topics.join(', ')}`}`,
    bodies.join(detail === 'full' ? '\n\n' : '\n'),
    shown.length < documents.length ? `${plural(documents.length - shown.length, 'further document')} not listed.` : '',
  ]
    .filter((text) => text !== '')
    .join('\n\n')
}

/** The documents by folder, with as much detail as their number leaves room for. */
export const documentParts = function* (report: Report, folders: FolderPart[]): Generator<string> {
  const count = folders.reduce((sum, { documents }) => sum + documents.length, 0)
  const detail = detailFor(count)
  let room = MAX_LISTED_DOCUMENTS
  for (const part of folders) {
    yield folderPart(report, part, detail, room)
    room = Math.max(0, room - part.documents.length)
  }
}
