/** What nodes are told of their tasks: each of those that they submitted, work on, or asked to watch. Keeps no state. */

import type { Handlers } from '../../define.ts'
import type { FollowerDeps, FollowerOptions } from '../../journal/feed/feed-follower.ts'
import { FeedFollower } from '../../journal/feed/feed-follower.ts'
import type { FedRecords } from '../../journal/feed/open-feed.ts'
import { RecordFeeds } from '../../journal/feed/record-feeds.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import { type FeedTask, MAX_WATCHED, taskProtocol } from '../contract.ts'
import {
  DONE,
  type DoneTask,
  isHistoryRow,
  readTask,
  signalsOf,
  TASK_PREFIX,
  type TaskRecord,
  taskKey,
  workOf,
} from '../task-record.ts'
import { isFinal } from '../task-status.ts'

/** A task without input and result, about, bytes. */
const TASK_BYTES = 512
/** Input, checkpoint and effects that are told with a task; the rest is asked for. */
const WORK_BYTES = 65_536
const WORK_ROWS = 500

const readFed = async (
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
    if (done === undefined) return task
    const { history: _history, input: _input, ...told } = done
    return { ...task, done: told as unknown as FeedTask['done'] }
  }
  if (record.worker !== peer || record.status !== 'assigned') return task
  const rows = await collections.list(workOf(id), '', WORK_ROWS, WORK_BYTES)
  const given = await collections.list(signalsOf(id), '', WORK_ROWS, WORK_BYTES)
  const all = (collections.get(workOf(id))?.rows ?? 0) + (collections.get(signalsOf(id))?.rows ?? 0)
  return {
    ...task,
    work: { rows: [...rows.filter(({ key }) => !isHistoryRow(key)), ...given], more: rows.length + given.length < all },
  }
}

const FED_TASKS: FedRecords<TaskRecord, FeedTask> = {
  of: 'tasks',
  prefix: TASK_PREFIX,
  peersOf: ({ submitter, worker }) => [submitter, worker],
  read: readFed,
  bytesOf(task) {
    const isLarge = task.work !== undefined || task.done !== undefined
    return isLarge ? TASK_BYTES + JSON.stringify(task).length : TASK_BYTES
  },
}

export type TaskFeeds = RecordFeeds<TaskRecord, FeedTask>

/** @param acting this node's copy of the journal while it coordinates, and has all that was decided before */
export const createTaskFeeds = (port: Pick<Port, 'timers'>, acting: () => JournalMember | undefined): TaskFeeds =>
  new RecordFeeds(port, FED_TASKS, acting)

export type TaskFollower = FeedFollower<FeedTask>

export interface TaskFollowerDeps extends FollowerDeps {
  readonly port: Pick<Port, 'timers' | 'log' | 'to'>
}

/** Answers who follows: with the journal's time, so that what an attempt waits for is measured by that. */
export const tellTasks = (
  feeds: TaskFeeds,
  member: () => JournalMember | undefined,
): Handlers<typeof taskProtocol>['feed'] =>
  async function* (request, { peer, signal }) {
    for await (const { told, ...item } of feeds.follow(peer, request, signal)) {
      const at = member()?.clock.now()
      yield { ...item, tasks: told, ...(at !== undefined && { at }) }
    }
  }

/** @param watch tasks of others, and these alone; this node's own ones unless told */
export const followTasks = (
  deps: TaskFollowerDeps,
  heard: Pick<FollowerOptions<FeedTask>, 'own' | 'onTold' | 'onReset'> & { onTime?(at: number): void },
  watch?: readonly string[],
): TaskFollower =>
  new FeedFollower(deps, {
    ...heard,
    of: 'tasks',
    mostWatched: MAX_WATCHED,
    async *open(leader, request, signal) {
      const asked = { ...request, ...(watch !== undefined && { watch: [...watch], watchedOnly: true }) }
      for await (const { tasks, at, ...item } of deps.port.to(leader, taskProtocol).feed(asked, { signal })) {
        if (at !== undefined) heard.onTime?.(at)
        yield { ...item, told: tasks }
      }
    },
    idOf: ({ id }) => id,
  })
