/** `parley journal`: records that the mesh agreed on, read, written and followed by a running node. Keeps no state. */
import { ParleyError } from '../../protocols/errors.ts'
import { OWN_PREFIX } from '../../protocols/journal/records.ts'
import {
  JournalFoundSchema,
  type JournalLine,
  JournalLineSchema,
  JournalListedSchema,
  JournalWrittenSchema,
} from '../control/wire-tools.ts'
import { escapeText } from '../log-fields.ts'
import { nodeOfOneMesh } from './choose-node.ts'
import { createInterrupt } from './interrupt.ts'
import { reachControl } from './reach.ts'
import type { Which } from './running.ts'
import { roomFor, table } from './table.ts'
import { inputOf } from './values.ts'

export interface JournalOptions extends Omit<Which, 'url'> {
  /** Milliseconds. */
  timeout: number
  json?: boolean
}
export interface WriteOptions extends JournalOptions {
  ifVersion?: number
}

/** Answers wait for the node's own limit. */
const GRACE_MS = 2_000

const print = (text: string): void => void process.stdout.write(`${text}\n`)

const isPretty = (json: boolean | undefined): boolean => json !== true && process.stdout.isTTY === true

const limit = ({ timeout: timeoutMs }: JournalOptions, body: object) => ({
  body: { ...body, timeoutMs },
  timeoutMs: timeoutMs + GRACE_MS,
})

/** @throws STA001 where there is none */
export const get = async (key: string, options: JournalOptions): Promise<void> => {
  const { control } = await reachControl(await nodeOfOneMesh(options))
  const { record } = await control.ask('POST', '/api/journal/get', JournalFoundSchema, limit(options, { key }))
  if (record === undefined)
    throw new ParleyError('STA001', `the journal has no record ${JSON.stringify(key)}`, {
      hint: '`parley journal ls` lists what there is',
      // The mesh said so: what is missing is no node.
      remote: true,
    })
  if (options.json === true) return print(JSON.stringify(record))
  print(JSON.stringify(record.value, null, isPretty(options.json) ? 2 : 0))
}

export const list = async (prefix: string | undefined, options: JournalOptions & { wide?: boolean }): Promise<void> => {
  const { control } = await reachControl(await nodeOfOneMesh(options))
  const body = limit(options, { prefix: prefix ?? '' })
  const { records } = await control.ask('POST', '/api/journal/list', JournalListedSchema, body)
  if (options.json === true) return print(JSON.stringify(records))
  // What the mesh notes of itself is shown to whoever asks for it.
  const shown = prefix === undefined ? records.filter(({ key }) => !key.startsWith(OWN_PREFIX)) : records
  const rows = shown.map(({ key, version, value }) => [key, String(version), JSON.stringify(value)])
  print(rows.length === 0 ? 'no records' : table(['key!', 'version', 'value'], rows, roomFor(options.wide)))
}

const done = (json: boolean | undefined, facts: object, text: string): void =>
  print(json === true ? JSON.stringify(facts) : text)

const conditionOf = ({ ifVersion }: WriteOptions) => ({ ...(ifVersion !== undefined && { ifVersion }) })

export const put = async (key: string, text: string, options: WriteOptions): Promise<void> => {
  const value = await inputOf(text)
  const { control } = await reachControl(await nodeOfOneMesh(options))
  const body = limit(options, { key, value, ...conditionOf(options) })
  const { version } = await control.ask('POST', '/api/journal/put', JournalWrittenSchema, body)
  done(options.json, { key, version }, `${key} is written, as version ${version}`)
}

export const remove = async (key: string, options: WriteOptions): Promise<void> => {
  const { control } = await reachControl(await nodeOfOneMesh(options))
  const body = limit(options, { key, ...conditionOf(options) })
  const { version, existed } = await control.ask('POST', '/api/journal/delete', JournalWrittenSchema, body)
  done(options.json, { key, version, existed }, existed === true ? `${key} is deleted` : `there was no ${key}`)
}

const textsOf = (line: JournalLine): string[] => {
  if (line.type === 'records')
    return line.records.map(({ key, version, value }) => `${version} ${key} ${JSON.stringify(value)}`)
  return [`${line.version} ${line.key} ${line.isDeleted ? '(deleted)' : JSON.stringify(line.value)}`]
}

/** Until Ctrl-C, or so many lines of changes. */
export const watch = async (
  prefix: string | undefined,
  {
    json,
    count = Number.POSITIVE_INFINITY,
    from,
    ...which
  }: Omit<JournalOptions, 'timeout'> & { count?: number; from?: number },
): Promise<void> => {
  const { node, control } = await reachControl(await nodeOfOneMesh(which))
  const { signal, release } = createInterrupt('it follows no more')
  const body = { prefix: prefix ?? '', ...(from !== undefined && { from }) }
  let changes = 0
  try {
    for await (const line of control.stream('/api/journal/watch', JournalLineSchema, { body, signal })) {
      if (json === true) print(JSON.stringify(line))
      else for (const text of textsOf(line)) print(escapeText(text))
      if (line.type === 'change') changes += 1
      if (changes >= count) return
    }
    throw new ParleyError('COM002', `the node ${node.name} has stopped`, { hint: 'start it again with parley up' })
  } catch (error) {
    // It was to end like that.
    if (!signal.aborted) throw error
  } finally {
    release()
  }
}
