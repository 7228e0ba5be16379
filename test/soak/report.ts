/** What the soak says: progress, the table of slopes, the summary. Pure. */
import type { Sample } from './sample.ts'
import { complaints, type Judged, type Outcome } from './verdict.ts'

const figure = (value: number): string =>
  Math.abs(value) >= 1000 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toFixed(2)

const signed = (value: number): string => `${value < 0 ? '' : '+'}${value.toFixed(2)}`

const columns = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i < 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A row for each series: its slope in each process, the largest error and the bound. */
export const slopeTable = (judged: readonly Judged[]): string => {
  const whos = [...new Set(judged.map(({ who }) => who))]
  const rows = [...new Set(judged.map(({ series }) => series))].map((series) => {
    const all = judged.filter((one) => one.series === series)
    const grows = all.some(({ verdict }) => verdict === 'GROWS')
    const bound = Math.max(...all.map((one) => one.bound ?? Number.NaN))
    return [
      series,
      ...whos.map((who) => {
        const one = all.find((each) => each.who === who)
        return one === undefined
          ? ''
          : `${signed(one.perMinute)}${one.verdict === 'GROWS' ? '!' : ''} (${figure(one.last)})`
      }),
      Math.max(...all.map(({ error }) => error)).toFixed(2),
      Number.isNaN(bound) ? '' : bound.toFixed(1),
      grows ? 'GROWS' : (all[0]?.verdict ?? '-'),
    ]
  })
  return columns([['a minute (last)', ...whos, '±', 'bound', 'verdict'], ...rows])
}

export interface Progress {
  readonly minute: number
  readonly calls: number
  readonly joins: number
  readonly leaves: number
  readonly unexpected: number
  readonly samples: readonly Sample[]
}

/** One line; memory as a list of the core's processes. */
export const progressLine = ({ minute, calls, joins, leaves, unexpected, samples }: Progress): string => {
  const list = (name: string): string => samples.map((sample) => Math.round(sample[name] ?? 0)).join('/')
  return `${minute.toFixed(1)} min: ${figure(calls)} calls, ${joins} joins, ${leaves} leaves, ${unexpected} unexpected; heap ${list('heap MiB')} MiB, rss ${list('rss MiB')}, fds ${list('fds')}, loop p99 ${list('loop p99 ms')} ms`
}

/** The last line. */
export const summary = (outcome: Outcome): string => {
  const { minutes, calls, joins, leaves, unexpected } = outcome
  const visits = Math.min(joins, leaves)
  const figures = `${minutes} min, ${calls.toLocaleString('en')} calls, ${visits} joins and leaves, ${unexpected} unexpected failures`
  const found = complaints(outcome)
  return found.length === 0
    ? `soak: ok, ${figures}, all slopes within bounds`
    : `soak: FAILED, ${figures}; ${found.join('; ')}`
}
