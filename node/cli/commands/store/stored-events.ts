/** What `parley store` says of the history of events, and does with it (node/store/events/history-survey.ts). */
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { type HistorySurvey, repairHistory, surveyHistory } from '../../../store/events/history-survey.ts'
import type { RandomBytes } from '../../../store/journal/replace-log.ts'
import { block, count } from './store-facts.ts'

const factsOf = ({ problems, ...found }: HistorySurvey) => ({
  ...found,
  problems: problems.map(({ message }) => message),
})

const eventsText = (folder: string, found: HistorySurvey): string => {
  const { words, segments, batches, events, bytes, lost, torn } = found
  const lines: [string, string][] = [
    ['history', `${count(events, 'event')} of ${count(words, 'word')}, in ${batches} signed parts`],
    ['on disk', `${count(bytes, 'byte')} in ${count(segments, 'file')}`],
    ...(lost > 0 ? [['lost', `${count(lost, 'byte')} that cannot be read`] as [string, string]] : []),
    ...(torn > 0 ? [['torn', `${count(torn, 'byte')} of a write that a crash cut off`] as [string, string]] : []),
  ]
  return `the events in ${escapeText(folder)}\n${block(lines)}`
}

export interface EventsInspection {
  readonly facts: ReturnType<typeof factsOf>
  readonly words: string
  readonly problems: readonly ParleyError[]
}

/** Reads all of it, and changes nothing. @throws what the disk says */
export const inspectEvents = async (folder: string): Promise<EventsInspection> => {
  const found = await surveyHistory(folder)
  return { facts: factsOf(found), words: eventsText(folder, found), problems: found.problems }
}

/** @returns undefined `words`: there was nothing to repair @throws what the disk says, and then it can be tried again */
export const repairEvents = async (folder: string, random: RandomBytes) => {
  const { before, aside } = await repairHistory(folder, random)
  const { problems, lost } = factsOf(before)
  const facts = { repaired: aside.length > 0, lost, problems, putAside: aside }
  if (aside.length === 0) return { facts, words: undefined }
  const lines: [string, string][] = [
    ['lost', `${count(lost, 'byte')}`],
    ...aside.map((name, i): [string, string] => [i === 0 ? 'put aside' : '', name]),
  ]
  return { facts, words: `repaired the events in ${escapeText(folder)}\n${block(lines)}` }
}
