/**
 * The records of parts: whose they are, how many bytes each part has, and what was agreed on of it. Counted from the
 * records alone, so that every member comes to the same, whether it got them as entries or as a snapshot.
 *
 * State: bytes by part, and what was agreed on by part (bounded by what the journal holds).
 */
import * as z from 'zod'
import { ParleyError } from '../errors.ts'
import { PARTS_PREFIX, partPrefix } from '../part.ts'
import { RECORD_BYTES } from './state/record-shares.ts'

/** What every voter has of a part. */
export const AgreedSchema = z.object({
  level: z.int().positive(),
  maxBytes: z.int().positive(),
  /** Of its collections; absent: it has none. */
  maxCollectionBytes: z.int().positive().optional(),
})
export type AgreedPart = z.output<typeof AgreedSchema>

/** Not below `$part/`: no part writes it. */
const AGREED_PREFIX = '$part-levels/'
export const agreedKey = (part: string): string => AGREED_PREFIX + part
export const readAgreed = (value: unknown): AgreedPart | undefined => AgreedSchema.safeParse(value).data

interface Kept {
  readonly key: string
  /** Length of key and value as text. */
  readonly size: number
  readonly value: unknown
}

export interface PartRecords {
  /** A record is there from now on (1), or is not any more (-1). */
  count(record: Kept, sign: 1 | -1): void
  agreed(part: string): AgreedPart | undefined
  /** Of all parts. */
  levels(): ReadonlyMap<string, AgreedPart>
  /** What the records of a part take, with RECORD_BYTES for each. */
  held(part: string): number
  /**
   * Whether a command may write this key. @param part that brought it; undefined: none did
   * @throws SEC002 for the key of another part, or none
   */
  checkKey(part: string | undefined, key: string): void
  /** @param growth bytes, of all that one command writes @throws COM003 where the part has no room */
  checkRoom(part: string, growth: number): void
  /** @param bytes of its collections, as they are going to be @throws COM003 where the part has no room */
  checkCollections(part: string, bytes: number): void
  clear(): void
}

/** `$part/acme/tally/` of `$part/acme/tally/votes`; undefined for any other key. */
export const prefixOfPart = (key: string): string | undefined => {
  if (!key.startsWith(PARTS_PREFIX)) return undefined
  const name = key.indexOf('/', PARTS_PREFIX.length)
  const end = name < 0 ? -1 : key.indexOf('/', name + 1)
  return end < 0 ? undefined : key.slice(0, end + 1)
}

export const createPartRecords = (): PartRecords => {
  /** By prefix. */
  const bytes = new Map<string, number>()
  const levels = new Map<string, AgreedPart>()
  const held = (part: string): number => bytes.get(partPrefix(part)) ?? 0

  return {
    count({ key, size, value }, sign) {
      const agreed = sign > 0 && key.startsWith(AGREED_PREFIX) ? readAgreed(value) : undefined
      if (agreed !== undefined) levels.set(key.slice(AGREED_PREFIX.length), agreed)
      const prefix = prefixOfPart(key)
      if (prefix === undefined) return
      const now = (bytes.get(prefix) ?? 0) + sign * (size + RECORD_BYTES)
      if (now > 0) bytes.set(prefix, now)
      else bytes.delete(prefix)
    },
    agreed: (part) => levels.get(part),
    levels: () => levels,
    held,
    checkKey(part, key) {
      if (part === undefined ? !key.startsWith(PARTS_PREFIX) : key.startsWith(partPrefix(part))) return
      throw new ParleyError('SEC002', `the key ${key} is not one of ${part ?? 'this command'}`, {
        hint:
          part === undefined
            ? `keys that begin with ${PARTS_PREFIX} belong to parts: use another one`
            : `a part writes below partPrefix('${part}'), ${partPrefix(part)}, and may read all keys`,
      })
    },
    checkRoom(part, growth) {
      const maxBytes = levels.get(part)?.maxBytes ?? 0
      if (growth <= 0 || held(part) + growth <= maxBytes) return
      throw new ParleyError('COM003', `the part ${part} holds ${held(part)} of ${maxBytes} bytes in the journal`, {
        hint: 'delete records of the part that are not needed any more, or raise journal.level and journal.maxBytes of it',
        details: { reason: 'journal-share', heldBytes: held(part), maxBytes },
      })
    },
    checkCollections(part, now) {
      const maxBytes = levels.get(part)?.maxCollectionBytes ?? 0
      if (now <= maxBytes) return
      throw new ParleyError('COM003', `the collections of the part ${part} would take ${now} of ${maxBytes} bytes`, {
        hint: 'drop collections that are not needed any more, or raise journal.level and journal.maxCollectionBytes of it',
        details: { reason: 'journal-share', heldBytes: now, maxBytes },
      })
    },
    clear() {
      bytes.clear()
      levels.clear()
    },
  }
}
