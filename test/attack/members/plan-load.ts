/** Honest plans of a member of a mesh under attack: it makes one after another and waits for each. State: what it saw. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../../node/index.ts'
import type { MemberVerbs, Planned } from './verbs.ts'

const MOST_WORDS = 20

export interface PlanLoad {
  stop(): Promise<Planned>
}

export const makePlans = (
  mesh: Mesh,
  { type, tasks, everyMs, timeoutMs }: Parameters<MemberVerbs['beginPlanning']>[0],
): PlanLoad => {
  const wrong: string[] = []
  let [completed, slowestMs, isOver] = [0, 0, false]
  const one = async (): Promise<void> => {
    const begunMs = performance.now()
    try {
      const wanted = Array.from({ length: tasks }, () => ({ type }))
      const plan = await mesh.plans.make({ goal: 'honest', tasks: wanted, timeoutMs })
      const { outcome, reason } = await plan.ended({ timeoutMs })
      slowestMs = Math.max(slowestMs, performance.now() - begunMs)
      if (outcome === 'completed') completed += 1
      else if (wrong.length < MOST_WORDS) wrong.push(`an honest plan is ${outcome}: ${reason}`)
    } catch (error) {
      if (wrong.length < MOST_WORDS) wrong.push(`an honest plan was not carried out: ${error}`)
    }
  }
  const running = (async () => {
    while (!isOver) {
      await one()
      await delay(everyMs)
    }
  })()
  return {
    async stop() {
      isOver = true
      await running
      return { completed, wrong, slowestMs }
    },
  }
}
