/**
 * What an attempt has of its task's budget, or, where the task has nothing by itself, of its plan's: what it drew, in decisions of
 * the journal, and has not spent. State: that, how many draws it made, and why none is made at the moment.
 */
import { abortable, within } from '../../async.ts'
import { type Amounts, GivenAmounts, isNothing, less, limitedBy, NO_AMOUNTS } from '../../budget/amounts.ts'
import { Slice, type WallClock } from '../../budget/slice.ts'
import { checkedInput } from '../../checked-input.ts'
import type { Decided } from '../../journal/client/change-batcher.ts'
import type { Timers } from '../../port.ts'
import { type ChangeOf, MAX_LET_GO } from '../journal/task-changes.ts'
import type { TaskRecord } from '../task-record.ts'

/** Nobody may be there who decides: an attempt that counts no more ends all the same. */
const GIVE_BACK_MS = 1_000

export type AttemptDraw = Pick<ChangeOf<'draw'>, 'do' | 'number' | 'amounts' | 'back' | 'children'>
interface Held {
  /** Fulfilled where the attempt goes on after all. */
  readonly goesOn: Promise<void>
  isClosed: boolean
}

export interface Hold {
  close(): void
  /** The attempt has not ended. */
  goOn(): void
}

/** Runs a wait, while what it is part of counts as standing still. */
export type Pausing = (wait: () => Promise<unknown>) => Promise<void>
/** Of the program itself, not of a submission. */
export const ownWait: Pausing = async (wait) => {
  await wait()
}
/** @param plan whose budget it is drawn of; undefined: the task's own */
type Decide = (draw: AttemptDraw, plan: string | undefined) => Promise<Decided>

export class AttemptBudget {
  /** Undefined: nothing that the task uses up is limited. */
  readonly slice: Slice | undefined
  readonly #decide: (draw: AttemptDraw) => Promise<Decided>
  /** It draws of its plan, which knows nothing of children. */
  readonly #isOfPlan: boolean
  readonly #holds = new Set<Held>()
  #draws = 0
  #last: Promise<unknown> = Promise.resolve()

  /** @param clock the journal's, at least: the deadline of the task is of it */
  constructor(
    { budget, deadline, plan }: Pick<TaskRecord, 'budget' | 'deadline' | 'plan'>,
    decide: Decide,
    clock: WallClock,
  ) {
    const source = budget !== undefined && isNothing(budget.amounts) ? plan : undefined
    this.#isOfPlan = source !== undefined
    this.#decide = (draw) => decide(draw, source)
    if (budget === undefined) return
    const limits = {
      ...(budget.depth !== undefined && { depth: budget.depth }),
      ...(deadline !== undefined && { deadlineAt: Math.floor(deadline) }),
    }
    this.slice = new Slice({ amounts: less(budget.amounts, budget.amounts), limits, clock })
  }

  /**
   * The attempt may end by what follows: until that is known its program draws nothing more, which would be lost with it. Draws of
   * children that are being submitted go on until `close`.
   */
  hold(): Hold {
    const { promise, resolve } = Promise.withResolvers<void>()
    const held: Held = { goesOn: promise, isClosed: false }
    this.#holds.add(held)
    return {
      close: () => {
        held.isClosed = true
      },
      goOn: () => {
        this.#holds.delete(held)
        resolve()
      },
    }
  }

  /** Also for children that are being submitted. */
  isClosed(): boolean {
    return this.#holdsOf(false).length > 0
  }

  #holdsOf(isOwn: boolean): Promise<void>[] {
    return [...this.#holds].filter(({ isClosed }) => isOwn || isClosed).map(({ goesOn }) => goesOn)
  }

  /**
   * One after the other.
   * @param signal of the attempt
   * @param pausing a wait for whether the attempt ends: who ends it does not wait for that
   * @throws COM003 `budget-exhausted`; MSG001; STA002
   */
  async draw(amounts: Amounts, signal: AbortSignal, pausing: Pausing): Promise<void> {
    const { slice } = this
    const asked = checkedInput(GivenAmounts, amounts, 'these amounts cannot be drawn')
    // No draw gets in line behind what is given back: there is no wait between this and that line.
    const holds = (): Promise<void>[] => this.#holdsOf(pausing === ownWait)
    while (holds().length > 0) await pausing(() => abortable(Promise.all(holds()), signal))
    await this.#inLine(async () => {
      signal.throwIfAborted()
      if (slice === undefined) return
      const limited = limitedBy(slice.remaining(), asked)
      if (isNothing(limited)) return
      await this.#decide({ do: 'draw', number: this.#draws + 1, amounts: limited })
      this.#draws += 1
      slice.add(limited)
    })
  }

  /**
   * What it drew and did not spend is the task's again, and so is what its children leave. Never rejects: what cannot be given back
   * stays spent.
   * @param letGo what lets go of its children, for an attempt after which there may be another one
   */
  giveBack(letGo: () => string[] = () => []): Promise<void> {
    const { slice } = this
    return this.#inLine(async () => {
      if (slice === undefined) return
      const ids = this.#isOfPlan ? [] : letGo()
      const back = slice.remaining()
      // Nobody spends it meanwhile.
      slice.reserve(back)
      if (!isNothing(back)) await this.#return({ back })
      for (let i = 0; i < ids.length; i += MAX_LET_GO) await this.#return({ children: ids.slice(i, i + MAX_LET_GO) })
    }).catch(() => {})
  }

  async #return(what: Pick<AttemptDraw, 'back' | 'children'>): Promise<void> {
    await this.#decide({ do: 'draw', number: this.#draws + 1, amounts: NO_AMOUNTS, ...what })
    this.#draws += 1
  }

  /** Of an attempt that is over: waits for it a moment only. Never rejects. */
  async giveBackSoon(timers: Pick<Timers, 'after'>, letGo: () => string[]): Promise<void> {
    if (this.slice !== undefined) await within(timers, GIVE_BACK_MS, this.giveBack(letGo))
  }

  #inLine<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#last.then(run, run)
    this.#last = done
    return done
  }
}
