/**
 * The row store from one opening to the next failure: LevelDB, its groups, sums and mark.
 *
 * A group is one LevelDB batch with its sums in it, synced; then the mark follows. At the first failure everything is
 * refused, since nobody knows what is on the disk; row-store.ts opens it again. State: the above, and the bytes on disk.
 */
import { join } from 'node:path'
import type { RowChange, RowStore, StoredRow } from '../../../protocols/delivery/store/row-storage.ts'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Log, Timers } from '../../../protocols/port.ts'
import { openFolder } from '../files/disk.ts'
import { openCommitMarker, readCommitMarker } from './commit-marker.ts'
import { createGroupCommit, type RowWrites } from './group-commit.ts'
import { closedRows, damagedRows, type LevelDb, levelDbError, openLevelDb } from './level-db.ts'
import {
  bytesIn,
  encodeSums,
  openRow,
  printOf,
  type RowPrint,
  type RowStoreId,
  type SealedRow,
  SUMS_KEY,
  sealRow,
} from './row-codec.ts'
import { createRowCompaction } from './row-compaction.ts'
import type { RowTally } from './row-sums.ts'
import { LEVEL_FOLDER } from './row-survey.ts'

export interface RowSession extends Pick<RowStore, 'get' | 'getMany' | 'rows' | 'later' | 'bytes'> {
  commit(changes: readonly RowChange[]): Promise<void>
  /** Number of the last group that is durable. */
  group(): number
  /** Refuses everything with this, also what waits. */
  fail(why: ParleyError): void
  /** Writes what was put off, where it can, and lets the files go. @throws what the disk says */
  close(): Promise<void>
}

export interface RowSessionDeps {
  readonly folder: string
  readonly timers: Pick<Timers, 'after'>
  readonly log: Log
  /** As in row-compaction.ts. */
  readonly slackBytes: number
  readonly tally: RowTally
  readonly id: RowStoreId
  /** Number of the last group on disk. */
  readonly group: number
  /** Told once: it is over. */
  readonly onEnd: (why: ParleyError) => void
}

const CHUNK_ROWS = 256

/** The first key after all that begin with these bytes, which are UTF-8 and so never end in 0xff. */
const endOf = (prefix: Buffer): Buffer => {
  const end = Buffer.from(prefix)
  end[end.length - 1] = (end.at(-1) ?? 0) + 1
  return end
}

/** Above the store's own rows. */
const FIRST = Buffer.from([1])

const rangeOf = (prefix: string, after: string | undefined): { gt?: Buffer; gte?: Buffer; lt?: Buffer } => {
  const from = prefix === '' ? FIRST : Buffer.from(prefix)
  const behind = after === undefined ? undefined : Buffer.from(after)
  const begin = behind !== undefined && behind.compare(from) >= 0 ? { gt: behind } : { gte: from }
  return prefix === '' ? begin : { ...begin, lt: endOf(from) }
}

