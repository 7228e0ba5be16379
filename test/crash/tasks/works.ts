/** What the workers of a crash run do, by type of task. Each effect reaches the outside; what was recorded is told. Keeps no state. */
import { setTimeout as delay } from 'node:timers/promises'
import { isParleyError, type Registration, type Tasks, type WorkFunction } from '../../../node/index.ts'
import { LARGE_TYPE, largeWork } from './large.ts'
import { EFFECTS, TASK_TYPE } from './plan.ts'
import type { TaskNote, WaitInput } from './verbs.ts'

/** With these some 12 tasks are in work at a time, and each takes about a second. */
const SLOTS = 2
const EFFECT_MS = 600
export const SLEEP_TYPE = 'crash-sleep'
export const SCHEDULED_TYPE = 'crash-scheduled'
export const WAIT_TYPE = 'crash-wait'
/** Of one task: all of it is waiting. */
const WAIT_SLOTS = 64
const SCHEDULED_SLOTS = 8
export const TOOK = 'took'
export const NEEDY_TYPE = 'crash-needy'
/** Of each node, where its resources are what a run is about. */
export const CAPACITY = { cpu: 4 } as const
const NEEDY_SLOTS = 8

export interface WorkTools {
  /** What an effect does outside of the mesh. */
  outside(task: string, key: string, fence: number): Promise<void>
  tell(note: TaskNote): void
}

const sumWork =
  ({ outside, tell }: WorkTools): WorkFunction =>
  async ({ id, input }, ctx) => {
    let sum = Number(input)
    for (let i = 1; i <= EFFECTS; i += 1) {
      await delay(Math.random() * EFFECT_MS)
      sum += await ctx.effect(`step-${i}`, async ({ idempotencyKey, fence }) => {
        await outside(id, idempotencyKey, fence.index)
        return i
      })
      tell({ type: 'recorded', key: `${id}/step-${i}` })
    }
    tell({ type: 'completed', task: id })
    return sum
  }

/** One effect. */
const take = async ({ outside, tell }: WorkTools, id: string, ctx: Parameters<WorkFunction>[1]): Promise<void> => {
  await ctx.effect(TOOK, async ({ idempotencyKey, fence }) => {
    await outside(id, idempotencyKey, fence.index)
    return 1
  })
  tell({ type: 'recorded', key: `${id}/${TOOK}` })
}

const sleepWork =
  (tools: WorkTools): WorkFunction =>
  async ({ id, input }, ctx) => {
    await ctx.sleep('nap', Number(input))
    await take(tools, id, ctx)
    return 'slept'
  }

const scheduledWork =
  (tools: WorkTools): WorkFunction =>
  async ({ id }, ctx) => {
    await delay(Math.random() * EFFECT_MS)
    await take(tools, id, ctx)
    tools.tell({ type: 'completed', task: id })
    return id
  }

/** What it heard, or `missed`; each attempt tells it before it goes on. */
const waitWork =
  (tools: WorkTools): WorkFunction<WaitInput> =>
  async ({ id, input }, ctx) => {
    const { topic, source } = input
    const filter = { data: { order: id }, ...(source !== undefined && { source }) }
    const heard = await ctx.waitForEvent('order', { topic, filter }).then(
      ({ data }) => String((data as { readonly serial: number }).serial),
      (error: unknown) => {
        if (isParleyError(error, 'STA003') && error.details.reason === 'missed') return 'missed'
        throw error
      },
    )
    tools.tell({ type: 'heard', task: id, heard })
    await delay(Math.random() * EFFECT_MS)
    await take(tools, id, ctx)
    tools.tell({ type: 'completed', task: id })
    return heard
  }

/** It tells where its node works with more than it has. */
const needyWork = (tools: WorkTools): WorkFunction => {
  let using = 0
  return async ({ id, input }, ctx) => {
    const needs = 1 + (Number(input) % 3)
    using += needs
    const stop = (): void => {
      using -= needs
      ctx.signal.removeEventListener('abort', stop)
    }
    ctx.signal.addEventListener('abort', stop)
    if (using > CAPACITY.cpu) tools.tell({ type: 'wrong', task: id, what: `${using} cpu are in use` })
    try {
      await delay(Math.random() * EFFECT_MS)
      await take(tools, id, ctx)
      tools.tell({ type: 'completed', task: id })
      return id
    } finally {
      if (!ctx.signal.aborted) stop()
    }
  }
}

type Begin = (tasks: Tasks, tools: WorkTools) => Promise<Registration>

export const WORKS: Readonly<Record<string, Begin>> = {
  [TASK_TYPE]: (tasks, tools) => tasks.work(TASK_TYPE, sumWork(tools), { slots: SLOTS }),
  [LARGE_TYPE]: (tasks, { outside, tell }) => tasks.work(LARGE_TYPE, largeWork(outside, tell), { slots: 1 }),
  [SLEEP_TYPE]: (tasks, tools) => tasks.work(SLEEP_TYPE, sleepWork(tools), { slots: 1 }),
  [SCHEDULED_TYPE]: (tasks, tools) => tasks.work(SCHEDULED_TYPE, scheduledWork(tools), { slots: SCHEDULED_SLOTS }),
  [NEEDY_TYPE]: (tasks, tools) => tasks.work(NEEDY_TYPE, needyWork(tools), { slots: NEEDY_SLOTS }),
  [WAIT_TYPE]: (tasks, tools) => tasks.work(WAIT_TYPE, waitWork(tools), { slots: WAIT_SLOTS }),
}
