/**
 * What is wrong with the stores of a node that does not run, in the order in which its start would meet it, each with the
 * command that helps: one list, so that `verify`, `repair`, `accept-loss` and a start say the same. Changes nothing, keeps no
 * state.
 */
import { join } from 'node:path'
import { isParleyError, type ParleyError } from '../../../../protocols/errors.ts'
import { readFences } from '../../../store/fences/fence-file.ts'
import { openFolder } from '../../../store/files/disk.ts'
import { lossRefusal } from '../../../store/journal/journal-loss.ts'
import { type JournalFile, type JournalSurvey, surveyJournal } from '../../../store/journal/journal-survey.ts'
import {
  FENCE_FOLDER,
  type KnownPart,
  type KnownStoresRecord,
  type MissingStore,
  missingStores,
  readKnown,
} from '../../../store/known-stores.ts'
import { readIncarnation } from '../../../trust/identity.ts'
import { exists, type StoppedNode } from './stopped-node.ts'
import { type EventsInspection, inspectEvents } from './stored-events.ts'
import { inspectMessages, type MessagesInspection } from './stored-messages.ts'
import { type BytesInspection, inspectBytes } from './stored-values.ts'

export interface StoreProblem {
  readonly part: KnownPart | JournalFile | 'events' | 'bytes' | 'identity' | 'incarnation'
  readonly error: ParleyError
}

export interface StoreCondition {
  readonly known: KnownStoresRecord
  readonly missing: readonly MissingStore[]
  /** Undefined: there is no folder of a journal, or nothing of one in it. */
  readonly journal: JournalSurvey | undefined
  /** The journal lost something, and this node votes alone: it starts once that is accepted. */
  readonly alone: ParleyError | undefined
  readonly fences: ParleyError | undefined
  readonly problems: readonly StoreProblem[]
}

const incarnationProblem = async (dataDir: string): Promise<ParleyError | undefined> => {
  try {
    await readIncarnation(dataDir)
    return undefined
  } catch (error) {
    if (isParleyError(error)) return error
    throw error
  }
}

/** What this node has seen of decisions: nothing gives it back, and a node does not start on a damaged one. */
const fencesProblem = async (dataDir: string): Promise<ParleyError | undefined> => {
  const folder = join(dataDir, FENCE_FOLDER)
  return (await exists(folder)) ? (await readFences(await openFolder(folder))).problem : undefined
}

interface Inspected {
  readonly messages?: MessagesInspection | undefined
  readonly events?: EventsInspection | undefined
  readonly bytes?: BytesInspection | undefined
}

/** @param inspected what was looked at @throws what the disk says */
export const conditionOf = async (
  { owner, disk }: Pick<StoppedNode, 'owner' | 'disk'>,
  { messages, events, bytes }: Inspected = {},
): Promise<StoreCondition> => {
  const { dataDir, peer, problem } = owner
  const known = await readKnown(dataDir)
  const missing = await missingStores(dataDir, known)
  const isGone = (part: KnownPart): boolean => missing.some((one) => one.part === part)
  const journal =
    disk === undefined ? undefined : await surveyJournal(disk, known.journal !== undefined && !isGone('journal'))
  const noted = isGone('journal') ? undefined : known.journal?.voters
  const refusal = journal && peer !== undefined ? lossRefusal(journal, { peer, noted }) : undefined
  const alone = journal?.problems.some(({ error }) => error === refusal) === true ? undefined : refusal
  const fences = isGone('fences') ? undefined : await fencesProblem(dataDir)
  const problems: StoreProblem[] = []
  const add = (part: StoreProblem['part'], error: ParleyError | undefined): void => {
    if (error !== undefined) problems.push({ part, error })
  }
  add('identity', problem)
  add('incarnation', await incarnationProblem(dataDir))
  problems.push(...missing)
  add('fences', fences)
  add('log', alone)
  // With the loss accepted it is the only voter of a new mesh, whatever the founding file says.
  if (alone === undefined) problems.push(...(journal?.problems ?? []))
  add('messages', messages?.problem)
  for (const error of events?.problems ?? []) add('events', error)
  for (const error of bytes?.problems ?? []) add('bytes', error)
  return { known, missing, journal, alone, fences, problems }
}

export const inspectStores = async (stopped: StoppedNode): Promise<{ condition: StoreCondition } & Inspected> => {
  const messages = stopped.messages === undefined ? undefined : await inspectMessages(stopped.messages)
  const events = stopped.events === undefined ? undefined : await inspectEvents(stopped.events)
  const bytes = stopped.bytes === undefined ? undefined : await inspectBytes(stopped.bytes)
  return { condition: await conditionOf(stopped, { messages, events, bytes }), messages, events, bytes }
}
