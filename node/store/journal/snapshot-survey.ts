/** Looks at each byte of the snapshots of a journal, and changes nothing. */
import type { SnapshotMeta } from '../../../protocols/consensus/raft/raft-messages.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { systemCode } from '../../platform/private-file.ts'
import type { Disk } from '../files/disk.ts'
import type { TableRef } from '../rows/row-manifest.ts'
import { tableNumber } from '../rows/tables/table-files.ts'
import { judgeTable } from '../rows/tables/table-survey.ts'
import { tableName } from '../rows/tables/table-writer.ts'
import { readSnapshotFile, snapshotAt, snapshotFileNames } from './snapshot-files.ts'

export interface SnapshotFile {
  readonly name: string
  readonly index: number
  readonly term: number
  /** Undefined: it is not whole. */
  readonly meta: SnapshotMeta | undefined
  readonly problem: string | undefined
  /** Names of the files that hold its rows. */
  readonly tables: readonly string[]
}

/** All files of snapshots, with what is left of unfinished ones. */
export const snapshotFiles = async (disk: Disk): Promise<string[]> => [
  ...(await snapshotFileNames(disk)),
  ...(await disk.list()).filter((name) => tableNumber(name) !== undefined).sort(),
]

const problemOf = async (disk: Disk, ref: TableRef): Promise<string | undefined> => {
  try {
    return judgeTable(ref, await disk.read(tableName(ref.number))).problem?.message
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return `${tableName(ref.number)} is not there`
    throw error
  }
}

/** Newest first. @throws what the disk says */
export const surveySnapshots = async (disk: Disk): Promise<SnapshotFile[]> => {
  const found: SnapshotFile[] = []
  /** By name: several snapshots may name one table. */
  const judged = new Map<string, string | undefined>()
  for (const name of await snapshotFileNames(disk)) {
    const at = snapshotAt(name)
    if (at === undefined) continue
    try {
      const { meta, runs = [] } = await readSnapshotFile(disk, at)
      let problem: string | undefined
      for (const ref of runs.flat()) {
        const table = tableName(ref.number)
        if (!judged.has(table)) judged.set(table, await problemOf(disk, ref))
        const what = judged.get(table)
        if (what !== undefined) problem ??= `the snapshot ${name} is not whole: ${what}`
      }
      const tables = runs.flat().map(({ number }) => tableName(number))
      found.push({ name, ...at, meta: problem === undefined ? meta : undefined, problem, tables })
    } catch (error) {
      if (!isParleyError(error)) throw error
      found.push({ name, ...at, meta: undefined, problem: error.message, tables: [] })
    }
  }
  return found.sort((a, b) => b.index - a.index || b.term - a.term)
}

/** Files of those that are not whole, but for tables that another one needs. */
export const brokenSnapshotFiles = (snapshots: readonly SnapshotFile[]): string[] => {
  const needed = new Set(snapshots.flatMap(({ meta, tables }) => (meta === undefined ? [] : tables)))
  const broken = snapshots.filter(({ meta }) => meta === undefined)
  const tables = new Set(broken.flatMap(({ tables }) => tables).filter((name) => !needed.has(name)))
  return [...broken.map(({ name }) => name), ...tables]
}
