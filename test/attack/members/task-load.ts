/**
 * Honest work in a member of a mesh under attack: it does tasks of a type, and submits some at an even pace and looks whether
 * each ends once, with the right result. State: the tasks that it submitted and that have not ended.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../../node/index.ts'
import { percentile } from '../../bench/statistics.ts'

const SUBMIT_MS = 10_000
const MOST_WORDS = 20
const PUBLISH_MS = 200

export interface WorkOrder {
  readonly type: string
  readonly slots: number
  /** Milliseconds that a task takes beside its effect. */
  readonly takesMs: number
  /** It submits a child of this type, and gives what that gave. */
  readonly child?: string
  /** It waits for the event of its number below this topic. */
  readonly event?: string
}

export interface TaskLoadOrder {
  readonly type: string
  readonly everyMs: number
  /** Bytes that its input has beside its number, and its result beside the seal: nodes hold them. */
  readonly padBytes?: number
  /** What its work waits for, below this topic: it is published until the task has ended. */
  readonly event?: string
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

interface Padded {
  readonly n: number
  readonly pad: string
}
const isPadded = (input: unknown): input is Padded => typeof input === 'object' && input !== null && 'pad' in input
/** As long as what it was given. */
const resultOf = (seal: string, input: unknown): string => (isPadded(input) ? `${seal} ${input.pad}` : seal)

export const workOn = async (mesh: Mesh, { type, slots, takesMs, child, event }: WorkOrder): Promise<void> => {
  await mesh.tasks.work(
    type,
    async ({ input }, task) => {
      const seal = await task.effect('seal', () => sealOf(isPadded(input) ? input.n : input))
      await delay(takesMs, undefined, { signal: task.signal })
      if (event !== undefined) await task.waitForEvent('go', { topic: `${event}.${input}` })
      if (child === undefined) return resultOf(seal, input)
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

export const loadTasks = (mesh: Mesh, { type, everyMs, padBytes, event }: TaskLoadOrder): TaskLoad => {
  const pad = 'x'.repeat(padBytes ?? 0)
  const wrong: string[] = []
  const times: number[] = []
  const open = new Map<number, string>()
  const running = new Set<Promise<void>>()
  let [submitted, right, wrongTasks] = [0, 0, 0]
  const complain = (what: string): void => {
    wrongTasks += 1
    if (wrong.length < MOST_WORDS) wrong.push(what)
  }

  const publish = (n: number): (() => void) => {
    if (event === undefined) return () => {}
    const timer = setInterval(() => mesh.events.publish(`${event}.${n}`, null).catch(() => {}), PUBLISH_MS)
    return () => clearInterval(timer)
  }

  const once = async (n: number): Promise<void> => {
    const beganAt = performance.now()
    open.set(n, 'not submitted')
    const stopPublishing = publish(n)
    try {
      const input = padBytes === undefined ? n : { n, pad }
      const task = await mesh.tasks.submit({ type, input }, { timeoutMs: SUBMIT_MS })
      open.set(n, task.id)
      const result: unknown = await task.result()
      if (result === resultOf(sealOf(n), input)) right += 1
      else complain(`a task of ${n} ended with ${JSON.stringify(result).slice(0, 80)}`)
    } catch (error) {
      complain(`a task of ${n} failed: ${reasonOf(error).slice(0, 160)}`)
    }
    stopPublishing()
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
