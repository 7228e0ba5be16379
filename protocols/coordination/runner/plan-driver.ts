/**
 * Moves one plan from state to state, for as long as this node coordinates: it asks agents how they are, has a plan made, directs
 * the agents, lets them have the tasks, and looks until all are done; what goes wrong on the way is planned anew (seed 003).
 *
 * Each move is decided in the journal before anything follows from it, so that another coordinator goes on from there. A task goes
 * to an agent once that one has acknowledged its directive, in a decision of its own. State: what it waits for, how its tasks
 * have ended, and what agents adjusted for a plan that is not carried out yet.
 */
import { waitFor } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { TaskStatus } from '../../task/task-status.ts'
import type { PlanMoveChange } from '../journal/plan-changes.ts'
import {
  type Adjustment,
  isUnbegun,
  NOT_SUBMITTED,
  type OfflineAgent,
  type PlanRecord,
  planReason,
} from '../plan-record.ts'
import type { ResourceAdjustment } from '../planner/generator.ts'
import type { PlanDirector } from './plan-director.ts'
import { planOf } from './plan-facts.ts'
import type { PlanMaker } from './plan-maker.ts'
import type { EndedTasks, PlanFinding, PlanWatch } from './plan-watch.ts'

/** A plan without news is looked at this often. */
const LOOK_MS = 1_000
const AGAIN_MS = 500
const FIRST_BACKOFF_MS = 250
const MAX_BACKOFF_MS = 30_000
/** Milliseconds until a plan whose tasks were not all submitted is given up. */
const SUBMITTED_MS = 60_000

type Move = PlanMoveChange extends infer C ? (C extends PlanMoveChange ? Omit<C, 'epoch' | 'id' | 'as'> : never) : never

export interface DriverDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly member: JournalMember
  readonly epoch: number
  readonly maker: PlanMaker
  readonly director: PlanDirector
  decide(change: PlanMoveChange): Promise<unknown>
  /** Of a task whose record is gone; undefined: it was never submitted. */
  statusOf(task: string, signal: AbortSignal): Promise<TaskStatus | undefined>
  /** What agents the plan may have, and how busy they are. */
  readonly watch: Pick<PlanWatch, 'look'>
  /** It is over: what is still open of it ends. */
  ended(id: string, plan: PlanRecord): Promise<void>
  coordinated(isSuccess: boolean): void
}

export class PlanDriver {
  readonly #deps: DriverDeps
  readonly #id: string
  readonly #signal: AbortSignal
  #wake: (() => void) | undefined
  #hasNews = false
  /** Taken back where the plan fails. Another coordinator does not know of it. */
  #adjusted: readonly ResourceAdjustment[] = []
  readonly #ended: EndedTasks = new Map()

  constructor(deps: DriverDeps, id: string, signal: AbortSignal) {
    this.#deps = deps
    this.#id = id
    this.#signal = signal
  }

  /** Something about it, or its tasks, or agents, is new. */
  wake(): void {
    this.#hasNews = true
    this.#wake?.()
  }

