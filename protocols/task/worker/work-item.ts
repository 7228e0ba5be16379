/** What an attempt begins with, and how its function sees it. */
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { TaskValue } from '../bytes/stored-bytes.ts'
import { CHECKPOINT_ROW, INPUT_ROW, type TaskInput, type TaskRecord } from '../task-record.ts'
import type { WorkItem } from './task-context.ts'

export interface AttemptWork {
  readonly id: string
  readonly record: TaskRecord
  readonly fence: Fence
  /** Input, checkpoint and effects. */
  readonly rows: ReadonlyMap<string, Json>
}

/** @param load the value that a row stands for @throws what `load` throws */
export const workItem = async (
  { id, record, rows }: AttemptWork,
  load: (row: Json, name: string) => Promise<TaskValue>,
): Promise<WorkItem> => {
  // This part wrote it.
  const { input: given = null, metadata } = (rows.get(INPUT_ROW) as TaskInput | undefined) ?? {}
  const { type, typeVersion, requirements, submitter, parent, attempts: attempt, deadline } = record
  const saved = rows.get(CHECKPOINT_ROW)
  const [input, checkpoint] = await Promise.all([
    load(given, INPUT_ROW),
    saved === undefined ? undefined : load(saved, CHECKPOINT_ROW),
  ])
  const of = { id, type, typeVersion, metadata, requirements, submitter, parent, attempt, deadline }
  // Of the types that the program says.
  return { ...of, input, checkpoint } as WorkItem
}
