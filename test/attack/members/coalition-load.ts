/** Honest coalitions of a member of a mesh under attack: it forms one after another, and dissolves each. State: what it saw. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../../node/index.ts'
import type { Allied, MemberVerbs } from './verbs.ts'

const MOST_WORDS = 20
const TTL_MS = 600_000

export interface CoalitionLoad {
  stop(): Promise<Allied>
}

export const formCoalitions = (
  mesh: Mesh,
  { members, everyMs, timeoutMs }: Parameters<MemberVerbs['beginAllying']>[0],
): CoalitionLoad => {
  const wrong: string[] = []
  let [formed, slowestMs, isOver] = [0, 0, false]
  const say = (what: string): void => {
    if (wrong.length < MOST_WORDS) wrong.push(what)
  }
  const one = async (): Promise<void> => {
    const begunMs = performance.now()
    try {
      const { id, leader } = await mesh.coalitions.form({ goal: 'honest', members, ttlMs: TTL_MS, timeoutMs })
      slowestMs = Math.max(slowestMs, performance.now() - begunMs)
      await delay(everyMs)
      const { state, leader: now, members: left } = await mesh.coalitions.get(id, { timeoutMs })
      if (state !== 'active' || now !== leader || left.length !== members.length)
        say(`an honest coalition is ${state}, led by ${now}, of ${left.length} members`)
      else formed += 1
      await mesh.coalitions.dissolve(id, 'done')
    } catch (error) {
      say(`an honest coalition was not formed: ${error}`)
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
      return { formed, wrong, slowestMs }
    },
  }
}
