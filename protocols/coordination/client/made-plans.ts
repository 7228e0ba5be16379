/**
 * Plans that this node makes: what a program wants, decided, with its tasks and the part of a budget that goes with them.
 * State: how many it made, and whose parts of budgets may still come back.
 */
import { abortable } from '../../async.ts'
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import type { Port } from '../../port.ts'
import type { SubmitTask, TaskHandle } from '../../task/client/task-api.ts'
import { limitedWait, nobodyDecides } from '../../task/client/wait-limit.ts'
import type { PlanTasks } from '../../task/tasks-for-plans.ts'
import type { MakePlan, PlansCounts } from '../api.ts'
import type { PlanChange } from '../journal/plan-changes.ts'
import { NOT_SUBMITTED, planReason } from '../plan-record.ts'
import { type PlanReader, submissions, wantedPlan } from './plan-client.ts'
import { PlanShare } from './plan-share.ts'

const MAKE_MS = 30_000
/** Plans with a budget whose ends are waited for. */
const MAX_WATCHED = 1_000

export interface MadePlansDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'random'>
  readonly batcher: Pick<ChangeBatcher<PlanChange>, 'decide'>
  readonly reader: Pick<PlanReader, 'ended'>
  readonly tasks: Pick<PlanTasks, 'submitAll'>
  /** Aborted where this node stops. */
  readonly stopped: AbortSignal
}

export interface OwnPlan {
  readonly id: string
  readonly tasks: readonly TaskHandle[]
}

export class MadePlans {
  readonly #deps: MadePlansDeps
  /** Plans that are being canceled, since their tasks were not submitted. */
  readonly #unmade = new Map<string, Promise<void>>()
  #made = 0
  #watched = 0
  #writtenOff = 0

  constructor(deps: MadePlansDeps) {
    this.#deps = deps
  }

  counts(): Pick<PlansCounts, 'made' | 'writtenOff'> {
    return { made: this.#made, writtenOff: this.#writtenOff }
  }

  /** @throws as `Plans.make` */
  async make(what: MakePlan): Promise<OwnPlan> {
    const { port, stopped } = this.#deps
    const wanted = wantedPlan(port, what)
    const { timeoutMs = MAKE_MS } = what
    const { signal: limited, stop } = limitedWait(port, { ...what, timeoutMs }, () => nobodyDecides(timeoutMs))
    const signal = AbortSignal.any([stopped, ...(limited === undefined ? [] : [limited])])
    const { id } = wanted
    try {
      // What is left of a try before is not taken for this one.
      await abortable(this.#unmade.get(id) ?? Promise.resolve(), signal)
      const share = PlanShare.of(what.budget, wanted.tasks, port.clock)
      const isKnown = await this.#propose(wanted, share, signal)
      const tasks = share === undefined ? wanted.tasks : wanted.tasks.map((task) => share.forTask(task))
      const handles = await this.#submit(tasks, signal).catch((error: unknown) => {
        // A plan without its tasks is none; one that was made before may have them.
        if (!isKnown) this.#unmake(id)
        throw error
      })
      this.#made += 1
      return { id, tasks: handles }
    } finally {
      stop()
    }
  }

  /** Its tasks were not submitted. */
  #unmake(id: string): void {
    const done = this.cancel(id, NOT_SUBMITTED)
      .catch(() => {})
      .finally(() => {
        if (this.#unmade.get(id) === done) this.#unmade.delete(id)
      })
    this.#unmade.set(id, done)
  }

  async cancel(id: string, reason: string | undefined): Promise<void> {
    const { batcher } = this.#deps
    await batcher.decide({ do: 'cancel', id, ...(reason !== undefined && { reason: planReason(reason) }) })
  }

  /** @returns whether it was made before */
  async #propose(
    { id, goal }: ReturnType<typeof wantedPlan>,
    share: PlanShare | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const budget = share && { budget: share.amounts }
    try {
      const { result } = await this.#deps.batcher.decide({ do: 'propose', id, goal, ...budget }, { signal })
      const isKnown = Reflect.get(Object(result), 'isKnown') === true
      // It has what it was given when it was made first.
      if (isKnown) share?.unused()
      else if (share !== undefined) void this.#untilOver(id, share)
      return isKnown
    } catch (error) {
      if (share?.refusedBy(error, signal) === false) this.#writeOff(share)
      throw error
    }
  }

  async #submit(wanted: readonly SubmitTask[], signal: AbortSignal): Promise<TaskHandle[]> {
    const handles = new Map<string, TaskHandle>()
    for (const together of submissions(wanted))
      for (const handle of await this.#deps.tasks.submitAll(together, { signal })) handles.set(handle.id, handle)
    // As the program named them.
    return wanted.flatMap(({ id = '' }) => handles.get(id) ?? [])
  }

  #writeOff(share: PlanShare): void {
    this.#writtenOff += 1
    share.ended()
  }

  async #untilOver(id: string, share: PlanShare): Promise<void> {
    if (this.#watched >= MAX_WATCHED) return this.#writeOff(share)
    this.#watched += 1
    try {
      const { budget } = await this.#deps.reader.ended(id, { signal: this.#deps.stopped })
      share.ended(budget?.left)
    } catch {
      this.#writeOff(share)
    } finally {
      this.#watched -= 1
    }
  }
}