/** Both are there and whole: the survey says so. @throws what `levelError` understands */
export const beginRowSession = async (deps: RowSessionDeps): Promise<RowSession> => {
  const { folder, timers, log, slackBytes, tally, id, group: last, onEnd } = deps
  const db = join(folder, LEVEL_FOLDER)
  const disk = await openFolder(folder)
  const found = await readCommitMarker(disk)
  if (found.kind !== 'whole') throw damagedRows('the mark is gone since it was read')
  const mark = await openCommitMarker(disk, { slot: found.slot, id: id.id }, (error) =>
    failed('the mark of the messages could not be written', error),
  )
  const level: LevelDb = await openLevelDb(db, { create: false }).catch(async (error: unknown) => {
    await mark.close(false)
    throw error
  })
  const space = createRowCompaction({ level, folder: db, log, slackBytes, liveBytes: () => tally.bytes })
  let group = last
  let ended: ParleyError | undefined

  const end = (why: ParleyError): ParleyError => {
    if (ended !== undefined) return ended
    ended = why
    groups.end(why)
    onEnd(why)
    return why
  }
  const failed = (what: string, error: unknown): ParleyError =>
    ended ?? end(isParleyError(error) ? error : levelDbError(what, error))

  const openFound = (key: string, value: Uint8Array): { value: Uint8Array; crc: number } => {
    const row = openRow(key, value)
    if (row === undefined) throw failed('', damagedRows(`the row ${key} has a wrong checksum`))
    return row
  }

  /** Prints of the rows that are there now, of those keys that the tally does not know. */
  const readOld = async (rows: RowWrites): Promise<Map<string, RowPrint>> => {
    const keys = tally.unknown(rows.keys())
    const old = new Map<string, RowPrint>()
    if (keys.length === 0) return old
    const values = await level.getMany(keys)
    for (const [i, key] of keys.entries()) {
      const value = values[i]
      if (value === undefined) continue
      const row = openFound(key, value)
      old.set(key, printOf(row.crc, row.value.length))
    }
    return old
  }

  const write = async (rows: RowWrites): Promise<void> => {
    if (rows.size === 0) return
    const old = await readOld(rows)
    const batch = level.batch()
    let [bytes, freed] = [0, 0]
    const put = (key: string, { bytes: sealed }: SealedRow): void => {
      batch.put(key, sealed)
      bytes += key.length + sealed.length
    }
    for (const [key, value] of rows) {
      const was = tally.printOf(key) ?? old.get(key)
      if (was !== undefined) freed += bytesIn(was)
      if (value === undefined) {
        if (was !== undefined) batch.del(key)
        tally.change(key, was, undefined)
      } else {
        const sealed = sealRow(key, value)
        put(key, sealed)
        tally.change(key, was, printOf(sealed.crc, value.length))
      }
    }
    const { count, sum } = tally
    put(SUMS_KEY, sealRow(SUMS_KEY, encodeSums({ group: group + 1, count, sum })))
    await batch.write({ sync: true })
    group += 1
    mark.note(group)
    space.onWritten(bytes, freed)
  }

  const groups = createGroupCommit({
    timers,
    write,
    onFailure: (error) => failed('the messages could not be written', error),
  })
  await space.measure()

  /** Runs what reads, and ends this life where the disk fails. */
  const reading = async <T>(read: () => Promise<T>): Promise<T> => {
    if (ended !== undefined) throw ended
    try {
      return await read()
    } catch (error) {
      throw failed('the messages could not be read', error)
    }
  }

  const getMany = async (keys: readonly string[]): Promise<(Uint8Array | undefined)[]> => {
    if (ended !== undefined) throw ended
    if (keys.some((key) => groups.pending(key) === 'asked')) await groups.settled()
    const waiting = keys.map((key) => groups.pending(key))
    const wanted = keys.filter((_, i) => typeof waiting[i] === 'string')
    const found = wanted.length === 0 ? [] : await reading(() => level.getMany([...wanted]))
    let next = 0
    return keys.map((key, i) => {
      const known = waiting[i]
      if (typeof known === 'object') return known.value
      const value = found[next]
      next += 1
      return value === undefined ? undefined : openFound(key, value).value
    })
  }

  return {
    commit: (changes) => groups.commit(changes),
    later: (changes) => groups.later(changes),
    get: async (key) => (await getMany([key]))[0],
    getMany,
    async *rows(prefix, { after, limit = -1 } = {}): AsyncGenerator<StoredRow> {
      await groups.settled()
      const range = { ...rangeOf(prefix, after), limit }
      const some = level.iterator<Buffer, Uint8Array>({ ...range, keyEncoding: 'buffer', valueEncoding: 'view' })
      try {
        for (;;) {
          const found = await reading(() => some.nextv(CHUNK_ROWS))
          if (found.length === 0) return
          for (const [raw, value] of found) {
            const key = raw.toString()
            yield { key, value: openFound(key, value).value }
          }
        }
      } finally {
        await some.close()
      }
    },
    bytes: space.bytes,
    group: () => group,
    fail: end,
    async close() {
      const isWell = ended === undefined
      try {
        if (isWell) await groups.settled()
      } finally {
        // What ended meanwhile was told; this is told to nobody.
        ended ??= closedRows()
        groups.end(ended)
        await level.close()
        await mark.close(isWell)
      }
    },
  }
}
