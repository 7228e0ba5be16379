/**
 * What parts decide in the journal, so that no voter meets a command that it does not know: which level of each part all
 * voters have stands in the journal itself, and only rises; a part's commands are taken from that level on. Pure.
 *
 * A part's records lie below its own prefix. Its commands alone write there, and nowhere else; all of them together take at
 * most the bytes that were agreed on with its level. That a command of a part is meant for all members alike follows from
 * the log alone.
 */
import * as z from 'zod'
import type { PartJournal } from '../part.ts'
import { AgreedSchema, agreedKey, readAgreed } from './part-records.ts'
import { BUILT_IN_KINDS } from './state/built-in-kinds.ts'
import { type AnyCommandKind, defineJournalCommand } from './state/command-kind.ts'

/** From this feature level on the journal has parts. */
export const PARTS_LEVEL = 3
/** Parts whose level is agreed on. */
export const MAX_AGREED_PARTS = 64
const MAX_NAME = 48

export interface JournalPart extends PartJournal {
  readonly name: string
}

/** A command and the part that brought it. */
export interface KnownKind extends AnyCommandKind {
  readonly part?: string
}
export type KnownKinds = ReadonlyMap<string, KnownKind>

/** What every voter has of a part by now; its level only rises. */
export const agreePart = defineJournalCommand({
  name: 'journal.part',
  level: PARTS_LEVEL,
  input: z.object({ part: z.string().min(1).max(MAX_NAME), ...AgreedSchema.shape }),
  output: AgreedSchema,
  apply(tx, { part, level, maxBytes, maxCollectionBytes }) {
    const now = readAgreed(tx.get(agreedKey(part)))
    if (now !== undefined && now.level >= level) return now
    const agreed = { level, maxBytes, ...(maxCollectionBytes !== undefined && { maxCollectionBytes }) }
    tx.put(agreedKey(part), agreed)
    return agreed
  },
})

/** All that this member knows: the journal's own commands, those of the program, those of parts. */
export const knownKinds = (commands: readonly AnyCommandKind[], parts: readonly JournalPart[]): KnownKinds => {
  const ofParts = parts.flatMap(({ name, kinds }) => kinds.map((kind): KnownKind => ({ ...kind, part: name })))
  return new Map([...BUILT_IN_KINDS, agreePart, ...commands, ...ofParts].map((kind) => [kind.name, kind]))
}

/** `acme/tally@2`, as offers of a seat have it. */
export const offerOf = ({ name, level }: JournalPart): string => `${name}@${level}`
const OFFER = /^([a-z0-9/-]{1,48})@([1-9][0-9]{0,8})$/
/** Levels by part; what is no offer is left out. */
export const readOffers = (offers: readonly string[] = []): ReadonlyMap<string, number> =>
  new Map(
    offers.flatMap((text): [string, number][] => {
      const [, name, level] = OFFER.exec(text) ?? []
      return name === undefined ? [] : [[name, Number(level)]]
    }),
  )
