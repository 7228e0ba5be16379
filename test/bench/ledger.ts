/**
 * The ledger of one bench run: each figure, by system, case, metric and round. State: the figures, in memory only.
 *
 * Ratios are taken round by round and then summed up by their median: the systems of one round ran within seconds of
 * each other, so a slow phase of the machine hits both sides of the ratio.
 */
import { rounded, spread } from './statistics.ts'

export interface Reading {
  /** Where it is not of the system that was measured but of one beside it. */
  readonly system?: string
  readonly case: string
  readonly metric: string
  readonly unit: string
  readonly value: number
}

export interface Row {
  readonly system: string
  readonly case: string
  readonly metric: string
  readonly unit: string
  readonly median: number
  readonly min: number
  readonly max: number
  /** How many rounds gave this figure. */
  readonly rounds: number
}

export interface Ledger {
  /** @throws when the same figure is recorded twice for one round: it would silently replace a measurement */
  record(round: number, system: string, readings: readonly Reading[]): void
  /** Figures by round, in the order of rounds; undefined where a round lacks it. */
  values(system: string, caseName: string, metric: string): (number | undefined)[]
  rows(): Row[]
}

interface Series {
  readonly system: string
  readonly reading: Reading
  readonly byRound: Map<number, number>
}

export const createLedger = (rounds: number): Ledger => {
  const series = new Map<string, Series>()
  const key = (system: string, caseName: string, metric: string): string => JSON.stringify([system, caseName, metric])

  return {
    record: (round, system, readings) => {
      for (const reading of readings) {
        const owner = reading.system ?? system
        const id = key(owner, reading.case, reading.metric)
        const found = series.get(id) ?? { system: owner, reading, byRound: new Map<number, number>() }
        if (found.byRound.has(round)) throw new Error(`${id} was recorded twice in round ${round}`)
        found.byRound.set(round, reading.value)
        series.set(id, found)
      }
    },
    values: (system, caseName, metric) => {
      const found = series.get(key(system, caseName, metric))
      return Array.from({ length: rounds }, (_, round) => found?.byRound.get(round))
    },
    rows: () =>
      [...series.values()].map(({ system, reading, byRound }) => {
        const { median, min, max } = spread([...byRound.values()])
        return {
          system,
          case: reading.case,
          metric: reading.metric,
          unit: reading.unit,
          median: rounded(median),
          min: rounded(min),
          max: rounded(max),
          rounds: byRound.size,
        }
      }),
  }
}
