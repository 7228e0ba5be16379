/** What the crash runs say at their end. Pure. */

export interface Result {
  readonly name: string
  readonly seconds: number
  /** Why it was not played. */
  readonly skipped: string | undefined
  readonly figures: Readonly<Record<string, number>>
  readonly violations: readonly string[]
}

/** Shown for each scenario; all others are told beside them. */
const COLUMNS = ['acknowledged', 'refused', 'unknown', 'lost', 'twice', 'terms'] as const

export const verdictOf = ({ skipped, violations }: Result): string =>
  skipped !== undefined ? 'skipped' : violations.length === 0 ? 'ok' : 'FAILED'

const shown = (value: number | undefined): string =>
  value === undefined
    ? ''
    : (Math.abs(value) >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)).toString()

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

const others = ({ figures, skipped }: Result): string => {
  if (skipped !== undefined) return skipped
  const rest = Object.entries(figures).filter(([name]) => !COLUMNS.some((column) => column === name))
  return rest.map(([name, value]) => `${name} ${shown(value)}`).join('; ')
}

/** A table, what each scenario found beside it, what is wrong, and a last line. */
export const summary = (results: readonly Result[], seed: number): string => {
  const rows = results.map((result) => [
    result.name,
    verdictOf(result),
    shown(result.seconds),
    ...COLUMNS.map((column) => shown(result.figures[column])),
  ])
  const failed = results.filter(({ violations }) => violations.length > 0)
  const skipped = results.filter((result) => result.skipped !== undefined)
  const total = (column: string): number => results.reduce((sum, { figures }) => sum + (figures[column] ?? 0), 0)
  const counts = `${results.length - skipped.length} scenarios, ${total('acknowledged')} decisions acknowledged, ${total('lost')} lost, ${total('twice')} applied twice`
  const without = skipped.length === 0 ? '' : `, skipped ${skipped.map(({ name }) => name).join(', ')}`
  return [
    table([['scenario', '', 's', ...COLUMNS], ...rows]),
    '',
    ...results.map((result) => `${result.name}: ${others(result)}`),
    ...failed.flatMap(({ name, violations }) => violations.map((what) => `WRONG in ${name}: ${what}`)),
    `crash: ${failed.length === 0 ? 'ok' : 'FAILED'}, ${counts}${without}; seed ${seed}`,
  ].join('\n')
}
