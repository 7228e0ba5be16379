/** All nodes are killed at the same moment and started again from their disks, several times. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

/** Decisions are made for a while before each. */
const PAUSE_MS = [1_000, 3_000] as const

export const allKilled =
  ({ rounds }: { readonly rounds: number }) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, load, random } = stage
    const starts: number[] = []
    const decides: number[] = []
    for (let i = 0; i < rounds; i += 1) {
      await delay(random.between(...PAUSE_MS))
      await Promise.all(nodes.map((node) => node.kill()))
      const at = performance.now()
      await Promise.all(nodes.map((node) => node.start()))
      starts.push(performance.now() - at)
      decides.push(await load.probe())
      for (const node of nodes) await stage.caughtUp(node)
    }
    return {
      figures: { rounds, 'all started, max ms': Math.max(...starts), 'then decided, max ms': Math.max(...decides) },
      violations: [],
    }
  }
