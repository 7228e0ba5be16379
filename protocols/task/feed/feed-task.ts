/** What a feed tells of one task: its newest state, and what its assignee or who waits for it needs. */
import type { JournalMember } from '../../journal/journal-server.ts'
import type { FeedTask } from '../contract.ts'
import { DONE, type DoneTask, readTask, taskKey, workOf } from '../task-record.ts'
import { isFinal } from '../task-status.ts'

/** Input, checkpoint and effects that are told with a task; the rest is asked for. */
const WORK_BYTES = 65_536
const WORK_ROWS = 500

/** @param version of the change that it is told for */
export const feedTask = async (
  { machine: { records } }: Pick<JournalMember, 'machine'>,
  peer: string,
  id: string,
  version: number,
): Promise<FeedTask> => {
  const { collections } = records
  const found = records.get(taskKey(id))
  const record = readTask(found?.value)
  if (found === undefined || record === undefined) return { id, version }
  const task: FeedTask = { id, version: found.version, record }
  if (isFinal(record.status)) {
    // This part wrote it.
    const done = (await collections.read(DONE, id)) as DoneTask | undefined
    return done === undefined ? task : { ...task, done: done as unknown as FeedTask['done'] }
  }
  if (record.worker !== peer || record.status !== 'assigned') return task
  const rows = await collections.list(workOf(id), '', WORK_ROWS, WORK_BYTES)
  return { ...task, work: { rows, more: rows.length < (collections.get(workOf(id))?.rows ?? 0) } }
}
