/** What the scenarios of tasks have in common: a stage that ends, submitting, and what is judged of every task. Keeps no state. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Verdict } from '../stage.ts'
import { EFFECTS, resultOf, taskId } from './plan.ts'
import { openTaskStage, REQUESTER, type TaskNode, type TaskStage, type TaskStageOptions } from './stage.ts'
import type { Plan } from './verbs.ts'

/** Until all tasks have ended. */
export const END_MS = 120_000
const CHUNK = 100
const MOST_TOLD = 10

export const quantile = (sorted: readonly number[], at: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? 0

/** Submits from the requester, again each time that it was killed. */
export const keepSubmitting = async (stage: TaskStage, plan: Plan): Promise<void> => {
  for (;;) {
    try {
      await stage.node(REQUESTER).ask('submit', plan)
      return
    } catch {
      await delay(50)
    }
  }
}

/** What became of all of them, as a node tells that is there. */
export const judge = async (
  stage: TaskStage,
  tasks: number,
): Promise<{ figures: Record<string, number>; wrong: string[] }> => {
  const wrong: string[] = []
  const figures: Record<string, number> = { completed: 0, attempts: 0, losses: 0 }
  const ids = Array.from({ length: tasks }, (_, n) => taskId(n))
  for (let at = 0; at < tasks; at += CHUNK) {
    const chunk = ids.slice(at, at + CHUNK)
    const ends = await stage.node(REQUESTER).ask('ends', { ids: chunk, timeoutMs: END_MS })
    for (const [i, { id, status, result, attempts, losses, reason }] of ends.entries()) {
      if (status !== 'completed') wrong.push(`${id} is ${status} (${reason})`)
      else if (result !== resultOf(at + i)) wrong.push(`${id} came to ${String(result)}, not ${resultOf(at + i)}`)
      else figures.completed = (figures.completed ?? 0) + 1
      figures.attempts = (figures.attempts ?? 0) + attempts
      figures.losses = (figures.losses ?? 0) + losses
    }
  }
  const { runs, wrong: again } = stage.outside
  const distinct = stage.outside.distinct('crash-')
  if (distinct !== tasks * EFFECTS) wrong.push(`the outside has ${distinct} effects, not ${tasks * EFFECTS}`)
  return { figures: { ...figures, runs, 'without duplicates': distinct }, wrong: [...again, ...wrong] }
}

export const onStage = async (
  options: TaskStageOptions,
  play: (stage: TaskStage) => Promise<Verdict>,
): Promise<Verdict> => {
  const stage = await openTaskStage(options)
  let verdict: Verdict | undefined
  try {
    verdict = await play(stage)
    return verdict
  } finally {
    const isWrong = verdict === undefined || verdict.violations.length > 0
    if (isWrong) process.stderr.write(`  what the nodes had and said is kept in ${stage.folder}\n`)
    await stage.end({ keep: isWrong })
  }
}

export const told = (wrong: readonly string[]): string[] =>
  wrong.length <= MOST_TOLD ? [...wrong] : [...wrong.slice(0, MOST_TOLD), `and ${wrong.length - MOST_TOLD} more`]

/** At most two of them voters. */
export const victims = async (stage: TaskStage): Promise<readonly TaskNode[]> => {
  const { random, nodes } = stage
  const leader = await stage.coordinator()
  const requester = stage.node(REQUESTER)
  const workers = nodes.filter((node) => node.isThere && node !== requester && node !== leader)
  const worker = random.pick(workers)
  const what = random.next()
  const all = what < 0.25 ? [leader] : what < 0.5 ? [worker] : what < 0.65 ? [requester] : [leader, worker, requester]
  return all.filter((node): node is TaskNode => node?.isThere === true)
}

/** Asks again while it is dead: it is killed, and started again. */
export const persist = async <T>(ask: () => Promise<T>): Promise<T> => {
  const endsAt = performance.now() + END_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (performance.now() > endsAt) throw error
      await delay(50)
    }
  }
}
