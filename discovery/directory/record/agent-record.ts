/**
 * The agent record: what one agent says of itself, signed by its own key and kept word for word by everyone else.
 *
 * A record has a single writer and is ordered by (incarnation, version); the highest wins. The signature covers
 * `parley/record/1`, the mesh's name and the bytes that travel: a record of one mesh says nothing in another, and no
 * other signature of the same key can pass for a record. Bytes are stored and passed on as received, never encoded
 * again, so fields of a newer peer survive the way through an older one.
 */
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import * as z from 'zod'
import type { Content } from '../../../protocols/define.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import { readJsonText } from '../../../protocols/wire/payload/payload-bounds.ts'

/** Bytes of one encoded record. A thousand of them stay within 64 MiB. */
export const MAX_RECORD_BYTES = 65_536
/** Levels of nesting: deep enough for any schema a person wrote, shallow enough for every recursive reader. */
export const MAX_NESTING = 128
export const MAX_ADDRESSES = 16
export const MAX_LABELS = 64
export const MAX_PROTOCOLS = 128
export const MAX_METHODS = 128
export const MAX_DESCRIPTION = 1024
const SIGNATURE_BYTES = 64
const KINDS = ['unary', 'stream', 'one-way'] as const
const CONTENTS = ['json', 'cbor', 'bytes'] as const satisfies readonly Content[]

/** One line of text: control characters would let a name repaint somebody's terminal. */
const line = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^\P{Cc}*$/u, 'no control characters')
/** `stop`: it comes back, and keeps its seat if it votes. `leave`: for good. */
export const DEPARTURES = ['stop', 'leave'] as const
export type Departure = (typeof DEPARTURES)[number]

const JsonSchema = z.record(z.string(), z.unknown())

export const PeerIdSchema = z.string().regex(/^[A-Za-z0-9]{1,128}$/)

const MethodSchema = z.object({
  name: line(64),
  kind: z.enum(KINDS),
  capability: line(128).optional(),
  idempotent: z.boolean().optional(),
  timeoutMs: z.number().int().positive().optional(),
  /** Left out for JSON. One that a newer release invented reads as JSON, and whoever serves it refuses what it is sent. */
  content: z.enum(CONTENTS).optional().catch(undefined),
  description: z.string().max(MAX_DESCRIPTION).optional(),
  /** JSON Schema, draft 2020-12. */
  request: JsonSchema.optional(),
  /** JSON Schema of the response, or of one item of a stream. */
  response: JsonSchema.optional(),
})
export type MethodRecord = z.output<typeof MethodSchema>

const isKnownKind = (method: { kind: string }): boolean => KINDS.some((kind) => kind === method.kind)

export const ProtocolSchema = z.object({
  name: line(64),
  version: z.string().regex(/^\d{1,5}\.\d{1,5}\.\d{1,5}$/),
  description: z.string().max(MAX_DESCRIPTION).optional(),
  /** A kind of method that a newer release invented is left out of the view; the rest of the record stays usable. */
  methods: z
    .array(z.looseObject({ kind: z.string().max(64) }))
    .max(MAX_METHODS)
    .transform((methods) => methods.filter(isKnownKind))
    .pipe(z.array(MethodSchema)),
})
export type ProtocolRecord = z.output<typeof ProtocolSchema>

export const Labels = z
  .record(line(64), z.string().max(256))
  .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `at most ${MAX_LABELS} labels`)

export const RecordSchema = z.object({
  /** The writer. */
  peerId: PeerIdSchema,
  name: line(128),
  mesh: line(128),
  /** Grows with each start of the writer. */
  incarnation: z.int().nonnegative(),
  /** Grows each time that the record is written within one incarnation. */
  version: z.int().nonnegative(),
  protocols: z.array(ProtocolSchema).max(MAX_PROTOCOLS),
  labels: Labels,
  /** Multiaddrs. */
  addresses: z.array(line(512)).max(MAX_ADDRESSES),
  /** What the agent asks for its work, in the mesh's own unit. */
  price: z.number().nonnegative().optional(),
  /** Milliseconds that the record counts after somebody heard of its agent. */
  ttlMs: z.int().min(100).max(3_600_000),
  /** True while the agent has work and does not get on with it. */
  stuck: z.boolean().optional().catch(undefined),
  /** True in the last record of an agent that stops on purpose. */
  leaving: z.boolean().optional(),
  /**
   * Of an agent that leaves: `stop` for one that means to come back, and keeps its seat if it votes, `leave` for good.
   * One that does not say stops.
   */
  departure: z.enum(DEPARTURES).optional().catch(undefined),
})
export type AgentRecord = z.output<typeof RecordSchema>

/** A record as it travels and is stored. */
export interface SignedRecord {
  /** UTF-8 JSON. */
  readonly bytes: Uint8Array
  /** Ed25519. */
  readonly signature: Uint8Array
}

