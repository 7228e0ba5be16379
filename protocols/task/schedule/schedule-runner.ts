/**
 * What the coordinator does about schedules, for as long as it coordinates: it looks which of them are due by the journal, and
 * has it decided that their tasks begin. Times may be costly to find, and a member may have many of them: it works for a moment,
 * rests longer, and goes on with the next one, so that nobody's keep it from all else or come before those of others.
 * State: what is on its way, what could not be begun, and where the last look ended; of one epoch.
 */
import { waitFor } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { JournalClock } from '../../journal/journal-clock.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { TaskBatcher } from '../client/task-decisions.ts'
import type { ChangeOf } from '../journal/task-changes.ts'
import { MAX_SCHEDULES, readSchedule, SCHEDULE_PREFIX, type ScheduleRecord } from './schedule-record.ts'
import type { DueFiring } from './schedule-times.ts'

/** Loaded with the first schedule: most meshes have none. */
type ScheduleTimes = typeof import('./schedule-times.ts')

/** Milliseconds; it looks at the latest then. */
const LOOK_MS = 500
/** Milliseconds of work in one look, and from it to the next one where there is more. */
const WORK_MS = 10
const REST_MS = 30
/** Milliseconds until what could not be decided, or read, is tried again; twice that after each time more, up to a bound. */
const AGAIN_MS = 5_000
const MAX_AGAIN_MS = 80_000
/** Decisions on their way at once. */
const MAX_ASKED = 128
const LIST_BYTES = 16 * 1024 * 1024

export interface ScheduleRunnerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly batcher: Pick<TaskBatcher, 'decide'>
  member(): Pick<JournalMember, 'machine' | 'clock'> | undefined
}

type Listed = readonly (readonly [id: string, record: ScheduleRecord])[]

/** What could not be begun. */
interface Held {
  /** Made anew, it is another one. */
  readonly revision: number
  /** Monotonic. */
  readonly until: number
  readonly waitMs: number
}

export class ScheduleRunner {
  readonly #deps: ScheduleRunnerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  readonly #asked = new Set<string>()
  readonly #held = new Map<string, Held>()
  /** The last one that a look came to, where it came to its end before its time. */
  #lookedTo = ''
  #times: ScheduleTimes | undefined
  #wake: (() => void) | undefined

  constructor(deps: ScheduleRunnerDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const { timers } = this.#deps.port
    while (!this.#signal.aborted) {
      const schedules = this.#schedules()
      if (schedules.length > 0) this.#times ??= await import('./schedule-times.ts')
      const dueAt = this.#times === undefined ? Number.POSITIVE_INFINITY : this.#look(this.#times, schedules)
      const rests = dueAt === undefined
      const dueMs = rests ? REST_MS : Math.max(0, Math.min(LOOK_MS, dueAt - this.#clock().now()))
      await waitFor(this.#signal, (resolve) => {
        if (!rests) this.#wake = resolve
        const stop = timers.after(dueMs, resolve)
        return () => {
          this.#wake = undefined
          stop()
        }
      }).catch(() => {})
    }
  }

  #clock(): JournalClock {
    return (this.#deps.member() ?? this.#deps.port).clock
  }

  #schedules(): Listed {
    const { records } = this.#deps.member()?.machine ?? {}
    const found = records?.list(SCHEDULE_PREFIX, '', MAX_SCHEDULES, LIST_BYTES) ?? []
    const listed = found.flatMap(({ key, value }) => {
      const record = readSchedule(value)
      return record === undefined ? [] : [[key.slice(SCHEDULE_PREFIX.length), record] as const]
    })
    this.#forgetGone(listed)
    return listed
  }

  #forgetGone(listed: Listed): void {
    if (this.#held.size === 0) return
    const there = new Set(listed.map(([id]) => id))
    for (const id of this.#held.keys()) if (!there.has(id)) this.#held.delete(id)
  }

  /** @returns when the next one is due; undefined: it has worked for long enough, and there may be more */
  #look(times: ScheduleTimes, schedules: Listed): number | undefined {
    const clock = this.#clock()
    const [nowMs, begunAt] = [clock.now(), clock.monotonic()]
    const first = schedules.findIndex(([id]) => id > this.#lookedTo)
    let dueAt = Number.POSITIVE_INFINITY
    for (const [id, record] of [...schedules.slice(Math.max(0, first)), ...schedules.slice(0, Math.max(0, first))]) {
      if (record.isPaused === true || this.#asked.has(id) || this.#isHeld(id, record)) continue
      const { nextAt } = record
      if (nextAt !== undefined && nextAt > nowMs) {
        dueAt = Math.min(dueAt, nextAt)
        continue
      }
      if (this.#asked.size >= MAX_ASKED) return dueAt
      this.#fire(times, id, record, nowMs)
      this.#lookedTo = id
      if (clock.monotonic() - begunAt >= WORK_MS) return undefined
    }
    return dueAt
  }

  #isHeld(id: string, { revision }: ScheduleRecord): boolean {
    const held = this.#held.get(id)
    return held?.revision === revision && held.until > this.#deps.port.clock.monotonic()
  }

  /** Said once: until it goes well, it is tried again. */
  #hold(id: string, revision: number, why: string, error: unknown): void {
    const { clock, log } = this.#deps.port
    const known = this.#held.get(id)
    const before = known?.revision === revision ? known : undefined
    if (before === undefined) log.warn(why, { schedule: id, error })
    const waitMs = before === undefined ? AGAIN_MS : Math.min(MAX_AGAIN_MS, 2 * before.waitMs)
    this.#held.set(id, { revision, until: clock.monotonic() + waitMs, waitMs })
  }

  #fire({ dueFiring, firstTime }: ScheduleTimes, id: string, record: ScheduleRecord, nowMs: number): void {
    const { nextAt, revision } = record
    let due: DueFiring
    try {
      const first = nextAt === undefined ? firstTime(record.plan, record.since) : undefined
      if (nextAt !== undefined) due = dueFiring(record, nextAt, nowMs)
      else due = first === undefined ? {} : { next: first }
    } catch (error) {
      this.#hold(id, revision, 'this node cannot tell the times of a schedule; it tries again', error)
      return
    }
    const from = nextAt === undefined ? {} : { from: nextAt }
    this.#asked.add(id)
    void this.#decide({ do: 'fire', epoch: this.#epoch, id, revision, ...from, ...due })
  }

  async #decide(change: ChangeOf<'fire'>): Promise<void> {
    const { id } = change
    try {
      await this.#deps.batcher.decide(change, { signal: this.#signal })
      this.#held.delete(id)
    } catch (error) {
      if (this.#signal.aborted) return
      // It changed meanwhile, which is seen by reading.
      if (!isParleyError(error, 'STA002', 'STA003'))
        this.#hold(id, change.revision, 'a scheduled task was not begun; it is tried again', error)
    } finally {
      this.#asked.delete(id)
      this.#wake?.()
    }
  }
}
