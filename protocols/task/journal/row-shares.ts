/**
 * What rows of tasks take on the voters' disks, counted for whoever submitted them: input, checkpoint, effects and signals of
 * open tasks, and what final ones leave until it is forgotten. Pure.
 *
 * Tasks that were submitted while a voter was of level 1 are not counted, so that all voters come to the same.
 * State: tasks that the command may have touched, and by how much the command has changed what each submitter holds.
 */
import { ParleyError } from '../../errors.ts'
import type { JournalTx } from '../../journal/state/command-kind.ts'
import { DONE, type TaskRecord, usageKey } from '../task-record.ts'
import type { TaskRows } from './task-rows.ts'

/** Of all submitters. The part may have a third more: what ends, and what the coordinator decides, always has room. */
export const MAX_ROW_BYTES = 12 * 1024 * 1024 * 1024
/** A submitter may hold three times of what is free, as shares of the journal are cut. */
export const TIMES_FREE = 3
export const EVERYBODY = 'all'

/** What a peer holds of tasks. */
export interface Usage {
  /** Open ones. */
  readonly tasks: number
  /** Of their records. */
  readonly bytes: number
  /** Of rows. */
  readonly rows?: number
}
const NO_USAGE: Usage = { tasks: 0, bytes: 0 }

export const readUsage = (tx: JournalTx, peer: string): Usage =>
  // This part wrote it.
  (tx.get(usageKey(peer)) as unknown as Usage | undefined) ?? NO_USAGE

export const writeUsage = (tx: JournalTx, peer: string, { tasks, bytes, rows = 0 }: Usage): void => {
  if (tasks > 0 || rows > 0) tx.put(usageKey(peer), { tasks, bytes, ...(rows > 0 && { rows }) })
  else tx.delete(usageKey(peer))
}

export class RowShares {
  readonly #tx: JournalTx
  readonly #rows: TaskRows
  readonly #maxBytes: number
  /** Who answers for it, by task. */
  readonly #touched = new Map<string, string>()
  readonly #grown = new Map<string, number>()

  constructor(tx: JournalTx, rows: TaskRows, maxBytes = MAX_ROW_BYTES) {
    this.#tx = tx
    this.#rows = rows
    this.#maxBytes = maxBytes
  }

  /** Its rows may change. */
  touch(id: string, { submitter, isCounted }: Pick<TaskRecord, 'submitter' | 'isCounted'>): void {
    if (isCounted === true) this.#touched.set(id, submitter)
  }

  /** What it leaves is written, or goes. */
  changeDone({ submitter, isCounted }: Pick<TaskRecord, 'submitter' | 'isCounted'>, write: () => void): void {
    const done = this.#tx.collection(DONE)
    const before = done.bytes()
    write()
    if (isCounted === true) this.#grow(submitter, done.bytes() - before)
  }

  /** @throws COM003 where it holds its share: what it adds is looked at with the next command */
  check(submitter: string): void {
    const own = this.#held(submitter)
    const all = this.#held(EVERYBODY)
    if (own <= TIMES_FREE * (this.#maxBytes - all)) return
    throw new ParleyError(
      'COM003',
      `tasks of ${submitter} hold ${own} bytes of rows, of ${all}, and may hold no more`,
      {
        hint: 'record less, make checkpoints, or wait until what ended is forgotten (tasks.retainMs)',
        details: { reason: 'task-share', rows: own },
      },
    )
  }

  /** The command has ended. */
  flush(): void {
    for (const [id, submitter] of this.#touched) this.#grow(submitter, this.#rows.grown(id))
    this.#touched.clear()
    let all = 0
    for (const [submitter, grown] of this.#grown) {
      all += grown
      this.#add(submitter, grown)
    }
    this.#add(EVERYBODY, all)
    this.#grown.clear()
  }

  #grow(submitter: string, bytes: number): void {
    if (bytes !== 0) this.#grown.set(submitter, (this.#grown.get(submitter) ?? 0) + bytes)
  }

  #held(peer: string): number {
    const grown = peer === EVERYBODY ? [...this.#grown.values()] : [this.#grown.get(peer) ?? 0]
    return grown.reduce((sum, bytes) => sum + bytes, readUsage(this.#tx, peer).rows ?? 0)
  }

  #add(peer: string, bytes: number): void {
    if (bytes === 0) return
    const usage = readUsage(this.#tx, peer)
    writeUsage(this.#tx, peer, { ...usage, rows: (usage.rows ?? 0) + bytes })
  }
}
