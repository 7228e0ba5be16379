/**
 * Payloads that become another one: the recoveries of MSG001 and MSG002, of calls and of durable messages. Pure.
 *
 * MSG001 (retry_with_validation): a payload that the other side's schema refused is checked once more. The fields that the
 * other side says it does not know, as an older version with a strict schema does, are left out where this side's contract
 * allows that, and defaults and transforms are applied again. What comes out is worth sending only where it is another
 * payload.
 *
 * MSG002 (retry_with_new_serializer): what JSON cannot hold is written as CBOR, where the contract leaves the content open.
 * A durable message names its content beside its payload. A call's payload has self-described CBOR behind the three bytes
 * d9 d9 f7, with which no JSON text begins (RFC 8949 section 3.4.6); whoever reads tells the two apart by them. A contract
 * that says `content` gets that and nothing else.
 *
 * When they are tried is decided in delivery/recovery/error-recovery.ts.
 */
import * as z from 'zod'
import type { Content } from '../../define.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import { decodePayload, encodePayload, jsonText, MAX_ISSUE_KEYS, textToBytes } from './payload.ts'

const Step = z.union([z.string(), z.number()])
const Issues = z.array(
  z.object({ at: z.array(Step).max(32).optional(), keys: z.array(z.string()).max(MAX_ISSUE_KEYS).optional() }),
)

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const leaveOut = (value: unknown, given: unknown): void => {
  const issues = Issues.safeParse(given)
  if (!issues.success) return
  for (const { at = [], keys = [] } of issues.data) {
    let place: unknown = value
    for (const part of at) place = isRecord(place) && Object.hasOwn(place, part) ? place[part] : undefined
    if (!isRecord(place)) continue
    for (const key of keys) if (Object.hasOwn(place, key)) delete place[key]
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

/**
 * The recovery of MSG001.
 * @param issues what the other side said is wrong, as `details.issues` of its error; undefined where it does not count
 * @returns the new payload, or undefined where there is nothing to change
 */
export const revisePayload = (
  schema: z.ZodType,
  codec: { read(bytes: Uint8Array): unknown; write(value: unknown): Uint8Array },
  payload: Uint8Array,
  issues: unknown,
): Uint8Array | undefined => {
  try {
    const value = codec.read(payload)
    leaveOut(value, issues)
    const checked = schema.safeParse(value)
    if (!checked.success) return undefined
    const revised = codec.write(checked.data)
    return isSame(revised, payload) ? undefined : revised
  } catch {
    // It could be written the first time; what is wrong with it is told by the error of the other side.
    return undefined
  }
}

/**
 * The recovery of MSG002 where the content stands beside the payload: in the given content, or as CBOR where JSON cannot
 * hold it, and `rewritten` is called.
 * @throws MSG002
 */
export const encodeOrRewrite = (
  content: Content,
  data: unknown,
  rewritten: () => void,
): { content: Content; payload: Uint8Array } => {
  try {
    return { content, payload: encodePayload(content, data) }
  } catch (error) {
    if (content !== 'json' || !isParleyError(error, 'MSG002')) throw error
    const payload = encodePayload('cbor', data)
    rewritten()
    return { content: 'cbor', payload }
  }
}

const MARK = [0xd9, 0xd9, 0xf7] as const
const MAX_DEPTH = 64

export type CborFallback =
  | { readonly outcome: 'recovered' }
  | { readonly outcome: 'failed'; readonly error: ParleyError; readonly recoveryError: unknown }

const isMarked = (bytes: Uint8Array): boolean =>
  bytes.length > MARK.length && bytes[0] === MARK[0] && bytes[1] === MARK[1] && bytes[2] === MARK[2]

/** JSON writes bytes as an object with a field for each, which nobody can read back. */
const hasBytes = (value: unknown, depth = 0): boolean => {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return false
  if (value instanceof Uint8Array) return true
  for (const item of Object.values(value)) if (hasBytes(item, depth + 1)) return true
  return false
}

/** Bytes that became an object begin so; a text that has it nowhere holds none. */
const LIKE_BYTES = '{"0":'

const writeMarked = (value: unknown): Uint8Array => {
  const body = encodePayload('cbor', value)
  const bytes = new Uint8Array(MARK.length + body.length)
  bytes.set(MARK)
  bytes.set(body, MARK.length)
  return bytes
}

/**
 * The recovery of MSG002 where the content is told from the payload itself.
 * @param rewritten told where JSON could not hold the value
 * @throws MSG002 where CBOR cannot hold it either
 */
export const encodeOpen = (value: unknown, rewritten?: (rewriting: CborFallback) => void): Uint8Array => {
  let json: string | undefined
  let failure: unknown
  try {
    json = jsonText(value)
    if (!json.includes(LIKE_BYTES) || !hasBytes(value)) return textToBytes(json)
  } catch (error) {
    failure = error
  }
  let bytes: Uint8Array
  try {
    bytes = writeMarked(value)
  } catch (recoveryError) {
    if (json !== undefined) return textToBytes(json)
    if (failure instanceof ParleyError) rewritten?.({ outcome: 'failed', error: failure, recoveryError })
    throw failure
  }
  rewritten?.({ outcome: 'recovered' })
  return bytes
}

/** @throws MSG003 */
export const decodeOpen = (bytes: Uint8Array): unknown =>
  isMarked(bytes) ? decodePayload('cbor', bytes.subarray(MARK.length)) : decodePayload('json', bytes)
