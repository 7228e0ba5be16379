/**
 * Children of an attempt, with what they have of its task's budget.
 *
 * A child that an earlier attempt submitted is there already, with what it was given then: it is looked for first, and takes
 * nothing. What a new one gets is drawn, as far as the attempt has not drawn it before. An attempt that ends lets go of its
 * children: what they leave is the task's, and not its own any more. State: children that may still give something back, and
 * submissions of which nothing is known yet.
 */

import { waitFor } from '../../async.ts'
import {
  type Amounts,
  amountIn,
  isNothing,
  type Lack,
  less,
  limitedBy,
  NO_AMOUNTS,
  partOf,
  sum,
} from '../../budget/amounts.ts'
import type { Slice } from '../../budget/slice.ts'
import { isParleyError, stateError } from '../../errors.ts'
import type { Timers } from '../../port.ts'
import type { SubmitTask, TaskHandle, TaskState, TaskWaitOptions } from '../client/task-api.ts'
import { MOST_LISTED } from '../client/task-reader.ts'
import type { TaskRecord } from '../task-record.ts'
import type { Pausing } from './attempt-budget.ts'
import { childOf } from './attempt-data.ts'
import { mayLeave, type Prospect } from './child-prospect.ts'

/** Tasks below one are looked through in so many parts, at most. */
const MOST_PARTS = 10
/** Draws for one child, of whose amounts others of its attempt take some meanwhile. */
const MOST_DRAWS = 32

export interface SubmittedChild {
  readonly handle: TaskHandle
  /** It was there before. */
  readonly known: boolean
}

/** What an attempt uses of tasks. */
export interface ParentTasks {
  submitChild(task: SubmitTask, options: TaskWaitOptions): Promise<SubmittedChild>
  get(id: string): TaskHandle
  list(
    options: TaskWaitOptions & { readonly under: string; readonly after: string; readonly most: number },
  ): Promise<TaskState[]>
  /** What a task of this process leaves does not come back to where its part was split off. @returns whether it might have */
  letGo(id: string): boolean
}

export interface Parent {
  readonly id: string
  readonly record: Pick<TaskRecord, 'attempts' | 'submitter' | 'submittedAt'>
  /** Peer id of who works on it. */
  readonly self: string
  /** What the attempt has of the task's budget. */
  readonly slice: Slice | undefined
  /** Of the attempt. */
  readonly signal: AbortSignal
  draw(amounts: Amounts, pausing: Pausing): Promise<void>
  /** It may be ending: a draw, also of nothing, waits until that is known. */
  isEnding(): boolean
}

const isSame = (one: Amounts, other: Amounts): boolean => isNothing(less(one, other)) && isNothing(less(other, one))

/** What is to be drawn for a child, with the one of the fan-out that it takes to begin it. */
const lacksFor = (slice: Slice, amounts: Amounts = NO_AMOUNTS): Amounts => {
  const has = slice.remaining()
  return less(limitedBy(has, sum(partOf(has, amounts), { fanOut: 1 })), has)
}

export class AttemptChildren {
  readonly #tasks: ParentTasks
  readonly #parent: Parent
  readonly #paid = new Set<string>()
  /** Submissions that are on their way. */
  readonly #submitting = new Set<object>()
  readonly #whenNone = new Set<() => void>()

  constructor(tasks: ParentTasks, parent: Parent) {
    this.#tasks = tasks
    this.#parent = parent
  }

  /** @throws as `submit` of tasks; STA003 `exists` where somebody else submitted it before its parent was there */
  async submit(name: string, given: Omit<SubmitTask, 'id' | 'parent'>): Promise<TaskHandle> {
    const submission = {}
    this.#submitting.add(submission)
    const pausing: Pausing = async (wait) => {
      this.#removeSubmission(submission)
      await wait()
      this.#submitting.add(submission)
    }
    try {
      return await this.#submit(name, given, pausing)
    } finally {
      this.#removeSubmission(submission)
    }
  }

  /** It is not on its way any more, or not now. */
  #removeSubmission(submission: object): void {
    this.#submitting.delete(submission)
    if (this.#submitting.size === 0) for (const look of [...this.#whenNone]) look()
  }

