/**
 * Tables for people: as wide as the terminal, 80 columns where stdout is none. What is wider is wrapped within its column,
 * never cut.
 */
import Table from 'cli-table3'
import { escapeText } from '../../observe/log/log-fields.ts'

/** Where nobody's terminal says how wide it is. */
export const USUAL_COLUMNS = 80
const GAP = '  '
/** A column is not wrapped to less than this. */
const LEAST_CHARS = 8
const SHORT_ID_CHARS = 8

/** Of stdout; a terminal that does not know its size says 0. */
export const columnsOf = ({ isTTY, columns }: { isTTY?: boolean; columns?: number }): number =>
  isTTY === true && columns !== undefined && columns > 0 ? columns : USUAL_COLUMNS

/** How wide a table may be: `wide` asks for whole ids, however long the lines get. */
export const tableWidth = (wide: boolean | undefined): number =>
  wide === true ? Number.POSITIVE_INFINITY : columnsOf(process.stdout)

/** The end of a peer id, which tells peers apart; whole with --wide. */
export const shownId = (id: string, wide: boolean | undefined): string =>
  wide === true || id.length <= SHORT_ID_CHARS + 1 ? id : `…${id.slice(-SHORT_ID_CHARS)}`

/** Widths that fit: the widest columns give way first. */
export const fitted = (natural: readonly number[], isWhole: readonly boolean[], room: number): number[] => {
  const widths = [...natural]
  const gaps = GAP.length * (widths.length - 1)
  for (let over = widths.reduce((sum, one) => sum + one, gaps) - room; over > 0; over -= 1) {
    let at = -1
    for (const [index, width] of widths.entries())
      if (isWhole[index] !== true && width > LEAST_CHARS && width > (widths[at] ?? 0)) at = index
    if (at === -1) break
    widths[at] = (widths[at] ?? 0) - 1
  }
  return widths
}

/** Lines of at most so many characters: between words where that is possible, indented as the text is. */
export const wrapped = (text: string, width: number): string[] => {
  if (text.length <= width) return [text]
  const indent = (/^ */.exec(text)?.[0] ?? '').slice(0, Math.max(0, width - LEAST_CHARS))
  const room = width - indent.length
  const lines: string[] = []
  let line = ''
  for (const word of text.trim().split(/ +/)) {
    const longer = line === '' ? word : `${line} ${word}`
    if (longer.length <= room) {
      line = longer
      continue
    }
    if (line !== '') lines.push(line)
    line = word
    for (; line.length > room; line = line.slice(room)) lines.push(line.slice(0, room))
  }
  return [...lines, line].map((one) => indent + one)
}

/** None but what is between two columns. */
const BORDERS = {
  ...{
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    mid: '',
    'mid-mid': '',
    'left-mid': '',
    'right-mid': '',
  },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '', left: '', right: '', middle: GAP },
}

/**
 * What a peer says of itself must not drive this terminal.
 * @param head names of the columns; one that ends with `!` is never wrapped: its cells are copied
 */
export const table = (
  head: readonly string[],
  rows: readonly (readonly string[])[],
  room: number = columnsOf(process.stdout),
): string => {
  const names = head.map((name) => name.replace(/!$/, '').toUpperCase())
  const cells = rows.map((row) => row.map((cell) => cell.split('\n').map(escapeText)))
  const natural = names.map((name, at) =>
    Math.max(name.length, ...cells.flatMap((row) => (row[at] ?? ['']).map((line) => line.length))),
  )
  const widths = fitted(
    natural,
    head.map((name) => name.endsWith('!')),
    room,
  )
  const fit = (lines: readonly string[], at: number): string =>
    lines.flatMap((line) => wrapped(line, widths[at] ?? line.length)).join('\n')
  const shown = new Table({
    head: names.map((name, at) => fit([name], at)),
    chars: BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  for (const row of cells) shown.push(row.map(fit))
  return shown
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}
