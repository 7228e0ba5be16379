/**
 * Parts of budgets that went with tasks of this process: what their attempts have not used comes back when the task has ended,
 * also where nobody waits for its result.
 *
 * A part of which nothing is heard counts as spent: where nobody knows whether its task was accepted, where more are watched than
 * there is room for, and when this process ends. The same task submitted again, with the same part, has the part of which nobody
 * knew, for some minutes: a task that has ended may be forgotten after that, and would be another one. State: what is watched,
 * those of which nobody knows (bounded), and how many were written off.
 */
import { type BudgetShare, type GivenShare, isSameShare } from '../../budget/carried/budget-share.ts'
import { isFinal } from '../task-status.ts'
import type { TaskState } from './task-api.ts'
import type { TaskTrackers, Tracker, Watching } from './task-trackers.ts'

/** Tasks with a budget whose ends are waited for. */
const MAX_WATCHED = 10_000
/** Parts of which nobody knows whether their tasks were accepted; of more than that the oldest is spent for good. */
const MAX_UNSURE = 1_024
/** Milliseconds that such a part may be given again; no longer than tasks that have ended are kept. */
const UNSURE_MS = 600_000

export interface SharesCounts {
  /** Parts that may still come back. */
  readonly watched: number
  /** Parts that count as spent, since nothing is heard of their tasks. */
  readonly writtenOff: number
}

/** A part of which nobody knows whether its task was accepted. */
export interface UnsureShare {
  readonly wanted: BudgetShare
  readonly share: GivenShare
  /** Milliseconds since 1970 when it may have been accepted first. */
  readonly sentAt: number
}

export class WatchedShares {
  readonly #trackers: Pick<TaskTrackers, 'watch'>
  /** By task: what ends its watching, and whether it had not ended. */
  readonly #watched = new Map<string, () => boolean>()
  #writtenOff = 0

  readonly #unsure = new Map<string, UnsureShare>()
  readonly #unsureMs: number

  /** @param retainMs milliseconds that what final tasks left is kept */
  constructor(trackers: Pick<TaskTrackers, 'watch'>, retainMs: number) {
    this.#trackers = trackers
    this.#unsureMs = Math.min(UNSURE_MS, retainMs)
  }

  counts(): SharesCounts {
    return { watched: this.#watched.size, writtenOff: this.#writtenOff }
  }

  /** What its task did not use is put back once that has ended. */
  watch(id: string, tracker: Tracker | undefined, share: GivenShare): void {
    // Of a task that ended before, unheard.
    if (this.letGo(id)) this.#writtenOff += 1
    if (this.#watched.size >= MAX_WATCHED) this.writeOff(share)
    else void this.#untilEnded(id, tracker, share)
  }

  writeOff(share: GivenShare): void {
    this.#writtenOff += 1
    share.end(true)
  }

  isWatched(id: string): boolean {
    return this.#watched.has(id)
  }

  /** Nobody knows whether its task was accepted: it counts as spent, until that is submitted again. */
  keepUnsure(id: string, unsure: UnsureShare): void {
    this.#writtenOff += 1
    this.#unsure.get(id)?.share.end(true)
    this.#unsure.set(id, unsure)
    const [oldest] = this.#unsure
    if (this.#unsure.size <= MAX_UNSURE || oldest === undefined) return
    this.#unsure.delete(oldest[0])
    oldest[1].share.end(true)
  }

  /**
   * The part that this task was submitted with, where nobody knew what came of that.
   * @param decidedBy milliseconds since 1970, when it is decided at the latest: one that was accepted is not forgotten by then
   */
  again(id: string, wanted: BudgetShare, decidedBy: number): UnsureShare | undefined {
    const found = this.#unsure.get(id)
    if (found === undefined || !isSameShare(found.wanted, wanted)) return undefined
    this.#unsure.delete(id)
    if (decidedBy - found.sentAt < this.#unsureMs) return found
    found.share.end(true)
    return undefined
  }

  /** Its part counts as spent here, whatever the task leaves. @returns false: nothing was watched for */
  letGo(id: string): boolean {
    return this.#watched.get(id)?.() ?? false
  }

  async #untilEnded(id: string, tracker: Tracker | undefined, share: GivenShare): Promise<void> {
    let watching: Watching | undefined
    const end = (): boolean => {
      if (this.#watched.get(id) !== end) return false
      this.#watched.delete(id)
      share.end(true)
      watching?.stop()
      return true
    }
    this.#watched.set(id, end)
    const hear = ({ status, budget }: TaskState): void => {
      if (this.#watched.get(id) !== end || !isFinal(status)) return
      share.told(budget?.left ?? {})
      end()
    }
    watching = await this.#trackers.watch(id, hear, undefined, tracker).catch(() => undefined)
    if (watching?.last !== undefined) hear(watching.last)
    if (this.#watched.get(id) !== end) watching?.stop()
    else if (watching === undefined && end()) this.#writtenOff += 1
  }
}
