/**
 * A payload that the other side's schema refused, checked once more: the recovery of MSG001 (retry_with_validation).
 *
 * The fields that the other side says it does not know, as an older version with a strict schema does, are left out where
 * this side's contract allows that, and defaults and transforms are applied again. What comes out is worth sending only
 * where it is another payload.
 */
import * as z from 'zod'
import type { Content } from '../../define.ts'
import type { ParleyError } from '../../errors.ts'

const MAX_KEYS = 16
const Step = z.union([z.string(), z.number()])
const Issues = z.array(
  z.object({ at: z.array(Step).max(32).optional(), keys: z.array(z.string()).max(MAX_KEYS).optional() }),
)

/** What of an issue about unknown fields travels, so that the other side can leave them out. */
export const unknownFieldsOf = (issue: z.core.$ZodIssue): { at: (string | number)[]; keys: string[] } | undefined =>
  issue.code === 'unrecognized_keys' && issue.keys.length <= MAX_KEYS
    ? { at: issue.path.map((part) => (typeof part === 'number' ? part : String(part))), keys: [...issue.keys] }
    : undefined

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const leaveOut = (value: unknown, error: ParleyError): boolean => {
  const issues = Issues.safeParse(error.details.issues)
  if (!issues.success) return false
  let changed = false
  for (const { at = [], keys = [] } of issues.data) {
    let place: unknown = value
    for (const part of at) place = isRecord(place) && Object.hasOwn(place, part) ? place[part] : undefined
    if (!isRecord(place)) continue
    for (const key of keys) {
      if (!Object.hasOwn(place, key)) continue
      delete place[key]
      changed = true
    }
  }
  return changed
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

/**
 * @param label `<protocol>.<method>`; an error about anything else, as of a call that the handler made, is not ours
 * @returns the new payload, or undefined where there is nothing to change
 */
export const revisePayload = (
  label: string,
  request: z.ZodType,
  content: Content,
  codec: { read(bytes: Uint8Array): unknown; write(value: unknown): Uint8Array },
  payload: Uint8Array,
  error: ParleyError,
): Uint8Array | undefined => {
  if (content === 'bytes' || error.details.what !== `${label} request`) return undefined
  try {
    const value = codec.read(payload)
    leaveOut(value, error)
    const checked = request.safeParse(value)
    if (!checked.success) return undefined
    const revised = codec.write(checked.data)
    return isSame(revised, payload) ? undefined : revised
  } catch {
    // It could be written the first time; what is wrong with it is told by the error of the other side.
    return undefined
  }
}
