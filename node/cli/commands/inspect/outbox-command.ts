/** `parley outbox`: what a running node sent that was not processed yet: for whom, since when, and why. */
import { OutboxSchema, type OutboxView } from '../../../control/control-schemas.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'

export interface OutboxArguments extends Omit<NodeSelector, 'url'> {
  limit: number
  after?: string
  wide?: boolean
  json?: boolean
}

type Entry = OutboxView['entries'][number]

const WORDS: Record<Entry['waitsFor'], string> = {
  'no-taker': 'nobody receives it',
  'not-connected': 'not connected',
  refused: 'the peer refuses this node',
  'left-alone': 'the peer failed too often and has a pause',
  retry: 'failed, is tried again',
  queued: 'others go first',
  sent: 'sent, not processed yet',
}
const MAX_REASON_CHARS = 80

const why = ({ waitsFor, attempts, code, reason }: Entry): string => {
  const failed = attempts === 0 ? '' : `, ${attempts} failed`
  const last = code === undefined ? '' : `\n${code} ${(reason ?? '').slice(0, MAX_REASON_CHARS)}`
  return `${WORDS[waitsFor]}${failed}${last}`
}

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
]

/** `3 min`: how long ago, in the largest unit that fits. */
export const agoText = (at: number, nowMs: number): string => {
  const ms = Math.max(0, nowMs - at)
  const [unit, size] = UNITS.find(([, least]) => ms >= least) ?? ['s', 1_000]
  return `${Math.floor(ms / size)} ${unit}`
}

/** @param room columns that the table may have */
export const outboxText = (
  { messages, entries }: OutboxView,
  nowMs: number,
  { wide, room }: { wide: boolean; room: number },
): string => {
  if (entries.length === 0) return messages === 0 ? 'nothing waits' : `nothing behind that one; ${messages} wait in all`
  const rows = entries.map((entry) => [
    shownId(entry.messageId, wide),
    entry.type,
    entry.name === '' ? (entry.destination.includes(':') ? '(anybody)' : shownId(entry.destination, wide)) : entry.name,
    agoText(entry.sentAt, nowMs),
    why(entry),
  ])
  const shown = table(['message!', 'type', 'to', 'since', 'why'], rows, room)
  const last = entries.at(-1)?.key
  return entries.length < messages ? `${shown}\n${messages} wait in all; the next ones: --after ${last}` : shown
}

export const outbox = async ({ limit, after, wide = false, json, ...which }: OutboxArguments): Promise<void> => {
  const { control } = await findControlledNode(which)
  const body = { limit, ...(after !== undefined && { after }) }
  const found = await control.ask('POST', '/api/outbox', OutboxSchema, { body })
  const text =
    json === true ? JSON.stringify(found.entries) : outboxText(found, Date.now(), { wide, room: tableWidth(wide) })
  process.stdout.write(`${text}\n`)
}
