/** Tasks as any node reads them from the journal. */
import { less, sum } from '../../budget/amounts.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { readStored } from '../bytes/stored-bytes.ts'
import type { FeedTask } from '../contract.ts'
import { completeHistory } from '../history-entry.ts'
import { keptEntries } from '../journal/history-notes.ts'
import {
  CHECKPOINT_ROW,
  DONE,
  type DoneTask,
  effectOf,
  HISTORY_PREFIX,
  HISTORY_ROWS,
  INPUT_ROW,
  notFound,
  readTask,
  signalsOf,
  TASK_PREFIX,
  type TaskInput,
  type TaskRecord,
  taskKey,
  workOf,
} from '../task-record.ts'
import { isFinal } from '../task-status.ts'
import type {
  ListTasks,
  TaskChangesOptions,
  TaskHistory,
  TaskRecorded,
  TaskState,
  TasksChange,
  TaskWaitOptions,
} from './task-api.ts'

export const MOST_LISTED = 1_000
const LISTED = 100

/** A large one is somewhere else. */
const resultIn = (row: Json | undefined): Pick<TaskState, 'result' | 'storedResult'> => {
  if (row === undefined) return {}
  const storedResult = readStored(row)
  return storedResult === undefined ? { result: row } : { storedResult }
}

const budgetIn = ({ budget }: TaskRecord): Pick<TaskState, 'budget'> => {
  if (budget === undefined) return {}
  const { amounts, used } = budget
  // Of what is limited, also what was not used yet.
  return { budget: { amounts, used: sum(less(amounts, amounts), used), left: less(amounts, used) } }
}

export const stateOf = (
  id: string,
  version: number,
  record: TaskRecord,
  done?: Omit<DoneTask, 'id' | 'record'> | FeedTask['done'],
): TaskState => ({
  id,
  status: record.status,
  version,
  record,
  ...(done?.metadata !== undefined && { metadata: done.metadata }),
  ...resultIn(done?.result),
  ...(done?.error !== undefined && { error: done.error }),
  ...budgetIn(record),
})

export class TaskReader {
  readonly #journal: Pick<Journal, 'get' | 'list' | 'rows' | 'watch'>

  constructor(journal: Pick<Journal, 'get' | 'list' | 'rows' | 'watch'>) {
    this.#journal = journal
  }

  /** As it is now. @throws STA001 */
  async read(id: string, signal: AbortSignal | undefined): Promise<TaskState> {
    const options = signal === undefined ? {} : { signal }
    const found = await this.#journal.get(taskKey(id), options)
    const record = readTask(found?.value)
    if (found !== undefined && record !== undefined && !isFinal(record.status))
      return stateOf(id, found.version, record)
    const done = await this.done(id, signal)
    return stateOf(id, found?.version ?? 0, done.record, done)
  }

  /** What a final one left. @throws STA001 */
  async done(id: string, signal: AbortSignal | undefined): Promise<DoneTask> {
    const { rows } = await this.#journal.rows(DONE, { key: id, ...(signal !== undefined && { signal }) })
    // This part wrote it.
    const done = rows.find(({ key }) => key === id)?.value as unknown as DoneTask | undefined
    if (done === undefined) throw notFound(id)
    return done
  }

  /** @throws STA001 */
  async history(id: string, signal: AbortSignal | undefined): Promise<TaskHistory> {
    const options = signal === undefined ? {} : { signal }
    // They go when it ends: they are read before its record is.
    const { rows } = await this.#journal.rows(workOf(id), {
      ...options,
      after: HISTORY_PREFIX,
      most: HISTORY_ROWS.length,
    })
    const record = readTask((await this.#journal.get(taskKey(id), options))?.value)
    if (record !== undefined && !isFinal(record.status)) {
      const found = HISTORY_ROWS.map((row) => rows.find(({ key }) => key === row)?.value as string | undefined)
      const { dropped, entries } = keptEntries(found)
      return { dropped, entries: completeHistory(record, entries) }
    }
    const done = await this.done(id, signal)
    const { dropped, entries } = keptEntries([done.history])
    return { dropped, entries: completeHistory(done.record, entries, done.error) }
  }

  /** Input, checkpoint and effects of an open one, and what it was given. */
  async work(id: string): Promise<Map<string, Json>> {
    const found = new Map<string, Json>()
    for (const collection of [workOf(id), signalsOf(id)])
      for (let after: string | undefined = ''; after !== undefined; ) {
        const { rows, more } = await this.#journal.rows(collection, { after })
        for (const { key, value } of rows) found.set(key, value)
        after = more ? rows.at(-1)?.key : undefined
      }
    return found
  }

  /** Undefined: it has ended, or is not known. */
  async recorded(id: string): Promise<TaskRecorded | undefined> {
    const rows = await this.work(id)
    const given = rows.get(INPUT_ROW)
    if (given === undefined) return undefined
    // This part wrote them.
    const { input } = given as unknown as TaskInput
    const checkpoint = rows.get(CHECKPOINT_ROW)
    const effects = [...rows].flatMap(([row, value]) => {
      const effect = effectOf(row)
      return effect === undefined ? [] : [{ ...effect, value }]
    })
    return { input, ...(checkpoint !== undefined && { checkpoint }), effects }
  }

  async list({
    status,
    under,
    after = '',
    most = LISTED,
    signal,
    timeoutMs,
  }: ListTasks & TaskWaitOptions): Promise<TaskState[]> {
    const wanted = Math.min(most, MOST_LISTED)
    const { records } = await this.#journal.list(under === undefined ? TASK_PREFIX : `${taskKey(under)}.`, {
      after: taskKey(after),
      // Of those of one status nobody knows among how many they are.
      ...(status === undefined && { most: wanted }),
      ...(signal !== undefined && { signal }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    const found: TaskState[] = []
    for (const { key, value, version } of records) {
      const [id, record] = [key.slice(TASK_PREFIX.length), readTask(value)]
      if (record === undefined || (status !== undefined && record.status !== status)) continue
      found.push(stateOf(id, version, record))
      if (found.length >= wanted) break
    }
    return found
  }

  async *changes({ from, signal }: TaskChangesOptions): AsyncGenerator<TasksChange, void> {
    const options = {
      prefix: TASK_PREFIX,
      ...(from !== undefined && { from }),
      ...(signal !== undefined && { signal }),
    }
    for await (const change of this.#journal.watch(options)) {
      if (change.type === 'records') {
        const tasks = change.records.flatMap(({ key, version, value }) => {
          const record = readTask(value)
          return record === undefined ? [] : [stateOf(key.slice(TASK_PREFIX.length), version, record)]
        })
        yield { type: 'all', version: change.version, tasks }
        continue
      }
      const { key, version, value } = change
      const [id, record] = [key.slice(TASK_PREFIX.length), readTask(value)]
      yield { type: 'change', version, id, ...(record !== undefined && { task: stateOf(id, version, record) }) }
    }
  }
}
