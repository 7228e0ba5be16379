/** What a node that has a copy of the journal reads of tasks and workers, without asking anybody. Keeps no state. */
import { JournalView, type ReadChange } from '../journal/feed/journal-view.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import { TASK_PREFIX, type TaskRecord, WORKER_PREFIX, type WorkerRecord } from './task-record.ts'

/** A change of a task or a worker, in the order of the journal. */
export type ViewChange =
  | { readonly type: 'task'; readonly id: string; readonly version: number; readonly record: TaskRecord | undefined }
  | {
      readonly type: 'worker'
      readonly peer: string
      readonly version: number
      readonly record: WorkerRecord | undefined
    }

const readChange: ReadChange<ViewChange> = (key, version, value) => {
  if (key.startsWith(TASK_PREFIX))
    return { type: 'task', id: key.slice(TASK_PREFIX.length), version, record: value as TaskRecord | undefined }
  if (key.startsWith(WORKER_PREFIX))
    return { type: 'worker', peer: key.slice(WORKER_PREFIX.length), version, record: value as WorkerRecord | undefined }
  return undefined
}

export type TaskView = JournalView<ViewChange>
export const viewOfTasks = (member: Pick<JournalMember, 'machine'>): TaskView => new JournalView(member, readChange)

/** All tasks that have a record, with its version. */
export const taskVersions = function* ({
  machine,
}: Pick<JournalMember, 'machine'>): Generator<{ readonly id: string; readonly version: number }> {
  for (const { key, version } of machine.records.all())
    if (key.startsWith(TASK_PREFIX)) yield { id: key.slice(TASK_PREFIX.length), version }
}
