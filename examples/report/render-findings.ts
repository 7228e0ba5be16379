/** The part of the report about what stands out across all documents. Pure; each list says what it leaves out. */
import { type Findings, type Listed, MAX_LISTED } from './findings.ts'
import { link, number, plural, prose, size, table } from './markdown.ts'
import { documentLink } from './render-documents.ts'
import type { Report } from './results.ts'
import { shorten } from './skills/words.ts'

const MAX_GROUP = 8

const section = (title: string, ...parts: string[]): string => {
  const filled = parts.filter((part) => part !== '')
  return filled.length === 0 ? '' : [`### ${title}`, ...filled].join('\n\n')
}

const more = ({ items, total }: Listed<unknown>, one: string, many = `${one}s`): string =>
  total > items.length ? `… and ${plural(total - items.length, `more ${one}`, `more ${many}`)}.` : ''

const bullets = (lines: string[]): string => lines.map((line) => `- ${line}`).join('\n')

const topics = ({ topics: list }: Findings): string =>
  section('Topics', list.map(({ text, documents }) => `${prose(text)} (${number(documents)})`).join(', '))

const languages = ({ languages: list }: Findings): string =>
  section(
    'Languages',
    table(
      [
        ['Language', 'left'],
        ['Documents', 'right'],
        ['Lines', 'right'],
        ['Words', 'right'],
      ],
      list.items.map(({ language, documents, lines, words }) => [
        prose(language),
        number(documents),
        number(lines),
        number(words),
      ]),
    ),
    more(list, 'language'),
  )

const group = (report: Report, paths: string[]): string => {
  const shown = paths.slice(0, MAX_GROUP).map((path) => documentLink(report, path))
  return `${shown.join(', ')}${paths.length > MAX_GROUP ? ` and ${number(paths.length - MAX_GROUP)} more` : ''}`
}

const duplicates = (report: Report, { duplicates: { equal, near, notCompared } }: Findings): string =>
  section(
    'Equal and similar documents',
    bullets(equal.slice(0, MAX_LISTED).map((paths) => `equal: ${group(report, paths)}`)),
    more(
      { items: equal.slice(0, MAX_LISTED), total: equal.length },
      'group of equal documents',
      'groups of equal documents',
    ),
    bullets(
      near
        .slice(0, MAX_LISTED)
        .map(({ paths, similarity }) => `about ${Math.floor(similarity * 100)} % alike: ${group(report, paths)}`),
    ),
    more(
      { items: near.slice(0, MAX_LISTED), total: near.length },
      'group of similar documents',
      'groups of similar documents',
    ),
    notCompared > 0
      ? `${plural(notCompared, 'pair was', 'pairs were')} not compared: too many documents look alike.`
      : '',
  )

const brokenLinks = (report: Report): string => {
  const { broken, total } = report.broken
  const shown = broken.slice(0, MAX_LISTED)
  return section(
    'Links that lead nowhere',
    bullets(
      shown.map(
        ({ path, line, target }) =>
          `${documentLink(report, path)}, line ${number(line)}: ${prose(shorten(target, 200))}`,
      ),
    ),
    more({ items: shown, total }, 'such link'),
  )
}

const notes = (report: Report, { notes: list }: Findings): string =>
  section(
    'Notes that authors left',
    bullets(
      list.items.map(({ path, line, word, text }) =>
        `${documentLink(report, path)}, line ${number(line)}: ${word} ${prose(shorten(text, 120))}`.trimEnd(),
      ),
    ),
    more(list, 'note'),
  )

const largest = (report: Report, { largest: list }: Findings): string =>
  section(
    'Largest documents',
    table(
      [
        ['Document', 'left'],
        ['Size', 'right'],
        ['Lines', 'right'],
        ['Longest line', 'right'],
      ],
      list.map(({ path, bytes, outline }) => [
        documentLink(report, path),
        size(bytes),
        outline === undefined ? '' : number(outline.lines),
        outline === undefined ? '' : number(outline.longestLine),
      ]),
    ),
  )

const reading = (report: Report, { repaired, truncated }: Findings): string =>
  section(
    'Read with care',
    bullets([
      ...repaired.items.map(({ path, encoding, replaced }) => {
        const broken = (replaced ?? 0) > 0 ? `, ${plural(replaced ?? 0, 'place')} could not be decoded` : ''
        return `${documentLink(report, path)}: ${prose(encoding ?? 'utf-8')}${broken}`
      }),
      ...truncated.items.map(
        ({ path, truncatedFrom }) =>
          `${documentLink(report, path)}: ${size(truncatedFrom ?? 0)}, only the head was worked on`,
      ),
    ]),
    more({ items: [...repaired.items, ...truncated.items], total: repaired.total + truncated.total }, 'such document'),
  )

const sites = ({ sites: list }: Findings): string =>
  section(
    'Sites pointed to',
    list.items
      .map(({ site, documents }) => `${link(prose(site), `https://${encodeURI(site)}`)} (${number(documents)})`)
      .join(', '),
    more(list, 'site'),
  )

export const findingsParts = (report: Report, findings: Findings): string[] =>
  [
    topics(findings),
    languages(findings),
    duplicates(report, findings),
    brokenLinks(report),
    notes(report, findings),
    largest(report, findings),
    reading(report, findings),
    sites(findings),
  ].filter((part) => part !== '')
