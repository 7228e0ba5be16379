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
/** Milliseconds that a plan is looked for of which nobody knows whether it was decided, and between two looks. */
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

interface Watched {
  readonly share: PlanShare
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
   * @returns with whether the plan may have it already; undefined without a budget
   * @throws as PlanShare.of
   */
  of(
    id: string,
    wanted: BudgetShare | undefined,
    tasks: readonly SubmitTask[],
  ): { readonly share: PlanShare; readonly isAgain: boolean } | undefined {
    const before = this.#watched.get(id)
    if (before?.share.beginAgain(wanted, tasks) === true) {
      before.handedOver.abort()
      return { share: before.share, isAgain: true }
    }
    const share = PlanShare.of(wanted, tasks, this.#deps.port.clock)
    return share && { share, isAgain: false }
  }

  /**
   * Nothing more is done with it until the plan is over.
   * @param isUnsure nobody knows whether the plan was decided
   */
  watch(id: string, share: PlanShare, isUnsure = false): void {
    if (this.#watching >= MAX_WATCHED) this.#writeOff(share)
    else void this.#untilOver(id, share, isUnsure)
  }

  async #ended(id: string, signal: AbortSignal, isUnsure: boolean): Promise<PlanStatus> {
    const { reader, port } = this.#deps
    const until = port.clock.monotonic() + (isUnsure ? UNSURE_MS : 0)
    for (;;) {
      try {
        return await reader.ended(id, { signal })
      } catch (error) {
        if (!isParleyError(error, 'STA001') || port.clock.monotonic() >= until) throw error
      }
      await delay(port.timers, LOOK_MS, signal)
    }
  }

  #writeOff(share: PlanShare): void {
    this.#writtenOff += 1
    share.ended()
  }

  async #untilOver(id: string, share: PlanShare, isUnsure: boolean): Promise<void> {
    const handedOver = new AbortController()
    const watched = { share, handedOver }
    this.#watched.set(id, watched)
    this.#watching += 1
    const signal = AbortSignal.any([this.#deps.stopped, handedOver.signal])
    try {
      const { budget, reason, revision } = await this.#ended(id, signal, isUnsure)
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
