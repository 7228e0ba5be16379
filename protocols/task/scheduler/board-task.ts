/** A task as the coordinator's board has it. Pure, but for those that have ended, of which the ids are kept. */

import { unitsOf } from '../../resource/requirements.ts'
import { isNone, NONE, type Units } from '../../resource/units.ts'
import type { EndedRef, TaskChange } from '../journal/task-changes.ts'
import type { TaskRecord } from '../task-record.ts'
import { isFinal } from '../task-status.ts'

/** Milliseconds that the record of a final task stays. */
const ARCHIVE_AFTER_MS = 2_000
const ARCHIVE_AT_ONCE = 128

export interface BoardTask {
  readonly id: string
  record: TaskRecord
  /** A change of it is on its way. */
  isAsked: boolean
  isQueued: boolean
  /** It had a worker before. */
  isReturned: boolean
  /** Placed, as asked for: its worker and type count as taken. */
  taken: { readonly peer: string; readonly type: string } | undefined
  /** What it requires; undefined: nothing that is allocated. */
  readonly needs: TaskNeeds | undefined
  /** What it requires is demanded of the plan of resources. */
  isDemanded: boolean
  /** Since when; milliseconds since 1970. */
  demandedAt: number | undefined
  /** Where it is to be placed once what it requires is allocated there. */
  choice: { readonly peer: string; readonly allocation: string } | undefined
}

export interface TaskNeeds {
  readonly units: Units
  /** The same for the same units. */
  readonly text: string
}

export const needsOf = ({ requirements }: Pick<TaskRecord, 'requirements'>): TaskNeeds | undefined => {
  const units = requirements === undefined ? NONE : unitsOf(requirements)
  return isNone(units) ? undefined : { units, text: JSON.stringify(units) }
}

export const newBoardTask = (id: string, record: TaskRecord): BoardTask => ({
  ...{ id, record, isAsked: false, isQueued: false, isReturned: false },
  ...{ taken: undefined, needs: needsOf(record), isDemanded: false, choice: undefined, demandedAt: undefined },
})

export interface BoardTime {
  /** Milliseconds since 1970, as deadlines are given. */
  readonly now: number
  readonly monotonic: number
}

export const inWork = ({ status }: TaskRecord): boolean => status === 'assigned' || status === 'running'

export interface BoardCounts {
  readonly open: number
  readonly queued: number
  readonly inWork: number
  readonly final: number
  readonly workers: number
  /** Times that are looked for, and ids in queues: some of them are of before. */
  readonly dueTimes: number
  readonly queuedIds: number
}

/** What time has brought about: a change, or that it may be placed; undefined: nothing yet. */
export const dueChange = (
  id: string,
  record: TaskRecord,
  epoch: number,
  now: number,
): TaskChange | 'place' | undefined => {
  const { deadline, notBefore, status, wait, attemptUntil, fence } = record
  if (deadline !== undefined && deadline <= now) return { do: 'expire', epoch, id }
  if (attemptUntil !== undefined && fence !== undefined && inWork(record) && attemptUntil <= now)
    return { do: 'time-out', epoch, id, fence }
  if (wait?.until !== undefined && wait.until <= now) return { do: 'wake', epoch, id }
  return status === 'queued' && notBefore !== undefined && notBefore <= now ? 'place' : undefined
}

/**
 * Where the deadline of several has passed, those that were submitted later end first, so that what a child leaves comes back to its
 * parent before that ends. Others stay in their order; what is final is left out.
 */
export const childrenFirst = (tasks: readonly BoardTask[], now: number): BoardTask[] => {
  const hasEnded = ({ record: { deadline = Number.POSITIVE_INFINITY } }: BoardTask): boolean => deadline <= now
  const open = tasks.filter(({ record }) => !isFinal(record.status))
  const ended = open.filter(hasEnded).sort((one, other) => other.record.submittedAt - one.record.submittedAt)
  return [...ended, ...open.filter((task) => !hasEnded(task))]
}

/** When it is to be looked at; milliseconds since 1970. */
export const dueTimesOf = (record: TaskRecord): number[] => {
  const { deadline, wait, status, notBefore, attemptUntil } = record
  const inQueue = status === 'queued' ? notBefore : undefined
  return [deadline, wait?.until, inQueue, inWork(record) ? attemptUntil : undefined].filter((at) => at !== undefined)
}

/** Its worker gave it back: it failed nothing, lost nothing, and waits for nothing. */
export const isReturned = (before: TaskRecord, after: TaskRecord | undefined): boolean =>
  after !== undefined &&
  before.worker !== undefined &&
  inWork(before) &&
  after.status === 'queued' &&
  after.notBefore === undefined &&
  after.wait === undefined &&
  after.failures === before.failures &&
  after.losses === before.losses

/** Tasks that have ended, and whose records go after a while: in the order in which they ended. */
export class FinalTasks {
  readonly #ids = new Set<string>()

  size(): number {
    return this.#ids.size
  }

  add(id: string): void {
    this.#ids.add(id)
  }

  delete(id: string): void {
    this.#ids.delete(id)
  }

  /** Those that may go now, and nobody needs: each is on its way from here on. */
  takeOld(now: number, get: (id: string) => BoardTask | undefined, isNeeded: (task: BoardTask) => boolean): EndedRef[] {
    const ended: EndedRef[] = []
    for (const id of this.#ids) {
      if (ended.length >= ARCHIVE_AT_ONCE) break
      const task = get(id)
      if (task === undefined || task.isAsked || isNeeded(task)) continue
      const { changedAt } = task.record
      if (now - changedAt < ARCHIVE_AFTER_MS) break
      task.isAsked = true
      ended.push({ id, endedAt: changedAt })
    }
    return ended
  }
}
