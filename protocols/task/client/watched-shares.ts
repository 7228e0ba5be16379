/**
 * Parts of budgets that went with tasks of this process: what their attempts have not used comes back when the task has ended,
 * also where nobody waits for its result.
 *
 * A part of which nothing is heard counts as spent: where nobody knows whether its task was accepted, where more are watched than
 * there is room for, and when this process ends. State: how many are watched, and how many were written off.
 */
import type { GivenShare } from '../../budget/carried/budget-share.ts'
import { isFinal } from '../task-status.ts'
import type { TaskState } from './task-api.ts'
import type { TaskTrackers, Tracker, Watching } from './task-trackers.ts'

/** Tasks with a budget whose ends are waited for. */
const MAX_WATCHED = 10_000

export interface SharesCounts {
  /** Parts that may still come back. */
  readonly watched: number
  /** Parts that count as spent, since nothing is heard of their tasks. */
  readonly writtenOff: number
}

export class WatchedShares {
  readonly #trackers: Pick<TaskTrackers, 'watch'>
  #watched = 0
  #writtenOff = 0

  constructor(trackers: Pick<TaskTrackers, 'watch'>) {
    this.#trackers = trackers
  }

  counts(): SharesCounts {
    return { watched: this.#watched, writtenOff: this.#writtenOff }
  }

  /** What its task did not use is put back once that has ended. */
  watch(id: string, tracker: Tracker, share: GivenShare): void {
    if (this.#watched >= MAX_WATCHED) this.writeOff(share)
    else void this.#untilEnded(id, tracker, share)
  }

  writeOff(share: GivenShare): void {
    this.#writtenOff += 1
    share.end(true)
  }

  async #untilEnded(id: string, tracker: Tracker, share: GivenShare): Promise<void> {
    this.#watched += 1
    let isOver = false
    let watching: Watching | undefined
    const hear = ({ status, budget }: TaskState): void => {
      if (isOver || !isFinal(status)) return
      isOver = true
      this.#watched -= 1
      share.told(budget?.left ?? {})
      share.end(true)
      watching?.stop()
    }
    watching = await this.#trackers.watch(id, hear, undefined, tracker).catch(() => undefined)
    if (watching?.last !== undefined) hear(watching.last)
    if (watching !== undefined || isOver) return
    isOver = true
    this.#watched -= 1
    this.writeOff(share)
  }
}
