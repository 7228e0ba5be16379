/** The report of what was collected: what stands out across all documents, rendered and written. Keeps no state. */
import type { z } from 'zod'
import { ParleyError } from '../../node/index.ts'
import { brokenLinks, confirmMissing } from './broken-links.ts'
import type { Collection } from './collection.ts'
import type { ReportSummary, reportProtocol } from './contracts.ts'
import { reportText } from './render.ts'
import { jsonOf, type Report } from './results.ts'
import { writeReport } from './write-report.ts'

/** @throws COM002 where not all was collected; MSG001, APP001 where the report cannot be written */
export const writeCollected = async (
  composer: string,
  collection: Collection,
  asked: z.output<(typeof reportProtocol)['methods']['write']['request']>,
): Promise<ReportSummary> => {
  const { request, root, leftOut, reassigned, startedAt } = asked
  const documents = collection.documents()
  if (documents.length !== asked.documents)
    throw new ParleyError('COM002', `${documents.length} documents of ${asked.documents} were collected`, {
      hint: 'the composer was started again meanwhile: collect them again',
    })
  const known = new Set(documents.map(({ path }) => path))
  const linked = documents.flatMap(({ path, links }) => (links === undefined ? [] : [{ path, links: links.links }]))
  const report: Report = {
    ...{ folder: request.folder, root, out: request.out, startedAt: new Date(startedAt) },
    wallMs: Date.now() - startedAt,
    ...{ documents, agents: collection.shares(request.agents), composer, reassigned, leftOut },
    broken: await confirmMissing(root, brokenLinks(linked, known)),
  }
  await writeReport(request.out, reportText(report))
  return jsonOf({ ...report, wallMs: Date.now() - startedAt })
}
