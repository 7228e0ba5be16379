/**
 * What a person does where repairing is not enough: go on with one store of a mesh that lost the majority of its voters for
 * good, or give up what is here and become a new member of a mesh.
 *
 * `recoverStore` makes this node the only voter. All of its log counts as decided from then on, in a term far above those
 * that the others can have reached, so that the fences of what is decided next are higher than any that was seen. It can not
 * keep the abandoned voters from coming back: two of three are a majority and go on as the old mesh. So what is recovered is
 * another mesh, with an id of its own and a storage id of its own: admission parts the two (`founded-apart`), and no message
 * of the old group is addressed to the new one. Whoever else has a store of the old mesh comes over by `adoptMesh`: its log
 * may hold what was decided after this one's, and must not meet it.
 *
 * What a crash in between leaves. `recoverStore` writes the founding file first: the old log under the new mesh id finds
 * nobody to vote with, and decides nothing. `adoptMesh` does so last: an empty log under the old mesh id is that of a new
 * learner there. Both can be run again. Nothing is removed: old files are put aside under their names with `.abandoned`.
 */
import { createHash } from 'node:crypto'
import {
  type FoundingRecord,
  type MeshRecovery,
  NO_ROUND,
  recoveredMeshId,
} from '../../../protocols/consensus/bootstrap/founding-record.ts'
import { meshIdIn } from '../../../protocols/consensus/bootstrap/founding-steps.ts'
import type { LogState } from '../../../protocols/consensus/group/group-storage.ts'
import { memberIdOf } from '../../../protocols/consensus/member-id.ts'
import { encodeConfiguration } from '../../../protocols/consensus/raft/raft-messages.ts'
import type { Disk } from '../files/disk.ts'
import { emptyLog } from '../log/log-items.ts'
import { hex, storeError } from '../log/log-segments.ts'
import { createFoundingFile, FOUNDING_FILE } from './founding-file.ts'
import { type JournalSurvey, surveyJournal } from './journal-survey.ts'
import { copyAside, newStorageId, payloadsOf, putAside, type RandomBytes, replaceLog } from './replace-log.ts'
import { snapshotFiles } from './snapshot-survey.ts'

/** Elections that the abandoned voters may have held since this node was with them: far more than any do. */
const TERMS_AHEAD = 1_000_000
const NONCE_BYTES = 16

/** The mesh that a store is of, as far as it can be read. */
export const meshIdOfJournal = ({ founding }: JournalSurvey): string | undefined =>
  founding.record && meshIdIn(founding.record)

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** @throws STA003 with `details.reason`: `damaged`, `newer`, `nothing`, `not-needed` */
export const checkRecoverable = (found: JournalSurvey, peer: string): void => {
  const { problems, hasContents, storageId, configuration } = found
  const newer = problems.find(({ error }) => error.details.reason === 'newer')
  if (newer !== undefined) throw newer.error
  const broken = problems.find(({ part }) => part !== 'founding')
  if (broken !== undefined) {
    const hint = 'parley store repair first, which keeps what is good; then this again'
    throw storeError('damaged', broken.error.message, hint)
  }
  if (!hasContents || storageId === undefined || configuration.voters.length === 0) {
    const hint = 'a node without anything to keep begins anew with an empty data directory'
    throw storeError('nothing', 'there is nothing of a mesh in this store', hint)
  }
  const [voter, ...others] = configuration.voters
  if (voter === memberIdOf(peer, storageId) && others.length === 0 && meshIdOfJournal(found) !== undefined) {
    const hint = 'start it: it needs nobody else to decide'
    throw storeError('not-needed', 'this node is the only voter already', hint)
  }
}

export interface JournalRecovered {
  readonly before: JournalSurvey
  readonly after: JournalSurvey
  readonly meshId: string
  readonly member: string
  readonly aside: readonly string[]
}

const onlyVoter = ({ log: { state }, lastIndex }: JournalSurvey, member: string): LogState => {
  const term = state.hardState.term + TERMS_AHEAD
  const data = encodeConfiguration({ voters: [member], learners: [] })
  return {
    hardState: { term, votedFor: undefined, commit: state.hardState.commit },
    snapshot: state.snapshot,
    entries: [...state.entries, { index: lastIndex + 1, term, kind: 'configuration', data }],
  }
}

/** @param recovered what the id was made of: the node shows it to others, who then know its only voter */
const saveMesh = async (
  disk: Disk,
  found: JournalSurvey,
  member: string,
  meshId: string,
  recovered?: MeshRecovery,
): Promise<string[]> => {
  const copy = await copyAside(disk, FOUNDING_FILE, found.founding.problem === undefined ? '.abandoned' : '.damaged')
  const highest = found.founding.record?.highest ?? NO_ROUND
  const record: FoundingRecord = { member, highest, adopted: { meshId, ...(recovered && { recovered }) } }
  await createFoundingFile(disk).save(record)
  return copy === undefined ? [] : [copy]
}

/**
 * Makes this node the only voter of a new mesh that has what this one had.
 * @param peer id of this node
 * @throws as `checkRecoverable`; what the disk says
 */
export const recoverJournal = async (disk: Disk, random: RandomBytes, peer: string): Promise<JournalRecovered> => {
  const before = await surveyJournal(disk)
  checkRecoverable(before, peer)
  const storageId = newStorageId(random)
  const member = memberIdOf(peer, hex(storageId))
  const recovered = { before: meshIdOfJournal(before) ?? '', member, nonce: hex(random(NONCE_BYTES)) }
  const meshId = recoveredMeshId(sha256, recovered)
  const aside = await saveMesh(disk, before, member, meshId, recovered)
  aside.push(...(await replaceLog(disk, random, payloadsOf(onlyVoter(before, member)), storageId, '.abandoned')))
  return { before, after: await surveyJournal(disk), meshId, member, aside }
}

/**
 * Makes this node a new member of the mesh `meshId`, which learns from it once it joins; all that it has of another mesh is
 * put aside.
 * @throws STA003 with `details.reason` `same` where it is of that mesh and nothing is wrong with it; what the disk says
 */
export const adoptMesh = async (
  disk: Disk,
  random: RandomBytes,
  peer: string,
  meshId: string,
): Promise<JournalRecovered> => {
  const before = await surveyJournal(disk)
  if (meshIdOfJournal(before) === meshId && before.problems.length === 0)
    throw storeError('same', `this node is of the mesh ${meshId} already`, 'start it, and have it join that mesh')
  const storageId = newStorageId(random)
  const member = memberIdOf(peer, hex(storageId))
  const aside = await replaceLog(disk, random, payloadsOf(emptyLog()), storageId, '.abandoned')
  aside.push(...(await putAside(disk, await snapshotFiles(disk), '.abandoned')))
  aside.push(...(await saveMesh(disk, before, member, meshId)))
  return { before, after: await surveyJournal(disk), meshId, member, aside }
}
