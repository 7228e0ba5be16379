/**
 * What a receiver of a crash run does with an item: it fails as told, takes its time, has an outside effect, notes it in its
 * durable state, and answers in the same transaction. State: how slow it is, the files that stand for the outside.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { MessageContext } from '../../../protocols/delivery/api.ts'
import {
  CHUNK,
  HEAD,
  HeadRow,
  type Item,
  Item as ItemMessage,
  itemOf,
  kindOf,
  ORDER,
  OrderRow,
  optionsOf,
  padNumber,
  replyStreamOf,
  SENT,
  SentRow,
  TIMES,
  TimesRow,
} from './streams.ts'

export const PROCESSED_FILE = 'processed.log'
export const EFFECTS_FILE = 'effects.log'

type Tx = MessageContext['tx']

/** Counts and sends, all or nothing. */
export const sendNext = async (tx: Tx, stream: string, to: readonly string[]): Promise<void> => {
  const row = await tx.get(SENT + stream)
  const before = row === undefined ? { n: 0, sum: 0 } : SentRow.parse(row)
  const item = itemOf(stream, before.n + 1)
  tx.put(SENT + stream, { n: item.n, sum: before.sum + item.amount, to: [...to] })
  await tx.send(to, ItemMessage, item, optionsOf(item))
}

const noteInOrder = async (tx: Tx, { stream, n, amount }: Item): Promise<void> => {
  const row = await tx.get(HEAD + stream)
  const { count, sum } = row === undefined ? { count: 0, sum: 0 } : HeadRow.parse(row)
  const key = `${ORDER}${stream}/${padNumber(Math.floor(count / CHUNK))}`
  const chunk = await tx.get(key)
  tx.put(key, [...(chunk === undefined ? [] : OrderRow.parse(chunk)), n])
  tx.put(HEAD + stream, { count: count + 1, sum: sum + amount })
}

const noteTimes = async (tx: Tx, { stream, n, amount }: Item): Promise<void> => {
  const key = `${TIMES}${stream}/${padNumber(n)}`
  const row = await tx.get(key)
  const { times, sum } = row === undefined ? { times: 0, sum: 0 } : TimesRow.parse(row)
  tx.put(key, { times: times + 1, sum: sum + amount })
}

export interface Recording {
  handle(item: Item, context: MessageContext): Promise<void>
  /** Milliseconds that each takes from now on. */
  slowDown(ms: number): void
}

/** @param folder where the files are that stand for the outside */
export const createRecording = (name: string, folder: string): Recording => {
  let slowMs = 0
  return {
    async handle(item, { tx, message, attempt, effect }) {
      const { stream, n, ms, fails } = item
      if (ms + slowMs > 0) await delay(ms / 2 + slowMs)
      if (item.hasEffect) await effect('outside', () => appendFileSync(join(folder, EFFECTS_FILE), `${stream} ${n}\n`))
      if (attempt <= fails) throw new Error('not yet')
      const { record, isOrdered } = kindOf(stream)
      if (record === 'file') appendFileSync(join(folder, PROCESSED_FILE), `${stream} ${n}\n`)
      else await (isOrdered ? noteInOrder : noteTimes)(tx, item)
      // Whoever is killed here has done it, and does it again.
      if (ms > 0) await delay(ms / 2)
      if (item.wantsReply) await sendNext(tx, replyStreamOf(name, stream), [message.source])
    },
    slowDown(to) {
      slowMs = to
    },
  }
}
