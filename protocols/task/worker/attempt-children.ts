/**
 * Children of an attempt, with what they have of its task's budget.
 *
 * A child that an earlier attempt submitted is there already, with what it was given then: it is looked for first, and takes
 * nothing. What a new one gets is drawn, as far as the attempt has not drawn it before. An attempt that ends lets go of its
 * children: what they leave is the task's, and not its own any more. State: children that may still give something back.
 */
import { type Amounts, isNothing, less, limitedBy, NO_AMOUNTS, partOf, sum } from '../../budget/amounts.ts'
import type { Slice } from '../../budget/slice.ts'
import { isParleyError } from '../../errors.ts'
import { hasNoBudgetLeft } from '../../wire/caller/retry-policy.ts'
import type { SubmitTask, TaskHandle, TaskState, TaskWaitOptions } from '../client/task-api.ts'
import type { TaskStatus } from '../task-status.ts'
import { childOf } from './attempt-data.ts'

/** Children that are looked through, at most. */
const MOST_CHILDREN = 1_000
/** A child that does not go on by itself is not waited for. */
const GOES_ON: ReadonlySet<TaskStatus> = new Set(['submitted', 'queued', 'assigned', 'running'])

/** What an attempt uses of tasks. */
export interface ParentTasks {
  submit(task: SubmitTask, options: TaskWaitOptions): Promise<TaskHandle>
  get(id: string): TaskHandle
  list(options: TaskWaitOptions & { readonly under: string; readonly most: number }): Promise<TaskState[]>
  /** What a task of this process leaves does not come back to where its part was split off. @returns whether it might have */
  letGo(id: string): boolean
}

export interface Parent {
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** What the attempt has of the task's budget. */
  readonly slice: Slice | undefined
  /** Of the attempt. */
  readonly signal: AbortSignal
  draw(amounts: Amounts): Promise<void>
}

const isSame = (one: Amounts, other: Amounts): boolean => isNothing(less(one, other)) && isNothing(less(other, one))

export class AttemptChildren {
  readonly #tasks: ParentTasks
  readonly #parent: Parent
  readonly #paid = new Set<string>()

  constructor(tasks: ParentTasks, parent: Parent) {
    this.#tasks = tasks
    this.#parent = parent
  }

  /** @throws as `submit` of tasks */
  async submit(name: string, given: Omit<SubmitTask, 'id' | 'parent'>): Promise<TaskHandle> {
    const { id, slice, signal, draw } = this.#parent
    const childId = `${id}.${name}`
    const task = childOf(given, { id, name, budget: slice })
    if (await this.#isOfEarlier(childId, task)) return this.#tasks.get(childId)
    const { budget } = task
    if (slice === undefined || budget?.of !== slice) return this.#tasks.submit(task, { signal })
    const has = slice.remaining()
    // With the one of the fan-out that it takes to begin it.
    const wanted = sum(partOf(has, budget.amounts ?? NO_AMOUNTS), { fanOut: 1 })
    const lacks = less(limitedBy(has, wanted), has)
    if (!isNothing(lacks)) await draw(lacks)
    this.#paid.add(childId)
    return this.#tasks.submit(task, { signal })
  }

  /** Nothing that they leave is this attempt's from here on. @returns those that may leave something */
  letGo(): string[] {
    const ids = [...this.#paid].filter((id) => this.#tasks.letGo(id))
    this.#paid.clear()
    return ids
  }

  /** Whether more of the task's budget may be there once children of earlier attempts have ended. */
  async mayLeaveSome(): Promise<boolean> {
    const { id, attempt, signal } = this.#parent
    if (attempt <= 1) return false
    const children = await this.#tasks.list({ under: id, most: MOST_CHILDREN, signal })
    return children.some(
      ({ status, record: { parent, budget } }) =>
        parent === id && budget?.returnsTo !== undefined && GOES_ON.has(status),
    )
  }

  /** One that was submitted otherwise is for the journal to refuse. */
  async #isOfEarlier(childId: string, { type, budget }: SubmitTask): Promise<boolean> {
    const { id, attempt, signal } = this.#parent
    if (budget?.of === undefined || attempt <= 1) return false
    const handle = this.#tasks.get(childId)
    const found = await handle.state({ signal }).catch((error: unknown) => {
      if (isParleyError(error, 'STA001')) return undefined
      throw error
    })
    const { parent, type: before, budget: had } = found?.record ?? {}
    const isIts = parent === id && before === type && had !== undefined
    return isIts && isSame(had.amounts, partOf(budget.of.remaining(), budget.amounts ?? NO_AMOUNTS))
  }
}

/**
 * Where children that earlier attempts let go of have what is asked for, an attempt waits for what they leave as it waits for a
 * child: it gives its slot back.
 * @throws what `draw` throws, where nothing comes back
 */
export const drawOrWait = async (
  draw: () => Promise<void>,
  children: Pick<AttemptChildren, 'mayLeaveSome'>,
  wait: () => Promise<void>,
): Promise<void> => {
  for (;;) {
    try {
      return await draw()
    } catch (error) {
      if (!isParleyError(error) || !hasNoBudgetLeft(error) || !(await children.mayLeaveSome())) throw error
      await wait()
    }
  }
}
