/**
 * The task of a report: walk, have both crafts work on each batch of documents, collect, have it written.
 *
 * A batch and a craft are a task below this one. State: none that is not in the journal, beside what was collected (agents/
 * composer.ts): another attempt walks no folder again, finds the tasks of the one before, and collects what came of them. A
 * document is never lost: its batch goes to another agent when the first one dies; only what nobody does for PATIENCE_MS, or
 * what fails again and again, counts as failed, with its reason.
 */
import type { z } from 'zod'
import {
  isParleyError,
  type Json,
  type Mesh,
  ParleyError,
  type TaskContext,
  type TaskRecord,
  type WorkFunction,
  type WorkItem,
} from '../../node/index.ts'
import { batchesOf, type DocumentBatch } from './batches.ts'
import { Outcome, progressEvent, ReportRequest, reportProtocol } from './contracts.ts'
import { bytesOf, nameIn, readableName } from './names.ts'
import { type Craft, reasonOf } from './results.ts'
import { endOf } from './task-end.ts'
import { openWalk } from './walk.ts'
import { checkOut } from './write-report.ts'

export const REPORT_TASK = 'report'
export const taskTypeOf = (craft: Craft): string => `${REPORT_TASK}.${craft}`
/** Batches that are in work at a time. */
const IN_WORK = 6
/** How long the agents of a craft may all be away before documents count as failed. */
const PATIENCE_MS = 60_000

/** What the first attempt found. */
const walkFolder = async ({ folder, out }: z.output<typeof ReportRequest>) => {
  await checkOut(out)
  const startedAt = Date.now()
  const walk = await openWalk(folder, { out })
  const documents: [file: string, bytes: number][] = []
  for await (const { file, bytes } of walk) documents.push([nameIn(walk.root, file), bytes])
  return { startedAt, root: walk.root, leftOut: { ...walk.leftOut }, documents }
}

/** Of the folder and the place of the report nothing is better at another attempt. */
const once = (error: unknown): unknown =>
  isParleyError(error, 'STA001', 'MSG001', 'APP001')
    ? new ParleyError(error.code, error.message, {
        ...(error.hint !== undefined && { hint: error.hint }),
        details: { ...error.details, retry: false },
        cause: error,
      })
    : error

interface Attempt {
  readonly id: string
  readonly task: TaskContext
  readonly root: string
  reassigned: number
}

/** What came of the task of a craft for a batch. */
const outcomeOf = async (attempt: Attempt, batch: DocumentBatch, craft: Craft): Promise<Outcome> => {
  const { task, root } = attempt
  const { signal } = task
  let losses = 0
  const onChange = (record: TaskRecord): void => {
    losses = record.losses
  }
  try {
    const files = batch.documents.map(({ file }) => file)
    const handle = await task.submit(`${batch.from}.${craft}`, { type: taskTypeOf(craft), input: { root, files } })
    return Outcome.parse({ packed: await endOf(handle, { signal, patienceMs: PATIENCE_MS, onChange }) })
  } catch (error) {
    if (signal.aborted) throw error
    return { failed: reasonOf(error) }
  } finally {
    if (losses > 0) attempt.reassigned += 1
  }
}

/** How far it is; a courtesy: an event that cannot be sent must not stop the work. */
const tell = ({ events, port }: Mesh, progress: z.output<typeof progressEvent.schema>): void =>
  void events.publish(progressEvent, progress).catch((error: unknown) => port.log.warn('no progress event', { error }))

/** @returns a ReportSummary @throws STA001, MSG001, APP001 for a folder or a place that cannot be used */
const compose = async (mesh: Mesh, { id, input }: WorkItem, task: TaskContext): Promise<Json> => {
  const request = ReportRequest.parse(input)
  const { documents: found, root, leftOut, startedAt } = await task.effect('walk', () => walkFolder(request))
  const documents = found.map(([file, bytes]) => ({ file, bytes }))
  const batches = batchesOf(documents)
  const { term, index } = task.fence
  const attempt = { id: `${id}/${term}.${index}`, task, root, reassigned: 0 }
  // The agent of this node: what computes for seconds is done there.
  const composer = mesh.to(mesh.self.id, reportProtocol, { signal: task.signal })
  let [done, failed] = [0, 0]
  const waiting = batches.values()
  const lane = async (): Promise<void> => {
    for (const batch of waiting) {
      const [structure, content] = await Promise.all([
        outcomeOf(attempt, batch, 'structure'),
        outcomeOf(attempt, batch, 'content'),
      ])
      const { from, documents: listed } = batch
      failed += (await composer.collect({ attempt: attempt.id, from, documents: [...listed], structure, content }))
        .failed
      done += batch.documents.length
      const last = batch.documents.at(-1)?.file ?? ''
      const { reassigned } = attempt
      tell(mesh, { done, total: documents.length, path: readableName(bytesOf(last)), failed, reassigned })
    }
  }
  await Promise.all(Array.from({ length: IN_WORK }, lane))
  const { reassigned } = attempt
  return composer.write({
    ...{ attempt: attempt.id, request, root, leftOut, documents: documents.length, reassigned, startedAt },
  })
}

/** What a composer's node does about the task of a report. */
export const composing =
  (mesh: Mesh): WorkFunction =>
  (item, task) =>
    compose(mesh, item, task).catch((error: unknown) => {
      throw once(error)
    })
