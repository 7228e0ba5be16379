/** Tasks as a program submits, waits for and holds them. */
import type { Amounts } from '../../budget/amounts.ts'
import type { BudgetShare } from '../../budget/carried/budget-share.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Priority } from '../../wire/envelope.ts'
import type { StoredBytes, TaskValue } from '../bytes/stored-bytes.ts'
import type { TaskHappened } from '../history-entry.ts'
import type { Dependency, Requirements, TaskError, TaskRecord } from '../task-record.ts'
import type { TaskStatus } from '../task-status.ts'

export interface RetryOptions {
  /** Attempts that may fail before the last one; 3 unless told. */
  readonly max?: number
  /** Milliseconds before the first retry, doubled with each one more; 1,000 unless told. */
  readonly delayMs?: number
  /** Milliseconds, at most; 30,000 unless told. */
  readonly maxDelayMs?: number
}

export interface SubmitTask {
  /** 1 to 128 letters, digits and . _ -; a UUIDv7 unless told. Submitting it again, just so, is the same task. */
  readonly id?: string
  /** What kind of work it is: whoever works on this type may get it. */
  readonly type: string
  /** Only workers that name this version of the type. */
  readonly typeVersion?: string
  /** JSON or a Uint8Array of at most 64 MiB; null unless told. Above 16 KiB nodes with a disk hold it. */
  readonly input?: TaskValue
  /** JSON of at most 4 KiB, for people and programs; it is kept with the result. */
  readonly metadata?: Json
  /** `normal` unless told. */
  readonly priority?: Priority
  /** Milliseconds since 1970, or a date: it fails if it is not done by then. */
  readonly deadline?: number | Date
  readonly requirements?: Requirements
  /** Tasks that end first: an id means that it must be completed. At most 64. */
  readonly dependencies?: readonly (
    | string
    | { readonly task_id: string; readonly condition?: Dependency['condition'] }
  )[]
  readonly parent?: string
  readonly retry?: RetryOptions
  /**
   * Milliseconds that one attempt may take, 100 to 30 days: it has failed then, with `attempt-timeout`, and is made again as
   * `retry` says. As its worker says unless told.
   */
  readonly attemptTimeoutMs?: number
  /**
   * When the worker is gone: whether another one gets the task at once, or after the lease of the first one. `at-once` unless told:
   * what the first one still reports counts for nothing, but two may do the same outside for a while. `after-lease`: the first one
   * cannot go on any more, some 30 s later. Who pauses and resumes the task, or limits its attempts, does not wait for that.
   */
  readonly takeover?: 'at-once' | 'after-lease'
  /**
   * Id of a plan (`mesh.plans`), for which it is held: it goes to the agent that the plan says. A plan that nobody makes within a
   * minute lets it go to whoever is free.
   */
  readonly plan?: string
  /**
   * What it may use up: a part of a slice. Its attempts draw of it (`ctx.draw`); what they did not use comes back to the slice once
   * this process hears that the task has ended, and is spent where it never does.
   */
  readonly budget?: BudgetShare
}

export interface TaskBudget {
  /** What all of its attempts together may use. */
  readonly amounts: Amounts
  /** What counts as used: drawn by its attempts, and not given back. */
  readonly used: Amounts
  /** Of what is limited. */
  readonly left: Amounts
}

export interface TaskState {
  readonly id: string
  readonly status: TaskStatus
  /** Index of the decision that it is of; 0 where it ended longer ago. */
  readonly version: number
  readonly record: TaskRecord
  readonly metadata?: Json
  /** Of a completed one; not of a large one. */
  readonly result?: Json
  /** Of a large result: where it is. `handle.result()` fetches it. */
  readonly storedResult?: StoredBytes
  /** Of a failed one. */
  readonly error?: TaskError
  /** Of one that has a budget. */
  readonly budget?: TaskBudget
}

export interface TaskWaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds; as long as it takes unless told. */
  readonly timeoutMs?: number
}

/** What an open task has recorded. */
export interface TaskRecorded {
  /** Of large values, as of the others, `{ 'parley:bytes': { hash, size, form, holders } }`: where they are. */
  readonly input: Json
  readonly checkpoint?: Json
  /** Since the last checkpoint, by name and key. */
  readonly effects: readonly { readonly name: string; readonly key: string; readonly value: Json }[]
}

/** What happened to a task, as far as it is kept: from its beginning on, then the newest of it. */
export interface TaskHistory {
  /** In the order in which they happened; at most 114. */
  readonly entries: readonly TaskHappened[]
  /** So many more there were, behind the first ones. */
  readonly dropped: number
}

export interface RetryTask extends TaskWaitOptions {
  /** Of the new task; a UUIDv7 unless told. Retrying under the same id again is the same task. */
  readonly id?: string
}

/** A task, from any node. */
export interface TaskHandle {
  readonly id: string
  /** As it is now. @throws STA001 for one that nobody knows (any more) */
  state(options?: TaskWaitOptions): Promise<TaskState>
  /** What it has recorded so far; undefined once it has ended. */
  recorded(): Promise<TaskRecorded | undefined>
  /** What happened to it, and when. @throws STA001 */
  history(options?: TaskWaitOptions): Promise<TaskHistory>
  /**
   * Waits until it is completed.
   * @returns what its worker returned: a Uint8Array where it returned one
   * @throws the error that it failed with; STA003 `ended` where it was canceled or rejected; COM001 after `timeoutMs`; STA001;
   *   of a large one STA001 `input-lost`, and SEC002 where this node may not have it
   */
  result<R extends TaskValue = Json>(options?: TaskWaitOptions): Promise<R>
  /** Waits until it has ended, however. @throws COM001 after `timeoutMs`; STA001 */
  ended(options?: TaskWaitOptions): Promise<TaskState>
  /** As it is now, then each change, until it has ended. States that follow each other closely may be told as the last of them. */
  updates(options?: { readonly signal?: AbortSignal }): AsyncGenerator<TaskState, void>
  /** Of a running one. Its attempt ends; what it recorded stays. @throws SEC002 for a task of somebody else, STA003 `task-status`, `ended` */
  pause(reason?: string): Promise<TaskStatus>
  /** Whoever is free goes on from the last checkpoint, or from this one. @throws as `pause` */
  resume(options?: { readonly checkpoint?: Json }): Promise<TaskStatus>
  /**
   * Gives it what it waits for, or will wait for, by that name: the first one counts.
   * @param value JSON of at most 16 KiB @throws SEC002, STA003 `ended`, MSG001
   */
  signal(name: string, value: Json): Promise<TaskStatus>
  /** Ends it. @throws as `pause` */
  cancel(reason?: string): Promise<TaskStatus>
}

export interface ListTasks {
  readonly status?: TaskStatus
  /** Those whose ids are below this one, as those of its children are. */
  readonly under?: string
  /** Behind this id. */
  readonly after?: string
  /** At most; 100 unless told. */
  readonly most?: number
}

export interface TaskChangesOptions {
  /** Changes after this version; all there is, first, unless told. */
  readonly from?: number
  readonly signal?: AbortSignal
}

export type TasksChange =
  /** All that have a record: what was told before is void. */
  | { readonly type: 'all'; readonly version: number; readonly tasks: readonly TaskState[] }
  /** Without a task its record is gone: it ended before. */
  | { readonly type: 'change'; readonly version: number; readonly id: string; readonly task?: TaskState }
