/**
 * What the composer knows when all documents are through: one record for each document, and who did the work.
 *
 * documents = processed + skipped + failed, always: a record has exactly one of the three states.
 */
import { isParleyError } from '../../protocols/errors.ts'
import type { BrokenLinks } from './broken-links.ts'
import type { Keywords, Links, Outline, Summary } from './contracts.ts'
import type { LeftOut } from './walk.ts'

export const SKILLS = ['outline', 'keywords', 'summary', 'links'] as const
export type Skill = (typeof SKILLS)[number]

/** Skills that one task covers: each document is read once for them. */
export const CRAFTS = { structure: ['outline', 'links'], content: ['keywords', 'summary'] } as const
export type Craft = keyof typeof CRAFTS

export interface DocumentResult {
  /** As the walk names it. */
  path: string
  bytes: number
  status: 'processed' | 'skipped' | 'failed'
  /** Why it was skipped or failed, for people. */
  reason?: string
  encoding?: string
  /** Places that could not be decoded. */
  replaced?: number
  /** Bytes of the whole file where only its head was worked on. */
  truncatedFrom?: number
  outline?: Outline
  keywords?: Keywords
  summary?: Summary
  links?: Links
}

/** For people. */
export const reasonOf = (error: unknown): string =>
  isParleyError(error) ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error)

export interface AgentShare {
  name: string
  /** Documents that it worked on, by skill. */
  answers: Partial<Record<Skill, number>>
  /** Milliseconds that it worked, as it measured itself. */
  busyMs?: number
  /** It was there at the beginning and not at the end. */
  lost?: boolean
}

export interface Report {
  /** What people call the folder. */
  folder: string
  /** Its absolute path, which links are made from; it is not printed. */
  root: string
  /** Absolute path of the report. */
  out: string
  startedAt: Date
  wallMs: number
  /** In the order of the walk. */
  documents: DocumentResult[]
  agents: AgentShare[]
  /** The agent that composed it. */
  composer: string
  /** Batches that were given to a worker again because the first was lost. */
  reassigned: number
  leftOut: LeftOut
  broken: BrokenLinks
}

export interface Totals {
  documents: number
  processed: number
  skipped: number
  failed: number
  bytes: number
  lines: number
  words: number
}

export const totalsOf = (documents: Iterable<DocumentResult>): Totals => {
  const totals: Totals = { documents: 0, processed: 0, skipped: 0, failed: 0, bytes: 0, lines: 0, words: 0 }
  for (const { status, bytes, outline } of documents) {
    totals.documents += 1
    totals[status] += 1
    totals.bytes += bytes
    totals.lines += outline?.lines ?? 0
    totals.words += outline?.words ?? 0
  }
  return totals
}

/** The one JSON object that `--json` ends with. */
export const jsonOf = (report: Report) => {
  const { documents, processed, skipped, failed } = totalsOf(report.documents)
  const { agents, reassigned, wallMs, out } = report
  return {
    documents,
    processed,
    skipped,
    failed,
    agents: agents.length,
    reassigned,
    wallMs: Math.round(wallMs),
    report: out,
  }
}
