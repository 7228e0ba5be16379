/** What children that were let go may still leave to a task, and whether a draw that was refused waits for it. Keeps no state. */
import { AMOUNT_NAMES, type Amounts, type Lack, less, NO_AMOUNTS, sum } from '../../budget/amounts.ts'
import { isParleyError } from '../../errors.ts'
import { hasNoBudgetLeft } from '../../wire/caller/retry-policy.ts'
import type { TaskState } from '../client/task-api.ts'
import type { TaskStatus } from '../task-status.ts'

/** A child that does not go on by itself is not waited for. */
const GOES_ON: ReadonlySet<TaskStatus> = new Set(['submitted', 'queued', 'assigned', 'running'])

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

/** With those that wait for this task, directly or through others that wait. */
const withWaiting = (held: ReadonlySet<string>, id: string, waiting: Waiting): ReadonlySet<string> => {
  if (!waiting.has(id)) return held
  const all = new Set(held)
  const next = [id]
  for (let on = next.pop(); on !== undefined; on = next.pop())
    for (const waits of waiting.get(on) ?? [])
      if (!all.has(waits)) {
        all.add(waits)
        next.push(waits)
      }
  return all
}

/**
 * The most that children which were let go may still leave to a task before it ends: what their attempts have drawn may come back
 * as well. One that waits for the end of the task itself leaves it nothing.
 * @param below the tasks below it
 */
export const mayLeave = (task: string, below: readonly TaskState[]): Amounts => {
  const byParent = Map.groupBy(below, ({ record }) => record.parent)
  const waiting = waitingOf(below)
  const leftTo = (id: string, heldAbove: ReadonlySet<string>): Amounts => {
    const held = withWaiting(heldAbove, id, waiting)
    let all = NO_AMOUNTS
    for (const { id: childId, status, record } of byParent.get(id) ?? []) {
      const { budget } = record
      if (budget?.returnsTo === undefined || !GOES_ON.has(status) || held.has(childId)) continue
      const mayReturn = sum(budget.open ?? NO_AMOUNTS, leftTo(childId, held))
      all = sum(all, less(budget.amounts, less(budget.used, mayReturn)))
    }
    return all
  }
  return leftTo(task, new Set())
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
