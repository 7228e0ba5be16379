/**
 * The files of a log beside the one that is written: the next one, which is made before it is needed, and those that go.
 * State: both.
 */
import { isParleyError } from '../../../protocols/errors.ts'
import type { Port } from '../../../protocols/port.ts'
import type { Disk } from '../files/disk.ts'
import { createSpareFile, type LogTail, type SpareFile } from './log-tail.ts'
import { createOldFiles, type OldFiles } from './old-files.ts'

export class LogFiles {
  readonly #disk: Disk
  readonly #roomBytes: number
  readonly #old: OldFiles
  readonly #lettingGo = new Set<Promise<void>>()
  #spare: Promise<SpareFile> | undefined

  /** @param options `roomBytes` of zeros that a file begins with */
  constructor(disk: Disk, options: { readonly roomBytes?: number; readonly timers?: Pick<Port['timers'], 'after'> }) {
    this.#disk = disk
    this.#roomBytes = options.roomBytes ?? 0
    this.#old = createOldFiles(disk, options.timers)
  }

  /** Makes the file of this number, where there is none yet. */
  prepare(sequence: number): void {
    if (this.#spare !== undefined) return
    this.#spare = createSpareFile(this.#disk, sequence, this.#roomBytes)
    // Whoever needs it makes another one.
    this.#spare.catch(() => {})
  }

  /** @throws what the disk says; STA003 `broken` */
  async take(sequence: number): Promise<SpareFile> {
    const spare = this.#spare
    this.#spare = undefined
    try {
      if (spare !== undefined) return await spare
    } catch (error) {
      if (isParleyError(error)) throw error
    }
    return createSpareFile(this.#disk, sequence, this.#roomBytes)
  }

  /** Zeros that are not needed are given back, where the disk lets it; nobody waits for that but `close`. */
  letGo({ file, end, size }: LogTail): void {
    const run = async (): Promise<void> => {
      if (size > end) await file.truncate(end).catch(() => {})
      await file.close().catch(() => {})
    }
    const done = run()
    this.#lettingGo.add(done)
    void done.then(() => this.#lettingGo.delete(done))
  }

  /** As OldFiles. */
  remove(name: string, bytes: number): Promise<void> {
    return this.#old.remove(name, bytes)
  }

  /** A file that says nothing is removed by the next opening too. */
  async close(): Promise<void> {
    const spare = await this.#spare?.catch(() => undefined)
    this.#spare = undefined
    if (spare !== undefined) {
      await spare.file.close().catch(() => {})
      await this.#disk.remove(spare.name).catch(() => {})
    }
    await Promise.all([...this.#lettingGo, this.#old.close()])
  }
}
