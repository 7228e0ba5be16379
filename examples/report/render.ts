/**
 * The report: Markdown from the results of all agents. Pure, apart from `writeReport`.
 *
 * Whatever a document or its name holds, the report stays valid Markdown without foreign HTML (markdown.ts); its size is
 * bounded by limits on every list, and it says what it leaves out.
 */
import { findingsOf } from './findings.ts'
import { anchor, duration, link, name, number, plural, prose, size, table } from './markdown.ts'
import { detailFor, documentLink, documentParts, type FolderPart, folderName, foldersOf } from './render-documents.ts'
import { findingsParts } from './render-findings.ts'
import { type DocumentResult, type Report, SKILLS, totalsOf } from './results.ts'
import { shorten } from './skills/words.ts'

const MAX_FOLDERS_IN_CONTENTS = 100
const EXAMPLES = 5
const MAX_FAILED = 50

const utc = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`

const head = (report: Report): string =>
  [
    `# Report on ${name(report.folder)}`,
    `Composed by ${name(report.composer)} on ${utc(report.startedAt)}, with ${plural(report.agents.length, 'agent')}, in ${duration(report.wallMs)}.`,
  ].join('\n\n')

const glance = (report: Report): string => {
  const totals = totalsOf(report.documents)
  return [
    '## At a glance',
    table(
      [
        ['Documents', 'right'],
        ['Processed', 'right'],
        ['Skipped', 'right'],
        ['Failed', 'right'],
        ['Size', 'right'],
        ['Lines', 'right'],
        ['Words', 'right'],
      ],
      [
        [
          number(totals.documents),
          number(totals.processed),
          number(totals.skipped),
          number(totals.failed),
          size(totals.bytes),
          number(totals.lines),
          number(totals.words),
        ],
      ],
    ),
  ].join('\n\n')
}

/** What the folder says about itself: the summary of its own README. */
const about = (report: Report): string => {
  const readme = report.documents.find(
    ({ path, status }) => status === 'processed' && /^readme(?:\.\w{1,10})?$/i.test(path),
  )
  const sentences = readme?.summary?.sentences ?? []
  if (readme === undefined || sentences.length === 0) return ''
  return `> ${sentences.map(({ text }) => prose(text)).join(' ')}\n>\n> — ${documentLink(report, readme.path)}`
}

const contents = (report: Report, folders: FolderPart[], sections: [string, string][]): string => {
  const listed = folders.slice(0, MAX_FOLDERS_IN_CONTENTS)
  const more = folders.length - listed.length
  return [
    '## Contents',
    [
      ...sections.map(([title, id]) => `- ${link(title, `#${id}`)}`),
      ...(folders.length === 0 ? [] : [`- ${link('Documents', '#documents')}`]),
      ...listed.map(
        ({ folder, id, documents }) =>
          `  - ${link(folderName(report, folder), `#${id}`)} (${number(documents.length)})`,
      ),
      ...(more > 0 ? [`  - … ${plural(more, 'more folder')}`] : []),
    ].join('\n'),
  ].join('\n\n')
}

/** Documents of one state by reason, most first. */
const byReason = (documents: DocumentResult[], status: 'skipped' | 'failed'): [string, DocumentResult[]][] => {
  const reasons = new Map<string, DocumentResult[]>()
  for (const document of documents) {
    if (document.status !== status) continue
    const reason = document.reason ?? 'no reason given'
    const others = reasons.get(reason)
    if (others === undefined) reasons.set(reason, [document])
    else others.push(document)
  }
  return [...reasons].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1))
}

