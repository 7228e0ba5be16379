/**
 * What a row store does beside everything else: it puts what was in memory into tables, and merges tables. The two do not wait
 * for each other. What fails is tried again after a while; damage is told.
 *
 * State: the rows that become a table now, the job of each kind, why the last one failed.
 */
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Stop } from '../../../protocols/port.ts'
import { storeError } from '../log/log-segments.ts'
import type { MemoryRows } from './memory-rows.ts'
import type { RowEngineOptions } from './row-options.ts'
import type { TableSet } from './tables/table-set.ts'

const RETRY_MS = 1_000
/** With more runs than this whoever writes waits for a merge: each read would have to look into all of them. */
const MAX_RUNS = 32

export interface RowJobsDeps extends Pick<RowEngineOptions, 'log' | 'timers' | 'onDamage'> {
  readonly set: TableSet
  /** All groups up to this one are in tables. */
  onFlushed(upTo: number): Promise<void>
}

export class RowJobs {
  readonly #deps: RowJobsDeps
  readonly counts = { flushes: 0, merges: 0, failed: 0 }
  #frozen: MemoryRows | undefined
  #flushing: Promise<void> | undefined
  #merging: Promise<void> | undefined
  #failure: ParleyError | undefined
  readonly #retries = new Set<Stop>()
  #isClosed = false

  constructor(deps: RowJobsDeps) {
    this.#deps = deps
  }

  /** It becomes a table, and is read until then. */
  get frozen(): MemoryRows | undefined {
    return this.#frozen
  }

  /** Why the last rows could not become a table; undefined: they did. */
  get failure(): ParleyError | undefined {
    return this.#failure
  }

  /** Resolves once another memory can be flushed, or cannot since the disk does not take the one before. */
  async room(): Promise<void> {
    while (this.#frozen !== undefined && this.#flushing !== undefined) await this.#flushing
    if (this.#deps.set.manifest.runs.length > MAX_RUNS) await this.#merging
  }

  /** There must be none that is being flushed. */
  flush(memory: MemoryRows): void {
    this.#frozen = memory
    this.resume()
  }

  /** Goes on with what is due. */
  resume(): void {
    if (this.#isClosed) return
    if (this.#frozen !== undefined)
      this.#flushing ??= this.#run(() => this.#flush()).then((why) => this.#flushEnded(why))
    this.#merging ??= this.#run(() => this.#merge()).then(() => {
      this.#merging = undefined
    })
  }

  #flushEnded(why: ParleyError | undefined): void {
    this.#flushing = undefined
    this.#failure = why
    // Another one was given while this one was ending, or there is something to merge.
    if (why === undefined) this.resume()
  }

  /** @returns why it failed; it is tried again */
  async #run(job: () => Promise<void>): Promise<ParleyError | undefined> {
    try {
      await job()
      return undefined
    } catch (error) {
      return this.#fail(error)
    }
  }

  #fail(error: unknown): ParleyError {
    const { log, timers, onDamage } = this.#deps
    this.counts.failed += 1
    const why = isParleyError(error)
      ? error
      : storeError('disk-failed', 'a table could not be written', 'see whether the disk is well', error)
    if (why.details.reason === 'damaged') {
      onDamage?.(why)
      return why
    }
    if (why.details.reason !== 'closed') log.warn('stored rows could not be merged', { error })
    if (this.#isClosed || timers === undefined || this.#retries.size > 0) return why
    const stop = timers.after(RETRY_MS, () => {
      this.#retries.delete(stop)
      this.resume()
    })
    this.#retries.add(stop)
    return why
  }

  async #flush(): Promise<void> {
    const memory = this.#frozen
    if (memory === undefined) return
    await this.#deps.set.flush(memory, () => {
      this.#frozen = undefined
    })
    this.counts.flushes += 1
    await this.#deps.onFlushed(memory.upTo)
  }

  async #merge(): Promise<void> {
    while (!this.#isClosed && (await this.#deps.set.merge())) this.counts.merges += 1
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#deps.set.close()
    for (const stop of this.#retries) stop()
    await Promise.all([this.#flushing, this.#merging])
  }
}
