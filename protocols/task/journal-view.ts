/** What a node that has a copy of the journal reads of it, without asking anybody. */
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

const CHANGES_AT_ONCE = 4_096
const CHANGES_BYTES = 8 * 1024 * 1024

const changeOf = (key: string, version: number, value: unknown): ViewChange | undefined => {
  if (key.startsWith(TASK_PREFIX))
    return { type: 'task', id: key.slice(TASK_PREFIX.length), version, record: value as TaskRecord | undefined }
  if (key.startsWith(WORKER_PREFIX))
    return { type: 'worker', peer: key.slice(WORKER_PREFIX.length), version, record: value as WorkerRecord | undefined }
  return undefined
}

const isChange = (change: ViewChange | undefined): change is ViewChange => change !== undefined

export class JournalView {
  readonly member: Pick<JournalMember, 'machine'>
  #version: number

  /** Begins with what there is: `all`, then `changes`. */
  constructor(member: Pick<JournalMember, 'machine'>) {
    this.member = member
    this.#version = member.machine.version()
  }

  /** Up to which version it was read. */
  get version(): number {
    return this.#version
  }

  /** All of it, as of now; what comes after is told as changes. */
  all(): ViewChange[] {
    const { records, version } = this.member.machine
    this.#version = version()
    return records
      .all()
      .map(({ key, version, value }) => changeOf(key, version, value))
      .filter(isChange)
  }

  /** All tasks that have a record, with its version. */
  *tasks(): Generator<{ readonly id: string; readonly version: number }> {
    for (const { key, version } of this.member.machine.records.all())
      if (key.startsWith(TASK_PREFIX)) yield { id: key.slice(TASK_PREFIX.length), version }
  }

  /** Goes on behind another version. */
  from(version: number): void {
    this.#version = version
  }

  /** What changed since; undefined: too much, read all of it. */
  changes(): ViewChange[] | undefined {
    const found: ViewChange[] = []
    const { records, version } = this.member.machine
    for (;;) {
      const changes = records.since(this.#version, CHANGES_AT_ONCE, CHANGES_BYTES)
      if (changes === undefined) return undefined
      const last = changes.at(-1)
      if (last === undefined) {
        this.#version = Math.max(this.#version, version())
        return found
      }
      this.#version = last.fence.index
      for (const { key, fence, value } of changes) {
        const change = changeOf(key, fence.index, value)
        if (change !== undefined) found.push(change)
      }
    }
  }
}
