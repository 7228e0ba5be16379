/**
 * The crafts as offers: each reads the documents of a batch and works on them one by one. Nothing about one document keeps the
 * others of its batch from being worked on.
 */
import { type AgentPort, type Context, type Offer, offer } from '../../../node/index.ts'
import {
  type Batch,
  ContentAnswer,
  contentProtocol,
  type DocumentText,
  StructureAnswer,
  structureProtocol,
} from '../contracts.ts'
import { readDocument } from '../decode.ts'
import { bytesOf, fileIn, readableName } from '../names.ts'
import { pack } from '../packed.ts'
import { type Craft, reasonOf } from '../results.ts'
import { keywords } from '../skills/keywords.ts'
import { links } from '../skills/links.ts'
import { outline } from '../skills/outline.ts'
import { summary } from '../skills/summary.ts'

const workOn = <T>(root: string, file: string, work: (document: DocumentText) => T) => {
  const reading = readDocument(fileIn(root, file))
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

/** Lets what else there is to do be done. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const extractAll = async <T>(
  agent: AgentPort,
  { root, files }: Batch,
  { signal, progress }: Context,
  work: (document: DocumentText) => T,
) => {
  let ms = 0
  const documents: ReturnType<typeof workOn<T>>[] = []
  for (const file of files) {
    const startedAt = performance.now()
    documents.push(workOn(root, file, work))
    ms += performance.now() - startedAt
    progress(documents.length / files.length)
    await turn()
    signal.throwIfAborted()
  }
  return { by: agent.self.name, ms, documents }
}

export const craftOffer = (agent: AgentPort, craft: Craft): Offer => {
  if (craft === 'structure')
    return offer(structureProtocol, {
      extract: async (batch, context) => {
        const work = (text: DocumentText) => ({ outline: outline(text), links: links(text) })
        return { packed: pack(StructureAnswer, await extractAll(agent, batch, context, work)) }
      },
    })
  return offer(contentProtocol, {
    extract: async (batch, context) => {
      const work = (text: DocumentText) => ({ keywords: keywords(text), summary: summary(text) })
      return { packed: pack(ContentAnswer, await extractAll(agent, batch, context, work)) }
    },
  })
}
