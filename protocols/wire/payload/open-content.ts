/**
 * Payloads of methods whose contract leaves the content open: JSON, and what JSON cannot hold as self-described CBOR.
 *
 * A value with a BigInt, or with bytes in it, is written as CBOR behind the three bytes d9 d9 f7, with which no JSON text
 * begins (RFC 8949 section 3.4.6); whoever reads tells the two apart by them. This is the recovery of MSG002
 * (retry_with_new_serializer). A contract that says `content` gets that and nothing else.
 */
import { ParleyError } from '../../errors.ts'
import { decodePayload, encodePayload, jsonText, textToBytes } from './payload.ts'

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
