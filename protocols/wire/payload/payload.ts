/**
 * Payloads: value <-> bytes, and the schema check on both sides of it. The order outbound is validate, serialize
 * (here), compress, send (frame-writer.ts); inbound the reverse.
 *
 * An empty payload stands for `undefined`. Errors: MSG001 (schema), MSG002 (cannot be written), MSG003 (cannot be read).
 */
import { decode as fromCbor, encode as toCbor } from 'cborg'
import { fromString } from 'uint8arrays/from-string'
import type { ZodType, z } from 'zod'
import type { Content } from '../../define.ts'
import { ParleyError } from '../../errors.ts'
import { findEarlyIssues } from './early-validation.ts'
import { checkCborBounds, readJson } from './payload-bounds.ts'

const EMPTY = new Uint8Array(0)
const MAX_ISSUES = 5
/** Names of unknown fields that one issue tells. */
export const MAX_ISSUE_KEYS = 16

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const unwritable = (content: Content, cause: unknown): ParleyError =>
  new ParleyError('MSG002', `the payload cannot be written as ${content}: ${reason(cause)}`, {
    hint: 'leave out functions, cycles and BigInt, or choose another content for the method',
    cause,
  })

/**
 * @returns empty for `undefined`, and for what JSON leaves out
 * @throws MSG002 with what could not be written
 */
export const jsonText = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ''
  } catch (cause) {
    throw unwritable('json', cause)
  }
}

export const textToBytes = (text: string): Uint8Array => (text === '' ? EMPTY : fromString(text))

/** @throws MSG002 with what could not be written */
export const encodePayload = (content: Content, value: unknown): Uint8Array => {
  if (content === 'bytes') {
    if (value instanceof Uint8Array) return value
    throw new ParleyError('MSG002', `a payload of content 'bytes' is ${typeof value}`, {
      hint: 'hand over a Uint8Array',
    })
  }
  if (value === undefined) return EMPTY
  if (content !== 'cbor') return textToBytes(jsonText(value))
  try {
    return toCbor(value)
  } catch (cause) {
    throw unwritable(content, cause)
  }
}

/**
 * Bytes that a program may keep: a copy where the view would keep more than itself again alive of the chunk that it was
 * cut from. Not slice(): on a Buffer that is a view too.
 */
const owned = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength * 2 >= bytes.buffer.byteLength
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes)

/** @throws MSG003 */
export const decodePayload = (content: Content, bytes: Uint8Array): unknown => {
  if (content === 'bytes') return owned(bytes)
  if (bytes.length === 0) return undefined
  try {
    if (content !== 'cbor') return readJson(bytes)
    checkCborBounds(bytes)
    return fromCbor(bytes)
  } catch (cause) {
    if (cause instanceof ParleyError) throw cause
    throw new ParleyError('MSG003', `the payload is not ${content}: ${reason(cause)}`, {
      hint: 'both sides must agree on the content of the method',
      cause,
    })
  }
}

const path = (parts: PropertyKey[]): string => (parts.length === 0 ? 'the value' : parts.map(String).join('.'))

/** Bytes of a payload from which on it is looked at for early faults. */
const LARGE_BYTES = 16 * 1024

/**
 * Checks a value and returns what the schema makes of it.
 * @param what for the message: `summarize.once request`
 * @param bytes of the payload that it was read from; a large one of a peer is refused at its first faults
 * @throws MSG001 with `what` and the first issues in details
 */
export const validate = <S extends ZodType>(schema: S, value: unknown, what: string, bytes = 0): z.output<S> => {
  let result: z.ZodSafeParseResult<z.output<S>>
  try {
    const early = bytes < LARGE_BYTES ? [] : findEarlyIssues(schema, value)
    if (early.length > 0) throw unfit(early, what)
    result = schema.safeParse(value)
  } catch (cause) {
    if (cause instanceof ParleyError) throw cause
    throw new ParleyError('MSG001', `${what} cannot be checked: ${reason(cause)}`, {
      hint: 'schemas on the wire must be synchronous',
      cause,
    })
  }
  if (result.success) return result.data
  throw unfit(result.error.issues, what)
}

/** What of an issue about unknown fields travels, so that the other side can leave them out. */
const unknownFieldsOf = (issue: z.core.$ZodIssue): { at: (string | number)[]; keys: string[] } | undefined =>
  issue.code === 'unrecognized_keys' && issue.keys.length <= MAX_ISSUE_KEYS
    ? { at: issue.path.map((part) => (typeof part === 'number' ? part : String(part))), keys: [...issue.keys] }
    : undefined

const unfit = (all: readonly z.core.$ZodIssue[], what: string): ParleyError => {
  const issues = all
    .slice(0, MAX_ISSUES)
    .map((issue) => ({ path: path(issue.path), message: issue.message, ...unknownFieldsOf(issue) }))
  const first = issues[0]
  return new ParleyError('MSG001', `${what} does not fit its schema: ${first?.path}: ${first?.message}`, {
    hint: 'compare the value with the contract; details.issues lists the first differences',
    details: { what, issues },
  })
}
