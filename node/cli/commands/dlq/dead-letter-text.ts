/** What `parley dlq` says to people. Pure. */
import type * as z from 'zod'
import type {
  DeadLetterDetailsSchema,
  DeadLetterSchema,
  DeadLettersSchema,
} from '../../../observe/debug/message-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { shownId, table, tableWidth } from '../../output/table.ts'

export const letters = (count: number): string => `${count} dead ${count === 1 ? 'letter' : 'letters'}`

const timeOf = (at: number): string => new Date(at).toISOString()

const whereOf = ({ name, destination }: z.output<typeof DeadLetterSchema>, wide = true): string => {
  const id = destination.includes(':') ? destination : shownId(destination, wide)
  return name === '' ? id || '(anybody)' : `${name}\n${id}`
}

export const listText = (found: z.output<typeof DeadLettersSchema>, limit: number, wide = false): string => {
  if (found.letters.length === 0)
    return found.messages === 0 ? 'no dead letters' : `none of ${letters(found.messages)} fits`
  const rows = found.letters.map((letter) => [
    letter.id,
    letter.type,
    whereOf(letter, wide),
    `${letter.code}\n${letter.reason.slice(0, 80)}`,
    letter.isCall ? 'a call' : String(letter.attempts),
    timeOf(letter.lastFailureAt),
  ])
  const shown = table(['id!', 'type', 'to', 'why', 'tries', 'died'], rows, tableWidth(wide))
  const last = found.letters.at(-1)?.id
  return found.letters.length < limit || found.letters.length === found.messages
    ? shown
    : `${shown}\n${letters(found.messages)} in all; the next ones: --after ${last}`
}

const dataText = (letter: z.output<typeof DeadLetterDetailsSchema>): string => {
  if (letter.isHidden === true) return '(not shown without the key of the node: name it by --node or --data-dir)'
  return letter.data === undefined ? '(none, or not readable)' : (JSON.stringify(letter.data, null, 2) ?? '')
}

export const letterText = (letter: z.output<typeof DeadLetterDetailsSchema>): string => {
  const rows: [string, string | undefined][] = [
    ['id', letter.id],
    ['message', `${letter.messageId}, ${letter.bytes} bytes`],
    ['type', letter.type],
    ['to', whereOf(letter).replace('\n', ' ')],
    ['guarantee', letter.isCall ? 'a call: it cannot be sent again from here' : letter.guarantee],
    ['conversation', letter.conversationId],
    ['why', `${letter.code} ${letter.reason}`],
    ['hint', letter.hint],
    ['attempts', letter.isCall ? undefined : String(letter.attempts)],
    ['sent', timeOf(letter.sentAt)],
    ['failed first', timeOf(letter.firstFailureAt)],
    ['failed last', timeOf(letter.lastFailureAt)],
    ...Object.entries(letter.headers ?? {}).map(([name, value]): [string, string] => ['header', `${name}: ${value}`]),
  ]
  const facts = rows.flatMap(([what, is]) => (is === undefined ? [] : [`${what.padEnd(14)}${escapeText(is)}`]))
  const data = dataText(letter).split('\n').map(escapeText).join('\n')
  return `${facts.join('\n')}\n\n${data}`
}

export const retriedText = (
  { retried, calls, failed }: { retried: number; calls: number; failed: number },
  messages: number,
): string => {
  const left = messages - retried
  return [
    `${letters(retried)} sent again`,
    ...(left > 0 ? [`${left} not, ${failed > 0 ? 'as it failed' : 'as they were gone'}`] : []),
    ...(calls > 0 ? [`${calls} calls left as they are`] : []),
  ].join('; ')
}
