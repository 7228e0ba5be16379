/** Tasks as a program uses them: `mesh.tasks`. */
import type { Json } from '../../journal/state/command-kind.ts'
import type { Registration } from '../../registration.ts'
import type { Priority } from '../../wire/envelope.ts'
import type { Dependency, Requirements, TaskError, TaskRecord } from '../task-record.ts'
import type { TaskStatus } from '../task-status.ts'
import type { WorkFunction } from '../worker/task-context.ts'

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
  /** JSON of at most 16 KiB; null unless told. */
  readonly input?: Json
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
}

export interface TaskState {
  readonly id: string
  readonly status: TaskStatus
  /** Index of the decision that it is of; 0 where it ended longer ago. */
  readonly version: number
  readonly record: TaskRecord
  readonly metadata?: Json
  /** Of a completed one. */
  readonly result?: Json
  /** Of a failed one. */
  readonly error?: TaskError
}

export interface WaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds; as long as it takes unless told. */
  readonly timeoutMs?: number
}

/** A task, from any node. */
export interface TaskHandle {
  readonly id: string
  /** As it is now. @throws STA001 for one that nobody knows (any more) */
  state(options?: WaitOptions): Promise<TaskState>
  /**
   * Waits until it is completed.
   * @throws the error that it failed with; STA003 `ended` where it was canceled or rejected; COM001 after `timeoutMs`; STA001
   */
  result(options?: WaitOptions): Promise<Json>
  /** Waits until it has ended, however. @throws COM001, STA001 */
  ended(options?: WaitOptions): Promise<TaskState>
  /** As it is now, then each change, until it has ended. States that follow each other closely may be told as the last of them. */
  updates(options?: { readonly signal?: AbortSignal }): AsyncGenerator<TaskState, void>
  /** Of a running one. Its attempt ends; what it recorded stays. @throws SEC002 for a task of somebody else, STA003 `task-status`, `ended` */
  pause(reason?: string): Promise<TaskStatus>
  /** Whoever is free goes on from the last checkpoint, or from this one. @throws as `pause` */
  resume(options?: { readonly checkpoint?: Json }): Promise<TaskStatus>
  /** Ends it. @throws as `pause` */
  cancel(reason?: string): Promise<TaskStatus>
}

export interface WorkOptions {
  /** Tasks of this type at once; 16 unless told. */
  readonly slots?: number
  /** Versions of the type that it can do: tasks that name another one do not come here. */
  readonly versions?: readonly string[]
}

export interface ListTasks {
  readonly status?: TaskStatus
  /** Behind this id. */
  readonly after?: string
  /** At most; 100 unless told. */
  readonly most?: number
}

/** What a node has to do with tasks; for figures and views. */
export interface TasksCounts {
  readonly submitted: number
  readonly working: number
  readonly completed: number
  readonly failed: number
  /** Attempts that ended since their task was given to somebody else, paused or canceled. */
  readonly abandoned: number
  readonly effectsRun: number
  /** Effects that were recorded before, and not run again. */
  readonly effectsKnown: number
}

export interface Tasks {
  /**
   * Resolves once it is on the disks of a majority of the voters: it is done then, whoever is lost.
   * @throws MSG001 for what cannot be submitted; STA003 `exists` for an id that another task has, `dependency`; STA001 for an
   *   unknown dependency; COM003 `task-share`; what `journal.submit` throws
   */
  submit(task: SubmitTask, options?: WaitOptions): Promise<TaskHandle>
  /** Several that may depend on each other, all of them or none; at most 64. @throws as `submit`; MSG001 with `details.cycle` */
  submitAll(tasks: readonly SubmitTask[], options?: WaitOptions): Promise<TaskHandle[]>
  /** A task by its id, from any node. It is not looked up: asking it tells whether it is there. */
  get(id: string): TaskHandle
  /** Open tasks, and those that ended a moment ago, sorted by id. */
  list(options?: ListTasks & WaitOptions): Promise<TaskState[]>
  /**
   * Does tasks of a type, until the registration is stopped; those in work are given back then.
   * @throws MSG001 for a type or options that cannot be used, STA003 `in-use` for a type that this node works on already
   */
  work(type: string, fn: WorkFunction, options?: WorkOptions): Promise<Registration>
  counts(): TasksCounts
}
