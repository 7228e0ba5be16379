/**
 * What a person does with a damaged store: look, and keep what is good.
 *
 * A log that was cut short has lost entries that this node said it had, and perhaps a vote: it may not take part as who it
 * was. So a repaired log has a storage id of its own, by which the group takes the node for a new one that learns. Nothing
 * is removed: what is damaged is put aside under its name with `.damaged`.
 *
 * A founding file says which mesh this node is of; a node without it could found a mesh beside the one that it was of. So the
 * node does not start with one that is damaged or gone. It is written anew where the note beside the identity names the very
 * member that the log is of; otherwise a person gives the mesh id, and it is the one that can still be read here. A node that
 * was of a mesh holds no promise, so nothing is forgotten, and the log goes on as it was.
 */
import { type FoundingRecord, NO_ROUND } from '../../../protocols/consensus/bootstrap/founding-record.ts'
import { meshIdIn } from '../../../protocols/consensus/bootstrap/founding-steps.ts'
import type { LogState } from '../../../protocols/consensus/group/group-storage.ts'
import { memberIdOf } from '../../../protocols/consensus/member-id.ts'
import type { SnapshotMeta } from '../../../protocols/consensus/raft/raft-messages.ts'
import type { ParleyError } from '../../../protocols/errors.ts'
import type { Disk } from '../files/disk.ts'
import { emptyLog, isWholePayload } from '../log/log-items.ts'
import { hex, storeError } from '../log/log-segments.ts'
import { readRaftLog } from '../log/log-store.ts'
import { createFoundingFile, FOUNDING_FILE } from './founding-file.ts'
import { type JournalSurvey, surveyJournal } from './journal-survey.ts'
import {
  copyAside,
  finishReplacing,
  newStorageId,
  payloadsOf,
  putAside,
  type RandomBytes,
  replaceLog,
} from './replace-log.ts'
import { brokenSnapshotFiles } from './snapshot-survey.ts'

export interface LogVerification {
  readonly storageId: string | undefined
  readonly files: number
  /** Of the good part. */
  readonly term: number
  readonly snapshotIndex: number
  readonly firstIndex: number
  readonly lastIndex: number
  /** Bytes of a write that a crash cut off; they are cut off on opening, and nothing is lost by it. */
  readonly torn: number
  /** What is wrong, for a person; undefined: nothing. */
  readonly problem: string | undefined
}

/** Reads the log and changes nothing. @throws what the disk says */
export const verifyLog = async (disk: Disk): Promise<LogVerification> => {
  const { state, segments, torn, problem } = await readRaftLog(disk)
  const snapshotIndex = state.snapshot?.index ?? 0
  const [first] = segments
  return {
    storageId: first === undefined ? undefined : hex(first.header.storageId),
    files: segments.length,
    term: state.hardState.term,
    snapshotIndex,
    firstIndex: state.entries[0]?.index ?? 0,
    lastIndex: state.entries.at(-1)?.index ?? snapshotIndex,
    torn: problem === undefined ? torn : 0,
    problem: problem?.message,
  }
}

const isAt = (a: Pick<SnapshotMeta, 'index' | 'term'>, b: Pick<SnapshotMeta, 'index' | 'term'>): boolean =>
  a.index === b.index && a.term === b.term

/**
 * The most that a log can begin with: what is good of it, or the newest snapshot that is whole. What a snapshot holds was
 * committed, whether the log had come to name it or not; entries without what they follow say nothing.
 */
export const keepablePart = (state: LogState, snapshots: readonly SnapshotMeta[]): LogState => {
  const base = state.snapshot
  const stands = isWholePayload(state) && (base === undefined || snapshots.some((meta) => isAt(meta, base)))
  const last = state.entries.at(-1)?.index ?? base?.index ?? 0
  const newest = snapshots.toSorted((a, b) => b.index - a.index)[0]
  if (stands && last >= (newest?.index ?? 0)) return state
  if (newest === undefined) return emptyLog()
  const { term, commit, votedFor } = state.hardState
  const isSame = state.entries.some((entry) => isAt(entry, newest))
  return {
    hardState: { term: Math.max(term, newest.term), votedFor, commit: Math.max(commit, newest.index) },
    snapshot: newest,
    entries: isSame ? state.entries.filter(({ index }) => index > newest.index) : [],
  }
}

export const wholeSnapshots = ({ snapshots }: JournalSurvey): SnapshotMeta[] =>
  snapshots.flatMap(({ meta }) => meta ?? [])

/** Parts that a later version wrote are nobody's to change here. */
const refuseNewer = ({ problems }: JournalSurvey): void => {
  const newer = problems.find(({ error }) => error.details.reason === 'newer')
  if (newer !== undefined) throw newer.error
}

const needsLog = ({ problems }: JournalSurvey): boolean => problems.some(({ part }) => part !== 'founding')

interface Mended {
  readonly now: JournalSurvey
  /** Names that files have now. */
  readonly aside: readonly string[]
}

