/** What an attempt failed with, as it is kept. Pure. */
import { isParleyError, toFault } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { isJson } from '../../journal/state/json-value.ts'
import type { TaskError } from '../task-record.ts'

const MAX_MESSAGE = 1_024
const MAX_HINT = 512

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
