/** All nodes are killed at the same moment and started again from their disks, several times. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

const MOST_PAUSE_MS = 1_000

export const allKilled =
  ({ rounds }: { readonly rounds: number }) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, load, random } = stage
    const times: number[] = []
    for (let i = 0; i < rounds; i += 1) {
      await delay(random.next() * MOST_PAUSE_MS)
      await Promise.all(nodes.map((node) => node.kill()))
      const at = performance.now()
      await Promise.all(nodes.map((node) => node.start()))
      await load.probe()
      times.push(performance.now() - at)
      for (const node of nodes) await stage.caughtUp(node)
    }
    return { figures: { rounds, 'start to decided, max ms': Math.max(...times) }, violations: [] }
  }
