/**
 * Composing: walk, read, have every skill work on each document, collect, write.
 *
 * State: one record for each document, in memory until the report is written. At most IN_WORK documents are on their way
 * at a time. A document is never lost: a call that fails because its agent died goes to another one (any), or is tried
 * again until an agent offers the skill once more; only what fails for PATIENCE_MS counts as failed, with its reason.
 */
import type { z } from 'zod'
import { type AgentPort, isParleyError, type ParleyError } from '../../node/index.ts'
import { brokenLinks, confirmMissing } from './broken-links.ts'
import {
  type DocumentText,
  keywordsProtocol,
  linksProtocol,
  outlineProtocol,
  progressEvent,
  type ReportRequest,
  type ReportSummary,
  summaryProtocol,
} from './contracts.ts'
import { readDocument } from './decode.ts'
import { reportText } from './render.ts'
import { type AgentShare, type DocumentResult, jsonOf, type Report, type Skill } from './results.ts'
import { type Found, openWalk } from './walk.ts'
import { checkOut, writeReport } from './write-report.ts'

const IN_WORK = 12
/** How long the agents of a skill may all be away before a document counts as failed. */
const PATIENCE_MS = 60_000
const PAUSE_MS = 250

type Answer<T> = { by: string; ms: number; result: T }

interface Ledger {
  reassigned: number
  shares: Map<string, AgentShare>
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      signal.removeEventListener('abort', abort)
      resolve()
    }
    function abort(): void {
      clearTimeout(timer)
      reject(signal.reason)
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })

/** Trouble of the mesh, which passes; anything else is the document's. */
const passes = (error: unknown): error is ParleyError => isParleyError(error, 'COM001', 'COM002', 'COM003', 'COM004')

const credit = (ledger: Ledger, skill: Skill, { by, ms }: Answer<unknown>): void => {
  const share = ledger.shares.get(by) ?? { name: by, answers: {}, busyMs: 0 }
  share.answers[skill] = (share.answers[skill] ?? 0) + 1
  share.busyMs = (share.busyMs ?? 0) + ms
  ledger.shares.set(by, share)
}

/** One skill on one document: whoever offers it, again and again until one answers. */
const ask = async <T>(
  ledger: Ledger,
  skill: Skill,
  signal: AbortSignal,
  call: (options: { signal: AbortSignal; onFailover(): void }) => Promise<Answer<T>>,
): Promise<T> => {
  const givenUpAt = performance.now() + PATIENCE_MS
  let moved = false
  for (;;) {
    try {
      const onFailover = (): void => {
        moved = true
      }
      const answer = await call({ signal, onFailover })
      if (moved) ledger.reassigned += 1
      credit(ledger, skill, answer)
      return answer.result
    } catch (error) {
      if (signal.aborted || !passes(error) || performance.now() > givenUpAt) throw error
      moved = true
      await pause(PAUSE_MS, signal)
    }
  }
}

const reasonOf = (error: unknown): string =>
  isParleyError(error) ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error)

export const compose = async (
  agent: AgentPort,
  request: z.output<typeof ReportRequest>,
  signal: AbortSignal,
): Promise<ReportSummary> => {
  const startedAt = new Date()
  const begun = performance.now()
  await checkOut(request.out)
  const walk = await openWalk(request.folder, { out: request.out })
  const ledger: Ledger = { reassigned: 0, shares: new Map() }
  for (const name of request.agents) ledger.shares.set(name, { name, answers: {}, busyMs: 0 })

  const skills = {
    outline: agent.any(outlineProtocol),
    keywords: agent.any(keywordsProtocol),
    summary: agent.any(summaryProtocol),
    links: agent.any(linksProtocol),
  }

  const work = async (
    found: Found,
    document: DocumentText,
    about: Partial<DocumentResult>,
  ): Promise<DocumentResult> => {
    const base = { path: found.path, bytes: found.bytes, ...about }
    try {
      const [outline, keywords, summary, links] = await Promise.all([
        ask(ledger, 'outline', signal, (options) => skills.outline.extract(document, options)),
        ask(ledger, 'keywords', signal, (options) => skills.keywords.extract(document, options)),
        ask(ledger, 'summary', signal, (options) => skills.summary.extract(document, options)),
        ask(ledger, 'links', signal, (options) => skills.links.extract(document, options)),
      ])
      return { ...base, status: 'processed', outline, keywords, summary, links }
    } catch (error) {
      if (signal.aborted) throw error
      return { ...base, status: 'failed', reason: reasonOf(error) }
    }
  }

  const handle = async (found: Found): Promise<DocumentResult> => {
    const reading = await readDocument(found.file)
    if (reading.status === 'skipped') {
      const reason = reading.detail === undefined ? reading.reason : `${reading.reason} (${reading.detail})`
      return { path: found.path, bytes: reading.bytes, status: 'skipped', reason }
    }
    const { text, encoding, replaced, bytes, truncatedFrom } = reading
    const cut = truncatedFrom === undefined ? {} : { truncatedFrom }
    return work({ ...found, bytes }, { path: found.path, text, ...cut }, { encoding, replaced, ...cut })
  }

  const found: Found[] = []
  for await (const file of walk) found.push(file)
  const documents = new Array<DocumentResult>(found.length)
  let next = 0
  let done = 0
  let failed = 0
  const tell = (path: string): void => {
    const progress = { done, total: found.length, path, failed, reassigned: ledger.reassigned }
    // Progress is a courtesy: an event that cannot be sent must not stop the work.
    agent.events
      .publish(progressEvent, progress)
      .catch((error: unknown) => agent.log.warn('no progress event', { error }))
  }
  const lane = async (): Promise<void> => {
    for (;;) {
      const at = next
      const file = found[at]
      if (file === undefined) return
      next += 1
      const result = await handle(file)
      documents[at] = result
      done += 1
      if (result.status === 'failed') failed += 1
      tell(file.path)
    }
  }
  await Promise.all(Array.from({ length: Math.min(IN_WORK, found.length) }, lane))

  const known = new Set(documents.map(({ path }) => path))
  const linked = documents.flatMap(({ path, links }) => (links === undefined ? [] : [{ path, links: links.links }]))
  const report: Report = {
    folder: request.folder,
    root: walk.root,
    out: request.out,
    startedAt,
    wallMs: performance.now() - begun,
    documents,
    agents: [...ledger.shares.values()],
    composer: agent.self.name,
    reassigned: ledger.reassigned,
    leftOut: walk.leftOut,
    broken: await confirmMissing(walk.root, brokenLinks(linked, known)),
  }
  await writeReport(request.out, reportText(report))
  return jsonOf({ ...report, wallMs: performance.now() - begun })
}
