/**
 * One attempt at a task: the function that does it, with what it may do. What it reports counts under its fence alone.
 *
 * State: what was recorded before, which effects it used, how far it is.
 */
import { delay } from '../../async.ts'
import type { Amounts } from '../../budget/amounts.ts'
import { isParleyError } from '../../errors.ts'
import type { Decided } from '../../journal/client/change-batcher.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { chainThrough, hopOf } from '../../wire/delegation-chain.ts'
import { RESULT_ROW, type TaskValue } from '../bytes/stored-bytes.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import { CHECKPOINT_ROW, INPUT_ROW, sleepRow } from '../task-record.ts'
import { AttemptBudget, type AttemptDraw, ownWait, type Pausing } from './attempt-budget.ts'
import { AttemptChildren } from './attempt-children.ts'
import { type AttemptWork, MOST_SETTLE_MS, remainingOf, settleMs, UsedNames, workItem } from './attempt-data.ts'
import type { AttemptDeps } from './attempt-deps.ts'
import { attemptOver, mayRetry, reportChange, taskError } from './attempt-report.ts'
import {
  CHILD_WAIT,
  childHandle,
  GIVEN_BACK_MS,
  type WaitingAttempt,
  type WaitingParent,
  waitForEvent,
  waitForSignal,
} from './attempt-waits.ts'
import { drawOrWait } from './child-prospect.ts'
import { type EffectAttempt, recordedCall, recordedEffect } from './recorded-effect.ts'
import type { TaskContext, WorkFunction } from './task-context.ts'

/** An attempt that reports nothing says so after this time that it has begun. */
const START_AFTER_MS = 50
/** A sleep that is shorter is waited for by the attempt itself. */
const STAYS_MS = 5_000

export class TaskAttempt {
  readonly id: string
  readonly fence: Fence
  readonly #deps: AttemptDeps
  readonly #work: AttemptWork
  readonly #rows: Map<string, Json>
  readonly #end = new AbortController()
  readonly #used = new UsedNames()
  readonly #budget: AttemptBudget
  readonly #children: AttemptChildren
  #hasStarted = false
  #isOver = false
  /** It ended by its own will: it sleeps, or waits. */
  #isSuspended = false
  /** Times that it gave its slot back, and did not end by that. */
  #returns = 0

