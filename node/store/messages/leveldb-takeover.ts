/**
 * Takes over the messages that earlier versions kept in LevelDB: `db/` and the file `mark` beside it.
 *
 * A row was its CRC-32 (over the key's UTF-8 bytes and the value), then the value; under keys that begin with U+0000 lay whose rows
 * these are, and their sums: number of the last group, how many rows there are, the sum of their CRCs modulo 2^48. All of that
 * is checked in a copy, since LevelDB leaves out what is damaged without a word. Then the rows are written as a new store, of
 * the same id: nothing is forgotten. Only when that is durable the old files go; a crash before that leaves them, and it is
 * done again. What is damaged is refused, and nothing is changed: the version that wrote it can repair it.
 */
import { cp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import * as z from 'zod'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import { systemCode } from '../../platform/private-file.ts'
import { openFolder } from '../files/disk.ts'
import { decodeSlots, type SlotForm } from '../files/slot-file.ts'
import { LEVEL_FOLDER, ROWS_FOLDER } from '../known-stores.ts'
import { storeError } from '../log/log-segments.ts'
import { createRowCopy } from '../rows/row-copy.ts'
import { RowEngine } from '../rows/row-engine.ts'

const LEVEL_MARK = 'mark'
const TRIAL_FOLDER = 'trial'
const PART_FOLDER = `${ROWS_FOLDER}.part`
const FORMAT = 1
const ID_KEY = '\0id'
const SUMS_KEY = '\0sums'
const CRC_BYTES = 4
const SUMS_BYTES = 24
const SUM_MODULUS = 2 ** 48
const SECTOR = 512

const MARK: SlotForm<{ readonly group: number; readonly id: string }> = {
  name: LEVEL_MARK,
  magic: 0x50_4c_52_4d,
  format: FORMAT,
  bodyBytes: 24,
  slots: [SECTOR, 2 * SECTOR],
  fileBytes: 3 * SECTOR,
  encode: () => new Uint8Array(24),
  decode: (body) => ({
    group: Number(new DataView(body.buffer, body.byteOffset).getBigUint64(0)),
    id: Buffer.from(body.subarray(8, 24)).toString('hex'),
  }),
  compare: (a, b) => a.group - b.group,
}

const IdSchema = z.object({
  format: z.literal(FORMAT),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  formerIds: z.array(z.string().regex(/^[0-9a-f]{32}$/)).max(16),
})

const refused = (what: string, cause?: unknown): ParleyError =>
  storeError(
    'damaged',
    `the messages of an earlier version are damaged, and were not taken over: ${what}`,
    'run `parley store repair` with the version that wrote them, then start this one; nothing was changed',
    cause,
  )

/** @returns the value; undefined: the checksum is wrong */
const openRow = (key: Uint8Array, row: Uint8Array): { value: Uint8Array; crc: number } | undefined => {
  if (row.length < CRC_BYTES) return undefined
  const crc = new DataView(row.buffer, row.byteOffset).getUint32(0)
  const value = row.subarray(CRC_BYTES)
  return crc === crc32(value, crc32(key)) ? { value, crc } : undefined
}

/** LevelDB tells it in words alone, perhaps those of what caused it. */
const wordsOf = (error: unknown): string =>
  error instanceof Error
    ? `${error.message}${error.cause === undefined ? '' : `: ${wordsOf(error.cause)}`}`
    : String(error)
const hasNoRoom = (error: unknown): boolean => /ENOSPC|EDQUOT|No space left|quota exceeded/i.test(wordsOf(error))

interface OldRows {
  readonly identity: { readonly id: string; readonly formerIds: string[] }
  readonly group: number
}

/** Told of each row, besides the store's own. */
type Take = (key: string, value: Uint8Array) => Promise<void>

/** @throws STA003 `damaged` for anything that is not as it was written */
const readLevelDb = async (path: string, take: Take): Promise<OldRows> => {
  const { ClassicLevel } = await import('classic-level')
  const level = new ClassicLevel<Buffer, Uint8Array>(path, {
    keyEncoding: 'buffer',
    valueEncoding: 'view',
    createIfMissing: false,
  })
  let identity: OldRows['identity'] | undefined
  let sums: { group: number; count: number; sum: number } | undefined
  let [count, sum] = [0, 0]
  await level.open()
  try {
    for await (const [rawKey, row] of level.iterator()) {
      const found = openRow(rawKey, row)
      const key = rawKey.toString()
      if (found === undefined) throw refused(`the row ${JSON.stringify(key)} has a wrong checksum`)
      const { value, crc } = found
      if (key === SUMS_KEY) {
        if (value.length !== SUMS_BYTES) throw refused('their sums cannot be read')
        const view = new DataView(value.buffer, value.byteOffset)
        const at = (i: number): number => Number(view.getBigUint64(8 * i))
        sums = { group: at(0), count: at(1), sum: at(2) }
        continue
      }
      count += 1
      sum = (sum + crc) % SUM_MODULUS
      if (key === ID_KEY) identity = IdSchema.parse(JSON.parse(new TextDecoder().decode(value)))
      else await take(key, value)
    }
  } finally {
    await level.close()
  }
  if (identity === undefined || sums === undefined) throw refused('nothing says whose they are')
  if (count !== sums.count || sum !== sums.sum) throw refused(`${sums.count} rows should be there, and ${count} are`)
  return { identity, group: sums.group }
}

const isThere = async (folder: string, name: string): Promise<boolean> => {
  const disk = await openFolder(folder)
  return (await disk.list()).includes(name)
}

const readMark = async (folder: string) => {
  try {
    return decodeSlots(MARK, await readFile(join(folder, LEVEL_MARK)))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

const removeOld = async (folder: string): Promise<void> => {
  for (const name of [LEVEL_FOLDER, TRIAL_FOLDER, LEVEL_MARK])
    await rm(join(folder, name), { recursive: true, force: true })
}

/**
 * Does nothing where there is no such store. Takes as much room again as the messages do, until it is done.
 * @throws STA003 `damaged`; what the disk says; nothing was changed then, and it can be done again
 */
export const takeOverLevelDb = async (folder: string, { random, log }: Pick<Port, 'random' | 'log'>): Promise<void> => {
  if (!(await isThere(folder, LEVEL_FOLDER))) return
  if (await isThere(folder, ROWS_FOLDER)) return removeOld(folder)
  const [trial, part] = [join(folder, TRIAL_FOLDER), join(folder, PART_FOLDER)]
  for (const path of [trial, part]) await rm(path, { recursive: true, force: true })
  const mark = await readMark(folder)
  try {
    await cp(join(folder, LEVEL_FOLDER), trial, { recursive: true })
    // Twice: what is damaged is seen before anything is written.
    const { identity, group } = await readLevelDb(trial, async () => {}).catch((error: unknown) => {
      if (isParleyError(error)) throw error
      const words = wordsOf(error)
      if (!hasNoRoom(error)) throw refused(words, error)
      const hint = 'make room for the messages once more; nothing was changed'
      throw storeError('disk-full', `there is no room to take the messages over: ${words}`, hint, error)
    })
    if (mark?.kind !== 'whole') throw refused('the file that says how far they go is not whole')
    if (mark.value.group > group) throw refused(`they end at group ${group}, and were answered to ${mark.value.group}`)
    const engine = await RowEngine.open(await openFolder(part), { random, log, identity })
    try {
      const copy = createRowCopy(engine)
      await readLevelDb(trial, (key, value) => copy.add(key, value.slice()))
      await copy.end()
    } finally {
      await engine.close()
    }
    await rename(part, join(folder, ROWS_FOLDER))
    await (await openFolder(folder)).syncNames()
    await removeOld(folder)
    log.info('the messages of an earlier version were taken over', { folder, id: identity.id })
  } finally {
    for (const path of [trial, part]) await rm(path, { recursive: true, force: true })
  }
}
