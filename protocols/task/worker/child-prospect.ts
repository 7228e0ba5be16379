/** What children that were let go may still leave to a task, and whether a draw that was refused waits for it. Keeps no state. */
import { AMOUNT_NAMES, type Amounts, type Lack, less, NO_AMOUNTS, sum } from '../../budget/amounts.ts'
import { isParleyError } from '../../errors.ts'
import { hasNoBudgetLeft } from '../../wire/caller/retry-policy.ts'
import type { TaskState } from '../client/task-api.ts'
import type { TaskStatus } from '../task-status.ts'

/** A child that does not go on by itself is not waited for. */
const GOES_ON: ReadonlySet<TaskStatus> = new Set(['submitted', 'queued', 'assigned', 'running'])

/**
 * Dependencies are looked at so often, some 100 ms: more than 10,000 tasks have. Those that wait and were not found by then count
 * as if they waited for something else: a draw rather waits than fails.
 */
const MOST_LOOKS = 1_000_000

/** What becomes of a draw that was refused: it can be made now, or once children have ended, or not at all. */
export type Prospect = 'now' | 'later' | 'never'

/** By task, those that cannot begin before it has ended. */
type Waiting = ReadonlyMap<string, readonly string[]>

const waitingOf = (tasks: readonly TaskState[]): Waiting => {
  const waiting = new Map<string, string[]>()
  for (const { id, status, record } of tasks)
    for (const { task_id: on } of status === 'submitted' ? (record.dependencies ?? []) : []) {
      const known = waiting.get(on)
      if (known === undefined) waiting.set(on, [id])
      else known.push(id)
    }
  return waiting
}

/** Those that wait for one of some tasks, directly or through others that wait. */
class HeldTasks {
  readonly #waiting: Waiting
  readonly #held = new Set<string>()
  #looks = 0

  constructor(tasks: readonly TaskState[]) {
    this.#waiting = waitingOf(tasks)
  }

  has(id: string): boolean {
    return this.#held.has(id)
  }

  /** Also those that wait for this one. @returns which were not there yet */
  add(id: string): readonly string[] {
    const added: string[] = []
    this.#addThoseOf(id, added)
    // Also over those that are added meanwhile.
    for (const one of added) this.#addThoseOf(one, added)
    return added
  }

  remove(added: readonly string[]): void {
    for (const one of added) this.#held.delete(one)
  }

  #addThoseOf(id: string, added: string[]): void {
    for (const waits of this.#waiting.get(id) ?? []) {
      this.#looks += 1
      if (this.#looks > MOST_LOOKS) return
      if (this.#held.has(waits)) continue
      this.#held.add(waits)
      added.push(waits)
    }
  }
}

/** It may leave something to its parent. */
const mayReturn = ({ status, record }: TaskState): boolean =>
  record.budget?.returnsTo !== undefined && GOES_ON.has(status)

/**
 * The most that children which were let go may still leave to a task before it ends: what their attempts have drawn may come back
 * as well. One that waits for the end of the task itself leaves it nothing.
 *
 * Each task is looked at once, and what waits for it as well, unless much waits for many tasks that have children.
 * @param below the tasks below it
 */
export const mayLeave = (task: string, below: readonly TaskState[]): Amounts => {
  const byParent = Map.groupBy(below.filter(mayReturn), ({ record }) => record.parent)
  /** By the task that is looked at, and those above it. */
  const held = new HeldTasks(below)
  const leftTo = (id: string): Amounts => {
    const children = byParent.get(id)
    if (children === undefined) return NO_AMOUNTS
    const added = held.add(id)
    let all = NO_AMOUNTS
    for (const { id: childId, record } of children) {
      const { budget } = record
      if (budget === undefined || held.has(childId)) continue
      const open = sum(budget.open ?? NO_AMOUNTS, leftTo(childId))
      all = sum(all, less(budget.amounts, less(budget.used, open)))
    }
    held.remove(added)
    return all
  }
  return leftTo(task)
}

/** @returns undefined: it says of no amount that there is too little */
const lackOf = (error: unknown): Lack | undefined => {
  if (!isParleyError(error) || !hasNoBudgetLeft(error)) return undefined
  const { amount: named, asked, left } = error.details
  const amount = AMOUNT_NAMES.find((name) => name === named)
  if (amount === undefined || typeof asked !== 'number' || typeof left !== 'number') return undefined
  return { amount, asked, left }
}

/**
 * Where children that were let go have what is asked for, an attempt waits for what they leave as it waits for a child: it gives
 * its slot back.
 * @throws what `draw` throws, where as much does not come back
 */
export const drawOrWait = async (
  draw: () => Promise<void>,
  children: { prospectOf(lack: Lack): Promise<Prospect> },
  wait: () => Promise<void>,
): Promise<void> => {
  for (let wasNow = false; ; ) {
    try {
      return await draw()
    } catch (error) {
      const lack = lackOf(error)
      const prospect = lack === undefined ? 'never' : await children.prospectOf(lack)
      if (prospect === 'never' || (prospect === 'now' && wasNow)) throw error
      wasNow = prospect === 'now'
      if (!wasNow) await wait()
    }
  }
}
