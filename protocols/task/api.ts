/** Tasks as a program uses them: `mesh.tasks`. */
import type { Json } from '../journal/state/command-kind.ts'
import type { Registration } from '../registration.ts'
import type { TaskValue } from './bytes/stored-bytes.ts'
import type { TaskAnswer } from './client/seed-messages.ts'
import type {
  ListTasks,
  RetryTask,
  SubmitTask,
  TaskChangesOptions,
  TaskHandle,
  TaskState,
  TasksChange,
  TaskWaitOptions,
} from './client/task-api.ts'
import type { TasksDigest } from './client/tasks-digest.ts'
import type { ScheduleOptions, ScheduleState } from './schedule/schedule-api.ts'
import type { WorkFunction } from './worker/task-context.ts'

export interface WorkOptions {
  /** Tasks of this type at once; 16 unless told. */
  readonly slots?: number
  /** Versions of the type that it can do: tasks that name another one do not come here. */
  readonly versions?: readonly string[]
  /** Milliseconds that an attempt may take, 100 to 30 days, at tasks that do not say it themselves; no limit unless told. */
  readonly attemptTimeoutMs?: number
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
   *   unknown dependency; COM003 `task-share`; COM001 where nobody coordinates within `timeoutMs` (30,000 unless told)
   */
  submit(task: SubmitTask, options?: TaskWaitOptions): Promise<TaskHandle>
  /** Several that may depend on each other, all of them or none; at most 64. @throws as `submit`; MSG001 with `details.cycle` */
  submitAll(tasks: readonly SubmitTask[], options?: TaskWaitOptions): Promise<TaskHandle[]>
  /**
   * Submits a task that failed, was canceled or rejected once more, as a new task: same type, version, input, metadata, priority,
   * requirements, retries and limit of an attempt. Its deadline, parent and dependencies are not taken along.
   * @throws STA003 `not-failed` for one that is open or completed, `input-gone` where its input was not kept; STA001; as `submit`
   */
  retry(id: string, options?: RetryTask): Promise<TaskHandle>
  /** A task by its id, from any node. It is not looked up: asking it tells whether it is there. */
  get(id: string): TaskHandle
  /** Open tasks, and those that ended a moment ago, sorted by id. */
  list(options?: ListTasks & TaskWaitOptions): Promise<TaskState[]>
  /**
   * Does what a message of seed 001 says (`task.submit`, `task.control.pause`, `.resume`, `.cancel`), for programs that have
   * such messages. @returns `task.status`, `task.control.ack` or `task.control.reject`
   * @throws MSG004, MSG001 for what is no such message; what `submit` throws
   */
  receive(type: string, payload: unknown): Promise<TaskAnswer>
  /** Open tasks, then each change, in order and without a gap, whoever is lost. Ends with its signal. */
  changes(options?: TaskChangesOptions): AsyncGenerator<TasksChange, void>
  /** Of the records of all tasks, as the journal has them: a reader that followed `changes` up to this version has the same. */
  digest(options?: TaskWaitOptions): Promise<TasksDigest>
  /**
   * Does tasks of a type, until the registration is stopped; those in work are given back then. Resolves once it is
   * registered; without a coordinator it waits for one, and says so in the log.
   * @throws MSG001 for a type or options that cannot be used, STA003 `in-use` for a type that this node works on already
   */
  work<I extends TaskValue = Json, C extends TaskValue = Json>(
    type: string,
    fn: WorkFunction<I, C>,
    options?: WorkOptions,
  ): Promise<Registration>
  /**
   * Begins a task at each time of a schedule, once, whoever coordinates (docs/tasks.md). Made again, just so, it is the same
   * schedule; made otherwise by its owner, that takes its place, and its times count from then on.
   * @throws MSG001 for what has no times; STA003 `exists` for an id that somebody else has; COM003 `task-share`; COM001
   */
  schedule(schedule: ScheduleOptions, options?: TaskWaitOptions): Promise<void>
  /** Tasks that it began go on. @throws SEC002 for a schedule of somebody else, STA001, MSG001 */
  unschedule(id: string): Promise<void>
  /** Times that pass meanwhile begin nothing. @throws as `unschedule` */
  pauseSchedule(id: string): Promise<void>
  /** @throws as `unschedule` */
  resumeSchedule(id: string): Promise<void>
  /** All there are, sorted by id. */
  schedules(options?: TaskWaitOptions): Promise<ScheduleState[]>
  counts(): TasksCounts
}
