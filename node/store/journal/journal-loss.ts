/**
 * A journal that lost something that this node had said it has: who the node is when it starts on what is left.
 *
 * It may not go on as the member that it was: it has forgotten entries that it acknowledged, and perhaps a vote. Where others
 * vote it comes back as a new member without a vote, on the part of its log that is good, and learns from them what it lacks;
 * where too few of them are left it waits, and says so. Where it alone votes, as far as its log knows, nobody else has what
 * is gone, so it does not start: a person decides (`parley store accept-loss`).
 *
 * The damaged files are put aside under their names with `.damaged`. A note stays in the folder until the node votes again.
 * A crash in between leaves a log that is still damaged, or a new one that has to take its place: both are gone on with at
 * the next start.
 */
import * as z from 'zod'
import type { FoundingRecord } from '../../../protocols/consensus/bootstrap/founding-record.ts'
import { memberIdOf, peerOf } from '../../../protocols/consensus/member-id.ts'
import type { Configuration } from '../../../protocols/consensus/raft/raft-messages.ts'
import type { ParleyError } from '../../../protocols/errors.ts'
import { systemCode } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { storeError } from '../log/log-segments.ts'
import { keepablePart, wholeSnapshots } from './journal-repair.ts'
import { configurationOf, type JournalSurvey, surveyJournal } from './journal-survey.ts'
import { finishReplacing, newStorageId, payloadsOf, putAside, type RandomBytes, replaceLog } from './replace-log.ts'
import { brokenSnapshotFiles } from './snapshot-survey.ts'

export const LOSS_FILE = 'lost.json'
const PART = `${LOSS_FILE}.part`

const NoteSchema = z.object({
  /** What was found, for a person. */
  why: z.string().max(4_096),
  /** The member that this node was; it is none any more. */
  was: z.string().optional(),
  /** The last entry that is left of its own log; it may have had more. */
  kept: z.int().nonnegative(),
  /** Milliseconds since 1970. */
  at: z.number(),
})
export type LossNote = Readonly<z.output<typeof NoteSchema>>

export const writeLossNote = async (disk: Disk, note: LossNote): Promise<void> => {
  await disk.remove(PART)
  const file = await disk.create(PART)
  try {
    await file.write(new TextEncoder().encode(`${JSON.stringify(note)}\n`), 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(PART, LOSS_FILE)
  await disk.syncNames()
}

/** @returns undefined: there is none. One that cannot be read still says that something was lost. @throws what the disk says */
export const readLossNote = async (disk: Pick<Disk, 'read'>): Promise<LossNote | undefined> => {
  try {
    const text = new TextDecoder().decode(await disk.read(LOSS_FILE))
    return NoteSchema.parse(JSON.parse(text))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    if (systemCode(error) !== undefined) throw error
    return { why: `${LOSS_FILE} cannot be read`, kept: 0, at: 0 }
  }
}

export const removeLossNote = async (disk: Disk): Promise<void> => {
  await disk.remove(LOSS_FILE)
  await disk.syncNames()
}

/** What a node knows of itself beside its log. */
export interface OwnVotingFacts {
  readonly peer: string
  /** Who else votes, as it noted it when that changed last (known-stores.ts). */
  readonly noted?: 'alone' | 'others' | undefined
}

/**
 * Whether nobody else votes, as far as this node knows. Where anything says that others do, they are asked.
 * @param configuration of what is left of its log
 */
export const isOnlyKnownVoter = (
  { peer, noted }: OwnVotingFacts,
  { voters }: Configuration,
  record: FoundingRecord | undefined,
): boolean => {
  if (noted === 'others') return false
  const known = voters.length > 0 ? voters : (record?.founded?.members ?? record?.promise?.set ?? [])
  return known.length === 0 ? noted === 'alone' : known.every((member) => peerOf(member) === peer)
}

const refuseAlone = (what: string): ParleyError =>
  storeError(
    'damaged',
    `${what}; this node votes alone, as far as its journal knows, so nobody else has what is gone`,
    'restore the journal from a backup; or parley store accept-loss, which goes on with what parley store verify shows',
  )

/** What a node has become. `finished`: an earlier change of its log was interrupted, and nothing was lost in it. */
export type LossOutcome =
  | { readonly kind: 'finished' }
  | ({ readonly kind: 'renewed'; readonly aside: readonly string[] } & LossNote)

/**
 * What the journal of a node is refused for at its start: a later version, a loss that nobody else has, or a founding file
 * that has to be looked at first. Undefined: it starts, as a new member where something is lost.
 */
export const lossRefusal = (found: JournalSurvey, identity: OwnVotingFacts): ParleyError | undefined => {
  const { problems, founding } = found
  const newer = problems.find(({ error }) => error.details.reason === 'newer')
  if (newer !== undefined) return newer.error
  const lost = problems.find(({ part }) => part !== 'founding')
  if (lost !== undefined) {
    const left = keepablePart(found.log.state, wholeSnapshots(found))
    if (isOnlyKnownVoter(identity, configurationOf(left), founding.record)) return refuseAlone(lost.error.message)
  }
  return problems.find(({ part }) => part === 'founding')?.error
}

/**
 * Makes a node whose log or snapshot is damaged a new member, on what is good of them.
 * @throws STA003 with `details.reason`: `damaged` for one that votes alone or whose founding file is damaged, `newer`; what
 *   the disk says, and then it can be done again
 */
export const rejoinAfterLoss = async (
  disk: Disk,
  random: RandomBytes,
  identity: OwnVotingFacts,
  nowMs: number,
): Promise<LossOutcome> => {
  const { peer } = identity
  let found = await surveyJournal(disk)
  if (found.unfinished !== undefined) {
    await finishReplacing(disk, found.unfinished, '.damaged')
    found = await surveyJournal(disk)
  }
  const refusal = lossRefusal(found, identity)
  if (refusal !== undefined) throw refusal
  const [problem] = found.problems
  if (problem === undefined) return { kind: 'finished' }
  const left = keepablePart(found.log.state, wholeSnapshots(found))
  const { message } = problem.error
  const { mark } = found.log
  const storageId = found.storageId ?? (mark.kind === 'whole' ? mark.value.id : undefined)
  const kept = left.entries.at(-1)?.index ?? left.snapshot?.index ?? 0
  const was = storageId === undefined ? undefined : memberIdOf(peer, storageId)
  const note: LossNote = { why: message, kept, at: nowMs, ...(was !== undefined && { was }) }
  await writeLossNote(disk, note)
  const renewed = { ...left, hardState: { ...left.hardState, votedFor: undefined } }
  const broken = brokenSnapshotFiles(found.snapshots)
  const aside = await replaceLog(disk, random, payloadsOf(renewed), newStorageId(random), '.damaged')
  aside.push(...(await putAside(disk, broken, '.damaged')))
  return { kind: 'renewed', ...note, aside }
}
