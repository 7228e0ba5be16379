/** Tasks as any node reads them from the journal. */
import { ParleyError } from '../../errors.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { TableData } from '../../part.ts'
import { readStored } from '../bytes/stored-bytes.ts'
import type { FeedTask } from '../contract.ts'
import {
  CHECKPOINT_ROW,
  DONE,
  type DoneTask,
  effectOf,
  INPUT_ROW,
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
  TaskRecorded,
  TaskState,
  TasksChange,
  TaskWaitOptions,
} from './task-api.ts'

const MOST_LISTED = 1_000
const LISTED = 100

/** A large one is somewhere else. */
const resultIn = (row: Json | undefined): Pick<TaskState, 'result' | 'storedResult'> => {
  if (row === undefined) return {}
  const storedResult = readStored(row)
  return storedResult === undefined ? { result: row } : { storedResult }
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
})

/** For people. */
export const tasksTable = (tasks: readonly TaskState[]): TableData => ({
  columns: ['task', 'type', 'status', 'attempts', 'worker', 'reason'],
  rows: tasks.map(({ id, status, record: { type, attempts, worker = '', reason = '' } }) => [
    ...[id, type, status, attempts, worker, reason],
  ]),
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
    const { rows } = await this.#journal.rows(DONE, { key: id, ...options })
    // This part wrote it.
    const done = rows.find(({ key }) => key === id)?.value as unknown as DoneTask | undefined
    if (done !== undefined) return stateOf(id, found?.version ?? 0, done.record, done)
    throw new ParleyError('STA001', `there is no task ${id}`, {
      hint: 'it was never submitted, or ended longer ago than tasks.retainMs',
      details: { task: id },
    })
  }

  /** Input, checkpoint and effects of an open one, and what it was given. */
  async work(id: string): Promise<ReadonlyMap<string, Json>> {
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
    after = '',
    most = LISTED,
    signal,
    timeoutMs,
  }: ListTasks & TaskWaitOptions): Promise<TaskState[]> {
    const { records } = await this.#journal.list(TASK_PREFIX, {
      ...(signal !== undefined && { signal }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    const found: TaskState[] = []
    for (const { key, value, version } of records) {
      const [id, record] = [key.slice(TASK_PREFIX.length), readTask(value)]
      if (record === undefined || id <= after || (status !== undefined && record.status !== status)) continue
      found.push(stateOf(id, version, record))
      if (found.length >= Math.min(most, MOST_LISTED)) break
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