const leftOut = ({ leftOut: left }: Report): string => {
  const parts = [
    left.symbolicLinks > 0 ? `${plural(left.symbolicLinks, 'symbolic link')} (not followed)` : '',
    left.special > 0 ? plural(left.special, 'device, socket or pipe', 'devices, sockets or pipes') : '',
    left.unreadableFolders > 0
      ? `${plural(left.unreadableFolders, 'folder')} that could not be read (${left.unreadable.map(name).join(', ')})`
      : '',
    left.beyondLimit > 0 ? `${plural(left.beyondLimit, 'file')} beyond the limit of one walk` : '',
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : `Not counted as documents: ${parts.join('; ')}.`
}

const aside = (report: Report): string => {
  const skipped = byReason(report.documents, 'skipped').map(([reason, documents]) => [
    prose(reason),
    number(documents.length),
    `${documents
      .slice(0, EXAMPLES)
      .map(({ path }) => documentLink(report, path))
      .join(', ')}${documents.length > EXAMPLES ? ', …' : ''}`,
  ])
  const failed = byReason(report.documents, 'failed').flatMap(([reason, documents]) =>
    documents.map(({ path }) => `- ${documentLink(report, path)}: ${prose(shorten(reason, 200))}`),
  )
  const parts = [
    table(
      [
        ['Skipped because', 'left'],
        ['Documents', 'right'],
        ['For example', 'left'],
      ],
      skipped,
    ),
    failed.length === 0 ? '' : `Failed:\n\n${failed.slice(0, MAX_FAILED).join('\n')}`,
    failed.length > MAX_FAILED ? `… and ${number(failed.length - MAX_FAILED)} more.` : '',
    leftOut(report),
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : [`## ${anchor('aside')}Skipped and failed`, ...parts].join('\n\n')
}

const work = (report: Report): string => {
  const rows = report.agents.map(({ name: agent, answers, busyMs, lost }) => [
    `${name(agent)}${lost === true ? ' (lost on the way)' : ''}`,
    ...SKILLS.map((skill) => (answers[skill] === undefined ? '' : number(answers[skill]))),
    busyMs === undefined ? '' : duration(busyMs),
  ])
  const again =
    report.reassigned === 0
      ? 'No piece of work had to be given to a second agent.'
      : `${plural(report.reassigned, 'piece of work was', 'pieces of work were')} given to a second agent, because the first was lost.`
  return [
    `## ${anchor('work')}Who did what`,
    table(
      [['Agent', 'left'], ...SKILLS.map((skill) => [skill, 'right'] as [string, 'right']), ['Time at work', 'right']],
      rows,
    ),
    again,
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

const METHODS = `Outlines are read line by line. Keywords are found after YAKE! (Campos and others, 2020), summaries are sentences of the documents themselves, chosen by TextRank (Mihalcea and Tarau, 2004); similar documents are found by MinHash and locality-sensitive hashing of their word shingles.`

const DETAILS = {
  full: '',
  short: 'There are many documents, so each has one line; a smaller folder gets outlines and summaries.',
  line: 'There are very many documents, so each has one short line; a smaller folder gets outlines and summaries.',
}

/** The report in pieces, in order; joined with an empty line between them. */
export const reportParts = function* (report: Report): Generator<string> {
  const folders = foldersOf(report.documents)
  const findings = findingsParts(report, findingsOf(report.documents))
  const skippedAndFailed = aside(report)
  const sections: [string, string][] = [
    ...(findings.length === 0 ? [] : [['Findings', 'findings'] as [string, string]]),
    ...(skippedAndFailed === '' ? [] : [['Skipped and failed', 'aside'] as [string, string]]),
    ['Who did what', 'work'],
  ]
  yield head(report)
  yield about(report)
  yield glance(report)
  yield contents(report, folders, sections)
  if (findings.length > 0) yield [`## ${anchor('findings')}Findings`, ...findings].join('\n\n')
  yield skippedAndFailed
  yield work(report)
  yield METHODS
  if (folders.length === 0) return
  yield `## ${anchor('documents')}Documents`
  yield DETAILS[detailFor(totalsOf(report.documents).processed)]
  yield* documentParts(report, folders)
}

/** The report as text, piece by piece: it can be written while it is made. */
export const reportText = function* (report: Report): Generator<string> {
  let first = true
  for (const part of reportParts(report)) {
    if (part === '') continue
    yield first ? part : `\n\n${part}`
    first = false
  }
  yield '\n'
}

/** The whole report. */
export const renderReport = (report: Report): string => [...reportText(report)].join('')
