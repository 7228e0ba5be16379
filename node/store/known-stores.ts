/**
 * What this node has kept, in `stores.json` beside its identity: so that a folder which is gone is missed.
 *
 * A journal, the messages or the fences that are gone beside an identity that was used before are a loss that nothing else
 * here tells: what is made anew looks like that of a new node. Where others vote, a node without its journal comes back as a
 * new member of the mesh that it was of (journal-loss.ts). Otherwise it does not start until a person says that the loss is accepted
 * (`parley store accept-loss`). A whole data directory that is gone is a new node.
 *
 * The file is replaced as a whole, with a checksum; one that cannot be read is written anew. State: what it says, the write
 * under way.
 */
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { MeshIdSchema, NO_ROUND } from '../../protocols/consensus/bootstrap/founding-record.ts'
import { MemberIdSchema, peerOf } from '../../protocols/consensus/member-id.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Port } from '../../protocols/port.ts'
import { readPrivateFile, systemCode, writePrivateFile } from '../platform/private-file.ts'
import { FENCE_FILE } from './fences/fence-file.ts'
import { openFolder } from './files/disk.ts'
import { createFoundingFile } from './journal/founding-file.ts'
import { writeLossNote } from './journal/journal-loss.ts'
import { LOG_MARKER_FILE } from './log/log-marker.ts'
import { isSegmentName } from './log/log-segments.ts'

export const KNOWN_FILE = 'stores.json'
export const FENCE_FOLDER = 'fences'
export const MESSAGES_FOLDER = 'messages'
export const JOURNAL_FOLDER = 'journal'
export const EVENTS_FOLDER = 'events'
/** Large values of tasks that this node holds. */
export const BYTES_FOLDER = 'bytes'
/** In the folder of messages: the rows, and those of earlier versions. */
export const ROWS_FOLDER = 'rows'
export const LEVEL_FOLDER = 'db'
const FORMAT = 1
const MAX_BYTES = 16_384

const JournalSchema = z.object({
  member: MemberIdSchema,
  meshId: MeshIdSchema,
  /** Who else votes, as far as this node knew. */
  voters: z.enum(['alone', 'others']),
})
export type KnownJournal = Readonly<z.output<typeof JournalSchema>>

const KnownSchema = z.object({
  journal: JournalSchema.optional(),
  messages: z.object({ id: z.string().max(128) }).optional(),
  fences: z.object({}).optional(),
})
export type KnownStoresRecord = Readonly<z.output<typeof KnownSchema>>
export type KnownPart = keyof KnownStoresRecord

const FileSchema = z.object({ format: z.literal(FORMAT), sha256: z.string(), known: z.unknown() })

const checksumOf = (known: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([FORMAT, known]) ?? '')
    .digest('hex')

const decode = (bytes: Uint8Array): KnownStoresRecord | undefined => {
  try {
    const { sha256, known } = FileSchema.parse(JSON.parse(new TextDecoder().decode(bytes)))
    return sha256 === checksumOf(known) ? KnownSchema.parse(known) : undefined
  } catch {
    return undefined
  }
}

/** Nothing for a node of an older version, or one that is new. @throws STA003 where the disk does not give it */
export const readKnown = async (dataDir: string): Promise<KnownStoresRecord> => {
  const bytes = await readPrivateFile(join(dataDir, KNOWN_FILE), MAX_BYTES)
  return (bytes && decode(bytes)) ?? {}
}

const write = (dataDir: string, known: KnownStoresRecord): Promise<void> =>
  writePrivateFile(
    join(dataDir, KNOWN_FILE),
    `${JSON.stringify({ format: FORMAT, sha256: checksumOf(known), known })}\n`,
  )

export interface MissingStore {
  readonly part: KnownPart
  /** The node does not start until the loss is accepted. */
  readonly isAlone: boolean
  /** What is lost with it, for a person. */
  readonly error: ParleyError
}

const namesIn = async (folder: string): Promise<string[]> => {
  try {
    return await readdir(folder)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw error
  }
}

const isOfLog = (name: string): boolean => isSegmentName(name) || name === LOG_MARKER_FILE
/** A part of it is enough: then what is in it says what is gone. */
const IS_THERE: Record<KnownPart, (names: readonly string[], folder: string) => Promise<boolean>> = {
  journal: async (names) => names.some(isOfLog),
  // `db`, and a `mark` beside it, are those of earlier versions.
  messages: async (names, folder) =>
    names.includes(LEVEL_FOLDER) || names.some(isOfLog) || (await namesIn(join(folder, ROWS_FOLDER))).some(isOfLog),
  fences: async (names) => names.includes(FENCE_FILE) || names.some(isOfLog),
}
const FOLDERS: Record<KnownPart, string> = {
  journal: JOURNAL_FOLDER,
  messages: MESSAGES_FOLDER,
  fences: FENCE_FOLDER,
}

