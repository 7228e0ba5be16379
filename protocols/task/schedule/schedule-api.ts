/** Schedules as a program makes and sees them. */
import type { Json } from '../../journal/state/command-kind.ts'
import type { SubmitTask } from '../client/task-api.ts'
import type { Misfire } from './schedule-record.ts'

/** What begins at each time: a task as it is submitted, without what differs each time. */
export type ScheduledSubmission = Omit<
  SubmitTask,
  'id' | 'parent' | 'dependencies' | 'deadline' | 'input' | 'plan' | 'budget'
> & {
  /** JSON of at most 16 KiB; null unless told. */
  readonly input?: Json
  /** Milliseconds from the nominal time: it fails if it is not done by then. */
  readonly withinMs?: number
}

export interface ScheduleOptions {
  /** 1 to 100 letters, digits and . _ -; its tasks are `<id>.<nominal time>`, as `backup.20261125T030000Z`. */
  readonly id: string
  /** Minute, hour, day of month, month, day of week. One of `cron`, `everyMs` and `at`. */
  readonly cron?: string
  /** IANA time zone of `cron`; `UTC` unless told. */
  readonly zone?: string
  /** Milliseconds from when it was made, or resumed, and between two times: a second to 366 days. */
  readonly everyMs?: number
  /** Once: milliseconds since 1970, or a date. */
  readonly at?: number | Date
  /**
   * Of times that passed while nobody coordinated: `one` begins one task, for the last of them; `skip` none for a time that is
   * more than a minute ago; `{ all: n }` one for each, the last n of them (at most 1,000). `one` unless told.
   */
  readonly misfire?: Misfire
  /** `skip`: no task begins while the one before is open. `allow` unless told. */
  readonly overlap?: 'allow' | 'skip'
  /** No time after this; milliseconds since 1970, or a date. */
  readonly until?: number | Date
  readonly task: ScheduledSubmission
}

export interface ScheduleState {
  readonly id: string
  /** Peer id of who made it. */
  readonly owner: string
  readonly type: string
  readonly cron?: string
  readonly zone?: string
  readonly everyMs?: number
  readonly at?: number
  readonly misfire: Misfire
  readonly overlap: 'allow' | 'skip'
  readonly until?: number
  /** Milliseconds since 1970; absent while it is paused, and for a moment after it was made. */
  readonly nextAt?: number
  /** Nominal time of the last task that it began. */
  readonly lastAt?: number
  readonly lastTask?: string
  /** Tasks that it began. */
  readonly fired: number
  /** Times at which it began none, since the one before was open or another task had the id. */
  readonly held: number
  readonly isPaused: boolean
}