  /** Resolves once it is over. */
  async run(): Promise<void> {
    const { member, port } = this.#deps
    while (!this.#signal.aborted) {
      const plan = planOf(member, this.#id)
      if (plan === undefined) return
      try {
        if (plan.outcome !== undefined) return await this.#end(plan)
        await this.#step(plan)
      } catch (error) {
        if (this.#signal.aborted) return
        // It changed meanwhile: it is read again.
        const isRefused = isParleyError(error, 'STA001', 'STA002', 'STA003')
        if (isRefused && planOf(member, this.#id)?.fence.index !== plan.fence.index) continue
        if (!isRefused)
          port.log.warn('a plan was not moved; it is tried again', { plan: this.#id, state: plan.state, error })
        await this.#pause(AGAIN_MS)
      }
    }
  }

  /** One that was canceled before it was carried out leaves agents as they were. */
  async #end(plan: PlanRecord): Promise<void> {
    if (plan.state === 'monitoring') this.#adjusted = []
    await this.#rollBack(plan)
    await this.#deps.ended(this.#id, plan)
  }

  async #step(plan: PlanRecord): Promise<void> {
    switch (plan.state) {
      case 'idle':
        return this.#begin(plan)
      case 'coordinating':
        return this.#coordinate(plan)
      case 'executing':
        return this.#execute(plan)
      case 'monitoring':
        return this.#monitor(plan)
      case 'error':
        return this.#recover(plan)
    }
  }

  async #move(plan: PlanRecord, move: Move): Promise<void> {
    const change = { ...move, epoch: this.#deps.epoch, id: this.#id, as: plan.fence.index } as PlanMoveChange
    await this.#deps.decide(change)
  }

  /** Its owner names the tasks first, and submits them then. */
  async #begin(plan: PlanRecord): Promise<void> {
    const { clock } = this.#deps.member
    const missing = await this.#missing(plan)
    if (missing === undefined) return this.#move(plan, { do: 'system_state_change' })
    if (clock.now() - plan.madeAt < SUBMITTED_MS) return this.#untilNews(LOOK_MS)
    await this.#move(plan, { do: 'system_state_change', reason: NOT_SUBMITTED })
  }

  /** The first of its tasks that nobody has submitted. */
  async #missing({ tasks }: PlanRecord): Promise<string | undefined> {
    for (const task of tasks) if ((await this.#deps.statusOf(task, this.#signal)) === undefined) return task
    return undefined
  }

  async #coordinate(plan: PlanRecord): Promise<void> {
    if (isUnbegun(plan)) return this.#move(plan, { do: 'coordination_failure', reason: NOT_SUBMITTED, offline: [] })
    // What was refused just now is not asked for again at once.
    if (plan.moves.at(-1)?.trigger === 'adjustment_needed' && plan.failures > 0) await this.#backOff(plan)
    const made = await this.#deps.maker.make(this.#id, plan, this.#signal)
    const { failed, done } = await this.#deps.director.adjust(this.#id, plan, made.adjustments, this.#signal)
    this.#adjusted = [...this.#adjusted, ...done]
    if (failed !== undefined) return this.#fail(plan, planReason(`${failed.error}: ${failed.reason}`), failed.offline)
    if (made.isNothingOpen || made.assignments.length > 0) {
      const { assignments, offline, why } = made
      const reason = why !== '' && { reason: why }
      return this.#move(plan, { do: 'plan_ready', assignments: [...assignments], offline: [...offline], ...reason })
    }
    await this.#fail(plan, made.why, made.offline)
  }

  async #fail(plan: PlanRecord, reason: string, offline: readonly OfflineAgent[]): Promise<void> {
    this.#deps.coordinated(false)
    await this.#rollBack(plan)
    await this.#move(plan, { do: 'coordination_failure', reason, offline: [...offline] })
  }

  async #rollBack(plan: PlanRecord): Promise<void> {
    const done = this.#adjusted
    this.#adjusted = []
    if (done.length > 0) await this.#deps.director.undo(this.#id, plan, done, this.#signal)
  }

  async #execute(plan: PlanRecord): Promise<void> {
    const { director, coordinated } = this.#deps
    const failed = await director.direct(this.#id, plan, this.#signal)
    coordinated(failed === undefined)
    if (failed === undefined) {
      await this.#move(plan, { do: 'execution_started' })
      return
    }
    await this.#rollBack(plan)
    const { error, offline, reason } = failed
    if (plan.failures >= plan.maxFailures) return this.#move(plan, { do: 'coordination_failure', reason })
    return this.#adjust(plan, error, offline, reason)
  }

  #adjust(plan: PlanRecord, adjustment: Adjustment, offline: readonly OfflineAgent[], reason: string): Promise<void> {
    return this.#move(plan, {
      do: 'adjustment_needed',
      adjustment,
      offline: [...offline],
      reason: planReason(reason),
    })
  }

  async #monitor(plan: PlanRecord): Promise<void> {
    // It is carried out as it was planned: what was adjusted for it stays so.
    this.#adjusted = []
    const found: PlanFinding = await this.#deps.watch.look(this.#id, plan, this.#ended, this.#signal)
    switch (found.do) {
      case 'complete':
        return this.#move(plan, {
          do: 'completion',
          outcome: found.outcome,
          ...(found.reason && { reason: found.reason }),
        })
      case 'adjust':
        return this.#adjust(plan, found.adjustment, found.offline, found.reason)
      case 'wait':
        return this.#untilNews(Math.min(found.dueMs ?? LOOK_MS, LOOK_MS))
    }
  }

  async #recover(plan: PlanRecord): Promise<void> {
    if (isUnbegun(plan)) return this.#move(plan, { do: 'recovery_complete', reason: NOT_SUBMITTED })
    if (plan.failures > plan.maxFailures) {
      const reason = planReason(`given up after ${plan.failures} failures: ${plan.reason ?? ''}`)
      return this.#move(plan, { do: 'recovery_complete', reason })
    }
    await this.#backOff(plan)
    await this.#move(plan, { do: 'retry_coordination' })
  }

  async #backOff({ failures, changedAt }: PlanRecord): Promise<void> {
    const backoff = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, failures - 1))
    const leftMs = changedAt + backoff - this.#deps.member.clock.now()
    if (leftMs > 0) await this.#pause(Math.min(leftMs, backoff))
  }

  /** Cut short where the plan is over. */
  #pause(ms: number): Promise<void> {
    return this.#wait(ms, (resolve) => {
      if (planOf(this.#deps.member, this.#id)?.outcome !== undefined) resolve()
    })
  }

  async #untilNews(ms: number): Promise<void> {
    if (!this.#hasNews) await this.#wait(ms, (resolve) => resolve())
    this.#hasNews = false
  }

  #wait(ms: number, woken: (resolve: () => void) => void): Promise<void> {
    return waitFor<void>(this.#signal, (resolve) => {
      this.#wake = () => woken(resolve)
      const stop = this.#deps.port.timers.after(ms, resolve)
      return () => {
        this.#wake = undefined
        stop()
      }
    }).catch(() => {})
  }
}
