/** By what it is judged whether an attack succeeded. Pure. */
import type { Noticed } from './members/honest.ts'
import type { TasksServed } from './members/task-load.ts'

export const LIMITS = {
  /** What a stranger may make a node grow by, MiB. Issue 16, "Must show". */
  grownMib: 64,
  /** What a member may: some of its messages of 4 MiB are there at the same time, until the next collection. */
  grownByMemberMib: 192,
  /** A newcomer is in by then; on a machine that is busy, in this many times what it takes without the attack. */
  joinMs: 2_000,
  joinTimes: 2,
  /** The slowest hundredth of honest calls and events; on a busy machine, this many times what it was before. */
  p99Ms: 150,
  p99Times: 12,
  /** One honest call; by a block of the event loop, which a p99 may hide. */
  slowestMs: 750,
  slowestTimes: 12,
  /** The slowest honest task, from its submission to its end; on a busy machine, this many times what it was before. */
  taskMs: 6_000,
  taskTimes: 20,
  /** Honest calls that may fail, and events that may be lost, of a hundred. */
  failedPercent: 1,
} as const

export const isSlow = (ms: number, beforeMs: number, limitMs: number, times: number): boolean =>
  ms > Math.max(limitMs, beforeMs * times)

const percent = (part: number, whole: number): number => (whole === 0 ? 0 : (100 * part) / whole)
const ms = (value: number): string => `${Math.round(value)} ms`

/** What it did to the time of honest calls and events, as sentences. */
export const delayOf = ({ before, during }: Pick<Noticed, 'before' | 'during'>): string[] => {
  const harm: string[] = []
  const compare = (what: string, was: number, is: number, limitMs: number, times: number): void => {
    if (isSlow(is, was, limitMs, times)) harm.push(`${what} took ${ms(is)}, before ${ms(was)}`)
  }
  compare('p99 of honest calls', before.callP99Ms, during.callP99Ms, LIMITS.p99Ms, LIMITS.p99Times)
  compare('p99 of honest events', before.eventP99Ms, during.eventP99Ms, LIMITS.p99Ms, LIMITS.p99Times)
  compare('an honest call', before.slowestCallMs, during.slowestCallMs, LIMITS.slowestMs, LIMITS.slowestTimes)
  return harm
}

/**
 * What else it did to honest members, as sentences; none where they were served as ever. Fifty dialling strangers take the
 * processors of this one machine from everybody, so that of them no more than this is asked.
 */
export const harmOf = (
  { during, beforeMib, peakMib }: Omit<Noticed, 'before' | 'refused'>,
  mostMib: number = LIMITS.grownMib,
): string[] => {
  const harm: string[] = []
  if (percent(during.failedCalls, during.calls) > LIMITS.failedPercent)
    harm.push(`${during.failedCalls} of ${during.calls} honest calls failed`)
  if (percent(during.lostEvents, during.events) > LIMITS.failedPercent)
    harm.push(`${during.lostEvents} of ${during.events} honest events were not heard`)
  if (peakMib - beforeMib >= mostMib)
    harm.push(`the node grew by ${Math.round(peakMib - beforeMib)} MiB, below ${mostMib} are allowed`)
  return harm
}

/** Each honest task ends once, with the right result, in bounded time; there were some. */
export const harmOfTasks = (
  before: Pick<TasksServed, 'slowestMs'>,
  during: Omit<TasksServed, 'right' | 'p99Ms'>,
): string[] => {
  const harm = [...during.wrong]
  if (during.wrongTasks > during.wrong.length)
    harm.push(`${during.wrongTasks} of ${during.submitted} tasks ended wrongly`)
  if (during.submitted === 0) harm.push('no honest task was submitted')
  if (isSlow(during.slowestMs, before.slowestMs, LIMITS.taskMs, LIMITS.taskTimes))
    harm.push(`an honest task took ${ms(during.slowestMs)}, before ${ms(before.slowestMs)}`)
  return harm
}

/** @param quietMs what joining took without the attack */
export const lateOf = (joinedMs: number | undefined, quietMs: number): string[] => {
  if (joinedMs === undefined) return ['a newcomer did not get in']
  return isSlow(joinedMs, quietMs, LIMITS.joinMs, LIMITS.joinTimes)
    ? [`a newcomer took ${ms(joinedMs)} to get in, ${ms(quietMs)} without the attack`]
    : []
}
