/**
 * What the composer has collected of a report: what came of each document, and who did the work.
 *
 * State: that, of one attempt at a report. A batch that is collected twice counts once.
 */
import type { BatchOutcomes } from './contracts.ts'
import { bytesOf, readableName } from './names.ts'
import { type AgentShare, type DocumentResult, SKILLS } from './results.ts'

export interface ListedDocument {
  /** Below the folder, as a byte string (names.ts). */
  readonly file: string
  /** Size when it was found. */
  readonly bytes: number
}

type Entry<R> =
  | {
      status: 'processed'
      bytes: number
      encoding: string
      replaced: number
      truncatedFrom?: number | undefined
      result: R
    }
  | { status: 'skipped' | 'failed'; bytes: number; reason: string }
type Outcome<R> = { answer: { documents: Entry<R>[] } } | { failed: string }

/** One document of a batch. It is processed where every skill worked on it. */
export const documentOf = (listed: ListedDocument, place: number, outcomes: BatchOutcomes): DocumentResult => {
  const path = readableName(bytesOf(listed.file))
  const entryOf = <R>(outcome: Outcome<R>): Entry<R> => {
    const entry = 'answer' in outcome ? outcome.answer.documents[place] : undefined
    const reason = 'failed' in outcome ? outcome.failed : 'nothing was told of it'
    return entry ?? { status: 'failed', bytes: listed.bytes, reason }
  }
  const outline = entryOf(outcomes.outline)
  const keywords = entryOf(outcomes.keywords)
  const summary = entryOf(outcomes.summary)
  const links = entryOf(outcomes.links)
  if (
    outline.status === 'processed' &&
    keywords.status === 'processed' &&
    summary.status === 'processed' &&
    links.status === 'processed'
  ) {
    const { bytes, encoding, replaced, truncatedFrom } = outline
    return {
      ...{ path, bytes, status: 'processed', encoding, replaced },
      ...(truncatedFrom !== undefined && { truncatedFrom }),
      ...{ outline: outline.result, keywords: keywords.result, summary: summary.result, links: links.result },
    }
  }
  const asides = [outline, keywords, summary, links].flatMap((entry) => (entry.status === 'processed' ? [] : [entry]))
  // What one skill found empty, or gone, is that for all.
  const aside = asides.find(({ status }) => status === 'skipped') ?? asides[0]
  return { path, bytes: listed.bytes, status: 'failed', ...aside }
}

export class Collection {
  readonly attempt: string
  /** By the place of their first document. */
  readonly #batches = new Map<number, readonly DocumentResult[]>()
  readonly #shares = new Map<string, AgentShare>()

  constructor(attempt: string) {
    this.attempt = attempt
  }

  /** @returns how many of these documents failed */
  add(from: number, listed: readonly ListedDocument[], outcomes: BatchOutcomes): number {
    const documents = listed.map((one, place) => documentOf(one, place, outcomes))
    if (!this.#batches.has(from)) this.#credit(outcomes)
    this.#batches.set(from, documents)
    return documents.filter(({ status }) => status === 'failed').length
  }

  #credit(outcomes: BatchOutcomes): void {
    for (const skill of SKILLS) {
      const outcome = outcomes[skill]
      if ('failed' in outcome) continue
      const { by, ms, documents } = outcome.answer
      const share = this.#shares.get(by) ?? { name: by, answers: {}, busyMs: 0 }
      const worked = documents.filter(({ status }) => status === 'processed').length
      if (worked > 0) share.answers[skill] = (share.answers[skill] ?? 0) + worked
      share.busyMs = (share.busyMs ?? 0) + ms
      this.#shares.set(by, share)
    }
  }

  /** In the order of the walk. */
  documents(): DocumentResult[] {
    return [...this.#batches].sort(([a], [b]) => a - b).flatMap(([, documents]) => documents)
  }

  /** @param names of the agents that come first, also where they did nothing */
  shares(names: readonly string[]): AgentShare[] {
    const first = names.map((name) => this.#shares.get(name) ?? { name, answers: {}, busyMs: 0 })
    return [...first, ...[...this.#shares.values()].filter(({ name }) => !names.includes(name))]
  }
}