export interface RecordVersion {
  readonly incarnation: number
  readonly version: number
}

/** Above 0 where `a` is the newer one. */
export const compareVersions = (a: RecordVersion, b: RecordVersion): number =>
  a.incarnation - b.incarnation || a.version - b.version

export const encodeRecord = (record: AgentRecord): Uint8Array => fromString(JSON.stringify(record))

const within = (value: unknown, levels: number): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (levels > 0 && Object.values(value).every((v) => within(v, levels - 1)))

interface Place {
  method: MethodRecord
  field: 'request' | 'response'
  bytes: number
  tooDeep: boolean
}

/** A schema lies five levels down: record, protocols, protocol, methods, method. */
const schemasOf = (record: AgentRecord): Place[] =>
  record.protocols.flatMap(({ methods }) =>
    methods.flatMap((method) =>
      (['request', 'response'] as const).flatMap((field) => {
        const schema = method[field]
        if (schema === undefined) return []
        const tooDeep = !within(schema, MAX_NESTING - 5)
        return [{ method, field, bytes: tooDeep ? 0 : fromString(JSON.stringify(schema)).length, tooDeep }]
      }),
    ),
  )

/**
 * Makes a record fit into MAX_RECORD_BYTES, whatever its counters become: drops schemas, the largest first, and none
 * that could stay. A caller can do without a schema, not without the method.
 * @returns a copy, and how many schemas were dropped
 * @throws MSG001 when it is too large without any schema
 */
export const fitRecord = (record: AgentRecord): { record: AgentRecord; dropped: number } => {
  const [version, incarnation] = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
  const widest = { incarnation, version, leaving: true, departure: 'leave' } as const
  const fitted = {
    ...record,
    protocols: record.protocols.map((p) => ({ ...p, methods: p.methods.map((m) => ({ ...m })) })),
  }
  const places = schemasOf(fitted)
  let dropped = 0
  const drop = ({ method, field }: Place): void => {
    delete method[field]
    dropped += 1
  }
  for (const place of places.filter(({ tooDeep }) => tooDeep)) drop(place)
  let size = encodeRecord({ ...fitted, ...widest }).length
  for (const place of places.filter(({ tooDeep }) => !tooDeep).sort((a, b) => b.bytes - a.bytes)) {
    if (size <= MAX_RECORD_BYTES) break
    drop(place)
    // Beside the value go the key, two quotes, the colon and a comma; a method always keeps its name.
    size -= place.bytes + place.field.length + 4
  }
  if (size > MAX_RECORD_BYTES) {
    throw new ParleyError('MSG001', `the record of ${record.name} has ${size} bytes, ${MAX_RECORD_BYTES} are allowed`, {
      hint: 'offer fewer protocols, or shorten descriptions and labels; JSON schemas were left out already',
    })
  }
  return { record: fitted, dropped }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
export type RecordFault = 'too_big' | 'malformed' | 'other_mesh'

const parse = (bytes: Uint8Array): unknown => {
  try {
    return readJsonText(utf8.decode(bytes))
  } catch {
    return undefined
  }
}

/** Reads a record without looking at its signature. The record is only worth something once `verifyRecord` said so. */
export const readRecord = (
  { bytes }: SignedRecord,
  mesh: string,
): { record: AgentRecord; refused?: undefined } | { record?: undefined; refused: RecordFault } => {
  if (bytes.length > MAX_RECORD_BYTES) return { refused: 'too_big' }
  const value = parse(bytes)
  if (!within(value, MAX_NESTING)) return { refused: 'malformed' }
  const read = RecordSchema.safeParse(value)
  if (!read.success) return { refused: 'malformed' }
  return read.data.mesh === mesh ? { record: read.data } : { refused: 'other_mesh' }
}

const signedBytes = (mesh: string, bytes: Uint8Array): Uint8Array =>
  concat([fromString(`parley/record/1\n${mesh}\n`), bytes])

/** @throws what `port.sign` throws */
export const signRecord = async (port: Pick<Port, 'sign'>, record: AgentRecord): Promise<SignedRecord> => {
  const bytes = encodeRecord(record)
  return { bytes, signature: await port.sign(signedBytes(record.mesh, bytes)) }
}

/** True when the peer that `record` names as its writer signed these very bytes for this mesh. */
export const verifyRecord = (
  port: Pick<Port, 'verify'>,
  record: AgentRecord,
  { bytes, signature }: SignedRecord,
): Promise<boolean> => port.verify(record.peerId, signedBytes(record.mesh, bytes), signature)

/** The form in which a record is published: its signature, then its bytes. */
export const packRecord = ({ bytes, signature }: SignedRecord): Uint8Array => concat([signature, bytes])

export const unpackRecord = (packed: Uint8Array): SignedRecord => ({
  signature: packed.subarray(0, SIGNATURE_BYTES),
  bytes: packed.subarray(SIGNATURE_BYTES),
})
