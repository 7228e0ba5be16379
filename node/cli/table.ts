/** Tables for people. Keeps no state. */
import Table from 'cli-table3'
import { escapeText } from '../log-fields.ts'

/** What a peer says of itself must not drive this terminal. */
export const table = (head: string[], rows: readonly string[][]): string => {
  const lines = new Table({ head, style: { head: [], border: [] } })
  for (const row of rows) lines.push(row.map((cell) => cell.split('\n').map(escapeText).join('\n')))
  return lines.toString()
}
