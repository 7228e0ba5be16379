/**
 * Looks at all that a row store has, and changes nothing: the log, and each byte of each table. Where something is damaged it
 * tells what is left, for whoever repairs it.
 */
import type { ParleyError } from '../../../protocols/errors.ts'
import { systemCode } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import { decodeHeader, salvageFrames } from '../log/log-frames.ts'
import { isSegmentName, type LogReader, readSegments, storeError } from '../log/log-segments.ts'
import { MemoryRows } from './memory-rows.ts'
import { ROWS_FORMAT, type RowManifest, type TableRef } from './row-manifest.ts'
import { manifestOf, RowReplay, rowsOf } from './row-records.ts'
import { MergedRows, type RowSource, sourceOf } from './tables/merged-rows.ts'
import { tableNumber } from './tables/table-files.ts'
import { RowReader, type TableRow, textOf } from './tables/table-format.ts'
import { damagedTable, TableReader } from './tables/table-reader.ts'
import { judgeTable } from './tables/table-survey.ts'
import { tableName } from './tables/table-writer.ts'

/** Names of kinds that are counted apart. */
const MAX_KINDS = 100

export interface RowSurvey {
  /** Nothing was ever answered from here. */
  readonly isNew: boolean
  readonly manifest: RowManifest | undefined
  /** Number of the last group that can be read. */
  readonly group: number
  readonly rows: number
  /** By what their keys begin with, up to the first `/`. */
  readonly kinds: readonly { readonly kind: string; readonly rows: number }[]
  readonly tables: number
  readonly bytes: number
  /** Parts that are lost: blocks and tables, and groups of changes. */
  readonly lostBlocks: number
  readonly lostGroups: number
  /** STA003 each, with `details.reason` `damaged` or `newer`; none: all of it is whole. */
  readonly problems: readonly ParleyError[]
}

/** Told of each row that is there. */
export type VisitRow = (key: string, value: Uint8Array) => void | Promise<void>

const blockSource = (blocks: readonly Uint8Array[], from: string | undefined): RowSource => {
  const rows = function* (): Generator<TableRow> {
    for (const block of blocks) {
      const reader = new RowReader(block)
      while (reader.more()) {
        const row = reader.next()
        if (from === undefined || row.key >= from) yield row
      }
    }
  }
  return sourceOf([...rows()], (row) => row)
}

