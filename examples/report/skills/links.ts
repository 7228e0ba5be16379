/**
 * Where a document points to: addresses, links to files beside it, imports of other source files; and the digest and the
 * signature by which equal and nearly equal documents are found. Pure; linear in the length.
 *
 * Each target is told once, with its first line. Links inside code of Markdown, and imports inside comments and strings
 * of source, are no links.
 */
import { createHash } from 'node:crypto'
import { type DocumentText, type Links, MAX_LINKS } from '../contracts.ts'
import { type Language, languageOf } from './language.ts'
import { signatureOf } from './minhash.ts'
import { unifyLineEnds } from './prose.ts'
import { takeApart } from './source.ts'

type Link = Links['links'][number]

const MAX_TARGET = 1000
/** Different targets of one document that are counted. */
export const MAX_DISTINCT = 5000

const INLINE = /\]\(\s{0,20}(?:<([^<>\n]{1,1000})>|([^()\s<>]{1,1000}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?))/g
const DEFINITION = /^ {0,3}\[(?!\^)[^\]\n]{1,200}\]:\s{0,20}<?([^\s<>]{1,1000})/
const ATTRIBUTE = /\b(?:href|src)\s{0,5}=\s{0,5}["']([^"'<>\s]{1,1000})["']/gi
/** Ends at what never stands in an address, at Chinese and Japanese punctuation too; one pair of brackets is kept. */
const URL_TEXT =
  /\bhttps?:\/\/[^\s<>"'`()[\]{}|\\^\u3000-\u303f\uff00-\uffef]{1,1000}(?:\([^\s()<>"'`]{0,200}\)[^\s<>"'`()[\]{}|\\^\u3000-\u303f\uff00-\uffef]{0,200})?/gi

/** The first group of each match, or the whole match. */
const found = function* (line: string, pattern: RegExp): Generator<string> {
  for (const match of line.matchAll(pattern)) yield match[1] ?? match[2] ?? match[0]
}

const urls = function* (line: string): Generator<string> {
  if (!line.includes('://')) return
  for (const url of found(line, URL_TEXT)) yield url.replace(/[.,;:!?*_~]{1,10}$/, '')
}

const isTemplate = (target: string): boolean => /[{}*$|]|%[sd]/.test(target)

/** What a target in Markdown or HTML is; anchors, mail addresses, scripts and the site's own root are no links here. */
const classify = (target: string): 'url' | 'relative' | undefined => {
  if (/^https?:\/\//i.test(target)) return 'url'
  if (/^(?:[a-z][a-z0-9+.-]{1,30}:|[#/?\\])/i.test(target) || isTemplate(target)) return undefined
  return /[./]/.test(target) || /^[A-Z]{4,20}$/.test(target) ? 'relative' : undefined
}

/** Each target once; beyond the limit they are not kept. */
const createLinks = () => {
  const byTarget = new Map<string, Link>()
  const add = (kind: Link['kind'], target: string, line: number): void => {
    const key = `${kind} ${target}`
    if (byTarget.size < MAX_DISTINCT && !byTarget.has(key)) byTarget.set(key, { kind, target, line })
  }
  return {
    add,
    addAll: (values: Iterable<string>, line: number): void => {
      for (const target of values) {
        const kind = classify(target)
        if (kind !== undefined) add(kind, target, line)
      }
    },
    all: (): Link[] => [...byTarget.values()],
  }
}
type Collected = ReturnType<typeof createLinks>

/** Only lines with one of these can hold a link; the others cost next to nothing. */
const canHold = (line: string): boolean =>
  line.includes('](') || line.includes(']:') || line.includes('://') || line.includes('href') || line.includes('src')

/** @param skipCode leaves out what stands in the fences and code spans of Markdown */
const inMarkup = (lines: string[], skipCode: boolean, into: Collected): void => {
  let fence = ''
  for (const [at, raw] of lines.entries()) {
    const mark = skipCode ? (/^\s{0,20}(`{3,}|~{3,})/.exec(raw)?.[1] ?? '') : ''
    const closes = fence !== '' && mark.startsWith(fence) && raw.trim() === mark
    const isCode = fence !== '' || mark !== ''
    if (fence === '' || closes) fence = closes ? '' : mark
    if (isCode || !canHold(raw)) continue
    const line = skipCode ? raw.replace(/(`{1,3})[^`]{1,2000}\1/g, '') : raw
    into.addAll(found(line, INLINE), at + 1)
    into.addAll(found(line, ATTRIBUTE), at + 1)
    into.addAll(DEFINITION.exec(line)?.slice(1) ?? [], at + 1)
    into.addAll(urls(line), at + 1)
  }
}

