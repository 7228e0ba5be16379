/** Reports made of texts, by the real skills in this process. */
import { brokenLinks } from '../../../examples/report/broken-links.ts'
import type { DocumentResult, Report } from '../../../examples/report/results.ts'
import { keywords } from '../../../examples/report/skills/keywords.ts'
import { links } from '../../../examples/report/skills/links.ts'
import { outline } from '../../../examples/report/skills/outline.ts'
import { summary } from '../../../examples/report/skills/summary.ts'

export const processed = (path: string, text: string): DocumentResult => {
  const request = { path, text }
  return {
    path,
    bytes: Buffer.byteLength(text),
    status: 'processed',
    encoding: 'utf-8',
    replaced: 0,
    outline: outline(request),
    keywords: keywords(request),
    summary: summary(request),
    links: links(request),
  }
}

export const reportOf = (documents: DocumentResult[], change: Partial<Report> = {}): Report => ({
  folder: 'docs',
  root: '/home/someone/docs',
  out: '/home/someone/docs/report.md',
  startedAt: new Date('2026-01-02T03:04:05Z'),
  wallMs: 12_345,
  documents,
  agents: [
    { name: 'outliner', answers: { outline: documents.length }, busyMs: 100 },
    { name: 'linker', answers: { links: documents.length } },
  ],
  composer: 'composer',
  reassigned: 0,
  leftOut: { symbolicLinks: 0, special: 0, unreadableFolders: 0, unreadable: [], beyondLimit: 0 },
  broken: brokenLinks(
    documents.map((document) => ({ path: document.path, links: document.links?.links ?? [] })),
    new Set(documents.map(({ path }) => path)),
  ),
  ...change,
})
