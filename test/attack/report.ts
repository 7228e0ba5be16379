/** What the attacks leave behind: a table for people, one JSON object for programs. Pure. */
import { columns } from '../bench/report.ts'
import type { Attack, Findings } from './attack.ts'

export interface Result {
  readonly name: string
  readonly line: string
  readonly by: Attack['by']
  readonly seconds: number
  /** Undefined where it could not be played; `broken` says why. */
  readonly findings: Findings | undefined
  readonly broken: string | undefined
}

export type Verdict = 'held off' | 'SUCCEEDED' | 'NOT PLAYED'

export const verdictOf = ({ findings }: Result): Verdict =>
  findings === undefined ? 'NOT PLAYED' : findings.reached.length > 0 ? 'SUCCEEDED' : 'held off'

/** An attack that could not be played was not held off. */
export const allHeld = (results: readonly Result[]): boolean =>
  results.length > 0 && results.every((result) => verdictOf(result) === 'held off')

const number = (value: number): string => (Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(1))
const change = (before: number | undefined, during: number | undefined): string =>
  before === undefined || during === undefined ? '' : `${number(before)} → ${number(during)}`

const MOST_COUNTERS = 12
const MOST_SENTENCES = 10

const countersOf = (counts: Readonly<Record<string, number>>): string => {
  const all = Object.entries(counts).toSorted(([, a], [, b]) => b - a)
  const shown = all.slice(0, MOST_COUNTERS).map(([name, value]) => `${name} ${Number(value.toFixed(1))}`)
  if (all.length > MOST_COUNTERS) shown.push(`and ${all.length - MOST_COUNTERS} more`)
  return shown.join('; ')
}

const row = (result: Result): string[] => {
  const { name, line, by, seconds, findings } = result
  const { before, during, memory } = findings ?? {}
  return [
    line,
    name,
    by,
    verdictOf(result),
    number(seconds),
    change(before?.callP99Ms, during?.callP99Ms),
    change(before?.eventP99Ms, during?.eventP99Ms),
    change(memory?.beforeMib, memory?.peakMib),
  ]
}

const details = ({ name, findings, broken }: Result): string[] => {
  if (findings === undefined) return [`${name}: could not be played: ${broken}`]
  const { tried, refused, reached } = findings
  return [
    `${name}: tried ${countersOf(tried) || 'nothing'}; the node counted ${countersOf(refused) || 'nothing'}`,
    ...reached.slice(0, MOST_SENTENCES).map((what) => `  SUCCEEDED: ${what}`),
    ...(reached.length > MOST_SENTENCES ? [`  and ${reached.length - MOST_SENTENCES} more like these`] : []),
  ]
}

const HEAD = ['line', 'attack', 'by', 'verdict', 's', 'call p99, ms', 'event p99, ms', 'memory, MiB']

/** A table, what each tried and what was refused, and a last line. */
export const summary = (results: readonly Result[]): string => {
  const of = (verdict: Verdict): number => results.filter((result) => verdictOf(result) === verdict).length
  return [
    columns([HEAD, ...results.map(row)], 4),
    '',
    ...results.flatMap(details),
    `attack: ${allHeld(results) ? 'ok' : 'FAILED'}, ${of('held off')} held off, ${of('SUCCEEDED')} succeeded, ${of('NOT PLAYED')} not played`,
  ].join('\n')
}
