/**
 * What the composer has collected of a report: what came of each document, and who did the work.
 *
 * State: that, of one attempt at a report. A batch that is collected twice counts once.
 */
import type { z } from 'zod'
import { ContentAnswer, type Outcome, StructureAnswer } from './contracts.ts'
import { bytesOf, readableName } from './names.ts'
import { unpack } from './packed.ts'
import { type AgentShare, CRAFTS, type Craft, type DocumentResult, reasonOf } from './results.ts'

export interface ListedDocument {
  /** Below the folder, as a byte string (names.ts). */
  readonly file: string
  /** Size when it was found. */
  readonly bytes: number
}

/** What came of a batch: a failed task is told as that its documents failed. */
export interface BatchAnswers {
  readonly structure: StructureAnswer | { readonly failed: string }
  readonly content: ContentAnswer | { readonly failed: string }
}

const answerOf = <S extends z.ZodType>(schema: S, outcome: Outcome): z.output<S> | { readonly failed: string } => {
  if ('failed' in outcome) return outcome
  try {
    return unpack(schema, outcome.packed)
  } catch (error) {
    return { failed: reasonOf(error) }
  }
}

/** One document of a batch. It is processed where every skill worked on it. */
export const documentOf = (listed: ListedDocument, place: number, answers: BatchAnswers): DocumentResult => {
  const path = readableName(bytesOf(listed.file))
  const failed = (reason: string) => ({ status: 'failed' as const, bytes: listed.bytes, reason })
  const { structure, content } = answers
  const missing = failed('nothing was told of it')
  const one = 'failed' in structure ? failed(structure.failed) : (structure.documents[place] ?? missing)
  const other = 'failed' in content ? failed(content.failed) : (content.documents[place] ?? missing)
  if (one.status === 'processed' && other.status === 'processed') {
    const { bytes, encoding, replaced, truncatedFrom } = one
    return {
      ...{ path, bytes, status: 'processed', encoding, replaced },
      ...(truncatedFrom !== undefined && { truncatedFrom }),
      ...{ outline: one.result.outline, links: one.result.links },
      ...{ keywords: other.result.keywords, summary: other.result.summary },
    }
  }
  // What one of them found empty, or gone, is that.
  const asides = [one, other].flatMap((entry) => (entry.status === 'processed' ? [] : [entry]))
  const aside = asides.find(({ status }) => status === 'skipped') ?? asides[0] ?? missing
  return { path, ...aside }
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
  add(from: number, listed: readonly ListedDocument[], structure: Outcome, content: Outcome): number {
    const answers = { structure: answerOf(StructureAnswer, structure), content: answerOf(ContentAnswer, content) }
    const documents = listed.map((one, place) => documentOf(one, place, answers))
    if (!this.#batches.has(from)) {
      this.#credit('structure', answers.structure)
      this.#credit('content', answers.content)
    }
    this.#batches.set(from, documents)
    return documents.filter(({ status }) => status === 'failed').length
  }

  #credit(craft: Craft, answer: BatchAnswers[Craft]): void {
    if ('failed' in answer) return
    const { by, ms, documents } = answer
    const share = this.#shares.get(by) ?? { name: by, answers: {}, busyMs: 0 }
    let worked = 0
    for (const { status } of documents) if (status === 'processed') worked += 1
    if (worked > 0) for (const skill of CRAFTS[craft]) share.answers[skill] = (share.answers[skill] ?? 0) + worked
    share.busyMs = (share.busyMs ?? 0) + ms
    this.#shares.set(by, share)
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
