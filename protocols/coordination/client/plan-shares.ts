/**
 * Parts of budgets that went with plans of this process: what their tasks left comes back once a plan is over.
 *
 * A part of which nothing is heard counts as spent. The same plan made again, with the same part, has the one that was split off
 * first. State: whose parts may still come back, and how many were written off.
 */
import { delay } from '../../async.ts'
import type { BudgetShare } from '../../budget/carried/budget-share.ts'
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { SubmitTask } from '../../task/client/task-api.ts'
import type { PlanStatus } from '../api.ts'
import { NOT_SUBMITTED, PARTLY_SUBMITTED } from '../plan-record.ts'
import type { PlanReader } from './plan-client.ts'
import { PlanShare } from './plan-share.ts'

/** Plans with a budget whose ends are waited for. */
const MAX_WATCHED = 1_000
/** Milliseconds that a part may be given again while nobody knows whether its plan was decided, and between two looks for that. */
const UNSURE_MS = 600_000
const LOOK_MS = 5_000

/** It was never carried out. */
const UNBEGUN: readonly (string | undefined)[] = [NOT_SUBMITTED, PARTLY_SUBMITTED]

export interface PlanSharesDeps {
  readonly port: Pick<Port, 'clock' | 'timers'>
  readonly reader: Pick<PlanReader, 'ended'>
  /** Aborted where this node stops. */
  readonly stopped: AbortSignal
}

/** A part, and what is known of its plan. */
export interface PlanPart {
  readonly share: PlanShare
  /** The plan may have it already. */
  readonly isAgain: boolean
  /** Since when nobody knows whether the plan was decided, by the monotonic clock; undefined: that is known. */
  readonly unsureSince: number | undefined
}

interface Watched {
  readonly share: PlanShare
  unsureSince: number | undefined
  /** Somebody else looks after it. */
  readonly handedOver: AbortController
}

export class PlanShares {
  readonly #deps: PlanSharesDeps
  /** By plan. */
  readonly #watched = new Map<string, Watched>()
  #watching = 0
  #writtenOff = 0

  constructor(deps: PlanSharesDeps) {
    this.#deps = deps
  }

  writtenOff(): number {
    return this.#writtenOff
  }

  /**
   * @returns undefined without a budget
   * @throws as PlanShare.of
   */
  of(id: string, wanted: BudgetShare | undefined, tasks: readonly SubmitTask[]): PlanPart | undefined {
    const before = this.#watched.get(id)
    if (before?.share.beginAgain(wanted, tasks) === true) {
      const { share, unsureSince } = before
      before.handedOver.abort()
      if (unsureSince === undefined || !this.#isTooLate(unsureSince)) return { share, isAgain: true, unsureSince }
      this.#writeOff(share)
    }
    const share = PlanShare.of(wanted, tasks, this.#deps.port.clock)
    return share && { share, isAgain: false, unsureSince: undefined }
  }

  /** Nothing more is done with it until the plan is over. */
  watch(id: string, { share, unsureSince }: Pick<PlanPart, 'share' | 'unsureSince'>): void {
    if (this.#watching >= MAX_WATCHED) this.#writeOff(share)
    else void this.#untilOver(id, { share, unsureSince, handedOver: new AbortController() })
  }

  /** The plan may have been carried out and forgotten meanwhile. */
  #isTooLate(unsureSince: number): boolean {
    return this.#deps.port.clock.monotonic() - unsureSince >= UNSURE_MS
  }

  async #ended(id: string, signal: AbortSignal, watched: Watched): Promise<PlanStatus> {
    const { reader, port } = this.#deps
    const found = (): void => {
      watched.unsureSince = undefined
    }
    for (;;) {
      try {
        return await reader.ended(id, { signal }, found)
      } catch (error) {
        const { unsureSince } = watched
        if (!isParleyError(error, 'STA001') || unsureSince === undefined || this.#isTooLate(unsureSince)) throw error
      }
      await delay(port.timers, LOOK_MS, signal)
    }
  }

  #writeOff(share: PlanShare): void {
    this.#writtenOff += 1
    share.ended()
  }

  async #untilOver(id: string, watched: Watched): Promise<void> {
    const { share, handedOver } = watched
    this.#watched.set(id, watched)
    this.#watching += 1
    const signal = AbortSignal.any([this.#deps.stopped, handedOver.signal])
    try {
      const { budget, reason, revision } = await this.#ended(id, signal, watched)
      if (handedOver.signal.aborted) return
      if (revision === 0 && UNBEGUN.includes(reason)) share.unused()
      else share.ended(budget?.left)
    } catch {
      if (!handedOver.signal.aborted) this.#writeOff(share)
    } finally {
      this.#watching -= 1
      if (this.#watched.get(id) === watched) this.#watched.delete(id)
    }
  }
}
