/** Honest use of resources in a member of a mesh under attack: it has some for a moment, again and again. State: what it saw. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../../node/index.ts'
import type { Had, MemberVerbs } from './verbs.ts'

const MOST_WORDS = 20
const HELD_MS = 400

export interface ResourceLoad {
  stop(): Promise<Had>
}

export const haveResources = (
  mesh: Mesh,
  { units, everyMs, timeoutMs }: Parameters<MemberVerbs['beginHaving']>[0],
): ResourceLoad => {
  const wrong: string[] = []
  let [had, slowestMs, isOver] = [0, 0, false]
  const complain = (what: string): void => {
    if (wrong.length < MOST_WORDS) wrong.push(what)
  }
  const one = async (): Promise<void> => {
    const begunMs = performance.now()
    try {
      const held = await mesh.resources.allocate({ units, timeoutMs })
      slowestMs = Math.max(slowestMs, performance.now() - begunMs)
      await delay(HELD_MS)
      if (held.signal.aborted) complain(`it lost what it had: ${held.signal.reason}`)
      await held.release()
      had += 1
    } catch (error) {
      complain(`it did not get ${JSON.stringify(units)}: ${error}`)
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
      return { had, wrong, slowestMs }
    },
  }
}
