/**
 * What stands out across all documents: topics, languages, equal and similar documents, the largest, notes left behind,
 * what had to be repaired or cut. Pure and deterministic; every list has a limit, and its total is told beside it.
 */
import type { Outline } from './contracts.ts'
import type { DocumentResult } from './results.ts'
import { type Duplicates, findDuplicates } from './skills/duplicates.ts'

export const MAX_LISTED = 20
/** Keywords of one document that count for the topics. */
const KEYWORDS_COUNTED = 8

/** The first of a list, and how many there are. */
export interface Listed<T> {
  items: T[]
  total: number
}

export interface Topic {
  text: string
  /** Documents that have it among their keywords. */
  documents: number
}

export interface LanguageShare {
  language: string
  documents: number
  lines: number
  words: number
}

export interface Note {
  path: string
  line: number
  word: string
  text: string
}

export interface Findings {
  topics: Topic[]
  languages: Listed<LanguageShare>
  duplicates: Duplicates
  largest: DocumentResult[]
  notes: Listed<Note>
  /** Read in an encoding other than UTF-8, or with places that could not be decoded. */
  repaired: Listed<DocumentResult>
  /** Only their head was worked on. */
  truncated: Listed<DocumentResult>
  /** Sites that most documents point to. */
  sites: Listed<{ site: string; documents: number }>
}

const first = <T>(items: T[], limit = MAX_LISTED): Listed<T> => ({ items: items.slice(0, limit), total: items.length })

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The most common keywords of some documents, by how many documents have them and at which place. */
export const topicsOf = (documents: Iterable<DocumentResult>, limit: number, least: number): Topic[] => {
  const topics = new Map<string, { forms: Map<string, number>; documents: number; weight: number }>()
  for (const { keywords } of documents) {
    for (const [rank, { text }] of keywords?.keywords.slice(0, KEYWORDS_COUNTED).entries() ?? []) {
      const key = text.toLowerCase().replace(/(?<=\p{L}{3})s$/u, '')
      const topic = topics.get(key) ?? { forms: new Map<string, number>(), documents: 0, weight: 0 }
      topics.set(key, topic)
      topic.documents += 1
      // A phrase names a subject better than a word, a first keyword better than an eighth.
      topic.weight += (text.includes(' ') ? 2 : 1) / (1 + rank / 4)
      topic.forms.set(text, (topic.forms.get(text) ?? 0) + 1)
    }
  }
  return [...topics.values()]
    .filter((topic) => topic.documents >= least)
    .map(({ forms, documents: count, weight }) => {
      const [form] = [...forms].sort((a, b) => b[1] - a[1] || compareText(a[0], b[0]))
      return { text: form?.[0] ?? '', documents: count, weight }
    })
    .sort((a, b) => b.weight - a.weight || b.documents - a.documents || compareText(a.text, b.text))
    .slice(0, limit)
    .map(({ text, documents: count }) => ({ text, documents: count }))
}

const languagesOf = (outlines: Outline[]): LanguageShare[] => {
  const shares = new Map<string, LanguageShare>()
  for (const { language, lines, words } of outlines) {
    const share = shares.get(language) ?? { language, documents: 0, lines: 0, words: 0 }
    shares.set(language, share)
    share.documents += 1
    share.lines += lines
    share.words += words
  }
  return [...shares.values()].sort((a, b) => b.lines - a.lines || compareText(a.language, b.language))
}

/** Addresses, this machine and the names that RFC 2606 keeps for examples are no sites. */
const NO_SITE = /^[\d.]+$|^[^.]*$|(?:^|\.)(?:example|test|invalid|localhost|local)(?:\.(?:com|net|org))?$/

const siteOf = (url: string): string | undefined => {
  const host = URL.canParse(url) ? new URL(url).hostname.replace(/^www\./, '') : ''
  return NO_SITE.test(host) ? undefined : host
}

const sitesOf = (documents: DocumentResult[]): { site: string; documents: number }[] => {
  const sites = new Map<string, number>()
  for (const { links } of documents) {
    const urls = links?.links.filter(({ kind }) => kind === 'url') ?? []
    for (const site of new Set(urls.map(({ target }) => siteOf(target)))) {
      if (site !== undefined) sites.set(site, (sites.get(site) ?? 0) + 1)
    }
  }
  return Array.from(sites, ([site, count]) => ({ site, documents: count })).sort(
    (a, b) => b.documents - a.documents || compareText(a.site, b.site),
  )
}

const notesOf = (documents: DocumentResult[]): Listed<Note> => {
  const notes = documents.flatMap(({ path, outline }) => outline?.markers.map((marker) => ({ path, ...marker })) ?? [])
  const total = documents.reduce((sum, { outline }) => sum + (outline?.totalMarkers ?? 0), 0)
  return { items: notes.slice(0, MAX_LISTED), total }
}

export const findingsOf = (documents: DocumentResult[]): Findings => {
  const processed = documents.filter(({ status }) => status === 'processed')
  // Keys of data are names, not topics; they count where there is nothing else.
  const written = processed.filter(({ outline }) => outline?.kind !== 'data')
  const telling = written.length > 0 ? written : processed
  return {
    topics: topicsOf(telling, MAX_LISTED, Math.min(2, telling.length)),
    languages: first(languagesOf(processed.flatMap(({ outline }) => outline ?? []))),
    duplicates: findDuplicates(
      processed.flatMap(({ path, links, truncatedFrom }) =>
        links === undefined
          ? []
          : [
              {
                path,
                digest: links.digest,
                signature: links.signature,
                ...(truncatedFrom === undefined ? {} : { truncatedFrom }),
              },
            ],
      ),
    ),
    largest: [...processed].sort((a, b) => b.bytes - a.bytes || compareText(a.path, b.path)).slice(0, 10),
    notes: notesOf(processed),
    repaired: first(
      processed.filter(({ encoding, replaced }) => (encoding ?? 'utf-8') !== 'utf-8' || (replaced ?? 0) > 0),
    ),
    truncated: first(processed.filter(({ truncatedFrom }) => truncatedFrom !== undefined)),
    sites: first(sitesOf(processed), 10),
  }
}
