/**
 * What a row store is, besides its rows: whose, which tables count, and up to which group they have all. A record of its log
 * as any other, written anew whenever the tables change; the last one counts. Pure.
 *
 * Tables lie in runs, the newest first: in a run no two tables share a key, and they are in the order of their keys.
 */
import * as z from 'zod'
import { malformed } from '../../../protocols/wire/frames/protobuf.ts'
import { hex } from '../log/log-segments.ts'
import type { FramePlace } from './tables/table-format.ts'

export const ROWS_FORMAT = 1
export const MAX_FORMER = 16

/** A table, and all that is needed to read it and to know that it is this one. */
export interface TableRef {
  readonly number: number
  readonly salt: Uint8Array
  /** Number of the last group that has something in it. */
  readonly upTo: number
  readonly bytes: number
  /** Rows, with those that only say that there is none any more. */
  readonly rows: number
  readonly removed: number
  readonly index: FramePlace
  readonly filter: FramePlace
  readonly first: string
  readonly last: string
  /** Rows before this key do not count any more: they were merged into another table. */
  readonly from: string | undefined
}

export type Run = readonly TableRef[]

export interface RowManifest {
  readonly format: number
  /** 32 hexadecimal digits: another one once the store was lost, repaired or restored from a backup. */
  readonly id: string
  /** What its id was before, newest first. */
  readonly formerIds: readonly string[]
  /** Rows of all groups up to this one are in the tables. */
  readonly flushed: number
  readonly runs: readonly Run[]
}

const IdSchema = z.string().regex(/^[0-9a-f]{32}$/)
const Count = z.int().nonnegative()
const PlaceSchema = z.tuple([Count, Count, Count])
const TableSchema = z.object({
  n: Count,
  salt: z.string().regex(/^[0-9a-f]{16}$/),
  upTo: Count,
  size: Count,
  rows: Count,
  removed: Count,
  index: PlaceSchema,
  filter: PlaceSchema,
  /** In base64, as a key may be any bytes. */
  first: z.string(),
  last: z.string(),
  from: z.string().optional(),
})
const ManifestSchema = z.object({
  format: z.int().positive(),
  id: IdSchema,
  formerIds: z.array(IdSchema).max(MAX_FORMER),
  flushed: Count,
  runs: z.array(z.array(TableSchema)),
})

const base64 = (key: string): string => Buffer.from(key, 'latin1').toString('base64')
const keyOf = (text: string): string => Buffer.from(text, 'base64').toString('latin1')
const tuple = ({ at, length, crc }: FramePlace): [number, number, number] => [at, length, crc]
const place = ([at, length, crc]: [number, number, number]): FramePlace => ({ at, length, crc })

export const encodeManifest = ({ format, id, formerIds, flushed, runs }: RowManifest): Uint8Array => {
  const tables = runs.map((run) =>
    run.map((ref) => ({
      n: ref.number,
      salt: hex(ref.salt),
      upTo: ref.upTo,
      size: ref.bytes,
      rows: ref.rows,
      removed: ref.removed,
      index: tuple(ref.index),
      filter: tuple(ref.filter),
      first: base64(ref.first),
      last: base64(ref.last),
      ...(ref.from !== undefined && { from: base64(ref.from) }),
    })),
  )
  return new TextEncoder().encode(JSON.stringify({ format, id, formerIds, flushed, runs: tables }))
}

/** @throws MSG003 for what this version did not write; a later format is read as far as this one knows it */
export const decodeManifest = (bytes: Uint8Array): RowManifest => {
  let given: unknown
  try {
    given = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw malformed('a manifest of rows that is no JSON')
  }
  const found = ManifestSchema.safeParse(given)
  if (!found.success) throw malformed(`a manifest of rows: ${found.error.issues[0]?.message}`)
  const { runs, ...rest } = found.data
  return {
    ...rest,
    runs: runs.map((run) =>
      run.map((ref) => ({
        number: ref.n,
        salt: new Uint8Array(Buffer.from(ref.salt, 'hex')),
        upTo: ref.upTo,
        bytes: ref.size,
        rows: ref.rows,
        removed: ref.removed,
        index: place(ref.index),
        filter: place(ref.filter),
        first: keyOf(ref.first),
        last: keyOf(ref.last),
        from: ref.from === undefined ? undefined : keyOf(ref.from),
      })),
    ),
  }
}

/** Another id, the one before first among the former ones. */
export const renewedId = (
  before: Pick<RowManifest, 'id' | 'formerIds'> | undefined,
  random: (bytes: number) => Uint8Array,
): Pick<RowManifest, 'id' | 'formerIds'> => ({
  id: hex(random(16)),
  formerIds: before === undefined ? [] : [before.id, ...before.formerIds].slice(0, MAX_FORMER),
})
