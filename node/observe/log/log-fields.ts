/**
 * What the fields of a log line may look like: plain JSON, bounded, without secrets, unable to drive a terminal.
 * Never throws, whatever it is given.
 */
import { isParleyError } from '../../../protocols/errors.ts'
import type { Fields, Log } from '../../../protocols/port.ts'

export const MAX_TEXT_CHARS = 2048
/** Items of an array, fields of an object. */
export const MAX_ITEMS = 32
export const MAX_DEPTH = 4
/** All fields of one line together, about. */
export const MAX_FIELDS_CHARS = 16_384
/** Errors that are looked at along `cause`. */
const MAX_CAUSES = 5
export const REDACTED = '[redacted]'

const SECRET_NAME = /secret|token|passw|authorization|cookie|private_?key/i
/** C1 controls and DEL, line separators, and the characters that turn the direction of writing. */
const CONTROLS = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const ALL_CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** As fields are named in the log, where code writes another name. */
const RENAMED: Record<string, string> = { correlationId: 'correlation_id', messageType: 'message_type' }

const asEscape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

export const truncate = (text: string, max: number = MAX_TEXT_CHARS): string =>
  text.length > max ? `${text.slice(0, max)}… (${text.length} characters)` : text

/** JSON stays the same JSON: what is escaped can only stand inside its strings. */
export const escapeJson = (json: string): string => json.replace(CONTROLS, asEscape)
/** One line of text for a terminal. */
export const escapeText = (text: string): string => text.replace(ALL_CONTROLS, asEscape)

/** What is left of MAX_FIELDS_CHARS while one line is put together. */
interface Budget {
  chars: number
}

const spend = (text: string, budget: Budget): string => {
  const short = truncate(text, Math.max(0, Math.min(MAX_TEXT_CHARS, budget.chars)))
  budget.chars -= short.length
  return short
}

const plain = (value: unknown, depth: number, budget: Budget): unknown => {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`
  if (value instanceof Date) return String(value.toJSON())
  if (value instanceof Error) return spend(`${value.name}: ${value.message}`, budget)
  if (typeof value !== 'object') return spend(String(value), budget)
  if (depth >= MAX_DEPTH) return '…'
  if (value instanceof Map) return plainObject(Object.fromEntries(value), depth, budget)
  if (!(value instanceof Set) && !Array.isArray(value)) return plainObject(value, depth, budget)
  const items: unknown[] = []
  for (const item of value) {
    if (items.length >= MAX_ITEMS || budget.chars <= 0) return [...items, '…']
    budget.chars -= 1
    items.push(plain(item, depth + 1, budget))
  }
  return items
}

const plainObject = (value: object, depth: number, budget: Budget): Fields => {
  const fields: Fields = {}
  let count = 0
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined || typeof field === 'function') continue
    if (count >= MAX_ITEMS || budget.chars <= 0) {
      fields['…'] = 'more'
      return fields
    }
    count += 1
    budget.chars -= name.length
    fields[truncate(name, 128)] =
      SECRET_NAME.test(name) && typeof field !== 'number' && typeof field !== 'boolean'
        ? REDACTED
        : plain(field, depth + 1, budget)
  }
  return fields
}

/** The message of an error and of what caused it. */
const story = (error: Error): string => {
  const messages: string[] = []
  let at: unknown = error
  while (at instanceof Error && messages.length < MAX_CAUSES) {
    messages.push(at.message)
    at = at.cause
  }
  return messages.join(' <- ')
}

/** The field `error` becomes error_type, original_error and, where the error has details, context. */
const spreadError = (error: unknown): Fields => ({
  error_type: isParleyError(error) ? error.code : error instanceof Error ? error.name : typeof error,
  original_error: error instanceof Error ? story(error) : error,
  ...(isParleyError(error) && Object.keys(error.details).length > 0 ? { context: error.details } : {}),
})

/** A log that says these with each line: who is at the other end of a link, for one. */
export const withFields = (log: Log, always: Fields): Log => ({
  error: (message, fields) => log.error(message, { ...always, ...fields }),
  warn: (message, fields) => log.warn(message, { ...always, ...fields }),
  info: (message, fields) => log.info(message, { ...always, ...fields }),
})

export const plainFields = (fields: Fields): Fields => {
  try {
    const { error, ...rest } = fields
    const all = { ...(error === undefined ? {} : spreadError(error)), ...rest }
    const named = Object.entries(all).map(([name, value]) => [RENAMED[name] ?? name, value])
    return plainObject(Object.fromEntries(named), 0, { chars: MAX_FIELDS_CHARS })
  } catch (cause) {
    return { unreadable_fields: cause instanceof Error ? cause.name : typeof cause }
  }
}
