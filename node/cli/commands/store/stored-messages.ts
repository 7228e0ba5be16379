/** What `parley store` says of the stored messages, and does with them (node/store/messages/message-repair.ts). */
import { readdir } from 'node:fs/promises'
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { type CopyVerdict, detectCopy } from '../../../store/files/copy-detection.ts'
import type { RandomBytes } from '../../../store/journal/replace-log.ts'
import {
  type MessageSurvey,
  type RepairedMessages,
  repairMessages as repair,
  surveyMessages,
} from '../../../store/messages/message-repair.ts'
import { block, count } from './store-facts.ts'

const ASIDE_NAME = /\.damaged(\.\d+)?$/
/** Problems that are told to a person; `--json` has all of them. */
const MAX_SHOWN = 10

type Lines = (readonly [string, string])[]

const factsOf = (found: MessageSurvey, place: CopyVerdict, aside: readonly string[]) => ({
  id: found.manifest?.id,
  formerIds: found.manifest?.formerIds ?? [],
  /** An earlier version wrote them: they are taken over when the node starts. */
  isEarlier: found.isEarlier,
  rows: found.rows,
  kinds: found.kinds,
  group: found.group,
  tables: found.tables,
  lostBlocks: found.lostBlocks,
  lostGroups: found.lostGroups,
  problems: found.problems.map(({ message }) => message),
  bytes: found.bytes,
  place,
  aside,
})
type MessageFacts = ReturnType<typeof factsOf>

const PLACES: Record<CopyVerdict, string> = {
  same: 'the same: they are where they were',
  copied: 'copied: restored from a backup or copied; when the node is started its peers take it for a new sender',
  unknown: 'unknown: nothing says where they were, or the file system tells no creation times',
}

const rowsText = ({ rows, kinds }: Pick<MessageSurvey, 'rows' | 'kinds'>): string => {
  if (rows === 0) return 'none'
  return `${rows}: ${kinds.map((one) => `${one.kind === '' ? 'other' : one.kind} ${one.rows}`).join(', ')}`
}

const lostLines = ({ lostBlocks, lostGroups, problems }: Omit<MessageFacts, 'aside'>): Lines => [
  ...problems.slice(0, MAX_SHOWN).map((problem): [string, string] => ['damaged', problem]),
  ...(lostBlocks > 0 ? ([['lost', `${count(lostBlocks, 'part')} of tables`]] as Lines) : []),
  ...(lostGroups > 0 ? ([['lost', `${count(lostGroups, 'group')} of changes`]] as Lines) : []),
]

const messagesText = (folder: string, facts: MessageFacts, isNew: boolean): string => {
  const { id, group, tables, bytes, place, aside, isEarlier } = facts
  const unknown = isEarlier
    ? 'unknown: an earlier version wrote them, and the node takes them over when it starts'
    : 'unknown'
  const lines: Lines = [
    ['id', id ?? (isNew ? 'none: nothing was stored yet' : unknown)],
    ['rows', isEarlier ? unknown : rowsText(facts)],
    ['groups', `up to ${group}`],
    ...lostLines(facts),
    ['on disk', `${count(bytes, 'byte')} in ${count(tables, 'table')} and the log`],
    ['place', PLACES[place]],
    ...(aside.length > 0 ? ([['put aside', `${aside.join(', ')} earlier`]] as Lines) : []),
  ]
  return `the messages in ${escapeText(folder)}\n${block(lines)}`
}

export interface MessagesInspection {
  readonly facts: MessageFacts | undefined
  readonly words: string
  readonly problem: ParleyError | undefined
}

/** Reads all of them, and changes nothing. @throws STA003 where there is no room to look */
export const inspectMessages = async (folder: string): Promise<MessagesInspection> => {
  const found = await surveyMessages(folder)
  const aside = (await readdir(folder)).filter((name) => ASIDE_NAME.test(name)).sort()
  const facts = factsOf(found, await detectCopy(folder), aside)
  return { facts, words: messagesText(folder, facts, found.isNew), problem: found.problem }
}

const repairedText = (folder: string, { before, after, aside }: RepairedMessages): string => {
  if (aside.length === 0) return 'there is nothing to repair: the messages are whole'
  const lines: Lines = [
    ['kept', rowsText(after)],
    ...lostLines(factsOf(before, 'same', [])),
    ['was', after.manifest?.formerIds[0] ?? 'unknown'],
    ['id', after.manifest?.id ?? 'unknown'],
    ...aside.map((name, i): [string, string] => [i === 0 ? 'put aside' : '', name]),
  ]
  return `repaired the messages in ${escapeText(folder)}\n${block(lines)}
What is lost is not sent any more, and what was received before may be taken for new: its peers take this node for a new
sender, and messages that they did not answer yet may come twice.`
}

/** @throws STA003 as node/store/messages/message-repair.ts does */
export const repairMessages = async (folder: string, random: RandomBytes) => {
  const done = await repair(folder, random)
  const { before, after, aside } = done
  const now = factsOf(after, await detectCopy(folder), aside)
  const { lostBlocks, lostGroups, problems } = factsOf(before, 'same', [])
  const was = after.manifest?.formerIds[0]
  const facts = { repaired: aside.length > 0, was, lostBlocks, lostGroups, problems, putAside: aside, now }
  return { facts, words: repairedText(folder, done) }
}
