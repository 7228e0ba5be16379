/**
 * Who should vote: one step at a time towards 1, 3 or 5 voters that are well. Pure; the coordinator carries it out through
 * the log.
 *
 * A learner votes once it kept up for a while. A voter that is gone for long is replaced by such a learner, or given up
 * where that leaves an odd number; whoever gives its seat up goes as soon as the rest can do without. No step leaves fewer
 * living voters than a majority of the new ones (dissertation, chapter 4). Source: DESIGN section 6.
 */
import { peerOf } from '../consensus/member-id.ts'
import type { Configuration } from '../consensus/messages.ts'
import { majority } from '../consensus/quorum.ts'

export interface AutopilotSettings {
  /** Milliseconds that a learner must have kept up before it votes; 10,000 unless told. */
  readonly stableMs: number
  /** Milliseconds of silence after which a voter counts as gone; 600,000 unless told. */
  readonly replaceAfterMs: number
  /** Milliseconds of silence after which a learner is given up; 60,000 unless told. */
  readonly dropLearnerAfterMs: number
}

export const AUTOPILOT: AutopilotSettings = { stableMs: 10_000, replaceAfterMs: 600_000, dropLearnerAfterMs: 60_000 }

/** Silent for longer than this, a voter does not count as living. */
const ALIVE_MS = 2_000
/** Learners beside the voters; they wait to take a place. */
const SPARE = 1

export interface MemberFacts {
  /** Milliseconds since it was heard, as far as this coordinator knows. */
  silentMs(member: string): number
  /** Milliseconds for which a member has kept up without a break. */
  keptUpMs(member: string): number
}

export interface Volunteer {
  readonly member: string
  /** It gives its seat up, or does not want one. */
  readonly leaving: boolean
}

export interface Situation extends MemberFacts {
  readonly self: string
  readonly configuration: Configuration
  /** Those who offered a seat lately, whether they have one or not. */
  readonly volunteers: readonly Volunteer[]
  /** Nodes that may vote: those with a seat, and volunteers. */
}

export interface Advice {
  readonly configuration: Configuration
  /** For the log and for people. */
  readonly why: string
}

/** Voters that `willing` nodes should have: 1 below 3, 3 below 5, else 5. */
export const targetVoters = (willing: number): number => (willing >= 5 ? 5 : willing >= 3 ? 3 : 1)

const without = (list: readonly string[], id: string): string[] => list.filter((one) => one !== id)

export const advise = (at: Situation, settings: AutopilotSettings = AUTOPILOT): Advice | undefined => {
  const { configuration, volunteers, self } = at
  const { voters, learners } = configuration
  const isAlive = (id: string): boolean => id === self || at.silentMs(id) < ALIVE_MS
  const leaving = new Set(volunteers.filter((one) => one.leaving).map(({ member }) => member))
  /** A peer has one store: whoever comes with another one will not come back with the one before. */
  const replaced = (id: string): boolean =>
    volunteers.some(({ member, leaving: goes }) => !goes && member !== id && peerOf(member) === peerOf(id))
  const isGone = (id: string): boolean =>
    id !== self && (leaving.has(id) || (replaced(id) && !isAlive(id)) || at.silentMs(id) >= settings.replaceAfterMs)
  const gone = voters.filter(isGone)
  const well = voters.filter((id) => !isGone(id))

  const present = volunteers.filter((one) => !one.leaving).map(({ member }) => member)
  const willing = new Set([...well, ...learners.filter((id) => !leaving.has(id)), ...present].map(peerOf))
  const target = targetVoters(willing.size)

  /** Enough of these are alive to decide. */
  const canDecide = (next: readonly string[]): boolean =>
    next.length > 0 && next.filter(isAlive).length >= majority(next.length)

  const ready = learners.filter(
    (id) => !leaving.has(id) && isAlive(id) && at.keptUpMs(id) >= settings.stableMs && !voters.includes(id),
  )
  const promote = (id: string, why: string): Advice | undefined => {
    const next = [...voters, id]
    return canDecide(next) ? { configuration: { voters: next, learners: without(learners, id) }, why } : undefined
  }
  const dismiss = (id: string, why: string): Advice | undefined => {
    const next = without(voters, id)
    return canDecide(next) ? { configuration: { voters: next, learners }, why } : undefined
  }

  const [next] = ready
  const [lost] = gone
  // A place is filled before it is emptied, so that there are never fewer copies than before.
  if (lost !== undefined && voters.length > 1) {
    if (well.length < target && next !== undefined && voters.length <= target)
      return promote(next, `${next} takes the place of ${lost}`)
    const isEven = voters.length % 2 === 0
    // Without anyone to take its place it stays, unless an odd number is left, or it wants to go.
    if (isEven || gone.length > 1 || leaving.has(lost) || voters.length > target) {
      const why = leaving.has(lost) ? `${lost} gives its seat up` : `${lost} is gone`
      const advice = dismiss(lost, why)
      if (advice !== undefined) return advice
    }
  } else if (well.length < target && next !== undefined) {
    // Two at a time, as there should be an odd number; the second one follows at once.
    if (voters.length % 2 === 0 || ready.length > 1) return promote(next, `${next} has kept up`)
  } else if (voters.length > target) {
    const surplus = voters.filter((id) => id !== self).at(-1)
    if (surplus !== undefined && gone.length === 0) {
      const advice = dismiss(surplus, `${voters.length} voters are more than ${target}`)
      if (advice !== undefined) return advice
    }
  }

  const silent = learners.find(
    (id) => leaving.has(id) || replaced(id) || at.silentMs(id) >= settings.dropLearnerAfterMs,
  )
  if (silent !== undefined)
    return { configuration: { voters, learners: without(learners, silent) }, why: `the learner ${silent} is gone` }

  const places = Math.max(0, target - well.length) + SPARE
  const candidate = present.find((id) => !voters.includes(id) && !learners.includes(id))
  if (candidate !== undefined && learners.length < places)
    return { configuration: { voters, learners: [...learners, candidate] }, why: `${candidate} learns` }
  return undefined
}
