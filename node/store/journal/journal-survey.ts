/**
 * What lies in the folder of a store, all of it read and checked, and nothing changed: the log, the snapshots, the founding
 * file, and what is wrong with them.
 */

import type { FoundingRecord } from '../../../protocols/consensus/bootstrap/founding-record.ts'
import type { LogState } from '../../../protocols/consensus/group/group-storage.ts'
import { ConfigurationHistory } from '../../../protocols/consensus/raft/configuration-history.ts'
import type { Configuration } from '../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Disk } from '../files/disk.ts'
import { decodeHeader, readFrames, salvageFrames } from '../log/log-frames.ts'
import { applyPayload, emptyLog } from '../log/log-items.ts'
import { hex, isSegmentName, storeError } from '../log/log-segments.ts'
import { readRaftLog } from '../log/log-store.ts'
import { createFoundingFile, FOUNDING_FILE, missingFounding } from './founding-file.ts'
import { type SnapshotFile, surveySnapshots } from './snapshot-survey.ts'

export type JournalFile = 'log' | 'snapshot' | 'founding'

export interface FoundingFacts {
  readonly record: FoundingRecord | undefined
  readonly problem: ParleyError | undefined
  /** A mesh id that stands in a file which is damaged: to be compared with, not to be trusted. */
  readonly clue: string | undefined
}

export interface JournalSurvey {
  /** Hexadecimal; undefined: there is no log, or its first header is gone. */
  readonly storageId: string | undefined
  /** Names of the log's files. */
  readonly files: readonly string[]
  readonly bytes: number
  readonly log: Awaited<ReturnType<typeof readRaftLog>>
  /** Of the good part: the last entry, or where the snapshot ends. */
  readonly lastIndex: number
  /** The highest index of an entry in any frame that is whole, also of those behind damage. */
  readonly seenIndex: number
  /** As far as the good part knows. */
  readonly configuration: Configuration
  /** Anything of a group: a term, entries, a snapshot. */
  readonly hasContents: boolean
  /** A new log that was to take the place of the files before it, which are still there (replace-log.ts). */
  readonly unfinished: string | undefined
  /** Newest first, those that the log does not name too. */
  readonly snapshots: readonly SnapshotFile[]
  readonly founding: FoundingFacts
  /** What was put aside earlier. */
  readonly aside: readonly string[]
  /** STA003 with `details.reason` `damaged` or `newer`, and a hint that names what helps. */
  readonly problems: readonly { readonly part: JournalFile; readonly error: ParleyError }[]
}

const ASIDE_NAME = /\.(damaged|abandoned)(\.\d+)?$/
const NOBODY: Configuration = { voters: [], learners: [] }

/** In the order in which they are read. */
export const logFiles = async (disk: Disk): Promise<string[]> => (await disk.list()).filter(isSegmentName).sort()

const lastIndexIn = (payload: Uint8Array): number => {
  const state = emptyLog()
  try {
    applyPayload(state, payload)
  } catch {
    // It may rest on items that are lost; what was read before counts.
  }
  return Math.max(state.entries.at(-1)?.index ?? 0, state.snapshot?.index ?? 0)
}

/** Looks behind damage too: how far this node had got tells how much is cut off. */
const highestIndex = (bytes: Uint8Array): number => {
  const header = decodeHeader(bytes)
  let highest = 0
  if (header !== undefined)
    for (const { payload } of salvageFrames(bytes, header.salt)) highest = Math.max(highest, lastIndexIn(payload))
  return highest
}

/** A file that begins a log of its own although there are files before it. */
const unfinishedIn = (files: readonly { name: string; bytes: Uint8Array }[]): string | undefined => {
  const last = files.at(-1)
  const before = files.at(-2)
  const header = last && decodeHeader(last.bytes)
  if (last === undefined || before === undefined || header === undefined || header.previous !== 0) return undefined
  const older = decodeHeader(before.bytes)
  if (older !== undefined && hex(older.storageId) === hex(header.storageId)) return undefined
  const { payloads, fault } = readFrames(last.bytes, header)
  return fault === undefined && payloads.length > 0 ? last.name : undefined
}

