/**
 * Whether a figure stays flat. Pure.
 *
 * The slope of a noisy figure is never zero: by chance it is off by its standard error. Twice that is granted on top of
 * the bound, and at most the bound once more, so that noise never excuses what is twice too much. One sample that was taken
 * while much was under way lifts a line although nothing grows: what grows is above the bound by the median slope as well.
 */
import { boundOf } from './bounds.ts'
import { medianSlopeOf, type Point, slopeOf } from './slope.ts'

export type Verdict = 'flat' | 'GROWS' | '-'

export interface Judged {
  readonly who: string
  readonly series: string
  readonly first: number
  readonly last: number
  readonly perMinute: number
  readonly error: number
  readonly bound: number | undefined
  readonly verdict: Verdict
}

/** Fewer samples say nothing. */
export const MIN_SAMPLES = 4

export const allowance = (bound: number, error: number): number => bound + Math.min(2 * error, bound)

export const judge = (who: string, series: string, points: readonly Point[]): Judged => {
  const { perMinute, error } = slopeOf(points)
  const span = (points.at(-1)?.minute ?? 0) - (points[0]?.minute ?? 0)
  const bound = boundOf(series, span)
  const grows =
    bound !== undefined &&
    points.length >= MIN_SAMPLES &&
    perMinute > allowance(bound, error) &&
    medianSlopeOf(points) > bound
  return {
    who,
    series,
    first: points[0]?.value ?? 0,
    last: points.at(-1)?.value ?? 0,
    perMinute,
    error,
    bound,
    verdict: bound === undefined ? '-' : grows ? 'GROWS' : 'flat',
  }
}

/**
 * Samples before this are warm-up: code is compiled, bounded tables fill; gossipsub remembers each message for two
 * minutes. Minutes from the start.
 */
export const warmUpMinutes = (minutes: number): number => Math.max(minutes * 0.2, minutes >= 5 ? 2 : 0.3)

/**
 * Of a run that is at least three times as long, the end is judged more strictly: tables with bounds in time are full by
 * then (a score of gossip that is below zero is kept for ten minutes), and what grows yet has no bound.
 */
export const END_MINUTES = 10
const HEAP_MIB_PER_MINUTE = 0.3

/** Without so many it shows nothing: a million calls under churn (W8), in ten minutes where the machine is not busy. */
const CALLS = 1_000_000
const VISITS = 500
const MINUTES = 10
/** Events of the core that each of it must have heard, of those that were published. */
const HEARD_SHARE = 0.9

export interface Outcome {
  readonly minutes: number
  readonly calls: number
  readonly joins: number
  readonly leaves: number
  readonly unexpected: number
  /** Of all pairs of core nodes the smallest share of events that came. */
  readonly heardShare: number
  /** Events of core nodes that another core node did not hear. */
  readonly unheard: number
  /** What the heap of each process grew by in a minute in the last `END_MINUTES`, MiB. */
  readonly heapAtEnd: readonly { readonly who: string; readonly perMinute: number }[]
  readonly judged: readonly Judged[]
}

/** Why the soak failed; nothing where it did not. */
export const complaints = (outcome: Outcome): string[] => {
  const { minutes, calls, joins, leaves, unexpected, heardShare, unheard, heapAtEnd, judged } = outcome
  const found: string[] = []
  const growing = judged.filter(({ verdict }) => verdict === 'GROWS')
  const names = growing.map(({ who, series }) => `${series} of ${who}`).join(', ')
  if (growing.length > 0)
    found.push(`${growing.length} ${growing.length === 1 ? 'figure grows' : 'figures grow'}: ${names}`)
  if (unexpected > 0) found.push(`${unexpected} unexpected failures`)
  const part = Math.min(1, minutes / MINUTES)
  if (calls < CALLS * part) found.push(`${calls} calls, ${CALLS * part} were to be made`)
  const visits = Math.min(joins, leaves)
  if (visits < VISITS * part) found.push(`${joins} joins and ${leaves} leaves, ${VISITS * part} of each were to be`)
  if (heardShare < HEARD_SHARE) found.push(`a node heard ${Math.round(heardShare * 100)} % of another's events only`)
  if (unheard > 0) found.push(`${unheard} events of the core were not heard`)
  const end = heapAtEnd.filter(({ perMinute }) => perMinute >= HEAP_MIB_PER_MINUTE)
  if (minutes >= 3 * END_MINUTES && end.length > 0) {
    const slopes = end.map(({ who, perMinute }) => `${who} ${perMinute.toFixed(2)}`).join(', ')
    found.push(`the heap grows in the last ${END_MINUTES} minutes, MiB a minute: ${slopes}`)
  }
  if (!judged.some(({ verdict }) => verdict === 'flat' || verdict === 'GROWS')) found.push('too few samples to judge')
  return found
}