const readOrNothing = async (disk: Disk, name: string): Promise<Uint8Array | undefined> => {
  try {
    return await disk.read(name)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

interface FoundLog {
  readonly manifest: RowManifest | undefined
  readonly memory: MemoryRows
  readonly group: number
  readonly bytes: number
  readonly lostGroups: number
  readonly problem: ParleyError | undefined
  readonly isNew: boolean
}

/** Groups and manifests of a damaged log, wherever they can be read. */
const salvageLog = async (disk: Disk, names: readonly string[]): Promise<Omit<FoundLog, 'problem' | 'isNew'>> => {
  let manifest: RowManifest | undefined
  let bytes = 0
  const groups: { group: number; rows: readonly TableRow[] }[] = []
  for (const name of names) {
    const file = await disk.read(name)
    bytes += file.length
    const header = decodeHeader(file)
    if (header === undefined) continue
    for (const { payload } of salvageFrames(file, header.salt)) {
      manifest = manifestOf(payload) ?? manifest
      const found = rowsOf(payload)
      if (found !== undefined) groups.push(found)
    }
  }
  const flushed = manifest?.flushed ?? 0
  const memory = new MemoryRows()
  let [group, lostGroups] = [flushed, 0]
  for (const one of groups) {
    if (one.group <= flushed) continue
    lostGroups += Math.max(0, one.group - group - 1)
    group = Math.max(group, one.group)
    for (const { key, value } of one.rows) memory.put(key, value)
  }
  memory.upTo = group
  return { manifest, memory, group, bytes, lostGroups }
}

const surveyLog = async (disk: Disk): Promise<FoundLog> => {
  const replay = new RowReplay()
  const reader: LogReader = {
    apply: (payload, sequence) => replay.apply(payload, sequence),
    covered: () => replay.manifest?.flushed ?? 0,
    missing: () => replay.missing(),
  }
  const { problem, segments } = await readSegments(disk, reader)
  if (problem === undefined) {
    const { manifest, group } = replay
    return {
      manifest,
      group,
      bytes: segments.reduce((sum, one) => sum + one.bytes, 0),
      memory: replay.memory(),
      lostGroups: 0,
      problem,
      isNew: manifest === undefined && segments.length <= 1,
    }
  }
  const names = (await disk.list()).filter(isSegmentName).sort()
  return { ...(await salvageLog(disk, names)), problem, isNew: false }
}

/** Tables that count, the newest first; where nothing says which, all that there are. */
const tablesToRead = async (disk: Disk, { manifest, problem }: FoundLog): Promise<readonly TableRef[]> => {
  const known = manifest?.runs.flat() ?? []
  if (problem === undefined) return known
  const names = new Set(known.map(({ number }) => tableName(number)))
  const found: TableRef[] = []
  for (const name of await disk.list()) {
    if (tableNumber(name) === undefined || names.has(name)) continue
    const bytes = await disk.read(name)
    const header = decodeHeader(bytes)
    if (header === undefined) continue
    const { sequence: number, salt, before: upTo = 0 } = header
    const nowhere = { at: 0, length: 0, crc: 0 }
    const unknown = { removed: 0, rows: 0, first: '', last: '', from: undefined, index: nowhere, filter: nowhere }
    found.push({ number, salt, upTo, bytes: bytes.length, ...unknown })
  }
  // A table that the manifest does not know may be newer than the manifest, or older: the one with later groups counts.
  return [...known, ...found].sort((a, b) => b.upTo - a.upTo)
}

/**
 * @param visit is told of each row that is there, in the order of the keys
 * @throws what the disk says
 */
export const surveyRows = async (disk: Disk, visit?: VisitRow): Promise<RowSurvey> => {
  const log = await surveyLog(disk)
  const problems: ParleyError[] = log.problem === undefined ? [] : [log.problem]
  const { manifest, memory, group } = log
  const base = { manifest, group, isNew: log.isNew, lostGroups: log.lostGroups }
  const nothing = { ...base, rows: 0, kinds: [], tables: 0, bytes: 0, lostBlocks: 0 }
  if (manifest !== undefined && manifest.format > ROWS_FORMAT) {
    const what = `the rows have the format ${manifest.format}, and this version knows ${ROWS_FORMAT}`
    return {
      ...nothing,
      problems: [storeError('newer', what, 'start this node with the version that wrote them, or a later one')],
    }
  }
  // Of those that are whole only what is read is in memory.
  const tables = new TableReader(disk, 0)
  const sources: RowSource[] = [memory.source('')]
  const refs = await tablesToRead(disk, log)
  let [bytes, lostBlocks] = [log.bytes, 0]
  for (const ref of refs) {
    const content = await readOrNothing(disk, tableName(ref.number))
    if (content === undefined) {
      problems.push(damagedTable(ref, 'is not there'))
      lostBlocks += 1
      continue
    }
    bytes += content.length
    const { blocks, lost, problem } = judgeTable(ref, content)
    lostBlocks += lost
    if (problem === undefined) sources.push(tables.source(ref, ref.from ?? '', true))
    else {
      problems.push(problem)
      sources.push(blockSource(blocks, ref.from))
    }
  }

  const kinds = new Map<string, number>()
  let rows = 0
  const merged = new MergedRows(sources)
  while (await merged.load()) {
    for (let row = merged.next(); row !== undefined; row = merged.next()) {
      if (row.value === undefined) continue
      const key = textOf(row.key)
      rows += 1
      const kind = key.slice(0, Math.max(0, key.indexOf('/')))
      const counted = kinds.has(kind) || kinds.size < MAX_KINDS ? kind : ''
      kinds.set(counted, (kinds.get(counted) ?? 0) + 1)
      await visit?.(key, row.value)
    }
  }
  await tables.close()
  return {
    ...base,
    rows,
    kinds: [...kinds].map(([kind, n]) => ({ kind, rows: n })).sort((a, b) => (a.kind < b.kind ? -1 : 1)),
    tables: refs.length,
    bytes,
    lostBlocks,
    problems,
  }
}
