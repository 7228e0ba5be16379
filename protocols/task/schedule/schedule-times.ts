/**
 * When a schedule's times are: by cron and time zone, each so many milliseconds, or once. Used by the coordinator, and where a
 * schedule is made; never where the journal is applied. Pure, but for the time zones of this machine.
 *
 * Where clocks go forward, a time of day that is named (`30 2 * * *`) and does not exist counts at the end of the gap; where
 * they go back, the first of its two times counts. A pattern with `*` or a step in minute or hour counts each time that there
 * is: none in the gap, and all in the hour that comes twice.
 */
import { Cron } from 'croner'
import { ParleyError } from '../../errors.ts'
import type { Misfire, SchedulePlan } from './schedule-record.ts'

/** A nominal time that is longer ago was missed. */
export const ON_TIME_MS = 60_000
const SECOND_MS = 1_000

/** Between two times of a pattern, at the least. */
const MINUTE_MS = 60_000
/** Times of a pattern that are looked for at once. */
const SOME = 16

interface Times {
  /** The first one after this. */
  after(ms: number): number | undefined
  /** The oldest of the last `most` ones up to this that are not before `from`. */
  oldest(from: number, ms: number, most: number): number | undefined
}

const cronTimes = (cron: string, zone: string): Times => {
  const times = new Cron(cron, { timezone: zone, mode: '5-part', paused: true, fixedTimeRule: 'no-wildcard' })
  return {
    after: (ms) => times.nextRun(new Date(ms))?.getTime(),
    oldest(from, ms, most) {
      // So many are sure to have room: nothing has to be counted.
      if (Math.floor((ms - from) / MINUTE_MS) + 1 <= most) return undefined
      let oldest: number | undefined
      // Those before this second is over, and no further back than they are asked for: each takes its time.
      let before = (Math.floor(ms / SECOND_MS) + 1) * SECOND_MS
      for (let left = most; left > 0; left -= SOME) {
        const found = times.previousRuns(Math.min(SOME, left), new Date(before)).map((time) => time.getTime())
        const within = found.filter((time) => time >= from)
        oldest = within.at(-1) ?? oldest
        if (within.length < SOME) break
        before = oldest ?? before
      }
      return oldest
    },
  }
}

const everyTimes = (everyMs: number, since: number): Times => {
  const countTo = (ms: number): number => Math.floor((ms - since) / everyMs)
  return {
    after: (ms) => since + Math.max(1, countTo(ms) + 1) * everyMs,
    oldest(from, ms, most) {
      const oldest = since + Math.max(Math.ceil((from - since) / everyMs), countTo(ms) - most + 1) * everyMs
      return oldest <= ms ? oldest : undefined
    },
  }
}

const timesOf = (plan: SchedulePlan, since: number): Times => {
  if (plan.kind === 'cron') return cronTimes(plan.cron, plan.zone)
  if (plan.kind === 'every') return everyTimes(plan.everyMs, since)
  return { after: () => undefined, oldest: () => undefined }
}

/** Of a schedule that is new, or was resumed. @throws Error for a pattern or a zone that this machine does not know */
export const firstTime = (plan: SchedulePlan, since: number): number | undefined =>
  plan.kind === 'at' ? plan.at : timesOf(plan, since).after(since)

/** @throws MSG001 for what has no times */
export const checkPlan = (plan: SchedulePlan, since: number, until = Number.POSITIVE_INFINITY): void => {
  const refused = (why: string): ParleyError =>
    new ParleyError('MSG001', `the schedule cannot be made: ${why}`, {
      hint: 'use five fields of cron (minute, hour, day, month, day of week) and an IANA time zone; or everyMs, or at',
    })
  let first: number | undefined
  try {
    first = firstTime(plan, since)
  } catch (error) {
    throw refused(error instanceof Error ? error.message.slice(0, 200) : String(error))
  }
  if (first === undefined) throw refused('it has no times at all')
  if (first > until) throw refused(`its first time, ${new Date(first).toISOString()}, is after its end`)
}

export interface DueFiring {
  /** Whose task is to begin; undefined: none. */
  readonly nominal?: number
  /** Undefined: there is none. */
  readonly next?: number
}

/**
 * What is to be done at `nowMs` about a schedule whose next time, `nextAt`, has come. Times before the newest one were missed:
 * nobody coordinated. Is more to be made up for, the next time is one that has come too.
 * @throws Error for a pattern or a zone that this machine does not know
 */
export const dueFiring = (
  { plan, since, misfire }: { readonly plan: SchedulePlan; readonly since: number; readonly misfire: Misfire },
  nextAt: number,
  nowMs: number,
): DueFiring => {
  const times = timesOf(plan, since)
  const most = typeof misfire === 'object' ? misfire.all : 1
  // The next time counts as the journal has it, also where zones have changed since.
  const nominal = times.oldest(nextAt, nowMs, most) ?? nextAt
  if (misfire === 'skip' && nowMs - nominal > ON_TIME_MS) return withNext(times.after(nowMs))
  return { nominal, ...withNext(times.after(nominal)) }
}

const withNext = (next: number | undefined): DueFiring => (next === undefined ? {} : { next })
