/**
 * Reads tables (table-format.ts): the index and the filter of each are read when they are first needed and kept, blocks go
 * through a cache. Every byte that is read is checked before it counts.
 *
 * State: open files (at most MAX_OPEN), indexes and filters (about 2 bytes for each row, outside the heap), the blocks that
 * were read last (bounded in bytes).
 */
import { isParleyError } from '../../../../protocols/errors.ts'
import { systemCode } from '../../../platform/private-file.ts'
import type { Disk, DiskFile } from '../../files/disk.ts'
import { decodeFrame } from '../../log/log-frames.ts'
import { storeError } from '../../log/log-segments.ts'
import type { TableRef } from '../row-manifest.ts'
import type { RowSource } from './merged-rows.ts'
import { BLOCK, BlockIndex, type FramePlace, KeyFilter, RowReader } from './table-format.ts'
import { tableName, type WrittenTable } from './table-writer.ts'

const MAX_OPEN = 256

export const damagedTable = (ref: Pick<TableRef, 'number'>, what: string, cause?: unknown) =>
  storeError(
    'damaged',
    `${tableName(ref.number)} ${what}`,
    'parley store verify shows what is left, parley store repair keeps it',
    cause,
  )

/** Blocks that were read last. */
class BlockCache {
  readonly #maxBytes: number
  readonly #blocks = new Map<string, Uint8Array>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get(key: string): Uint8Array | undefined {
    const found = this.#blocks.get(key)
    if (found === undefined) return undefined
    this.#blocks.delete(key)
    this.#blocks.set(key, found)
    return found
  }

  put(key: string, block: Uint8Array): void {
    if (block.length > this.#maxBytes / 4) return
    this.#bytes += block.length - (this.#blocks.get(key)?.length ?? 0)
    this.#blocks.set(key, block)
    for (const [oldest, { length }] of this.#blocks) {
      if (this.#bytes <= this.#maxBytes) return
      this.#blocks.delete(oldest)
      this.#bytes -= length
    }
  }
}

/** An open file, and how many read it now. */
interface OpenFile {
  readonly file: Promise<DiskFile>
  users: number
  /** To be closed once nobody reads it: what reads a closed file may read another one that was opened since. */
  isLeaving: boolean
}

const close = (open: OpenFile): Promise<void> => open.file.then((file) => file.close()).catch(() => {})

export class TableReader {
  readonly #disk: Disk
  readonly #cache: BlockCache
  readonly #files = new Map<number, OpenFile>()
  readonly #indexes = new Map<number, BlockIndex>()
  readonly #filters = new Map<number, KeyFilter>()

  constructor(disk: Disk, cacheBytes: number) {
    this.#disk = disk
    this.#cache = new BlockCache(cacheBytes)
  }

  /** Lets go of those that nobody reads and that were not used for the longest time. */
  async #trim(): Promise<void> {
    for (const [number, open] of this.#files) {
      if (this.#files.size <= MAX_OPEN) return
      if (open.users > 0) continue
      this.#files.delete(number)
      await close(open)
    }
  }

  async #read(ref: TableRef, { at, length }: Pick<FramePlace, 'at' | 'length'>): Promise<Uint8Array> {
    const open = this.#files.get(ref.number) ?? {
      file: this.#disk.open(tableName(ref.number)),
      users: 0,
      isLeaving: false,
    }
    this.#files.delete(ref.number)
    this.#files.set(ref.number, open)
    open.users += 1
    try {
      return await (await open.file).read(length, at)
    } catch (error) {
      this.#files.delete(ref.number)
      open.isLeaving = true
      if (systemCode(error) === 'ENOENT') throw damagedTable(ref, 'is not there', error)
      throw error
    } finally {
      open.users -= 1
      if (open.isLeaving && open.users === 0) await close(open)
      if (this.#files.size > MAX_OPEN) await this.#trim()
    }
  }

  /** @throws STA003 `damaged`: it is not what was written */
  async #payload(ref: TableRef, place: FramePlace): Promise<Uint8Array> {
    const frame = decodeFrame(await this.#read(ref, place), ref.salt)
    if (frame === undefined || frame.crc !== place.crc) throw damagedTable(ref, `is damaged at byte ${place.at}`)
    return frame.payload
  }

  /** @throws STA003 `damaged` where what it decodes does not fit */
  async #decoded<T>(ref: TableRef, place: FramePlace, decode: (payload: Uint8Array) => T): Promise<T> {
    const payload = await this.#payload(ref, place)
    try {
      return decode(payload)
    } catch (error) {
      throw isParleyError(error) ? damagedTable(ref, `has something else at byte ${place.at}`, error) : error
    }
  }

  /** A table that was just written: nothing of it has to be read. */
  adopt({ ref, index, filter }: WrittenTable): void {
    this.#indexes.set(ref.number, index)
    this.#filters.set(ref.number, filter)
  }

  async index(ref: TableRef): Promise<BlockIndex> {
    const known = this.#indexes.get(ref.number)
    if (known !== undefined) return known
    const index = await this.#decoded(ref, ref.index, (payload) => new BlockIndex(payload))
    this.#indexes.set(ref.number, index)
    return index
  }

  async filter(ref: TableRef): Promise<KeyFilter> {
    const known = this.#filters.get(ref.number)
    if (known !== undefined) return known
    const filter = await this.#decoded(ref, ref.filter, (payload) => new KeyFilter(payload))
    this.#filters.set(ref.number, filter)
    return filter
  }

  /** False: the table has no such row. True where the filter was not read yet. */
  mayHave(ref: TableRef, key: string, hash: number): boolean {
    if (key < (ref.from ?? ref.first) || key > ref.last) return false
    return this.#filters.get(ref.number)?.mayHave(hash) ?? true
  }

  /** @param keeps it is likely to be read again */
  async block(ref: TableRef, at: number, keeps = true): Promise<Uint8Array> {
    const key = `${ref.number} ${at}`
    const known = this.#cache.get(key)
    if (known !== undefined) return known
    const place = (await this.index(ref)).place(at)
    const payload = await this.#payload(ref, place)
    if (payload[0] !== BLOCK) throw damagedTable(ref, `has no rows at byte ${place.at}`)
    if (keeps) this.#cache.put(key, payload)
    return payload
  }

  /** @param hash of the key @returns undefined: this table does not know the key @throws STA003 `damaged` */
  async find(
    ref: TableRef,
    key: Buffer,
    hash: number,
  ): Promise<{ readonly value: Uint8Array | undefined } | undefined> {
    if (!(await this.filter(ref)).mayHave(hash)) return undefined
    const block = (await this.index(ref)).find(key)
    return block < 0 ? undefined : new RowReader(await this.block(ref, block)).find(key)
  }

  /** Rows of a table from a key on. @param isMerge the blocks are read once and not kept */
  source(ref: TableRef, from: string, isMerge = false): RowSource {
    return new TableSource(this, ref, ref.from !== undefined && ref.from > from ? ref.from : from, !isMerge)
  }

  /** The table is gone. */
  async forget(number: number): Promise<void> {
    this.#indexes.delete(number)
    this.#filters.delete(number)
    const open = this.#files.get(number)
    this.#files.delete(number)
    if (open === undefined) return
    open.isLeaving = true
    if (open.users === 0) await close(open)
  }

  async close(): Promise<void> {
    for (const number of [...this.#files.keys()]) await this.forget(number)
  }
}

class TableSource implements RowSource {
  key: string | undefined
  value: Uint8Array | undefined
  readonly #tables: TableReader
  readonly #ref: TableRef
  readonly #from: string
  readonly #keeps: boolean
  #rows: RowReader | undefined
  #next: number | undefined
  /** Kept: a table that was read to its end may be gone by then. */
  #index: BlockIndex | undefined

  constructor(tables: TableReader, ref: TableRef, from: string, keeps: boolean) {
    this.#tables = tables
    this.#ref = ref
    this.#from = from
    this.#keeps = keeps
  }

  advance(): void {
    this.key = undefined
    if (this.#rows?.more() !== true) return
    const { key, value } = this.#rows.next()
    this.key = key
    this.value = value
  }

  async load(): Promise<boolean> {
    this.#index ??= await this.#tables.index(this.#ref)
    const index = this.#index
    this.#next ??= Math.max(0, index.find(Buffer.from(this.#from, 'latin1')))
    while (this.#next < index.count) {
      this.#rows = new RowReader(await this.#tables.block(this.#ref, this.#next, this.#keeps))
      this.#next += 1
      do this.advance()
      while (this.key !== undefined && this.key < this.#from)
      if (this.key !== undefined) return true
    }
    return false
  }
}
