/** What a publisher may say about an event beside its topic and data, and its checks. */
import { ParleyError } from '../../errors.ts'
import { Headers, PRIORITIES, type Priority } from '../../wire/envelope.ts'

/** What an event may say about itself beside topic and data. */
export interface EventAttributes {
  id?: string | undefined
  type?: string | undefined
  version?: string | undefined
  conversationId?: string | undefined
  correlationId?: string | undefined
  headers?: Record<string, string> | undefined
  priority?: Priority | undefined
  /** Milliseconds left when the batch was opened. */
  ttlMs?: number | undefined
}

const MAX_ATTRIBUTE_LENGTH = 128
const MAX_TTL_MS = 2 ** 31 - 1
const TEXTS = ['id', 'type', 'conversationId', 'correlationId'] as const

const wrong = (name: string, value: unknown, hint: string): ParleyError =>
  new ParleyError('MSG001', `${name} of an event is ${JSON.stringify(value)?.slice(0, 80)}`, { hint })

const checkHeaders = (headers: Record<string, string>): void => {
  const result = Headers.safeParse(headers)
  const texts = result.success ? Object.entries(headers).flat() : []
  if (result.success && texts.every((text) => text.isWellFormed())) return
  const issues = result.error?.issues.map((issue) => issue.message) ?? ['not well-formed Unicode']
  throw wrong('headers', headers, `headers are texts by name: ${issues.join(', ')}`)
}

/**
 * @returns what goes on the wire
 * @throws MSG001
 */
export const checkEventAttributes = (given: EventAttributes): EventAttributes => {
  for (const name of TEXTS) {
    const value = given[name]
    if (value === undefined) continue
    if (typeof value === 'string' && value.length > 0 && value.length <= MAX_ATTRIBUTE_LENGTH && value.isWellFormed())
      continue
    throw wrong(name, value, `give a text of 1 to ${MAX_ATTRIBUTE_LENGTH} characters`)
  }
  const { id, type, conversationId, correlationId, headers, priority, ttlMs } = given
  if (headers !== undefined) checkHeaders(headers)
  if (priority !== undefined && !PRIORITIES.includes(priority)) {
    throw wrong('priority', priority, `use one of ${PRIORITIES.join(', ')}`)
  }
  if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= MAX_TTL_MS)) {
    throw wrong('ttlMs', ttlMs, `give whole milliseconds from 1 to ${MAX_TTL_MS}`)
  }
  return { id, type, conversationId, correlationId, headers, priority, ttlMs }
}
