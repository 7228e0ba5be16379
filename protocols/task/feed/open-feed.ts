/**
 * A feed that is open: whose it is, and which tasks changed and were not told yet. The newest state of each is told, so a
 * follower that is slow costs no more than its tasks. State: those tasks.
 */
import { onAbort, waitFor } from '../../async.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { FeedTask } from '../contract.ts'
import { DONE, type DoneTask, isHistoryRow, readTask, signalsOf, taskKey, workOf } from '../task-record.ts'
import { isFinal } from '../task-status.ts'

/** Of one item. */
const ITEM_TASKS = 80
const ITEM_BYTES = 98_304
/** A task without input and result, about, bytes. */
const TASK_BYTES = 512
/** Input, checkpoint and effects that are told with a task; the rest is asked for. */
const WORK_BYTES = 65_536
const WORK_ROWS = 500

/** @param version of the change that it is told for */
const feedTask = async (
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

export interface FeedItem {
  version: number
  reset?: boolean
  last: boolean
  tasks: FeedTask[]
}

/** Who has to do with a task. */
export interface Parties {
  readonly submitter: string
  readonly worker?: string | undefined
}

export class OpenFeed {
  readonly peer: string
  readonly watched: ReadonlySet<string>
  readonly isWatchedOnly: boolean
  /** With the version, in the order of their versions. */
  readonly #changed = new Map<string, number>()
  /** Version of the last one that was told. */
  #taken = 0
  #wake: (() => void) | undefined

  constructor(peer: string, watched: ReadonlySet<string>, isWatchedOnly: boolean) {
    this.peer = peer
    this.watched = watched
    this.isWatchedOnly = isWatchedOnly
  }

  isOf(id: string, { submitter, worker }: Parties): boolean {
    return this.watched.has(id) || (!this.isWatchedOnly && (submitter === this.peer || worker === this.peer))
  }

  hasNews(): boolean {
    return this.#changed.size > 0
  }

  /** It changed, by the newest entry there is. */
  mark(id: string, version: number): void {
    this.#changed.delete(id)
    this.#changed.set(id, version)
    this.#wake?.()
  }

  wake(): void {
    this.#wake?.()
  }

  async take(member: JournalMember): Promise<FeedTask[]> {
    const tasks: FeedTask[] = []
    let bytes = 0
    for (const [id, version] of this.#changed) {
      if (tasks.length >= ITEM_TASKS || bytes >= ITEM_BYTES) break
      this.#changed.delete(id)
      this.#taken = version
      const task = await feedTask(member, this.peer, id, version)
      const isLarge = task.work !== undefined || task.done !== undefined
      bytes += isLarge ? TASK_BYTES + JSON.stringify(task).length : TASK_BYTES
      tasks.push(task)
    }
    return tasks
  }

  /** All changes up to this version were told: the next one may be of the same entry as the last. */
  reached(): number {
    const [next = Number.POSITIVE_INFINITY] = this.#changed.values()
    return Math.min(this.#taken, next - 1)
  }

  /** These, as they are now, in parts. @param version that they are of at least */
  async *all(member: JournalMember, ids: readonly string[], version: number): AsyncGenerator<FeedItem> {
    for (let at = 0; ; at += ITEM_TASKS) {
      const tasks: FeedTask[] = []
      for (const id of ids.slice(at, at + ITEM_TASKS)) tasks.push(await feedTask(member, this.peer, id, version))
      const last = at + ITEM_TASKS >= ids.length
      yield { version, reset: true, last, tasks }
      if (last) return
    }
  }

  /** Resolves when something changed, after so many milliseconds, or when the signal is aborted. */
  untilNews(timers: Port['timers'], mostMs: number, signal: AbortSignal): Promise<void> {
    return waitFor(undefined, (resolve) => {
      this.#wake = () => queueMicrotask(resolve)
      const stopClock = timers.after(mostMs, resolve)
      const stopFollowing = onAbort(signal, resolve)
      return () => {
        this.#wake = undefined
        stopClock()
        stopFollowing()
      }
    })
  }
}
