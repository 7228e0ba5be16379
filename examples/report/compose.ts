/**
 * The task of a report: walk, have both crafts work on each batch of documents, collect, have it written.
 *
 * A batch and a craft are a task below this one, and all of them a plan: the elected coordinator says which agent does which.
 * State: none that is not in the journal, beside what was collected (agents/composer.ts): another attempt walks no folder again,
 * goes on with the plans of the one before, and collects what came of their tasks. A document is never lost: its batch goes to
 * another agent when the first one dies; only what nobody does for PATIENCE_MS, or what fails again and again, counts as failed,
 * with its reason.
 */
import type { z } from 'zod'
import {
  isParleyError,
  type Json,
  type Mesh,
  ParleyError,
  type TaskContext,
  type TaskHandle,
  type TaskRecord,
  type WorkFunction,
  type WorkItem,
} from '../../node/index.ts'
import { batchesOf, type DocumentBatch, inGroups } from './batches.ts'
import { Outcome, progressEvent, ReportRequest, reportProtocol } from './contracts.ts'
import { bytesOf, nameIn, readableName } from './names.ts'
import { type Craft, reasonOf } from './results.ts'
import { endOf } from './task-end.ts'
import { openWalk } from './walk.ts'
import { checkOut } from './write-report.ts'

export const REPORT_TASK = 'report'
export const taskTypeOf = (craft: Craft): string => `${REPORT_TASK}.${craft}`
/** Batches of one plan: what agents have in front of them when it is made. */
const PLAN_BATCHES = 32
/** Plans that are under way at a time: the next one is there before the last batches of one are done. */
const PLANS_IN_WORK = 2
/** Coordinations in a row that may fail: they take about as long as PATIENCE_MS. */
const MAX_FAILURES = 8
const CRAFT_NAMES = ['structure', 'content'] as const satisfies readonly Craft[]
const NOT_DONE: Outcome = { failed: 'it was not done' }
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

/** What came of one task. */
const outcomeOf = async (attempt: Attempt, handle: TaskHandle): Promise<Outcome> => {
  const { signal } = attempt.task
  let losses = 0
  const onChange = (record: TaskRecord): void => {
    losses = record.losses
  }
  try {
    return Outcome.parse({ packed: await endOf(handle, { signal, patienceMs: PATIENCE_MS, onChange }) })
  } catch (error) {
    if (signal.aborted) throw error
    return { failed: reasonOf(error) }
  } finally {
    if (losses > 0) attempt.reassigned += 1
  }
}

/** The coordinator says which agent does what: both crafts for each batch. The same for the same batches, at each attempt. */
const planOf = (mesh: Mesh, report: string, { root, task }: Attempt, batches: readonly DocumentBatch[]) => {
  const [first = 0, last] = [batches[0]?.from, batches.at(-1)]
  const end = (last?.from ?? 0) + (last?.documents.length ?? 0)
  return mesh.plans.make({
    ...{ id: `${report}-${first}`, parent: report, maxFailures: MAX_FAILURES },
    goal: `work on documents ${first + 1} to ${end}`,
    tasks: batches.flatMap(({ documents }) =>
      CRAFT_NAMES.map((craft) => ({
        type: taskTypeOf(craft),
        input: { root, files: documents.map(({ file }) => file) },
      })),
    ),
    signal: task.signal,
  })
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
  const collect = async (batch: DocumentBatch, handles: readonly TaskHandle[]): Promise<void> => {
    const outcomes = await Promise.all(handles.map((handle) => outcomeOf(attempt, handle)))
    const [structure = NOT_DONE, content = NOT_DONE] = outcomes
    const { from, documents: listed } = batch
    failed += (await composer.collect({ attempt: attempt.id, from, documents: [...listed], structure, content })).failed
    done += listed.length
    const last = listed.at(-1)?.file ?? ''
    const { reassigned } = attempt
    tell(mesh, { done, total: documents.length, path: readableName(bytesOf(last)), failed, reassigned })
  }
  const waiting = inGroups(batches, PLAN_BATCHES).values()
  const lane = async (): Promise<void> => {
    for (const group of waiting) {
      const { tasks } = await planOf(mesh, id, attempt, group)
      const crafts = CRAFT_NAMES.length
      await Promise.all(group.map((batch, i) => collect(batch, tasks.slice(i * crafts, (i + 1) * crafts))))
    }
  }
  await Promise.all(Array.from({ length: PLANS_IN_WORK }, lane))
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
