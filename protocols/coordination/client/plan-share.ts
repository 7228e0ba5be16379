/**
 * The part of a budget that goes with a plan: split off before the plan is decided, put back where it was refused, and what its
 * tasks left once it is over. State: that part.
 */
import { type Amounts, isNothing, less } from '../../budget/amounts.ts'
import { type BudgetShare, GivenShare, isSameShare, shareFor } from '../../budget/carried/budget-share.ts'
import { type Reservation, Slice } from '../../budget/slice.ts'
import { ParleyError } from '../../errors.ts'
import type { Clock } from '../../port.ts'
import type { SubmitTask } from '../../task/client/task-api.ts'

/** What has nothing by itself draws of the plan's. */
const ofNothing = (): ParleyError =>
  new ParleyError('MSG001', 'a task of a plan that has a budget cannot have a budget of nothing', {
    hint: 'leave out its budget, so that it draws of what the plan has; or give it an amount',
  })

export class PlanShare {
  /** What all tasks of the plan have together. */
  readonly amounts: Amounts
  readonly #wanted: BudgetShare
  readonly #given: GivenShare
  /** One of the fan-out for each task, beside the one for what is begun with the part. */
  readonly #begun: Reservation
  readonly #depth: number | undefined
  /** What each task has by itself: nothing of what is limited. */
  #nothing: Slice
  #isOver = false

  private constructor(wanted: BudgetShare, given: GivenShare, begun: Reservation, tasks: number) {
    this.#wanted = wanted
    this.#given = given
    this.#begun = begun
    const { amounts, depth } = given.begin()
    this.amounts = amounts
    this.#depth = depth
    this.#nothing = this.#nothingFor(tasks)
  }

  #nothingFor(tasks: number): Slice {
    const { amounts } = this
    const { deadlineAt } = this.#given.limits
    return new Slice({
      // Beginning a task takes one of it.
      amounts: { ...less(amounts, amounts), ...(amounts.fanOut !== undefined && { fanOut: tasks }) },
      limits: {
        ...(this.#depth !== undefined && { depth: this.#depth + 1 }),
        ...(deadlineAt !== undefined && { deadlineAt }),
      },
    })
  }

  /**
   * @param tasks those it is for
   * @throws COM003 `budget-exhausted`, `budget-depth`; STA003 `ended`; MSG001; MSG005 where its deadline has passed
   */
  static of(
    wanted: BudgetShare | undefined,
    tasks: readonly SubmitTask[],
    clock: Pick<Clock, 'now'>,
  ): PlanShare | undefined {
    const share = shareFor(wanted, undefined)
    if (share?.of === undefined) return undefined
    if (tasks.some(({ budget }) => budget !== undefined && isNothing(budget.amounts ?? {}))) throw ofNothing()
    const begun = share.of.reserve({ fanOut: Math.max(0, tasks.length - 1) })
    let given: GivenShare | undefined
    try {
      given = GivenShare.of(share, clock)
      given.cut(Number.POSITIVE_INFINITY)
      return new PlanShare(share, given, begun, tasks.length)
    } catch (error) {
      given?.end(false)
      begun.settle({})
      throw error
    }
  }

  /** A task that has no budget by itself draws of the plan's. */
  forTask(task: SubmitTask): SubmitTask {
    return task.budget === undefined ? { ...task, budget: { of: this.#nothing } } : task
  }

  /** For the same plan once more: nothing more is split off. @returns whether the same was wanted before */
  beginAgain(wanted: BudgetShare | undefined, tasks: readonly SubmitTask[]): boolean {
    const share = shareFor(wanted, undefined)
    if (this.#isOver || share === undefined || !isSameShare(share, this.#wanted)) return false
    this.#nothing = this.#nothingFor(tasks.length)
    return true
  }

  /** The plan was not made or carried out, or has what it was given when it was made first: all of it is there again. */
  unused(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#begun.settle({})
    this.#given.end(false)
  }

  /** @param left what the tasks of the plan left; nothing is heard of what they used unless told */
  ended(left: Amounts = less(this.amounts, this.amounts)): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#begun.settle(this.#begun.reserved)
    this.#given.told(left)
    this.#given.end(true)
  }
}
