/** What `parley store` says of the stored messages, and does with them (node/store/messages/row-survey.ts, row-repair.ts). */
import { readdir } from 'node:fs/promises'
import type { ParleyError } from '../../../../protocols/errors.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { type CopyVerdict, detectCopy } from '../../../store/files/copy-detection.ts'
import type { RandomBytes } from '../../../store/journal/replace-log.ts'
import { type RepairedRows, repairRows } from '../../../store/messages/row-repair.ts'
import { type RowSurvey, surveyRows } from '../../../store/messages/row-survey.ts'
import { block, count } from './store-facts.ts'

const ASIDE_NAME = /\.damaged(\.\d+)?$/
/** Keys that are shown to a person; `--json` has up to 100. */
const MAX_SHOWN = 10

type Lines = (readonly [string, string])[]

const factsOf = (found: RowSurvey, place: CopyVerdict, aside: readonly string[]) => ({
  id: found.id?.id,
  formerIds: found.id?.formerIds ?? [],
  rows: found.rows,
  kinds: found.kinds,
  badRows: found.badRows,
  badKeys: found.badKeys,
  vanished: found.vanished,
  group: found.sums?.group,
  /** As the mark says, which may be behind after a power cut. */
  answered: found.mark.kind === 'whole' ? found.mark.group : undefined,
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

const keysText = (keys: readonly string[], all: number): string =>
  `${keys.slice(0, MAX_SHOWN).join(', ')}${all > MAX_SHOWN ? ', …' : ''}`

const rowsText = ({ rows, kinds }: Pick<RowSurvey, 'rows' | 'kinds'>): string => {
  if (rows === 0) return 'none'
  return `${rows}: ${kinds.map((one) => `${one.kind === '' ? 'other' : one.kind} ${one.rows}`).join(', ')}`
}

const messagesText = (folder: string, facts: MessageFacts, isNew: boolean): string => {
  const { id, group, answered, badRows, badKeys, vanished, bytes, place, aside } = facts
  const lines: Lines = [
    ['id', id ?? (isNew ? 'none: nothing was stored yet' : 'unknown')],
    ['rows', rowsText(facts)],
    [
      'groups',
      `up to ${group ?? 'an unknown one'}; answered up to ${answered ?? 'an unknown one'}, as far as is known`,
    ],
    ...(badRows > 0 ? ([['bad', `${count(badRows, 'row')}: ${keysText(badKeys, badRows)}`]] as Lines) : []),
    ...(vanished > 0 ? ([['vanished', count(vanished, 'row')]] as Lines) : []),
    ['on disk', count(bytes, 'byte')],
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
  const found = await surveyRows(folder)
  const aside = (await readdir(folder)).filter((name) => ASIDE_NAME.test(name)).sort()
  const facts = factsOf(found, await detectCopy(folder), aside)
  return { facts, words: messagesText(folder, facts, found.isNew), problem: found.problem }
}

const backText = (groups: number | undefined): string =>
  groups === undefined
    ? 'nothing says how far they went'
    : `by ${count(groups, 'group')} of changes that were answered; rows of those are not counted here`

const repairedText = (
  folder: string,
  { before, after, aside, badKeys, badRows, vanished, lostGroups }: RepairedRows,
): string => {
  if (aside.length === 0 && before.problem === undefined) return 'there is nothing to repair: the messages are whole'
  const lost =
    vanished === undefined ? 'nothing says how many' : vanished === 0 ? 'none that is known' : count(vanished, 'row')
  const lines: Lines = [
    ['kept', rowsText(after)],
    [
      'dropped',
      badRows === 0 ? 'none' : `${count(badRows, 'row')} with a wrong checksum: ${keysText(badKeys, badRows)}`,
    ],
    ['vanished', lost],
    ...(lostGroups === 0 ? [] : ([['set back', backText(lostGroups)]] as Lines)),
    ['was', after.id?.formerIds[0] ?? 'unknown'],
    ['id', after.id?.id ?? 'unknown'],
    ...aside.map((name, i): [string, string] => [i === 0 ? 'put aside' : '', name]),
  ]
  return `repaired the messages in ${escapeText(folder)}\n${block(lines)}
What is lost is not sent any more, and what was received before may be taken for new: its peers take this node for a new
sender, and messages that they did not answer yet may come twice.`
}

/** @throws STA003 as `repairRows` */
export const repairMessages = async (folder: string, random: RandomBytes) => {
  const done = await repairRows(folder, random)
  const { after, aside, badKeys, badRows, vanished, lostGroups } = done
  const now = factsOf(after, await detectCopy(folder), aside)
  const facts = {
    repaired: aside.length > 0,
    was: after.id?.formerIds[0],
    badKeys,
    badRows,
    vanished,
    lostGroups,
    putAside: aside,
    now,
  }
  return { facts, words: repairedText(folder, done) }
}
