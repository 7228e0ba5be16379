/**
 * How far the work is, on stderr: on a terminal one line that is drawn again, elsewhere a line for each tenth.
 * `bar` is pure; the writer keeps the last line drawn and when.
 */

export interface Progress {
  done: number
  total: number
  /** What is being worked on, shown when there is room. */
  note?: string
}

/** The part of a terminal stream that is used. */
export interface Terminal {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

export interface ProgressWriter {
  /** Draws when there is something new to see. */
  update(progress: Progress): void
  /** Draws the last state and ends the line. */
  end(progress: Progress): void
}

const BAR_CELLS = 24
const REDRAW_MS = 50
const TENTHS = 10
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

const share = ({ done, total }: Progress): number => (total <= 0 ? 1 : Math.min(1, Math.max(0, done / total)))

/** Rounded down, so that 100 % means done. */
const percent = (progress: Progress): number => Math.floor(share(progress) * 100)

const figures = (progress: Progress): string => `${progress.done}/${progress.total} documents, ${percent(progress)} %`

/** Names come from the disk: a control character in one must not reach the terminal. */
const printable = (text: string): string => text.toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '�')

/** Cells of a terminal: wide signs (Chinese, Japanese, Korean, emoji) take two. */
const cells = (text: string): number => {
  let width = 0
  for (const char of text) {
    if (/\p{M}/u.test(char)) continue
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u.test(
        char,
      )
        ? 2
        : 1
  }
  return width
}

const fit = (text: string, width: number): string => {
  if (cells(text) <= width) return text
  let kept = ''
  for (const char of text) {
    if (cells(kept + char) > width - 1) break
    kept += char
  }
  return width < 1 ? '' : `${kept}…`
}

/** One line, at most `columns` wide. */
export const bar = (progress: Progress, columns: number): string => {
  const eighths = Math.floor(share(progress) * BAR_CELLS * 8)
  const filled = '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '')
  const start = `${filled.padEnd(BAR_CELLS, '░')} ${figures(progress)}`
  if (cells(start) > columns) return fit(figures(progress), columns)
  const room = columns - cells(start) - 2
  const note = progress.note === undefined || room < 8 ? '' : `  ${fit(printable(progress.note), room)}`
  return start + note
}

const onTerminal = (stream: Terminal, nowMs: () => number): ProgressWriter => {
  let drawn = ''
  let drawnAt = Number.NEGATIVE_INFINITY
  const draw = (progress: Progress): void => {
    // The last column stays free: some terminals wrap when it is written to.
    const line = bar(progress, (stream.columns ?? 80) - 1)
    if (line !== drawn) stream.write(`\r${line}\u001b[K`)
    drawn = line
    drawnAt = nowMs()
  }
  return {
    update: (progress) => {
      if (nowMs() - drawnAt >= REDRAW_MS) draw(progress)
    },
    end: (progress) => {
      draw(progress)
      stream.write('\n')
    },
  }
}

const asLines = (stream: Terminal): ProgressWriter => {
  let tenth = 0
  const update = (progress: Progress): void => {
    const reached = Math.floor(share(progress) * TENTHS)
    if (reached <= tenth) return
    tenth = reached
    stream.write(`${figures(progress)}\n`)
  }
  return { update, end: update }
}

/** @param nowMs a clock that never goes back */
export const createProgress = (stream: Terminal, nowMs: () => number = () => performance.now()): ProgressWriter =>
  stream.isTTY === true ? onTerminal(stream, nowMs) : asLines(stream)