const readFounding = async (disk: Disk): Promise<FoundingFacts> => {
  try {
    return { record: await createFoundingFile(disk).load(), problem: undefined, clue: undefined }
  } catch (error) {
    if (!isParleyError(error) || !['damaged', 'newer'].includes(String(error.details.reason))) throw error
    const text = new TextDecoder().decode(await disk.read(FOUNDING_FILE))
    return { record: undefined, problem: error, clue: /"meshId":"([0-9a-f]{32})"/.exec(text)?.[1] }
  }
}

const REPAIR = 'parley store repair keeps what is good'

const problemsOf = (found: Omit<JournalSurvey, 'problems'>, isOfMesh: boolean): JournalSurvey['problems'] => {
  const { log, unfinished, snapshots, founding, hasContents } = found
  const problems: { part: JournalFile; error: ParleyError }[] = []
  const damaged = (part: JournalFile, message: string, hint: string): void =>
    void problems.push({ part, error: storeError('damaged', message, hint) })
  if (unfinished !== undefined) {
    const what = `${unfinished} was to take the place of the files before it, and was interrupted`
    damaged('log', what, 'parley store repair finishes it')
  } else if (log.problem !== undefined) {
    const isNewer = log.problem.details.reason === 'newer'
    if (isNewer) problems.push({ part: 'log', error: log.problem })
    else damaged('log', log.problem.message, REPAIR)
  }
  const base = log.state.snapshot
  const named = base && snapshots.find(({ index, term }) => index === base.index && term === base.term)
  if (base !== undefined && unfinished === undefined && named?.meta === undefined) {
    const what = named?.problem ?? `the snapshot at entry ${base.index}, which the log begins with, is not there`
    damaged('snapshot', what, REPAIR)
  }
  if (founding.problem !== undefined) {
    const { message, details } = founding.problem
    if (details.reason === 'newer') problems.push({ part: 'founding', error: founding.problem })
    else damaged('founding', message, 'parley store repair says what is needed')
  } else if (founding.record === undefined && (hasContents || isOfMesh)) {
    problems.push({ part: 'founding', error: missingFounding() })
  }
  return problems
}

/** The last one that it names. */
export const configurationOf = ({ snapshot, entries }: LogState): Configuration =>
  new ConfigurationHistory({ index: snapshot?.index ?? 0, configuration: snapshot?.configuration ?? NOBODY }, entries)
    .current

/** @param isOfMesh something else says that this node is of a mesh @throws what the disk says */
export const surveyJournal = async (disk: Disk, isOfMesh = false): Promise<JournalSurvey> => {
  const names = await logFiles(disk)
  const files: { name: string; bytes: Uint8Array }[] = []
  for (const name of names) files.push({ name, bytes: await disk.read(name) })
  const log = await readRaftLog(disk)
  const { hardState, snapshot, entries } = log.state
  const [first] = log.segments
  const lastIndex = entries.at(-1)?.index ?? snapshot?.index ?? 0
  const found = {
    storageId: first === undefined ? undefined : hex(first.header.storageId),
    files: names,
    bytes: files.reduce((sum, { bytes }) => sum + bytes.length, 0),
    log,
    lastIndex,
    seenIndex: Math.max(lastIndex, ...files.map(({ bytes }) => highestIndex(bytes))),
    configuration: configurationOf(log.state),
    hasContents: hardState.term > 0 || snapshot !== undefined || entries.length > 0 || log.problem !== undefined,
    unfinished: unfinishedIn(files),
    snapshots: await surveySnapshots(disk),
    founding: await readFounding(disk),
    aside: (await disk.list()).filter((name) => ASIDE_NAME.test(name)).sort(),
  }
  return { ...found, problems: problemsOf(found, isOfMesh) }
}
