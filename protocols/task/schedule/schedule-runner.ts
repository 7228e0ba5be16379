/**
 * What the coordinator does about schedules, for as long as it coordinates: it looks which of them are due by the journal, and
 * has it decided that their tasks begin. State: what is on its way, of one epoch.
 */
import { waitFor } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { ChangeBatcher } from '../client/change-batcher.ts'
import type { ChangeOf } from '../journal/task-changes.ts'
import { MAX_SCHEDULES, readSchedule, SCHEDULE_PREFIX, type ScheduleRecord } from './schedule-record.ts'
import type { DueFiring } from './schedule-times.ts'

/** Loaded with the first schedule: most meshes have none. */
type ScheduleTimes = typeof import('./schedule-times.ts')

/** Milliseconds; it looks at the latest then. */
const LOOK_MS = 500
/** Milliseconds until what could not be decided, or read, is tried again. */
const AGAIN_MS = 5_000
/** Decisions on their way at once. */
const MAX_ASKED = 128
const LIST_BYTES = 16 * 1024 * 1024

export interface ScheduleRunnerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly batcher: Pick<ChangeBatcher, 'decide'>
  member(): Pick<JournalMember, 'machine'> | undefined
}

export class ScheduleRunner {
  readonly #deps: ScheduleRunnerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  readonly #asked = new Set<string>()
  /** When those are looked at again that could not be decided; monotonic. */
  readonly #notBefore = new Map<string, number>()
  #times: ScheduleTimes | undefined
  #wake: (() => void) | undefined

  constructor(deps: ScheduleRunnerDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const { timers, clock } = this.#deps.port
    while (!this.#signal.aborted) {
      const schedules = this.#schedules()
      if (schedules.length > 0) this.#times ??= await import('./schedule-times.ts')
      const dueAt = this.#times === undefined ? Number.POSITIVE_INFINITY : this.#look(this.#times, schedules)
      const dueMs = Math.max(0, Math.min(LOOK_MS, dueAt - clock.now()))
      await waitFor(this.#signal, (resolve) => {
        this.#wake = resolve
        const stop = timers.after(dueMs, resolve)
        return () => {
          this.#wake = undefined
          stop()
        }
      }).catch(() => {})
    }
  }

  #schedules(): (readonly [id: string, record: ScheduleRecord])[] {
    const { records } = this.#deps.member()?.machine ?? {}
    const found = records?.list(SCHEDULE_PREFIX, '', MAX_SCHEDULES, LIST_BYTES) ?? []
    return found.flatMap(({ key, value }) => {
      const record = readSchedule(value)
      return record === undefined ? [] : [[key.slice(SCHEDULE_PREFIX.length), record] as const]
    })
  }

  /** @returns when the next one is due */
  #look(times: ScheduleTimes, schedules: Iterable<readonly [id: string, record: ScheduleRecord]>): number {
    const nowMs = this.#deps.port.clock.now()
    let dueAt = Number.POSITIVE_INFINITY
    for (const [id, record] of schedules) {
      if (record.isPaused === true || this.#asked.has(id) || this.#isHeld(id)) continue
      const { nextAt } = record
      if (nextAt !== undefined && nextAt > nowMs) dueAt = Math.min(dueAt, nextAt)
      else if (this.#asked.size < MAX_ASKED) this.#fire(times, id, record, nowMs)
    }
    return dueAt
  }

  #isHeld(id: string): boolean {
    const until = this.#notBefore.get(id)
    if (until === undefined) return false
    if (until > this.#deps.port.clock.monotonic()) return true
    this.#notBefore.delete(id)
    return false
  }

  #hold(id: string): void {
    this.#notBefore.set(id, this.#deps.port.clock.monotonic() + AGAIN_MS)
  }

  #fire({ dueFiring, firstTime }: ScheduleTimes, id: string, record: ScheduleRecord, nowMs: number): void {
    const { nextAt, revision } = record
    let due: DueFiring
    try {
      const first = nextAt === undefined ? firstTime(record.plan, record.since) : undefined
      if (nextAt !== undefined) due = dueFiring(record, nextAt, nowMs)
      else due = first === undefined ? {} : { next: first }
    } catch (error) {
      this.#deps.port.log.warn('this node cannot tell the times of a schedule', { schedule: id, error })
      this.#hold(id)
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
    } catch (error) {
      if (this.#signal.aborted) return
      // It changed meanwhile, which is seen by reading.
      if (!isParleyError(error, 'STA002', 'STA003')) {
        this.#deps.port.log.warn('a scheduled task was not begun; it is tried again', { schedule: id, error })
        this.#hold(id)
      }
    } finally {
      this.#asked.delete(id)
      this.#wake?.()
    }
  }
}