const inText = (lines: string[], into: Collected): void => {
  for (const [at, line] of lines.entries()) into.addAll(urls(line), at + 1)
}

const SCRIPT_CODE = /\b(?:from|import|require|URL)\s{0,10}\(?\s{0,10}""/
const SCRIPT = /\b(?:from|import|require)\s{0,10}\(?\s{0,10}(["'])(\.{1,2}\/[^"'\n?#]{0,300})\1/g
const SCRIPT_URL = /\bnew URL\(\s{0,10}(["'])(\.{1,2}\/[^"'\n?#]{0,300})\1,\s{0,10}import\.meta\.url/g
const PYTHON = /^\s{0,40}from\s{1,10}(\.{1,8})([\w.]{0,200})\s{1,10}import\b/
const RUST = /^\s{0,8}(?:pub(?:\([^()]{0,30}\))? )?mod (\w{1,80});/
const RUBY = /^\s{0,40}require_relative ["']([^"'\n]{1,200})["']/
const INCLUDE = /^\s{0,20}#\s{0,10}include\s{0,10}"([^"\n]{1,200})"/

const up = (dots: number): string => (dots <= 1 ? './' : '../'.repeat(dots - 1))

/** Rust looks beside `mod.rs`, `lib.rs` and `main.rs`, else in the folder that is named like the file. */
const rustModule = (path: string, name: string): string => {
  const stem = path.slice(path.lastIndexOf('/') + 1).replace(/\.rs$/, '')
  return ['mod', 'lib', 'main'].includes(stem) ? `./${name}` : `./${stem}/${name}`
}

/** What one line imports from beside its file, written as a relative path. */
const importsIn = (line: string, code: string, path: string, language: Language): string[] => {
  const name = language.name
  if (language.quotes === 'js') {
    if (!SCRIPT_CODE.test(code)) return []
    return [...line.matchAll(SCRIPT), ...line.matchAll(SCRIPT_URL)].map((match) => match[2] ?? '')
  }
  const python = name === 'Python' ? PYTHON.exec(code) : null
  if (python !== null) return [up(python[1]?.length ?? 1) + (python[2] ?? '').replaceAll('.', '/')]
  const rust = name === 'Rust' ? RUST.exec(code)?.[1] : undefined
  if (rust !== undefined) return [rustModule(path, rust)]
  const ruby = name === 'Ruby' ? RUBY.exec(line)?.[1] : undefined
  if (ruby !== undefined) return [`./${ruby}`]
  return name === 'C' || name === 'C++' ? (INCLUDE.exec(line)?.slice(1) ?? []) : []
}

/** Longest beginning of a line in which imports are looked for; bundles put theirs first. */
const MAX_IMPORT_LINE = 65_536

const inSource = (text: string, lines: string[], path: string, language: Language, into: Collected): void => {
  const code = takeApart(text, language).code.split('\n')
  for (const [at, line] of lines.entries()) {
    if (line === '') continue
    const start = (code[at] ?? '').slice(0, MAX_IMPORT_LINE)
    for (const target of importsIn(line.slice(0, MAX_IMPORT_LINE), start, path, language)) {
      if (!isTemplate(target)) into.add('import', target, at + 1)
    }
    into.addAll(urls(line), at + 1)
  }
}

const collect = (text: string, path: string, language: Language): Link[] => {
  const lines = text.split('\n')
  const into = createLinks()
  if (language.kind === 'markdown' || language.kind === 'html') inMarkup(lines, language.kind === 'markdown', into)
  else if (language.kind === 'source') inSource(text, lines, path, language, into)
  else inText(lines, into)
  return into.all()
}

/** Links, digest and signature of a document. */
export const links = ({ path, text }: DocumentText): Links => {
  const all = collect(unifyLineEnds(text), path, languageOf(path, text))
  return {
    links: all
      .slice(0, MAX_LINKS)
      .map((link) => ({ ...link, target: link.target.slice(0, MAX_TARGET).toWellFormed() })),
    totalLinks: all.length,
    digest: createHash('sha256').update(text).digest('hex'),
    signature: signatureOf(text),
  }
}
