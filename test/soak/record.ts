/** The samples of a run, by process and series. State: bounded by the number of samples that the run takes. */
import type { Sample } from './sample.ts'
import { type Point, slopeOf } from './slope.ts'
import { type Judged, judge } from './verdict.ts'

export interface Row {
  readonly who: string
  readonly minute: number
  readonly sample: Sample
}

export interface Recording {
  add(row: Row): void
  rows(): readonly Row[]
  /** Each series from `fromMinute` on. */
  judge(fromMinute: number): Judged[]
  /** What one series grows by in a minute, from `fromMinute` on, for each process. */
  slopes(name: string, fromMinute: number): { who: string; perMinute: number }[]
}

export const createRecording = (): Recording => {
  const rows: Row[] = []
  return {
    add: (row) => void rows.push(row),
    rows: () => rows,
    slopes(name, fromMinute) {
      const late = rows.filter(({ minute }) => minute >= fromMinute)
      return [...new Set(late.map(({ who }) => who))].map((who) => {
        const own = late.filter((row) => row.who === who)
        return {
          who,
          perMinute: slopeOf(own.map(({ minute, sample }) => ({ minute, value: sample[name] ?? 0 }))).perMinute,
        }
      })
    },
    judge(fromMinute) {
      const series = new Map<string, { who: string; name: string; points: Point[] }>()
      for (const { who, minute, sample } of rows) {
        if (minute < fromMinute) continue
        for (const [name, value] of Object.entries(sample)) {
          const key = `${who}/${name}`
          const found = series.get(key) ?? { who, name, points: [] }
          found.points.push({ minute, value })
          series.set(key, found)
        }
      }
      return [...series.values()].map(({ who, name, points }) => judge(who, name, points))
    },
  }
}