/** The log and the snapshots. */
const mend = async (disk: Disk, random: RandomBytes, before: JournalSurvey, isOfMesh: boolean): Promise<Mended> => {
  refuseNewer(before)
  const aside: string[] = []
  let now = before
  if (now.unfinished !== undefined) {
    aside.push(...(await finishReplacing(disk, now.unfinished, '.damaged')))
    now = await surveyJournal(disk, isOfMesh)
  }
  if (needsLog(now)) {
    const kept = keepablePart(now.log.state, wholeSnapshots(now))
    const broken = brokenSnapshotFiles(now.snapshots)
    aside.push(...(await replaceLog(disk, random, payloadsOf(kept), newStorageId(random), '.damaged')))
    aside.push(...(await putAside(disk, broken, '.damaged')))
    now = await surveyJournal(disk, isOfMesh)
  }
  return { now, aside }
}

/**
 * Puts the log, and snapshots that are damaged, aside, and writes what is good into a new log.
 * @returns what is kept
 * @throws STA003 with `details.reason`: `whole` where there is nothing to repair, `newer` for a log of a later version
 */
export const repairLog = async (disk: Disk, random: RandomBytes): Promise<LogVerification> => {
  const { aside } = await mend(disk, random, await surveyJournal(disk), false)
  if (aside.length === 0) throw storeError('whole', 'the log is whole', 'there is nothing to repair')
  return verifyLog(disk)
}

export interface JournalRepairOptions {
  readonly random: RandomBytes
  /** Peer id; undefined: not known, and no founding file can be written. */
  readonly peer: string | undefined
  /** Of the mesh that this node is of, where the founding file is damaged. */
  readonly meshId?: string | undefined
  /** Which member of which mesh it noted beside its identity that it is (known-stores.ts). */
  readonly noted?: { readonly member: string; readonly meshId: string } | undefined
}

export interface JournalRepaired {
  readonly before: JournalSurvey
  readonly after: JournalSurvey
  /** Names that files have now. */
  readonly aside: readonly string[]
  /** The founding file was written anew. */
  readonly founding: boolean
  /** Why the founding file could not be. */
  readonly left: ParleyError | undefined
}

const GIVE_UP =
  'parley store adopt makes it a new member of the mesh whose id `parley coordinator status` shows on another node; ' +
  'where a majority of the voters is lost for good, parley store force-recover goes on with what is here'

/** Why this mesh id, or none, is not enough. */
const foundingRefusal = (
  { storageId }: JournalSurvey,
  { meshId, peer }: JournalRepairOptions,
  clue: string | undefined,
): ParleyError | undefined => {
  if (clue === undefined) return storeError('no-mesh-id', 'nothing here says which mesh this node is of', GIVE_UP)
  if (meshId === undefined) {
    const what = `the founding file is damaged or gone; what is left says that this node is of the mesh ${clue}`
    const hint = `compare it with what \`parley coordinator status\` shows on another node, then: parley store repair --mesh-id ${clue}`
    return storeError('needs-mesh-id', what, hint)
  }
  if (clue !== meshId) {
    const what = `what is left says that this node is of the mesh ${clue}, not ${meshId}`
    return storeError('other-mesh', what, GIVE_UP)
  }
  if (peer === undefined || storageId === undefined)
    return storeError('no-member', 'this node has no identity.key, or no log, to write a founding file for', GIVE_UP)
  return undefined
}

/**
 * Repairs what can be repaired; a second time there is nothing to do.
 * @throws STA003 with `details.reason`: `newer`, or `other-mesh` where this node is of another mesh than it is told; what
 *   the disk says, and then it can be tried again
 */
export const repairJournal = async (disk: Disk, options: JournalRepairOptions): Promise<JournalRepaired> => {
  const { random, peer, noted } = options
  const before = await surveyJournal(disk, noted !== undefined)
  // A note about the member that this log is of needs nobody to compare it.
  const member = peer && before.storageId && memberIdOf(peer, before.storageId)
  const isCertain = noted !== undefined && member === noted.member
  const meshId = options.meshId ?? (isCertain && before.founding.record === undefined ? noted.meshId : undefined)
  const known = before.founding.record && meshIdIn(before.founding.record)
  if (meshId !== undefined && known !== undefined && known !== meshId)
    throw storeError('other-mesh', `this node is of the mesh ${known}, not ${meshId}`, GIVE_UP)
  const { now, aside } = await mend(disk, random, before, noted !== undefined)
  if (!now.problems.some(({ part }) => part === 'founding'))
    return { before, after: now, aside, founding: false, left: undefined }
  const left = foundingRefusal(
    now,
    { ...options, meshId },
    isCertain ? noted.meshId : (now.founding.clue ?? noted?.meshId),
  )
  if (left !== undefined || meshId === undefined || peer === undefined || now.storageId === undefined)
    return { before, after: now, aside, founding: false, left }
  const copy = await copyAside(disk, FOUNDING_FILE, '.damaged')
  const record: FoundingRecord = {
    member: memberIdOf(peer, now.storageId),
    highest: NO_ROUND,
    adopted: { meshId },
  }
  await createFoundingFile(disk).save(record)
  const all = copy === undefined ? aside : [...aside, copy]
  return { before, after: await surveyJournal(disk), aside: all, founding: true, left: undefined }
}
