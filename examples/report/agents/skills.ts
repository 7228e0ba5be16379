/**
 * The skills as offers: each reads the documents of a batch and works on them one by one. Nothing about one document keeps the
 * others of its batch from being worked on.
 */
import { type AgentPort, type Context, type Offer, offer } from '../../../node/index.ts'
import {
  type Batch,
  type DocumentText,
  keywordsProtocol,
  linksProtocol,
  outlineProtocol,
  summaryProtocol,
} from '../contracts.ts'
import { readDocument } from '../decode.ts'
import { bytesOf, fileIn, readableName } from '../names.ts'
import { reasonOf, type Skill } from '../results.ts'
import { keywords } from '../skills/keywords.ts'
import { links } from '../skills/links.ts'
import { outline } from '../skills/outline.ts'
import { summary } from '../skills/summary.ts'

const workOn = async <T>(root: string, file: string, work: (document: DocumentText) => T) => {
  const reading = await readDocument(fileIn(root, file))
  const { bytes } = reading
  if (reading.status === 'skipped') {
    const { reason, detail } = reading
    return { status: 'skipped' as const, bytes, reason: detail === undefined ? reason : `${reason} (${detail})` }
  }
  const { text, encoding, replaced, truncatedFrom } = reading
  const cut = truncatedFrom === undefined ? {} : { truncatedFrom }
  try {
    const result = work({ path: readableName(bytesOf(file)), text, ...cut })
    return { status: 'processed' as const, bytes, encoding, replaced, ...cut, result }
  } catch (error) {
    return { status: 'failed' as const, bytes, reason: reasonOf(error) }
  }
}

export const skillOffers = (agent: AgentPort, skills: readonly Skill[]): Offer[] => {
  const extract =
    <T>(work: (document: DocumentText) => T) =>
    async ({ root, files }: Batch, { signal, progress }: Context) => {
      let ms = 0
      const timed = (document: DocumentText): T => {
        const startedAt = performance.now()
        try {
          return work(document)
        } finally {
          ms += performance.now() - startedAt
        }
      }
      const documents: Awaited<ReturnType<typeof workOn<T>>>[] = []
      for (const file of files) {
        signal.throwIfAborted()
        documents.push(await workOn(root, file, timed))
        progress(documents.length / files.length)
      }
      return { by: agent.self.name, ms, documents }
    }
  const offers: Record<Skill, () => Offer> = {
    outline: () => offer(outlineProtocol, { extract: extract(outline) }),
    keywords: () => offer(keywordsProtocol, { extract: extract(keywords) }),
    summary: () => offer(summaryProtocol, { extract: extract((document) => summary(document)) }),
    links: () => offer(linksProtocol, { extract: extract(links) }),
  }
  return skills.map((skill) => offers[skill]())
}
