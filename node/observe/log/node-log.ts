/**
 * The log of a node, by pino: one JSON object per line on stderr, or a line for people where stderr is a terminal.
 *
 * State: pino's level, and how often each level and each message text was written in the current window. Guarantees: at
 * most LINES_PER_TEXT lines of one text and LINES_PER_LEVEL lines of one level per window, and at its end one line says
 * how many were left out; fields are bounded and harmless (log-fields.ts); logging never throws; there is no thread
 * between, and a line is written before the call returns (log-stderr.ts).
 */
import { pino } from 'pino'
import type { Clock, Fields, Log, Timers } from '../../../protocols/port.ts'
import { escapeJson, escapeText, plainFields, truncate } from './log-fields.ts'
import type { LogLevel } from './log-levels.ts'
import { createStderrWriter } from './log-stderr.ts'

type Spoken = Exclude<LogLevel, 'silent'>

export const WINDOW_MS = 10_000
/** Lines of one message text per window. */
export const LINES_PER_TEXT = 10
/** Lines of one level per window, for texts that are all different, because they hold an id. */
export const LINES_PER_LEVEL = 1000
/** Message texts that are told apart in one window. */
export const MAX_TEXTS = 256

export interface LogOptions {
  /** The least urgent level that is written; `info` unless told. */
  level?: LogLevel
  /** In each line, for example the name of the node as `source`. */
  fields?: Fields
  /** True: lines for people. As stderr is unless told. */
  human?: boolean
  /** Takes one line with its end; stderr unless told. */
  write?: (line: string) => void
  clock?: Pick<Clock, 'now'>
  /** Must not keep the process alive. */
  timers?: Pick<Timers, 'after'>
}

export interface NodeLog extends Log {
  /** The least urgent level that is written from now on. */
  setLevel(level: LogLevel): void
  level(): LogLevel
  /** Ends the window now and says what was left out of it; at stop. */
  flush(): void
}

const unrefTimers: Pick<Timers, 'after'> = {
  after(delayMs, fn) {
    const timer = setTimeout(fn, delayMs).unref()
    return () => clearTimeout(timer)
  },
}

const COLOURS: Record<Spoken, string> = { error: '31', warn: '33', info: '36' }

/** What a line says of itself: no field may stand in for it. */
const OWN = ['timestamp', 'level', 'message']

const withoutOwn = (fields: Fields): Fields =>
  OWN.some((name) => name in fields)
    ? Object.fromEntries(Object.entries(fields).filter(([name]) => !OWN.includes(name)))
    : fields

/** @param line as pino made it from what is plain already */
const forPeople = (line: string): string => {
  const { timestamp, level, message, ...fields }: Record<string, unknown> = JSON.parse(line)
  const rest = Object.entries(fields).map(([name, value]) => {
    const bare = typeof value === 'string' && /^[^\s"=\\\p{Cc}]+$/u.test(value)
    return ` ${name}=${bare ? value : JSON.stringify(value)}`
  })
  const word = String(level)
  const colour = word === 'error' || word === 'warn' || word === 'info' ? COLOURS[word] : '0'
  const head = `\u001b[${colour}m${word.padEnd(5)}\u001b[0m`
  return `${String(timestamp).slice(11, 24)} ${head} ${escapeText(String(message) + rest.join(''))}\n`
}

const forPrograms = (line: string): string => `${escapeJson(line.trimEnd())}\n`

/** What was written and left out since the window opened. */
const openWindow = () => ({
  lines: new Map<Spoken, number>(),
  texts: new Map<string, number>(),
  /** By message text; `…` for those beyond MAX_TEXTS. */
  leftOut: new Map<string, number>(),
})

export const createLog = (options: LogOptions = {}): NodeLog => {
  const { clock = Date, timers = unrefTimers, fields: always = {} } = options
  const human = options.human ?? process.stderr.isTTY === true
  const format = human ? forPeople : forPrograms
  const write = options.write ?? createStderrWriter()
  const lines = pino(
    {
      level: options.level ?? 'info',
      base: null,
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line) => write(format(line)) },
  )
  let window: ReturnType<typeof openWindow> | undefined
  let stopTimer = (): void => {}
  let unwritten = 0

  const put = (level: Spoken, message: string, fields: Fields): void => {
    try {
      lines[level](withoutOwn(plainFields({ ...always, ...fields })), message)
    } catch {
      unwritten += 1
    }
  }

  const flush = (): void => {
    stopTimer()
    const leftOut = [...(window?.leftOut ?? [])].sort(([, a], [, b]) => b - a)
    window = undefined
    const count = leftOut.reduce((sum, [, n]) => sum + n, unwritten)
    if (count === 0) return
    unwritten = 0
    const most = Object.fromEntries(leftOut.slice(0, 5).map(([text, n]) => [truncate(text, 80), n]))
    put(lines.isLevelEnabled('warn') ? 'warn' : 'error', 'log lines were left out', { suppressed: count, most })
  }

  /** Whether this line may still be written in this window; counts it either way. */
  const admit = (level: Spoken, message: string): boolean => {
    if (window === undefined) {
      window = openWindow()
      stopTimer = timers.after(WINDOW_MS, flush)
    }
    const { lines, texts, leftOut } = window
    const text = texts.has(message) || texts.size < MAX_TEXTS ? message : undefined
    const ofText = text === undefined ? 0 : (texts.get(text) ?? 0)
    const ofLevel = lines.get(level) ?? 0
    if (ofText >= LINES_PER_TEXT || ofLevel >= LINES_PER_LEVEL) {
      leftOut.set(text ?? '…', (leftOut.get(text ?? '…') ?? 0) + 1)
      return false
    }
    lines.set(level, ofLevel + 1)
    if (text !== undefined) texts.set(text, ofText + 1)
    return true
  }

  const at =
    (level: Spoken) =>
    (message: string, fields: Fields = {}): void => {
      if (!lines.isLevelEnabled(level)) return
      const text = truncate(message)
      if (admit(level, text)) put(level, text, fields)
    }

  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    setLevel(level) {
      lines.level = level
    },
    // Only what setLevel and the options take was ever set.
    level: () => lines.level as LogLevel,
    flush,
  }
}