  async #submit(name: string, given: Omit<SubmitTask, 'id' | 'parent'>, pausing: Pausing): Promise<TaskHandle> {
    const { id, slice, signal, draw } = this.#parent
    const childId = `${id}.${name}`
    const task = childOf(given, { id, name, budget: slice })
    if (await this.#isOfEarlier(childId, task)) return this.#tasks.get(childId)
    if (slice !== undefined && task.budget?.of === slice) {
      for (let draws = 0; draws < MOST_DRAWS; draws += 1) {
        const lacks = lacksFor(slice, task.budget.amounts)
        if (isNothing(lacks) && !this.#parent.isEnding()) break
        await draw(lacks, pausing)
      }
      // Its part is split off before anything else is waited for.
      this.#paid.add(childId)
    }
    const { handle, known } = await this.#tasks.submitChild(task, { signal })
    if (known) this.#requireOwn(childId, await handle.state({ signal }))
    return handle
  }

  /**
   * Waits until it is known what came of each submission: only then a child can be let go.
   * @param mostMs milliseconds that it waits
   * @param then what is done in the turn in which none is on its way
   */
  async settled<T>(timers: Pick<Timers, 'after'>, mostMs: number, then: () => T): Promise<T> {
    // What is begun in this turn counts.
    await Promise.resolve()
    if (this.#submitting.size === 0 || mostMs <= 0) return then()
    const limit = new AbortController()
    const stop = timers.after(mostMs, () => limit.abort())
    while (this.#submitting.size > 0 && !limit.signal.aborted)
      await waitFor(limit.signal, (resolve) => {
        this.#whenNone.add(resolve)
        return () => this.#whenNone.delete(resolve)
      }).catch(() => {})
    stop()
    return then()
  }

  /** Nothing that they leave is this attempt's from here on. @returns those that may leave something */
  letGo(): string[] {
    const ids = [...this.#paid].filter((id) => this.#tasks.letGo(id))
    this.#paid.clear()
    return ids
  }

  /** Of a draw that was refused: whether as much of the task's budget is there by now, or once children have ended. */
  async prospectOf({ amount, asked }: Lack): Promise<Prospect> {
    const { id, signal } = this.#parent
    const { below, isAll } = await this.#below()
    // Read after them: what one of them leaves in between counts twice, and is not missed.
    const { budget } = await this.#tasks.get(id).state({ signal })
    const left = amountIn(budget?.left ?? NO_AMOUNTS, amount)
    if (asked <= left) return 'now'
    // Of more than it looks through nobody knows what they leave.
    return !isAll || asked <= left + amountIn(mayLeave(id, below), amount) ? 'later' : 'never'
  }

  /** Tasks below this one, and whether that is all of them. */
  async #below(): Promise<{ readonly below: readonly TaskState[]; readonly isAll: boolean }> {
    const { id, signal } = this.#parent
    const below: TaskState[] = []
    for (let parts = 0; parts < MOST_PARTS; parts += 1) {
      const after = below.at(-1)?.id ?? ''
      const part = await this.#tasks.list({ under: id, after, most: MOST_LISTED, signal })
      below.push(...part)
      if (part.length < MOST_LISTED) return { below, isAll: true }
    }
    return { below, isAll: false }
  }

  /** One that was submitted otherwise is for the journal to refuse. */
  async #isOfEarlier(childId: string, { type, budget }: SubmitTask): Promise<boolean> {
    const { id, record, signal } = this.#parent
    if (budget?.of === undefined || record.attempts <= 1) return false
    const handle = this.#tasks.get(childId)
    const found = await handle.state({ signal }).catch((error: unknown) => {
      if (isParleyError(error, 'STA001')) return undefined
      throw error
    })
    if (found === undefined) return false
    this.#requireOwn(childId, found)
    const { parent, type: before, budget: had } = found.record
    const isIts = parent === id && before === type && had !== undefined
    return isIts && isSame(had.amounts, partOf(budget.of.remaining(), budget.amounts ?? NO_AMOUNTS))
  }

  /**
   * Once a task is there, its submitter and its worker alone submit children of it. One that is as old as the task may be of
   * anybody, and its result too. @throws STA003 `exists`
   */
  #requireOwn(childId: string, { record: child }: TaskState): void {
    const { self, record } = this.#parent
    if (child.submittedAt > record.submittedAt || child.submitter === self || child.submitter === record.submitter)
      return
    throw stateError(
      'exists',
      `${child.submitter} submitted the task ${childId} before its parent was there`,
      'choose another name for the child',
      { task: childId, retry: false },
    )
  }
}
