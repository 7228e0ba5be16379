/**
 * Honest work in a member of a mesh under attack: it does tasks of a type, and submits some at an even pace and looks whether
 * each ends once, with the right result. State: the tasks that it submitted and that have not ended.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../../node/index.ts'
import type { Json } from '../../../protocols/journal/state/command-kind.ts'
import { percentile } from '../../bench/statistics.ts'

const SUBMIT_MS = 10_000
const MOST_WORDS = 20

export interface WorkOrder {
  readonly type: string
  readonly slots: number
  /** Milliseconds that a task takes beside its effect. */
  readonly takesMs: number
  /** It submits a child of this type, and gives what that gave. */
  readonly child?: string
}

export interface TaskLoadOrder {
  readonly type: string
  readonly everyMs: number
}

/** What an honest submitter saw of its own tasks. */
export interface TasksServed {
  readonly submitted: number
  readonly right: number
  /** Sentences, the first of them: wrong results, failures, tasks that did not end. */
  readonly wrong: readonly string[]
  readonly wrongTasks: number
  /** From its submission to its end. */
  readonly p99Ms: number
  readonly slowestMs: number
}

/** What honest work makes of its input: nobody else says it by chance. */
export const sealOf = (n: unknown): string => `honest ${Number(n) * 7 + 1}`

export const workOn = async (mesh: Mesh, { type, slots, takesMs, child }: WorkOrder): Promise<void> => {
  await mesh.tasks.work(
    type,
    async ({ input }, task) => {
      const seal = await task.effect('seal', () => sealOf(input))
      await delay(takesMs, undefined, { signal: task.signal })
      if (child === undefined) return seal
      const handle = await task.submit('part', { type: child, input })
      return handle.result({ timeoutMs: SUBMIT_MS })
    },
    { slots },
  )
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? `${Reflect.get(error, 'code') ?? error.name} ${error.message}` : String(error)

export interface TaskLoad {
  /** Submits nothing more, and waits for those that are open. */
  stop(withinMs: number): Promise<TasksServed>
}

export const loadTasks = (mesh: Mesh, { type, everyMs }: TaskLoadOrder): TaskLoad => {
  const wrong: string[] = []
  const times: number[] = []
  const open = new Map<number, string>()
  const running = new Set<Promise<void>>()
  let [submitted, right, wrongTasks] = [0, 0, 0]
  const complain = (what: string): void => {
    wrongTasks += 1
    if (wrong.length < MOST_WORDS) wrong.push(what)
  }

  const once = async (n: number): Promise<void> => {
    const beganAt = performance.now()
    open.set(n, 'not submitted')
    try {
      const task = await mesh.tasks.submit({ type, input: n }, { timeoutMs: SUBMIT_MS })
      open.set(n, task.id)
      const result: Json = await task.result()
      if (result === sealOf(n)) right += 1
      else complain(`a task of ${n} ended with ${JSON.stringify(result).slice(0, 80)}`)
    } catch (error) {
      complain(`a task of ${n} failed: ${reasonOf(error).slice(0, 160)}`)
    }
    open.delete(n)
    times.push(performance.now() - beganAt)
  }
  const timer = setInterval(() => {
    submitted += 1
    const one = once(submitted)
    running.add(one)
    void one.finally(() => running.delete(one))
  }, everyMs)

  return {
    async stop(withinMs) {
      clearInterval(timer)
      await Promise.race([Promise.all(running), delay(withinMs, undefined, { ref: false })])
      const unended = [...open]
      for (const [n, id] of unended) complain(`a task of ${n} (${id}) did not end within ${withinMs} ms`)
      return {
        ...{ submitted, right, wrong, wrongTasks },
        ...{ p99Ms: percentile(times, 0.99), slowestMs: percentile(times, 1) },
      }
    },
  }
}
