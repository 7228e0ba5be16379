/** What a bench run leaves behind: a table for people, one JSON object for programs. Pure but for reading the machine. */
import { cpus, release, totalmem } from 'node:os'
import { type Entry, programVersion } from './catalogue.ts'
import type { Floor } from './floors.ts'
import type { Row } from './ledger.ts'
import { type OtherWork, QUIET_SHARE } from './other-work.ts'
import { installedVersion } from './peers.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  /** Share of all cores that was busy with something else, looked at before each system of each round. */
  readonly otherWork: OtherWork
}

export interface Skipped {
  readonly system: string
  readonly why: string
}

export interface Report {
  readonly suite: string
  /** ISO 8601 */
  readonly at: string
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly rows: readonly Row[]
  readonly floors: readonly Floor[]
  readonly skipped: readonly Skipped[]
  /** What a reader must know about the figures of a system, by system; where the suite says so. */
  readonly labels?: Readonly<Record<string, string>>
}

export const readMachine = (otherWork: OtherWork): Machine => {
  const cores = cpus()
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()} ${process.arch}`,
    otherWork,
  }
}

/** Versions of Node and of everything that the given systems run on. */
export const readVersions = (entries: readonly Entry[]): Record<string, string> => {
  const versions: Record<string, string> = { node: process.versions.node }
  for (const { packages, program } of entries) {
    for (const name of packages) versions[name] = installedVersion(name) ?? 'missing'
    if (program !== undefined)
      versions[program.shown ?? program.command] = programVersion(program)?.replace(/^\S+: v/, '') ?? 'missing'
  }
  return versions
}

/** Figures as people read them: 1,234,567 and 12.3 and 0.0123. */
export const shown = (value: number): string =>
  Number.isFinite(value)
    ? value.toLocaleString(
        'en-US',
        Math.abs(value) >= 1_000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 },
      )
    : '–'

/** Columns padded to their widest cell; the first `left` columns are text, the others numbers. */
export const columns = (rows: readonly (readonly string[])[], left: number): string => {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length)
    })
  }
  const pad = (cell: string, i: number): string =>
    i < left ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}

const figures = (rows: readonly Row[]): string => {
  const order = (pick: (row: Row) => string): Map<string, number> =>
    new Map([...new Set(rows.map(pick))].map((name, i) => [name, i]))
  const quantity = (row: Row): string => `${row.case}, ${row.metric}`
  const ranks = order(quantity)
  const rank = (row: Row): number => ranks.get(quantity(row)) ?? 0
  // One quantity of all systems together is what a reader compares; sort() keeps the systems' order within it.
  const ordered = [...rows].sort((a, b) => rank(a) - rank(b))
  const head = ['case', 'metric', 'system', 'median', 'min', 'max', 'unit', 'rounds']
  const body = ordered.map((row, i) => {
    const previous = ordered[i - 1]
    const again = previous !== undefined && quantity(previous) === quantity(row)
    return [
      again ? '' : row.case,
      again ? '' : row.metric,
      row.system,
      shown(row.median),
      shown(row.min),
      shown(row.max),
      row.unit,
      String(row.rounds),
    ]
  })
  return columns([head, ...body], 3)
}

const verdict = ({ value, holds, reachesAim }: Floor): string =>
  value === null ? 'NOT MEASURED' : !holds ? 'BELOW THE FLOOR' : reachesAim ? 'reaches the aim' : 'holds'

const floorLines = (floors: readonly Floor[]): string =>
  columns(
    [
      ['floor', 'verdict', 'value', 'half of the rounds', 'floor', 'aim'],
      ...floors.map((floor) => [
        floor.name,
        verdict(floor),
        floor.value === null ? '–' : shown(floor.value),
        floor.middle === null ? '–' : floor.middle.map(shown).join(' to '),
        shown(floor.floor),
        floor.aim === null ? '–' : shown(floor.aim),
      ]),
    ],
    2,
  )

const otherWorkLine = ({ median, max }: OtherWork): string => {
  const percent = (share: number): string => `${Math.round(share * 100)} %`
  const line = `other work took ${percent(median)} of the machine (median), ${percent(max)} at most`
  return median > QUIET_SHARE ? `${line}: NOT A QUIET MACHINE, figures may be off by a factor` : line
}

/** The table for people. @param notes what a system's bytes go through, by system */
export const table = (report: Report, notes: ReadonlyMap<string, string>): string => {
  const { machine } = report
  const systems = [...new Set(report.rows.map((row) => row.system))]
  const parts = [
    `${report.suite} at ${report.at} on ${machine.cores} × ${machine.cpu}`,
    otherWorkLine(machine.otherWork),
    Object.entries(report.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    systems
      .map((name) => [`${name}: ${notes.get(name) ?? ''}`, report.labels?.[name]].filter(Boolean).join('; '))
      .join('\n'),
    figures(report.rows),
    floorLines(report.floors),
    ...report.skipped.map(({ system, why }) => `skipped ${system}: ${why}`),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}
