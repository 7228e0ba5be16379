/** An answer about a batch of documents as bytes: small, and passed on by nodes without a look. Pure. */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { z } from 'zod'

/** What all limits of an answer come to, for a batch of documents that are all links. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** The fastest. */
const LEVEL = 1

export const pack = <S extends z.ZodType>(schema: S, answer: z.input<S>): Uint8Array =>
  deflateRawSync(JSON.stringify(schema.parse(answer)), { level: LEVEL })

/** @throws for bytes that are no such answer */
export const unpack = <S extends z.ZodType>(schema: S, packed: Uint8Array): z.output<S> =>
  schema.parse(JSON.parse(inflateRawSync(packed, { maxOutputLength: MAX_ANSWER_BYTES }).toString('utf8')))
