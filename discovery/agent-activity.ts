/**
 * Whether an agent that is there gets on with its work: alive, working or stuck. Pure.
 *
 * Its own node judges, from what it sees of the agent's requests: one that ended, reported progress or gave an item is a
 * sign that work goes on. Without any sign for `stuckAfterMs`, while requests are in work, the agent is stuck; so it is
 * while a thread that has requests does not turn its event loop for as long. A judgement that comes late moves all times
 * by as much: a node that stood still itself does not blame its agent. Whether the node is there at all is another
 * question (swim/).
 */

export const ACTIVITIES = ['alive', 'working', 'stuck'] as const
export type ActivityName = (typeof ACTIVITIES)[number]

export interface Activity {
  /** `alive`: nothing is in work. `stuck`: work does not go on. */
  readonly state: ActivityName
  /** Milliseconds since it is so, where it is known. */
  readonly sinceMs?: number | undefined
  /** What was reported last of a request that is in work, 0 to 1. */
  readonly progress?: number | undefined
}

/** What a node sees of an agent's work at one moment. */
export interface Workload {
  /** Requests in work, without those that wait for their caller. */
  readonly atWork: number
  /** Another number after each sign that work goes on. */
  readonly signs: number
  /** Threads of their own that run requests; `beats`: another number after each turn of its event loop, or at least now and then. */
  readonly threads: readonly { readonly key: object; readonly atWork: number; readonly beats: number }[]
}

export interface ActivityJudgement {
  readonly state: ActivityName
  readonly sinceAtMs: number
  /** Of what is stuck: nothing was heard of its requests, or its thread does not turn. */
  readonly why?: 'silent' | 'blocked'
  readonly atWork: number
  readonly signs: number
  readonly signAtMs: number
  readonly beats: ReadonlyMap<object, { readonly beats: number; readonly atMs: number }>
  readonly lookedAtMs: number
}

export interface ActivityTimes {
  readonly stuckAfterMs: number
  /** A look later than this after the one before means that the node stood still. */
  readonly lateMs: number
}

const STUCK: Activity = { state: 'stuck' }

/**
 * How an agent is shown: its record says whether it is stuck, which reaches everyone, and its neighbours know more. Of the
 * two one may be a moment behind the other.
 */
export const shownActivity = (told: Activity | undefined, isStuck: boolean): Activity | undefined => {
  if (told === undefined) return isStuck ? STUCK : undefined
  if ((told.state === 'stuck') === isStuck) return told
  return isStuck ? STUCK : { state: 'working' }
}

type Verdict = Pick<ActivityJudgement, 'state' | 'why'>

const verdictOf = (
  { atWork, threads }: Workload,
  { signAtMs, beats }: Pick<ActivityJudgement, 'signAtMs' | 'beats'>,
  nowMs: number,
  stuckAfterMs: number,
): Verdict => {
  if (atWork <= 0) return { state: 'alive' }
  const isBlocked = threads.some(
    ({ key, atWork: own }) => own > 0 && nowMs - (beats.get(key)?.atMs ?? nowMs) >= stuckAfterMs,
  )
  if (isBlocked) return { state: 'stuck', why: 'blocked' }
  return nowMs - signAtMs >= stuckAfterMs ? { state: 'stuck', why: 'silent' } : { state: 'working' }
}

/** @param before the last judgement; undefined for the first */
export const judgeActivity = (
  before: ActivityJudgement | undefined,
  load: Workload,
  nowMs: number,
  { stuckAfterMs, lateMs }: ActivityTimes,
): ActivityJudgement => {
  const gapMs = before === undefined ? 0 : nowMs - before.lookedAtMs
  const stoodStillMs = gapMs > lateMs ? gapMs : 0
  const goesOn = before === undefined || before.atWork <= 0 || before.signs !== load.signs
  const signAtMs = goesOn ? nowMs : before.signAtMs + stoodStillMs
  const beats = new Map(
    load.threads.map(({ key, beats: count }) => {
      const last = before?.beats.get(key)
      const turned = last === undefined || last.beats !== count
      return [key, { beats: count, atMs: turned ? nowMs : last.atMs + stoodStillMs }]
    }),
  )
  const verdict = verdictOf(load, { signAtMs, beats }, nowMs, stuckAfterMs)
  const sinceAtMs = before?.state === verdict.state ? before.sinceAtMs : nowMs
  return { ...verdict, sinceAtMs, atWork: load.atWork, signs: load.signs, signAtMs, beats, lookedAtMs: nowMs }
}
