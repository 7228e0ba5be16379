/** Writes a table (table-format.ts): rows come in the order of their keys. State: the block that gathers, what is not written yet. */
import type { Disk, DiskFile } from '../../files/disk.ts'
import { encodeFrame, encodeHeader, LOG_FORMAT, SALT_BYTES } from '../../log/log-frames.ts'
import type { TableRef } from '../row-manifest.ts'
import { BLOCK, BLOCK_BYTES, BlockIndex, type FramePlace, hashOf, KeyFilter, RowWriter } from './table-format.ts'

/** Written at once. */
const CHUNK_BYTES = 256 * 1024

export const tableName = (number: number): string => `${String(number).padStart(16, '0')}.table`

export interface TableWriterOptions {
  readonly number: number
  readonly salt: Uint8Array
  readonly storageId: Uint8Array
  /** Number of the last group that has something in it. */
  readonly upTo: number
}

/** What was written, and what a reader of it needs. */
export interface WrittenTable {
  readonly ref: TableRef
  readonly index: BlockIndex
  readonly filter: KeyFilter
}

export class TableWriter {
  readonly #disk: Disk
  readonly #options: TableWriterOptions
  readonly #file: DiskFile
  readonly #block = new RowWriter(2 * BLOCK_BYTES)
  readonly #blocks: (FramePlace & { readonly first: string })[] = []
  #hashes = new Uint32Array(1024)
  #chunks: Uint8Array[] = []
  #waiting = 0
  #written = 0
  #crc = 0
  #rows = 0
  #removed = 0
  #first: string | undefined
  #blockFirst = ''
  #last = ''

  private constructor(disk: Disk, file: DiskFile, options: TableWriterOptions) {
    this.#disk = disk
    this.#file = file
    this.#options = options
    this.#block.begin(BLOCK)
    const { number, salt, storageId, upTo } = options
    this.#push(encodeHeader({ format: LOG_FORMAT, sequence: number, salt, storageId, previous: 0, before: upTo }))
  }

  static async begin(disk: Disk, options: TableWriterOptions): Promise<TableWriter> {
    return new TableWriter(disk, await disk.create(tableName(options.number)), options)
  }

  /** Bytes so far, about. */
  get size(): number {
    return this.#written + this.#waiting + this.#block.size
  }

  /** There is enough for `flush`. */
  get isDue(): boolean {
    return this.#waiting >= CHUNK_BYTES
  }

  #push(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#waiting += bytes.length
  }

  #frame(payload: Uint8Array): FramePlace {
    const at = this.#written + this.#waiting
    const { bytes, crc } = encodeFrame(this.#options.salt, this.#crc, payload)
    this.#crc = crc
    this.#push(bytes)
    return { at, length: bytes.length, crc }
  }

  #endBlock(): void {
    if (this.#block.size <= 1) return
    this.#blocks.push({ ...this.#frame(this.#block.written()), first: this.#blockFirst })
    this.#block.begin(BLOCK)
  }

  /** @param key behind that of the row before */
  add(key: string, value: Uint8Array | undefined): void {
    const size = key.length + (value?.length ?? 0)
    if (this.#block.size > 1 && this.#block.size + size > BLOCK_BYTES) this.#endBlock()
    if (this.#block.size <= 1) this.#blockFirst = key
    this.#first ??= key
    this.#last = key
    if (this.#rows === this.#hashes.length) {
      const grown = new Uint32Array(2 * this.#rows)
      grown.set(this.#hashes)
      this.#hashes = grown
    }
    this.#hashes[this.#rows] = hashOf(Buffer.from(key, 'latin1'))
    this.#rows += 1
    if (value === undefined) this.#removed += 1
    this.#block.add(key, value)
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#chunks)
    this.#chunks = []
    this.#waiting = 0
    await this.#file.write(bytes, this.#written)
    this.#written += bytes.length
  }

  /** Resolves once the file is durable; its name is not yet. */
  async finish(): Promise<WrittenTable> {
    this.#endBlock()
    const filterPayload = KeyFilter.encode(this.#hashes, this.#rows)
    const indexPayload = BlockIndex.encode(this.#blocks)
    const filter = this.#frame(filterPayload)
    const index = this.#frame(indexPayload)
    await this.flush()
    await this.#file.sync()
    await this.#file.close()
    const { number, salt, upTo } = this.#options
    const ref: TableRef = {
      number,
      salt,
      upTo,
      bytes: this.#written,
      rows: this.#rows,
      removed: this.#removed,
      index,
      filter,
      first: this.#first ?? '',
      last: this.#last,
      from: undefined,
    }
    return { ref, index: new BlockIndex(indexPayload), filter: new KeyFilter(filterPayload) }
  }

  /** Nothing of it is left, where the disk lets it. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => {})
    await this.#disk.remove(tableName(this.#options.number)).catch(() => {})
  }
}

export const newSalt = (random: (bytes: number) => Uint8Array): Uint8Array => random(SALT_BYTES).slice()
