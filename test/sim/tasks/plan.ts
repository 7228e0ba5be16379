/** What a task of the simulated mesh does, drawn by chance, and what may come of it. Pure. */
import { Slice } from '../../../protocols/budget/slice.ts'
import type { SubmitTask, TaskState } from '../../../protocols/task/client/task-api.ts'
import type { TaskRecord } from '../../../protocols/task/task-record.ts'
import { LARGE, type Large, padOf } from './bytes/large-values.ts'
import { CAPACITY } from './node-tasks.ts'

export const SUM = 'sum'
export const PART = 'part'
/** What a schedule begins. */
export const TICK = 'tick'
export const EFFECTS = 3
/** The name of the signal, and what a task has instead where nobody gave it in time. */
export const WORD = 'word'
export const LATE = 'late'

/** As the input of a task has it. */
export type TaskPlan = {
  readonly number: number
  /** It throws each time. */
  readonly isBroken?: boolean
  /** It saves where it is, behind its second effect. */
  readonly saves?: boolean
  /** It sleeps for so long before its second effect; milliseconds. */
  readonly sleepMs?: number
  /** It waits for a word before it ends; milliseconds of patience, 0: for as long as it takes. */
  readonly waitMs?: number
  readonly hasChild?: boolean
  /** Of what a node has: it works on it only while it has that. */
  readonly needs?: number
  /** No two work on it at the same time. */
  readonly isAlone?: boolean
  /** Which of its values is a large one. */
  readonly large?: Large
}

/** A task that was asked for. */
export interface KnownTask {
  readonly id: string
  readonly plan: TaskPlan
  /** Peer id of who asked. */
  readonly by: string
  readonly task: SubmitTask
  /** Its submission was answered. */
  isAccepted: boolean
  isCanceled: boolean
  /** Words that somebody gave it, or tried to. */
  readonly words: Set<string>
}

const LARGE_SHARE = 0.3
const NEEDS_SHARE = 0.4
const ALONE_SHARE = 0.15
const BUDGET_SHARE = 0.4

/** Tokens of each slice, and of a task that has a part of it. */
export const ROOT = 100
export const PART_OF_ROOT = 60
/** What a task of the world gets of a slice of its own. */
export const tokenBudget = () => ({ of: new Slice({ amounts: { tokens: ROOT } }), amounts: { tokens: PART_OF_ROOT } })

export const childOf = (id: string): string => `${id}.${PART}`

const chance = (random: () => number, share: number): boolean => random() < share

export const drawPlan = (number: number, random: () => number): TaskPlan => {
  const hasChild = chance(random, 0.1)
  const large = chance(random, LARGE_SHARE) ? LARGE[Math.floor(random() * LARGE.length)] : undefined
  return {
    number,
    ...(hasChild && { hasChild }),
    ...(large !== undefined && { large }),
    ...(chance(random, ALONE_SHARE) && { isAlone: true }),
    ...(chance(random, NEEDS_SHARE) && { needs: 1 + Math.floor(random() * CAPACITY.cpu) }),
    // Many parents fail while their child waits for them.
    ...(chance(random, hasChild ? 0.25 : 0.05) && { isBroken: true }),
    ...((chance(random, 0.3) || large === 'checkpoint') && { saves: true }),
    // The longer ones end the attempt.
    ...(chance(random, 0.15) && { sleepMs: chance(random, 0.15) ? 5_000 + random() * 200 : 50 + random() * 700 }),
    ...(chance(random, 0.15) && { waitMs: chance(random, 0.3) ? 200 + random() * 1_000 : 0 }),
  }
}

/** @param now milliseconds since 1970 @param before another task that there is */
export const drawTask = (
  { number, ...more }: TaskPlan,
  random: () => number,
  now: number,
  before: string | undefined,
): SubmitTask => {
  const priority = (['low', 'normal', 'high', 'critical'] as const)[Math.floor(random() * 4)] ?? 'normal'
  const condition = chance(random, 0.5) ? 'finished' : 'completed'
  return {
    ...{ id: `t${number}`, type: SUM, priority },
    input: { number, ...more, ...(more.large === 'input' && { pad: padOf('input', number) }) },
    retry: { max: 2, delayMs: 200, maxDelayMs: 1_000 },
    ...(more.isAlone === true && { takeover: 'after-lease' as const }),
    ...(more.needs !== undefined && { requirements: { resources: { cpu: more.needs } } }),
    ...(before !== undefined && chance(random, 0.3) && { dependencies: [{ task_id: before, condition }] }),
    ...(chance(random, 0.1) && { deadline: now + 200 + Math.floor(random() * 2_000) }),
    ...(chance(random, BUDGET_SHARE) && { budget: tokenBudget() }),
  }
}

