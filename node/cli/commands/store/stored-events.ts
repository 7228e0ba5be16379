/**
 * What `parley store` says of what is kept of events, and does with it: the history (node/store/events/history-survey.ts), and
 * where named subscriptions stand (node/store/events/cursor-rows.ts).
 */
import { join } from 'node:path'
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { CURSOR_WORDS } from '../../../store/events/cursor-rows.ts'
import { CURSORS_FOLDER } from '../../../store/events/event-files.ts'
import { type HistorySurvey, repairHistory, surveyHistory } from '../../../store/events/history-survey.ts'
import type { RandomBytes } from '../../../store/journal/replace-log.ts'
import { repairMessages, surveyMessages } from '../../../store/messages/message-repair.ts'
import { exists } from './stopped-node.ts'
import { block, count } from './store-facts.ts'

type Lines = [string, string][]

const { what } = CURSOR_WORDS
const lookAtCursors = async (folder: string) => {
  const cursors = join(folder, CURSORS_FOLDER)
  const { rows, bytes, problems } = await surveyMessages(cursors, undefined, what)
  return { subscriptions: rows, bytes, problems }
}

const factsOf = (history: HistorySurvey, cursors: Awaited<ReturnType<typeof lookAtCursors>>) => ({
  ...history,
  subscriptions: cursors.subscriptions,
  bytes: history.bytes + cursors.bytes,
  problems: [...history.problems, ...cursors.problems].map(({ message }) => message),
})
type EventFacts = ReturnType<typeof factsOf>

const eventsText = (folder: string, facts: EventFacts): string => {
  const { words, segments, batches, events, bytes, lost, torn, subscriptions } = facts
  const lines: Lines = [
    ['history', `${count(events, 'event')} of ${count(words, 'word')}, in ${count(batches, 'signed part')}`],
    ['positions', `of ${count(subscriptions, 'named subscription')}`],
    ['on disk', `${count(bytes, 'byte')}, the history in ${count(segments, 'file')}`],
    ...(lost > 0 ? ([['lost', `${count(lost, 'byte')} of the history that cannot be read`]] as Lines) : []),
    ...(torn > 0 ? ([['torn', `${count(torn, 'byte')} of a write that a crash cut off`]] as Lines) : []),
  ]
  return `the events in ${escapeText(folder)}\n${block(lines)}`
}

export interface EventsInspection {
  readonly facts: EventFacts
  readonly words: string
  readonly problems: readonly ParleyError[]
}

/** Reads all of it, and changes nothing. @throws what the disk says */
export const inspectEvents = async (folder: string): Promise<EventsInspection> => {
  const history = await surveyHistory(folder)
  const cursors = await lookAtCursors(folder)
  const facts = factsOf(history, cursors)
  return { facts, words: eventsText(folder, facts), problems: [...history.problems, ...cursors.problems] }
}

/**
 * @returns undefined `words`: there was nothing to repair
 * @throws STA003 `newer`; what the disk says, and then it can be tried again
 */
export const repairEvents = async (folder: string, random: RandomBytes) => {
  const history = await repairHistory(folder, random)
  const cursors = join(folder, CURSORS_FOLDER)
  const positions = (await exists(cursors)) ? await repairMessages(cursors, random, what) : undefined
  const putAside = [...history.aside, ...(positions?.aside ?? []).map((name) => join(CURSORS_FOLDER, name))]
  const problems = [...history.before.problems, ...(positions?.before.problems ?? [])].map(({ message }) => message)
  const facts = { repaired: putAside.length > 0, lost: history.before.lost, problems, putAside }
  if (putAside.length === 0) return { facts, words: undefined }
  const lines: Lines = [
    ['history', history.aside.length === 0 ? 'it was whole' : `${count(facts.lost, 'byte')} are lost`],
    [
      'positions',
      positions?.aside.length ? `of ${count(positions.after.rows, 'named subscription')} are kept` : 'they were whole',
    ],
    ...putAside.map((name, i): [string, string] => [i === 0 ? 'put aside' : '', name]),
  ]
  return { facts, words: `repaired the events in ${escapeText(folder)}\n${block(lines)}` }
}
