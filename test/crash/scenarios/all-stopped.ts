/** All nodes are stopped in order (SIGTERM) and started again: the same mesh, and all that was decided. */
import type { Findings } from '../play.ts'
import type { Stage } from '../stage.ts'

export const allStopped =
  ({ rounds }: { readonly rounds: number }) =>
  async (stage: Stage): Promise<Findings> => {
    const { nodes, load } = stage
    const violations: string[] = []
    const meshId = stage.mesh.coordinator.status().meshId
    let stopMs = 0
    let startMs = 0
    for (let i = 0; i < rounds; i += 1) {
      const ended = await Promise.all(nodes.map(async (node) => ({ node, ...(await node.terminate()) })))
      for (const { node, how } of ended) if (how !== 0) violations.push(`${node.name} ended with ${how}`)
      stopMs = Math.max(stopMs, ...ended.map(({ ms }) => ms))
      const at = performance.now()
      await Promise.all(nodes.map((node) => node.start()))
      await load.probe()
      startMs = Math.max(startMs, performance.now() - at)
      for (const node of nodes) await stage.caughtUp(node)
      for (const node of nodes) {
        const status = await node.ask('status')
        if (status.meshId !== meshId) violations.push(`${node.name} founded ${status.meshId} beside ${meshId}`)
      }
    }
    return { figures: { rounds, 'stop, max ms': stopMs, 'start to decided, max ms': startMs }, violations }
  }