/** What the function of a task returns, but for its fence and its word. */
const sumOf = ({ number, hasChild }: TaskPlan) => ({
  sum: number + (EFFECTS * (EFFECTS + 1)) / 2,
  ...(hasChild === true && { part: 2 * number }),
})

type EndOf = (id: string) => TaskRecord | undefined

/** What it waits for. */
const dependencyOf = ({ dependencies = [] }: SubmitTask): { on: string; condition: string } | undefined => {
  const [first] = dependencies
  if (first === undefined) return undefined
  if (typeof first === 'string') return { on: first, condition: 'completed' }
  return { on: first.task_id, condition: first.condition ?? 'completed' }
}

const completedWrongly = (
  { plan, words, task }: KnownTask,
  { result, record }: TaskState,
  endOf: EndOf,
): string | undefined => {
  if (plan.isBroken === true) return 'it is completed, and its function throws each time'
  const { on = '', condition } = dependencyOf(task) ?? {}
  const before = endOf(on)?.status
  if (condition === 'completed' && before !== undefined && before !== 'completed')
    return `it is completed, and depends on ${on}, which is ${before}`
  const { word, pad, ...rest } = Object(result) as { readonly word?: unknown; readonly pad?: unknown }
  if (pad !== (plan.large === 'result' ? padOf('result', plan.number) : undefined)) return 'its large result is wrong'
  const right = JSON.stringify({ ...sumOf(plan), fence: record.fence?.index })
  if (JSON.stringify(rest) !== right) return `it is ${JSON.stringify(rest)} and not ${right}`
  const mayBeLate = (plan.waitMs ?? 0) > 0 && word === LATE
  const isRight = plan.waitMs === undefined ? word === undefined : mayBeLate || words.has(String(word))
  return isRight ? undefined : `its word is ${JSON.stringify(word)}`
}

/** None of those who hold a value of it could be reached. */
export const isInputLost = (reason: string | undefined): boolean => reason?.startsWith('input-lost:') === true

/** Attempts before drew what it would need for its child. */
const hasTooLittle = (error: TaskState['error']): boolean => error?.details?.reason === 'budget-exhausted'

const failedWrongly = (
  { id, plan, task }: KnownTask,
  { record, error }: TaskState,
  endOf: EndOf,
  wasLost: boolean,
): string | undefined => {
  const { reason, changedAt } = record
  const on = dependencyOf(task)?.on
  const isRight =
    reason === 'deadline'
      ? task.deadline !== undefined && changedAt >= Number(task.deadline)
      : reason === 'dependency-failed'
        ? on !== undefined && endOf(on)?.status !== 'completed'
        : (wasLost && isInputLost(reason)) ||
          plan.isBroken === true ||
          endOf(childOf(id))?.status === 'failed' ||
          (hasTooLittle(error) && plan.hasChild === true && task.budget !== undefined)
  return isRight ? undefined : `it failed: ${reason}, ${JSON.stringify(error)}`
}

/** @param wasLost a large value of it could not be had for as long as an attempt waits for it @returns what is wrong with its end */
export const wrongEnd = (known: KnownTask, state: TaskState, endOf: EndOf, wasLost: boolean): string | undefined => {
  const { status } = state
  const journal = endOf(known.id)?.status
  if (journal !== undefined && journal !== status) return `it is told as ${status}, and was decided as ${journal}`
  if (status === 'completed') return completedWrongly(known, state, endOf)
  if (status === 'failed') return failedWrongly(known, state, endOf, wasLost)
  return status === 'canceled' && known.isCanceled ? undefined : `it is ${status}`
}
