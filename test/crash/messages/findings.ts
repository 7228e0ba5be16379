/** What is durable after a crash run of messages, read from the nodes and their files, for the judge. Keeps no state. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../../../node/platform/private-file.ts'
import { ACKED_FILE } from './load.ts'
import type { Party } from './parties.ts'
import { EFFECTS_FILE, PROCESSED_FILE } from './recording.ts'
import { HEAD, HeadRow, ORDER, OrderRow, SENT, SentRow, TIMES, TimesRow } from './streams.ts'
import type { DeadItem, PartyVerbs } from './verbs.ts'

export interface Found {
  readonly name: string
  readonly id: string
  /** By stream, what its own transactions sent. */
  readonly sent: ReadonlyMap<string, SentRow>
  /** Receipts of plain sends. */
  readonly acked: readonly { readonly stream: string; readonly n: number; readonly to: readonly string[] }[]
  /** By stream, the numbers as they were processed. */
  readonly order: ReadonlyMap<string, readonly number[]>
  readonly heads: ReadonlyMap<string, { readonly count: number; readonly sum: number }>
  /** By stream and number. */
  readonly times: ReadonlyMap<string, ReadonlyMap<number, { readonly times: number; readonly sum: number }>>
  /** Of handlers without a transaction, by stream, as they came. */
  readonly file: ReadonlyMap<string, readonly number[]>
  readonly effects: readonly string[]
  readonly dead: readonly DeadItem[]
}

/** A line that was being written when its process was killed was not answered. */
const lines = async (path: string): Promise<string[][]> => {
  try {
    const text = await readFile(path, 'utf8')
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' '))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

const rowsOf = async (ask: Party['ask'], prefix: string): Promise<Map<string, unknown>> => {
  const all = new Map<string, unknown>()
  for (let after: string | undefined; ; ) {
    const page: Awaited<ReturnType<PartyVerbs['rows']>> = await ask('rows', { prefix, after })
    for (const { key, value } of page) all.set(key.slice(prefix.length), value)
    after = page.at(-1)?.key
    if (after === undefined) return all
  }
}

const deadOf = async (ask: Party['ask']): Promise<DeadItem[]> => {
  const all: DeadItem[] = []
  for (let after: string | undefined; ; ) {
    const page: Awaited<ReturnType<PartyVerbs['deadItems']>> = await ask('deadItems', after)
    all.push(...page.items)
    if (page.next === undefined) return all
    after = page.next
  }
}

const cut = (key: string): [stream: string, last: number] => {
  const at = key.lastIndexOf('/')
  return [key.slice(0, at), Number(key.slice(at + 1))]
}

const push = <T>(map: Map<string, T[]>, key: string, ...values: T[]): void => {
  const known = map.get(key)
  if (known === undefined) map.set(key, values)
  else for (const value of values) known.push(value)
}

export const findingsOf = async ({ name, id, ask, folder }: Party): Promise<Found> => {
  const parse = <T>(rows: Map<string, unknown>, read: (row: unknown) => T): Map<string, T> =>
    new Map([...rows].map(([key, row]) => [key, read(row)]))
  const order = new Map<string, number[]>()
  for (const [key, row] of await rowsOf(ask, ORDER)) push(order, cut(key)[0], ...OrderRow.parse(row))
  const times = new Map<string, Map<number, { times: number; sum: number }>>()
  for (const [key, row] of await rowsOf(ask, TIMES)) {
    const [stream, n] = cut(key)
    const known = times.get(stream) ?? new Map()
    times.set(stream, known.set(n, TimesRow.parse(row)))
  }
  const file = new Map<string, number[]>()
  for (const [stream = '', n] of await lines(join(folder, PROCESSED_FILE))) push(file, stream, Number(n))
  return {
    name,
    id,
    sent: parse(await rowsOf(ask, SENT), (row) => SentRow.parse(row)),
    acked: (await lines(join(folder, ACKED_FILE))).map(([stream = '', n, to = '']) => ({
      stream,
      n: Number(n),
      to: to.split(','),
    })),
    order,
    heads: parse(await rowsOf(ask, HEAD), (row) => HeadRow.parse(row)),
    times,
    file,
    effects: (await lines(join(folder, EFFECTS_FILE))).map((words) => words.join(' ')),
    dead: await deadOf(ask),
  }
}
