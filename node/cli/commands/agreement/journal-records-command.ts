/** `parley journal`: records that the mesh agreed on, read, written and followed by a running node. */

import { ParleyError } from '../../../../protocols/errors.ts'
import { MESH_PREFIX } from '../../../../protocols/journal/state/record-transaction.ts'
import {
  JournalFoundSchema,
  type JournalLine,
  JournalLineSchema,
  JournalListedSchema,
  JournalWrittenSchema,
} from '../../../control/journal-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { nodeOfOneMesh } from '../../connect/choose-node.ts'
import { findControlledNode } from '../../connect/node-endpoint.ts'
import type { NodeSelector } from '../../connect/running-nodes.ts'
import { createInterrupt } from '../../input/signals.ts'
import { readJsonInput } from '../../input/stdin.ts'
import { print } from '../../output/print.ts'
import { table, tableWidth } from '../../output/table.ts'

export interface JournalCommandOptions extends Omit<NodeSelector, 'url'> {
  /** Milliseconds. */
  timeout: number
  json?: boolean
}
export interface JournalWriteOptions extends JournalCommandOptions {
  ifVersion?: number
}

/** Answers wait for the node's own limit. */
const GRACE_MS = 2_000

const isPretty = (json: boolean | undefined): boolean => json !== true && process.stdout.isTTY === true

const limit = ({ timeout: timeoutMs }: JournalCommandOptions, body: object) => ({
  body: { ...body, timeoutMs },
  timeoutMs: timeoutMs + GRACE_MS,
})

/** @throws STA001 where there is none */
export const getRecord = async (key: string, options: JournalCommandOptions): Promise<void> => {
  const { control } = await findControlledNode(await nodeOfOneMesh(options))
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

export const listRecords = async (
  prefix: string | undefined,
  options: JournalCommandOptions & { wide?: boolean },
): Promise<void> => {
  const { control } = await findControlledNode(await nodeOfOneMesh(options))
  const body = limit(options, { prefix: prefix ?? '' })
  const { records } = await control.ask('POST', '/api/journal/list', JournalListedSchema, body)
  if (options.json === true) return print(JSON.stringify(records))
  // What the mesh notes of itself is shown to whoever asks for it.
  const shown = prefix === undefined ? records.filter(({ key }) => !key.startsWith(MESH_PREFIX)) : records
  const rows = shown.map(({ key, version, value }) => [key, String(version), JSON.stringify(value)])
  print(rows.length === 0 ? 'no records' : table(['key!', 'version', 'value'], rows, tableWidth(options.wide)))
}

const done = (json: boolean | undefined, facts: object, text: string): void =>
  print(json === true ? JSON.stringify(facts) : text)

const conditionOf = ({ ifVersion }: JournalWriteOptions) => ({ ...(ifVersion !== undefined && { ifVersion }) })

export const putRecord = async (key: string, text: string, options: JournalWriteOptions): Promise<void> => {
  const value = await readJsonInput(text)
  const { control } = await findControlledNode(await nodeOfOneMesh(options))
  const body = limit(options, { key, value, ...conditionOf(options) })
  const { version } = await control.ask('POST', '/api/journal/put', JournalWrittenSchema, body)
  done(options.json, { key, version }, `${key} is written, as version ${version}`)
}

export const removeRecord = async (key: string, options: JournalWriteOptions): Promise<void> => {
  const { control } = await findControlledNode(await nodeOfOneMesh(options))
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
export const watchRecords = async (
  prefix: string | undefined,
  {
    json,
    count = Number.POSITIVE_INFINITY,
    from,
    ...which
  }: Omit<JournalCommandOptions, 'timeout'> & { count?: number; from?: number },
): Promise<void> => {
  const { node, control } = await findControlledNode(await nodeOfOneMesh(which))
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