  constructor(deps: AttemptDeps, work: AttemptWork) {
    this.#deps = deps
    this.#work = work
    this.id = work.id
    this.fence = work.fence
    this.#rows = work.rows
    const { id, fence, record } = work
    const decide = (change: AttemptDraw, plan: string | undefined) => this.#report({ ...change, id, fence }, plan)
    this.#budget = new AttemptBudget(record, decide, deps.sureClock)
    const { signal } = this.#end
    const draw = (amounts: Amounts, pausing: Pausing): Promise<void> => this.#draw(amounts, pausing)
    const isEnding = (): boolean => this.#budget.isClosed()
    const { slice } = this.#budget
    this.#children = new AttemptChildren(deps.tasks, {
      id,
      record,
      self: deps.port.self.id,
      slice,
      signal,
      draw,
      isEnding,
    })
  }

  get type(): string {
    return this.#work.record.type
  }

  /** It counts no more. @returns whether it did until now */
  abandon(why: string): boolean {
    if (this.#isOver || this.#end.signal.aborted) return false
    this.#end.abort(attemptOver(this.id, this.fence, why))
    return true
  }

  /** What it drew and did not spend, before the task is given back. Never rejects. */
  readonly giveBackRest = (): Promise<void> => this.#budget.giveBackSoon(this.#deps.port.timers, this.#letGo)

  /** Gives the task back: this node stops. */
  async release(reason: string): Promise<void> {
    this.abandon(reason)
    await this.giveBackRest()
    await this.#report({ do: 'release', id: this.id, fence: this.fence, reason }).catch(() => {})
  }

  /** Resolves once it is over, and what came of it is decided or counts no more. Never rejects. */
  async run(fn: WorkFunction): Promise<void> {
    const { port, count } = this.#deps
    const stopStart = port.timers.after(START_AFTER_MS, () => {
      if (!this.#hasStarted && !this.#isOver)
        this.#report({ do: 'start', id: this.id, fence: this.fence }).catch((error: unknown) => this.#failed(error))
    })
    try {
      const given = await fn(await workItem(this.#work, (row, name) => this.#load(row, name)), this.#context())
      if (this.#end.signal.aborted) throw this.#end.signal.reason
      const result = await this.#store('the result', given, RESULT_ROW)
      this.#budget.hold().close()
      await this.#budget.giveBack()
      await this.#report({ do: 'complete', id: this.id, fence: this.fence, result })
      count('completed', this.id)
    } catch (error) {
      await this.#ended(error)
    } finally {
      this.#isOver = true
      stopStart()
      // What goes on beside it may be going on beside another attempt; a child that is being submitted is not cut off.
      void this.#children.settled(port.timers, MOST_SETTLE_MS, () =>
        this.#end.abort(attemptOver(this.id, this.fence, 'the attempt has ended')),
      )
    }
  }

  async #ended(error: unknown): Promise<void> {
    const { port, count } = this.#deps
    // Waiting in its place it may fail all the same: what is done beside a sleep.
    if (this.#isSuspended && this.#end.signal.aborted) return
    if (this.#end.signal.aborted || isParleyError(error, 'STA002')) {
      count('abandoned', this.id)
      return
    }
    if (!isParleyError(error)) port.log.warn('an attempt at a task failed', { task: this.id, type: this.type, error })
    try {
      const retry = mayRetry(error)
      await this.#letAllGo(this.#budget.slice !== undefined)
      await this.#report({ do: 'fail', id: this.id, fence: this.fence, error: taskError(error), retry })
      count('failed', this.id)
    } catch (why) {
      count('abandoned', this.id)
      if (!isParleyError(why, 'STA002', 'STA001', 'STA003'))
        port.log.warn('that an attempt failed was not decided', { task: this.id, error: why })
    }
  }

  #failed(error: unknown): void {
    if (isParleyError(error, 'STA002')) this.abandon('it was given to another attempt, or held')
  }

  /** @throws STA002 */
  #report(change: TaskChange, plan?: string): Promise<Decided> {
    this.#hasStarted = true
    const failed = (error: unknown): void => this.#failed(error)
    return reportChange(this.#deps, change, plan, { signal: this.#end.signal, failed })
  }

  #context(): TaskContext {
    const { progress, call, cursorOf, port } = this.#deps
    const effect: TaskContext['effect'] = (...given) => recordedEffect(this.#effects(), ...given)
    const { id, fence, record } = this.#work
    const remainingMs = (): number | undefined => remainingOf(record, port.clock.now())
    const { signal } = this.#end
    const { slice: budget } = this.#budget
    const chain = chainThrough(undefined, record.submitter, hopOf(port.self.id, `task:${record.type}`))
    const calling = { call, chain, budget, effect, remainingMs }
    return {
      ...{ signal, chain, fence, budget },
      effect,
      call: async (name, protocol, method, input, options) =>
        // What it was recorded as is what its schema made of the answer.
        (await recordedCall(calling, name, protocol, method, input, options)) as never,
      checkpoint: async (value) => {
        const checked = await this.#store('the checkpoint', value, CHECKPOINT_ROW)
        await this.#checked({ do: 'checkpoint', id, fence, value: checked })
        this.#used.clear()
        for (const row of [...this.#rows.keys()]) if (row !== INPUT_ROW) this.#rows.delete(row)
        this.#rows.set(CHECKPOINT_ROW, checked)
      },
      progress(fraction, report = {}) {
        if (!signal.aborted && fraction >= 0 && fraction <= 1) progress(id, fraction, report)
      },
      sleep: (name, ms) => this.#sleep(name, ms),
      waitFor: (name, options) => waitForSignal(this.#waiting(), name, options),
      waitForEvent: (name, options) => waitForEvent(this.#waiting(), cursorOf, name, options),
      submit: async (name, task) => childHandle(await this.#children.submit(name, task), this.#parent()),
      draw: (amounts) => this.#draw(amounts),
      remainingMs,
    }
  }

  /** What stands in the journal for it. @throws MSG001, STA003, COM003 */
  #store(what: string, value: unknown, row: string): Promise<Json> {
    return this.#deps.values.store(what, value, { task: this.id, row }, this.#end.signal)
  }

  /** @throws STA001 `input-lost` */
  #load(value: Json, row: string): Promise<TaskValue> {
    return this.#deps.values.load(value, { task: this.id, row }, { signal: this.#end.signal })
  }

  /** @throws STA002 where the attempt is over */
  async #checked(change: TaskChange): Promise<Decided> {
    if (this.#end.signal.aborted) throw this.#end.signal.reason
    return this.#report(change)
  }

  /** The attempt ends here: another one goes on. @throws STA002 */
  #suspend(why: string): never {
    this.#isSuspended = true
    this.abandon(why)
    throw this.#end.signal.reason
  }

  async #sleep(name: string, ms: number): Promise<void> {
    const { port } = this.#deps
    this.#used.add(sleepRow(name), 'sleep', name, '', this.#end.signal)
    const known = this.#rows.get(sleepRow(name))
    const until = typeof known === 'number' ? known : port.clock.now() + Math.max(0, ms)
    const stays = until - port.clock.now() < STAYS_MS
    const wait = (): Promise<void> => this.#sleepUntil(name, until, stays, typeof known === 'number')
    return stays ? wait() : this.#suspending(wait)
  }

  async #sleepUntil(name: string, until: number, stays: boolean, isKnown: boolean): Promise<void> {
    const { port } = this.#deps
    const { id, fence } = this
    if (!isKnown || !stays) await this.#checked({ do: 'sleep', id, fence, name, until, stays })
    // Only the journal knows whether that freed the task, by its time: then this attempt is told that it is over.
    this.#isSuspended = !stays
    await delay(port.timers, Math.max(0, until - port.clock.now()), this.#end.signal)
    this.#isSuspended = false
    // Or nothing was heard of that yet.
    if (!stays) await this.#checked({ do: 'start', id, fence })
  }

  /** It ends by what is decided then, or goes on: nothing is drawn meanwhile. */
  async #suspending<T>(decide: () => Promise<T>): Promise<T> {
    const goOn = await this.#letAllGo(true)
    return decide().finally(goOn)
  }

  /**
   * Lets go of its children, and gives back what it has: nothing is drawn, or given to a child, from here on.
   * @param waits for what is being submitted
   * @returns what ends that
   */
  async #letAllGo(waits: boolean): Promise<() => void> {
    const { timers, clock } = this.#deps.port
    const mostMs = waits ? settleMs(this.#work.record, clock.now()) : 0
    const hold = this.#budget.hold()
    await this.#children.settled(timers, mostMs, () => {
      hold.close()
      // In this turn, so that no draw is before it in line.
      return this.#budget.giveBack(this.#letGo)
    })
    return hold.goOn
  }

  readonly #letGo = (): string[] => this.#children.letGo()

  #draw(amounts: Amounts, pausing: Pausing = ownWait): Promise<void> {
    const draw = (): Promise<void> => this.#budget.draw(amounts, this.#end.signal, pausing)
    return drawOrWait(draw, this.#children, () => pausing(() => this.#parent().giveBack()))
  }

  #parent(): WaitingParent {
    const { timers } = this.#deps.port
    const names = (): number => [...this.#rows.keys()].filter((row) => row.startsWith(sleepRow(CHILD_WAIT))).length
    const giveBack = (): Promise<void> => {
      this.#returns += 1
      return this.#sleep(`${CHILD_WAIT}${names() + this.#returns}`, GIVEN_BACK_MS)
    }
    return { timers, signal: this.#end.signal, giveBack }
  }

  #waiting(): WaitingAttempt {
    return {
      ...{ id: this.id, fence: this.fence, rows: this.#rows },
      use: (what, name, row) => this.#used.add(row, what, name, '', this.#end.signal),
      decide: async (change) => (await this.#suspending(() => this.#checked(change()))).result,
      suspend: (why) => this.#suspend(why),
      now: () => this.#deps.port.clock.now(),
    }
  }

  #effects(): EffectAttempt {
    const { signal } = this.#end
    return {
      ...{ id: this.id, fence: this.fence, signal, rows: this.#rows, count: this.#deps.count },
      use: (row, name, key) => this.#used.add(row, 'effect', name, key, signal),
      load: (stored, row) => this.#load(stored, row),
      store: (what, value, row) => this.#store(what, value, row),
      decide: (change) => this.#checked(change),
    }
  }
}
