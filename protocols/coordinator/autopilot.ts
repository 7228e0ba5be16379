/**
 * Who should vote: one step at a time towards 1, 3 or 5 voters that are well. Pure; the coordinator carries it out through
 * the log.
 *
 * A learner votes once it kept up for a while. A voter that is gone for long is replaced by such a learner, or given up
 * where that leaves an odd number of at least three: its silence alone never leaves fewer copies than that. Whoever
 * withdraws goes as soon as the rest can do without. No step leaves fewer living voters than a majority of the new ones
 * (Raft dissertation, chapter 4).
 */
import { peerOf } from '../consensus/member-id.ts'
import { majority } from '../consensus/raft/quorum.ts'
import type { Configuration } from '../consensus/raft/raft-messages.ts'

export interface AutopilotSettings {
  /** Milliseconds that a learner must have kept up before it votes; 10,000 unless told. */
  readonly stableMs: number
  /** Milliseconds of silence after which a voter counts as gone; 600,000 unless told. */
  readonly replaceAfterMs: number
  /** Milliseconds of silence after which a learner is given up; 60,000 unless told. */
  readonly dropLearnerAfterMs: number
}

export const AUTOPILOT_DEFAULTS: AutopilotSettings = {
  stableMs: 10_000,
  replaceAfterMs: 600_000,
  dropLearnerAfterMs: 60_000,
}

/**
 * Silent for longer than this, a member does not count as living; it answers each 100 ms. Short, since a voter that dies
 * while another one is put out may be the one that was needed.
 */
const ALIVE_MS = 500
/** Learners beside the voters; they wait to take a place. */
const SPARE = 1

export interface MemberFacts {
  /** Milliseconds since it was heard; Infinity: never. */
  lastHeardMs(member: string): number
  /** Milliseconds of silence: no longer than it is a member, and than this coordinator acts. */
  silentMs(member: string): number
  /** Milliseconds for which a member has kept up without a break. */
  keptUpMs(member: string): number
}

export interface Volunteer {
  readonly member: string
  /** It withdraws, or does not want to be a member. */
  readonly leaving: boolean
}

export interface AutopilotInput extends MemberFacts {
  readonly self: string
  readonly configuration: Configuration
  /** Those who volunteered lately, whether they are members or not; of one peer the last one counts. */
  readonly volunteers: readonly Volunteer[]
}

export interface Advice {
  readonly configuration: Configuration
  /** For the log and for people. */
  readonly why: string
}

/** Voters that `willing` nodes should have: 1 below 3, 3 below 5, else 5. */
export const targetVoters = (willing: number): number => (willing >= 5 ? 5 : willing >= 3 ? 3 : 1)

const without = (list: readonly string[], id: string): string[] => list.filter((one) => one !== id)

/** Copies that are not given up because of somebody's silence. */
const COPIES = 3

/** The situation, read: who is well, who is gone, how many there should be. */
const read = (at: AutopilotInput, settings: AutopilotSettings) => {
  const { voters, learners } = at.configuration
  const offers = [...new Map(at.volunteers.map((one) => [peerOf(one.member), one])).values()]
  const leaving = new Set(offers.filter((one) => one.leaving).map(({ member }) => member))
  const present = offers.filter((one) => !one.leaving).map(({ member }) => member)
  const isAlive = (id: string): boolean => id === at.self || at.lastHeardMs(id) < ALIVE_MS
  /** A peer has one store: whoever comes with another one will not come back with the one before. */
  const isReplaced = (id: string): boolean =>
    !isAlive(id) && present.some((member) => member !== id && peerOf(member) === peerOf(id))
  const isGone = (id: string): boolean =>
    id !== at.self && (leaving.has(id) || isReplaced(id) || at.silentMs(id) >= settings.replaceAfterMs)
  // The dead go first: that costs nothing.
  const gone = voters.filter(isGone).sort((a, b) => Number(isAlive(a)) - Number(isAlive(b)))
  const well = voters.filter((id) => !isGone(id))
  const willing = new Set([...well, ...learners.filter((id) => !leaving.has(id)), ...present].map(peerOf))
  const least = gone.some((id) => !leaving.has(id)) ? Math.min(COPIES, voters.length) : 1
  const target = Math.max(least, targetVoters(willing.size))
  const isReady = (id: string): boolean =>
    !leaving.has(id) && !isReplaced(id) && isAlive(id) && at.keptUpMs(id) >= settings.stableMs
  const ready = learners.filter((id) => !voters.includes(id) && isReady(id))
  return { leaving, present, isAlive, isReplaced, gone, well, target, ready }
}
type Reading = ReturnType<typeof read>

/** Another one among the voters, or one less. */
const adviseVoters = (
  at: AutopilotInput,
  { leaving, isAlive, gone, well, target, ready }: Reading,
): Advice | undefined => {
  const { voters, learners } = at.configuration
  /** Enough of these are alive to decide. */
  const canDecide = (next: readonly string[]): boolean =>
    next.length > 0 && next.filter(isAlive).length >= majority(next.length)
  const promote = (id: string, why: string): Advice | undefined => {
    const next = [...voters, id]
    return canDecide(next) ? { configuration: { voters: next, learners: without(learners, id) }, why } : undefined
  }
  const dismiss = (id: string, why: string): Advice | undefined => {
    const next = without(voters, id)
    return canDecide(next) ? { configuration: { voters: next, learners }, why } : undefined
  }
  const isEven = voters.length % 2 === 0
  const [next] = ready
  const [lost] = gone
  if (lost !== undefined) {
    // A place is filled before it is emptied, so that there are never fewer copies than before.
    if (well.length < target && next !== undefined && voters.length <= target)
      return promote(next, `${next} takes the place of ${lost}`)
    // Without anyone to take its place it stays, unless an odd number is left, or it wants to go.
    if (isEven || gone.length > 1 || leaving.has(lost) || voters.length > target)
      return dismiss(lost, leaving.has(lost) ? `${lost} gives its seat up` : `${lost} is gone`)
    return undefined
  }
  if (voters.length < target && next !== undefined) {
    // Two at a time, as there should be an odd number; the second one follows at once.
    return isEven || ready.length > 1 ? promote(next, `${next} has kept up`) : undefined
  }
  if (voters.length <= target) return undefined
  const others = voters.filter((id) => id !== at.self)
  const surplus = others.find((id) => !isAlive(id)) ?? others.at(-1)
  return surplus === undefined ? undefined : dismiss(surplus, `${voters.length} voters are more than ${target}`)
}

/** Another one who learns, or one less. */
const adviseLearners = (
  at: AutopilotInput,
  { leaving, present, isReplaced, well, target }: Reading,
  settings: AutopilotSettings,
): Advice | undefined => {
  const { voters, learners } = at.configuration
  const lost = learners.find(
    (id) => leaving.has(id) || isReplaced(id) || at.silentMs(id) >= settings.dropLearnerAfterMs,
  )
  if (lost !== undefined)
    return { configuration: { voters, learners: without(learners, lost) }, why: `the learner ${lost} is gone` }
  const places = Math.max(0, target - well.length) + SPARE
  const candidate = present.find((id) => !voters.includes(id) && !learners.includes(id))
  if (candidate === undefined || learners.length >= places) return undefined
  return { configuration: { voters, learners: [...learners, candidate] }, why: `${candidate} learns` }
}

export const advise = (at: AutopilotInput, settings: AutopilotSettings = AUTOPILOT_DEFAULTS): Advice | undefined => {
  const reading = read(at, settings)
  return adviseVoters(at, reading) ?? adviseLearners(at, reading, settings)
}
