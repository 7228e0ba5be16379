/**
 * Raft's log on disk: term and vote, entries, and where the snapshot ends, as records of an append log (append-log.ts).
 *
 * `write` resolves once everything of it survives a power cut: one record for all that waited meanwhile (group commit).
 * State: the log in memory, changes that wait (bounded).
 */
import type { LogChange, LogState } from '../../../protocols/consensus/group/group-storage.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Disk } from '../files/disk.ts'
import { failedWrite, openAppendLog } from './append-log.ts'
import type { AppendLogCounts, AppendLogOptions } from './append-log-contract.ts'
import { frameOf } from './log-frames.ts'
import { applyPayload, emptyLog, encodeChanges, isWholePayload } from './log-items.ts'
import { type LogReader, type LogSegments, readSegments, storeError } from './log-segments.ts'

const MAX_WAITING = 4_096

export type LogStoreOptions = AppendLogOptions

export interface LogStoreCounts extends AppendLogCounts {
  readonly writes: number
  readonly failed: number
}

export interface LogStore {
  /** Of the contents as a whole, hexadecimal: a disk that was lost or replaced has another one. */
  readonly storageId: string
  /** As it was read on opening; the caller may keep it. */
  readonly opened: Readonly<LogState>
  /**
   * Resolves once it is durable.
   * @throws STA003 with `details.reason`: `disk-full` (try again once there is room), `broken` (open it again), `closed`;
   *   COM003 where too much waits
   */
  write(change: LogChange): Promise<void>
  counts(): LogStoreCounts
  /** Waits for what is under way. */
  close(): Promise<void>
}

interface Waiting {
  readonly change: LogChange
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

const readerOf = (state: LogState): LogReader => ({
  apply(payload) {
    applyPayload(state, payload)
    return state.entries.at(-1)?.index ?? 0
  },
  covered: () => state.snapshot?.index ?? 0,
  missing: () => (isWholePayload(state) ? undefined : 'begins after the snapshot: entries are missing'),
})

/** The log as far as it is good. Changes nothing. @throws what the disk says */
export const readRaftLog = async (disk: Disk): Promise<LogSegments & { readonly state: LogState }> => {
  const state = emptyLog()
  return { ...(await readSegments(disk, readerOf(state))), state }
}

/**
 * Opens a log, or begins one.
 * @throws STA003 with `details.reason`: `damaged`, or `newer` for a format of a later version
 */
export const openLogStore = async (disk: Disk, options: LogStoreOptions): Promise<LogStore> => {
  const state = emptyLog()
  const waiting: Waiting[] = []
  let [writes, failed] = [0, 0]
  let flushing: Promise<void> | undefined
  let closed = false
  /** What a segment begins with, so that those before it can go. */
  let now: Pick<LogState, 'hardState' | 'snapshot'> = state
  const carry = (): Uint8Array =>
    encodeChanges([{ hardState: now.hardState, base: now.snapshot && { meta: now.snapshot, keeps: true } }])
  const log = await openAppendLog(disk, { ...readerOf(state), carry }, options)
  now = { hardState: state.hardState, snapshot: state.snapshot }

  const write = async (batch: readonly Waiting[]): Promise<void> => {
    const changes = batch.map(({ change }) => change)
    try {
      const reach = Math.max(...changes.map(({ entries }) => entries?.at(-1)?.index ?? 0))
      await log.append(frameOf(encodeChanges(changes)), reach)
      for (const { hardState, base } of changes)
        now = { hardState: hardState ?? now.hardState, snapshot: base?.meta ?? now.snapshot }
      writes += batch.length
      if (changes.some(({ base }) => base !== undefined)) await log.prune(now.snapshot?.index ?? 0)
      for (const { resolve } of batch) resolve()
    } catch (error) {
      failed += batch.length
      const failure = failedWrite(error)
      for (const { reject } of batch) reject(failure)
    }
  }
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) await write(waiting.splice(0))
    flushing = undefined
  }

  return {
    storageId: log.storageId,
    opened: state,
    write(change) {
      if (closed) return Promise.reject(storeError('closed', 'the log is closed', 'open it again'))
      const broken = log.broken()
      if (broken !== undefined) return Promise.reject(broken)
      if (waiting.length >= MAX_WAITING) {
        const hint = 'wait for what was written before'
        return Promise.reject(
          new ParleyError('COM003', `${MAX_WAITING} changes of the log wait for the disk`, { hint }),
        )
      }
      return new Promise((resolve, reject) => {
        waiting.push({ change, resolve, reject })
        flushing ??= Promise.resolve().then(flush)
      })
    },
    counts: () => ({ ...log.counts(), writes, failed }),
    async close() {
      closed = true
      await flushing
      await log.close()
    },
  }
}
