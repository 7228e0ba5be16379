/**
 * Plans that this node makes: what a program wants, decided, with its tasks and the part of a budget that goes with them.
 * State: how many it made, and which are being made or taken back.
 */
import { abortable } from '../../async.ts'
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import type { Port } from '../../port.ts'
import type { SubmitTask, TaskHandle } from '../../task/client/task-api.ts'
import { isRefusal } from '../../task/client/task-shares.ts'
import { limitedWait, nobodyDecides } from '../../task/client/wait-limit.ts'
import type { PlanTasks } from '../../task/tasks-for-plans.ts'
import type { MakePlan, PlansCounts } from '../api.ts'
import type { PlanChange } from '../journal/plan-changes.ts'
import { NOT_SUBMITTED, planReason } from '../plan-record.ts'
import { type PlanReader, submissions, type WantedPlan, wantedPlan } from './plan-client.ts'
import type { PlanShare } from './plan-share.ts'
import { PlanShares } from './plan-shares.ts'

const MAKE_MS = 30_000

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

interface Made {
  /** It was made before. */
  readonly isKnown: boolean
  readonly share: PlanShare | undefined
}

/** Some of the tasks may have been submitted, whatever came of the others. */
interface NotSubmitted {
  readonly error: unknown
  readonly isNone: boolean
}

interface NotMade {
  readonly error: unknown
  /** Resolves once nothing of it is left. */
  readonly takenBack: Promise<void>
}

export class MadePlans {
  readonly #deps: MadePlansDeps
  readonly #shares: PlanShares
  /** By id, until it is made, or taken back: the same again waits for that. */
  readonly #making = new Map<string, Promise<void>>()
  #made = 0

  constructor(deps: MadePlansDeps) {
    this.#deps = deps
    this.#shares = new PlanShares(deps)
  }

  counts(): Pick<PlansCounts, 'made' | 'writtenOff'> {
    return { made: this.#made, writtenOff: this.#shares.writtenOff() }
  }

  /** @throws as `Plans.make` */
  async make(what: MakePlan): Promise<OwnPlan> {
    const { port, stopped } = this.#deps
    const wanted = wantedPlan(port, what)
    const { timeoutMs = MAKE_MS } = what
    const { signal: limited, stop } = limitedWait(port, { ...what, timeoutMs }, () => nobodyDecides(timeoutMs))
    const signal = AbortSignal.any([stopped, ...(limited === undefined ? [] : [limited])])
    try {
      const before = this.#making.get(wanted.id)
      const { promise: over, resolve } = Promise.withResolvers<void>()
      this.#setMaking(wanted.id, Promise.all([before, over]))
      let takenBack: Promise<void> | undefined
      try {
        if (before !== undefined) await abortable(before, signal)
        const made = await this.#make(what, wanted, signal)
        if (!('error' in made)) return made
        takenBack = made.takenBack
        throw made.error
      } finally {
        resolve(takenBack)
      }
    } finally {
      stop()
    }
  }

  async cancel(id: string, reason: string | undefined): Promise<void> {
    const { batcher } = this.#deps
    await batcher.decide({ do: 'cancel', id, ...(reason !== undefined && { reason: planReason(reason) }) })
  }

  #setMaking(id: string, done: Promise<unknown>): void {
    const making = done.then(() => {
      if (this.#making.get(id) === making) this.#making.delete(id)
    })
    this.#making.set(id, making)
  }

  async #make(what: MakePlan, wanted: WantedPlan, signal: AbortSignal): Promise<OwnPlan | NotMade> {
    const { id } = wanted
    const { isKnown, share } = await this.#propose(what, wanted, signal)
    const tasks = share === undefined ? wanted.tasks : wanted.tasks.map((task) => share.forTask(task))
    const made = await this.#submit(tasks, signal)
    if ('error' in made) {
      // One that may have some of its tasks is left for the same again; without that the coordinator gives it up.
      const takenBack = !isKnown && made.isNone ? this.#takeBack(id, share) : Promise.resolve()
      return { error: made.error, takenBack }
    }
    this.#made += 1
    return { id, tasks: made }
  }

  /** It has none of its tasks. */
  async #takeBack(id: string, share: PlanShare | undefined): Promise<void> {
    try {
      await this.cancel(id, NOT_SUBMITTED)
      share?.unused()
    } catch {
      // What becomes of its part is watched.
    }
  }

  async #propose(what: MakePlan, { id, goal, tasks }: WantedPlan, signal: AbortSignal): Promise<Made> {
    const part = this.#shares.of(id, what.budget, tasks)
    const { share, isAgain = false } = part ?? {}
    const budget = share && { budget: share.amounts }
    let isUnused = false
    let unsureSince = part?.unsureSince
    try {
      const { result } = await this.#deps.batcher.decide({ do: 'propose', id, goal, ...budget }, { signal })
      const isKnown = Reflect.get(Object(result), 'isKnown') === true
      // It has what it was given when it was made first.
      isUnused = isKnown && !isAgain
      unsureSince = undefined
      return { isKnown, share }
    } catch (error) {
      const isUnsure = signal.aborted || !isRefusal(error)
      // What may have been decided before stays what nobody knows, also where it is refused now.
      if (isUnsure) unsureSince ??= this.#deps.port.clock.monotonic()
      isUnused = !isAgain && !isUnsure
      throw error
    } finally {
      if (isUnused) share?.unused()
      else if (share !== undefined) this.#shares.watch(id, { share, unsureSince })
    }
  }

  async #submit(wanted: readonly SubmitTask[], signal: AbortSignal): Promise<TaskHandle[] | NotSubmitted> {
    const handles = new Map<string, TaskHandle>()
    try {
      for (const together of submissions(wanted))
        for (const handle of await this.#deps.tasks.submitAll(together, { signal })) handles.set(handle.id, handle)
    } catch (error) {
      return { error, isNone: handles.size === 0 && !signal.aborted && isRefusal(error) }
    }
    // As the program named them.
    return wanted.flatMap(({ id = '' }) => handles.get(id) ?? [])
  }
}
