/** What an attempt comes to, as it is kept: results, values of effects, errors. Pure. */
import { isParleyError, ParleyError, toFault } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { isJson } from '../../journal/state/json-value.ts'
import { MAX_VALUE_BYTES, type TaskError } from '../task-record.ts'

const MAX_MESSAGE = 1_024
const MAX_HINT = 512

/** JSON as it is kept. @throws MSG001 */
export const checkedValue = (what: string, value: unknown): Json => {
  const json = value === undefined ? null : value
  if (!isJson(json))
    throw new ParleyError('MSG001', `${what} is no JSON`, {
      hint: 'use null, booleans, numbers, texts, lists and objects',
    })
  const { length } = JSON.stringify(json)
  if (length <= MAX_VALUE_BYTES) return json
  throw new ParleyError('MSG001', `${what} has ${length} characters as JSON`, {
    hint: `keep it within ${MAX_VALUE_BYTES}; put large data elsewhere and keep its address`,
  })
}

/** As it is kept and shown: of what is no error of the mesh, nothing but that it failed. */
export const taskError = (error: unknown): TaskError => {
  const { code, message, hint, details } = toFault(error)
  const isSmall = isJson(details) && JSON.stringify(details).length <= MAX_MESSAGE
  return {
    code,
    message: message.slice(0, MAX_MESSAGE),
    ...(hint !== undefined && { hint: hint.slice(0, MAX_HINT) }),
    ...(details !== undefined && isSmall && { details: details as Record<string, Json> }),
  }
}

/** An error says `details.retry: false` where doing it again is of no use. */
export const mayRetry = (error: unknown): boolean => !(isParleyError(error) && error.details.retry === false)
