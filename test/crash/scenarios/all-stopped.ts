/** All nodes are stopped in order (SIGTERM) and started again: the same mesh, and all that was decided. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

/** Decisions are made for a while before each. */
const PAUSE_MS = [1_000, 3_000] as const

export const allStopped =
  ({ rounds }: { readonly rounds: number }) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, load, random } = stage
    const violations: string[] = []
    const meshId = stage.mesh.coordinator.status().meshId
    let stopMs = 0
    let startMs = 0
    let decidedMs = 0
    for (let i = 0; i < rounds; i += 1) {
      await delay(random.between(...PAUSE_MS))
      const ended = await Promise.all(nodes.map(async (node) => ({ node, ...(await node.terminate()) })))
      for (const { node, how } of ended) if (how !== 0) violations.push(`${node.name} ended with ${how}`)
      stopMs = Math.max(stopMs, ...ended.map(({ ms }) => ms))
      const at = performance.now()
      await Promise.all(nodes.map((node) => node.start()))
      startMs = Math.max(startMs, performance.now() - at)
      decidedMs = Math.max(decidedMs, await load.probe())
      for (const node of nodes) await stage.caughtUp(node)
      for (const node of nodes) {
        const status = await node.ask('status')
        if (status.meshId !== meshId) violations.push(`${node.name} founded ${status.meshId} beside ${meshId}`)
      }
    }
    return {
      figures: {
        rounds,
        'stop, max ms': stopMs,
        'all started, max ms': startMs,
        'then decided, max ms': decidedMs,
      },
      violations,
    }
  }
