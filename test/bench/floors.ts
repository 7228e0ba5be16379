/**
 * Floors and aims: what a figure must reach, and what it should. Pure.
 *
 * A floor that was not measured in every round does not hold: a missing peer must never look like a pass.
 * Source: the table of floors in the design document, section 8.
 */
import { percentile, rounded, spread } from './statistics.ts'

export interface Floor {
  readonly name: string
  /** Null when it could not be measured. */
  readonly value: number | null
  /** Where the middle half of the rounds lies: a reader tells a change from noise by it. Null when not measured. */
  readonly middle: readonly [from: number, to: number] | null
  readonly floor: number
  /** Null when the aim is relative to a system that was not measured. */
  readonly aim: number | null
  readonly holds: boolean
  readonly reachesAim: boolean
}

export type ByRound = readonly (number | undefined)[]

export interface Demand {
  readonly name: string
  /** `least`: the value must not be below the floor; `most`: not above it. */
  readonly bound: 'least' | 'most'
  /** The figure of each round; the median counts. */
  readonly byRound: ByRound
  readonly floor: number
  readonly aim: number | null
}

/** The rounds' values when each of them is there and finite. */
const complete = (byRound: ByRound): number[] | undefined => {
  const found = byRound.filter((value): value is number => value !== undefined && Number.isFinite(value))
  return found.length > 0 && found.length === byRound.length ? found : undefined
}

/** The median over the rounds, or null when a round lacks it. */
export const medianOf = (byRound: ByRound): number | null => {
  const found = complete(byRound)
  return found === undefined ? null : spread(found).median
}

export const judge = ({ name, bound, byRound, floor, aim }: Demand): Floor => {
  const rounds = complete(byRound)
  const value = rounds === undefined ? null : spread(rounds).median
  // The unrounded value decides; only what is shown is rounded.
  const meets = (limit: number): boolean => value !== null && (bound === 'least' ? value >= limit : value <= limit)
  return {
    name,
    value: value === null ? null : rounded(value),
    middle: rounds === undefined ? null : [rounded(percentile(rounds, 0.25)), rounded(percentile(rounds, 0.75))],
    floor,
    aim,
    holds: meets(floor),
    reachesAim: aim !== null && meets(aim),
  }
}

/** Combines the same round of several series; undefined where one of them lacks it. */
export const pairRounds = (series: readonly ByRound[], combine: (values: number[]) => number): (number | undefined)[] =>
  Array.from({ length: Math.max(0, ...series.map((one) => one.length)) }, (_, round) => {
    const values = series.map((one) => one[round]).filter((value): value is number => value !== undefined)
    return values.length === series.length ? combine(values) : undefined
  })

/** `over / under`, round by round. */
export const ratio = (over: ByRound, under: ByRound): (number | undefined)[] =>
  pairRounds([over, under], ([a = Number.NaN, b = Number.NaN]) => a / b)

/** The greatest of several series, round by round. */
export const best = (...series: ByRound[]): (number | undefined)[] =>
  pairRounds(series, (values) => Math.max(...values))

/** For a system that not everybody can have: its series, or none where it was skipped. */
export const ifMeasured = (series: ByRound): ByRound[] => (series.some((value) => value !== undefined) ? [series] : [])

/** True when there is at least one floor and every one holds. */
export const allHold = (floors: readonly Floor[]): boolean => floors.length > 0 && floors.every(({ holds }) => holds)
