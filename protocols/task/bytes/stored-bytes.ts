/**
 * A value of a task that is too large for the journal: the journal has its SHA-256, its size and who holds copies of it, as
 * JSON in the place of the value. Pure.
 *
 * A value that looks like such a place is no value: it is refused where a program gives it, so that nothing else stands for it.
 */
import * as z from 'zod'
import { ParleyError } from '../../errors.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { isJson } from '../../journal/state/json-value.ts'
import { MAX_VALUE_BYTES, PeerId, TaskId } from '../task-record.ts'

const KEY = 'parley:bytes'
/** Of one value: JSON as UTF-8, or bytes as they are. */
export const MAX_STORED_BYTES = 64 * 1024 * 1024
/** Copies that the journal names. */
export const MAX_HOLDERS = 8

export const Hash = z.string().regex(/^[0-9a-f]{64}$/, 'use 64 hexadecimal digits')
/** A row of a task, as task-record.ts names them; of a final one `result`. */
export const RowName = z
  .string()
  .max(192)
  .regex(/^[\x21-\x7e]+$/, 'use printable ASCII characters without blanks')
export const RESULT_ROW = 'result'

export const StoredBytesSchema = z.object({
  hash: Hash,
  size: z.int().min(0).max(MAX_STORED_BYTES),
  /** Whether it is JSON, or bytes as they are. */
  form: z.enum(['json', 'binary']),
  /** Peer ids. */
  holders: z.array(PeerId).min(1).max(MAX_HOLDERS),
})
export type StoredBytes = z.output<typeof StoredBytesSchema>

/** Which value of which task. */
export const BytesPlaceSchema = z.object({ task: TaskId, row: RowName, hash: Hash })
export type BytesPlace = Readonly<z.output<typeof BytesPlaceSchema>>

/** What a program gives and gets. */
export type TaskValue = Json | Uint8Array

const looksStored = (value: unknown): value is Record<typeof KEY, unknown> =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, KEY)

export const storedRow = (stored: StoredBytes): Json => ({ [KEY]: stored as unknown as Json })

/** Undefined: it is a value itself. */
export const readStored = (row: unknown): StoredBytes | undefined =>
  looksStored(row) ? StoredBytesSchema.safeParse(row[KEY]).data : undefined

/** The same row with other holders. */
export const withHolders = (stored: StoredBytes, holders: readonly string[]): Json =>
  storedRow({ ...stored, holders: [...holders] })

/** What does not depend on who holds it: by this two submissions are the same. */
export const withoutHolders = (row: Json): Json => {
  const stored = readStored(row)
  return stored === undefined ? row : { hash: stored.hash, size: stored.size, form: stored.form }
}

const ENCODER = new TextEncoder()

/** How a value is kept: in the journal as it is, or as bytes elsewhere. */
export type Encoded = { readonly row: Json } | { readonly bytes: Uint8Array; readonly form: StoredBytes['form'] }

/** @param what names it in errors @throws MSG001 */
export const encodeValue = (what: string, given: unknown): Encoded => {
  const value = given === undefined ? null : given
  if (value instanceof Uint8Array) return { bytes: checkedSize(what, value), form: 'binary' }
  if (!isJson(value))
    throw new ParleyError('MSG001', `${what} is no JSON`, {
      hint: 'use null, booleans, numbers, texts, lists and objects, or a Uint8Array',
    })
  if (looksStored(value))
    throw new ParleyError('MSG001', `${what} has the key ${JSON.stringify(KEY)}, which the mesh uses itself`, {
      hint: 'give that key another name',
    })
  const text = JSON.stringify(value)
  // As voters check it.
  if (text.length <= MAX_VALUE_BYTES) return { row: value }
  return { bytes: checkedSize(what, ENCODER.encode(text)), form: 'json' }
}

const checkedSize = (what: string, bytes: Uint8Array): Uint8Array => {
  if (bytes.length <= MAX_STORED_BYTES) return bytes
  throw new ParleyError('MSG001', `${what} has ${bytes.length} bytes`, {
    hint: `keep it within ${MAX_STORED_BYTES}; put more elsewhere and give its address`,
  })
}

const notJson = (hash: string, cause?: unknown): ParleyError =>
  new ParleyError('MSG003', `the bytes ${hash} are not the JSON that they are said to be`, {
    hint: 'whoever stored them broke the protocol; submit the task again',
    details: { hash },
    ...(cause !== undefined && { cause }),
  })

/** @throws MSG003 for what is not what it says it is */
export const decodeValue = ({ form, hash }: Pick<StoredBytes, 'form' | 'hash'>, bytes: Uint8Array): TaskValue => {
  if (form === 'binary') return bytes
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw notJson(hash, error)
  }
  // Nested too deeply, it could not be written again.
  if (!isJson(value)) throw notJson(hash)
  return value
}