const lossOf = (part: KnownPart, { journal }: KnownStoresRecord): string => {
  if (part === 'messages') return 'messages that were not delivered yet, and by what those that come twice are known'
  if (part === 'fences')
    return 'which decisions it saw: effects of a coordinator that was replaced would be let through'
  return journal?.voters === 'others'
    ? `its part of the journal of the mesh ${journal.meshId}; it comes back as a new member that learns from the others`
    : `the journal of the mesh ${journal?.meshId}, in which it voted alone: all its records, and nobody else has them`
}

const HINT = 'put it back from a backup; or parley store accept-loss, and the node goes on without it'
/** Nobody else can give it back: the node does not start without it. */
const isAlone = (part: KnownPart, { journal }: KnownStoresRecord): boolean =>
  part !== 'journal' || journal?.voters === 'alone'

/** What this node had and has no more. @throws what the disk says */
export const missingStores = async (dataDir: string, known: KnownStoresRecord): Promise<MissingStore[]> => {
  const missing: MissingStore[] = []
  for (const part of ['journal', 'messages', 'fences'] as const) {
    const folder = join(dataDir, FOLDERS[part])
    if (known[part] === undefined || (await IS_THERE[part](await namesIn(folder), folder))) continue
    const error = new ParleyError(
      'STA003',
      `${join(dataDir, FOLDERS[part])} is gone, and with it ${lossOf(part, known)}`,
      {
        hint: isAlone(part, known) ? HINT : 'start it: it learns from the others, and votes once it kept up',
        details: { reason: 'missing', part },
      },
    )
    missing.push({ part, isAlone: isAlone(part, known), error })
  }
  return missing
}

/** That these are gone is accepted: they are made anew. @throws STA003 where the disk does not take it */
export const forgetStores = async (dataDir: string, parts: readonly KnownPart[]): Promise<void> => {
  const known: Record<string, unknown> = { ...(await readKnown(dataDir)) }
  for (const part of parts) delete known[part]
  await write(dataDir, known)
}

export interface KnownStores {
  recorded(): KnownStoresRecord
  /** Durable once it resolves; a disk that does not take it is told, and nothing fails. */
  note<P extends KnownPart>(part: P, facts: NonNullable<KnownStoresRecord[P]>): Promise<void>
}

export interface KnownStoresDeps extends Pick<Port, 'log'> {
  readonly dataDir: string
  /** It may vote. */
  readonly usesJournal: boolean
  now(): number
}

/** An identity that is gone is made anew: what this node had as the one that it was stays behind. */
export const warnOfOtherIdentity = (peer: string, known: KnownStores | undefined, log: Port['log']): void => {
  const journal = known?.recorded().journal
  if (journal === undefined || peerOf(journal.member) === peer) return
  const isLost = journal.voters === 'alone' ? '; it voted alone, so nothing can be decided there any more' : ''
  log.error(`this node was another peer before: its vote in the mesh ${journal.meshId} is lost${isLost}`, {
    was: journal.member,
    hint: 'put its identity.key back from a backup; where there is none, parley store force-recover goes on with its journal',
  })
}

/** So that the node is a new member of the mesh that it was of, and founds none. */
const returnWithout = async ({ dataDir, now }: KnownStoresDeps, journal: KnownJournal, why: string): Promise<void> => {
  const disk = await openFolder(join(dataDir, JOURNAL_FOLDER))
  const { member, meshId } = journal
  await createFoundingFile(disk).save({ member, highest: NO_ROUND, adopted: { meshId } })
  await writeLossNote(disk, { why, kept: 0, at: now(), was: member })
}

/**
 * Before anything of them is opened.
 * @throws STA003 with `details.reason` `missing` for stores that are gone and that nobody can give back
 */
export const openKnownStores = async (deps: KnownStoresDeps): Promise<KnownStores> => {
  const { dataDir, usesJournal, log } = deps
  let known: KnownStoresRecord = await readKnown(dataDir)
  for (const { part, isAlone: isRefused, error } of await missingStores(dataDir, known)) {
    if (part === 'journal' && !usesJournal) continue
    if (isRefused) throw error
    log.error(error.message, { hint: error.hint })
    if (known.journal !== undefined) await returnWithout(deps, known.journal, error.message)
  }
  let writing: Promise<void> = Promise.resolve()
  return {
    recorded: () => known,
    note(part, facts) {
      if (JSON.stringify(known[part]) === JSON.stringify(facts)) return writing
      known = { ...known, [part]: facts }
      const now = known
      writing = writing
        .then(() => write(dataDir, now))
        .catch((error: unknown) =>
          log.warn(`${KNOWN_FILE} could not be written: a folder that is deleted would not be missed`, { error }),
        )
      return writing
    },
  }
}
