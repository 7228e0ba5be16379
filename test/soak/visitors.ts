/**
 * Those who come and go beside the core: nodes that stop in order, several in one process; nodes in a process of their own
 * that is killed; connections of core nodes that are cut and made again. They come in rounds, and between two rounds nobody
 * is there: what is weighed then is the same mesh each time. Keeps no state but the processes of the visits.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { MeshOptionsInput } from '../../node/index.ts'
import { type Child, forkChild } from './child.ts'
import { RECOVERY_MS } from './classify.ts'
import { nowMs } from './clock.ts'
import type { Core } from './core.ts'
import type { HostVerbs, VictimVerbs } from './messages.ts'
import type { Random } from './random.ts'
import type { Sample } from './sample.ts'
import type { Tally } from './tally.ts'

const WORK = { callsPerSecond: 4, eventsPerSecond: 0.25, maxInFlight: 16, counted: [] }
/**
 * Nodes of one round that stop in order. They keep connections to a few only, as in a larger mesh, while the core nodes
 * keep one to each: most of what a visit costs is its connections.
 */
const LIMITS = { maxPeersFullMesh: 8 }
const NODES = 20
/** Processes that they live in: one would be busy with nothing else, and slower than all others. */
const HOSTS = 2
const LIVE_MS = [500, 2_000] as const
const CUT_AFTER_MS = [0, 1_500] as const
const CUT_SHARE = 0.5

export interface Visitors {
  /** They come, work and go; nobody is left when it resolves. */
  round(): Promise<void>
  /** A sample for each process of the visits. */
  weigh(): Promise<Sample[]>
  end(): Promise<void>
}

export const startVisitors = (options: MeshOptionsInput, core: Core, random: Random, tally: Tally): Visitors => {
  const hosts: Child<HostVerbs>[] = Array.from({ length: HOSTS }, () => forkChild('./host-process.ts', tally.hear))
  let rounds = 0

  const order = (name: string) => ({
    options: { ...options, name: `${name}-${rounds}`, join: core.join, limits: LIMITS },
    seed: random.below(2 ** 32),
    work: WORK,
  })

  const kill = async (): Promise<void> => {
    const child: Child<VictimVerbs> = forkChild('./victim-process.ts', tally.hear)
    try {
      const { id } = await child.ask('live', order('victim'))
      tally.joins += 1
      await sleep(random.between(...LIVE_MS))
      tally.killed(id, nowMs())
    } finally {
      await child.kill()
    }
  }

  const cut = async (): Promise<void> => {
    await sleep(random.between(...CUT_AFTER_MS))
    const node = random.pick(core.nodes)
    if (node === undefined) return
    tally.cut(node.id, nowMs())
    if (node.proxy.cut() === 0) return
    tally.leaves += 1
    await sleep(RECOVERY_MS)
    const ids = core.nodes.map(({ id }) => id)
    await Promise.all(core.nodes.map(({ child }) => child.ask('known', ids)))
    tally.joins += 1
  }

  const noted = (what: string, step: Promise<void>): Promise<void> =>
    step.catch((error: unknown) => tally.wrong(`${what}: ${error instanceof Error ? error.message : String(error)}`))

  return {
    async round() {
      rounds += 1
      const waves = hosts.map((host, i) => host.ask('wave', { ...order(`visitor-${i}`), nodes: NODES / HOSTS }))
      const steps = [...waves.map((wave) => noted('a wave', wave)), noted('a victim did not live', kill())]
      if (random.next() < CUT_SHARE) steps.push(noted('after a cut', cut()))
      await Promise.all(steps)
    },
    weigh: () => Promise.all(hosts.map((host) => host.ask('weigh'))),
    end: async () => void (await Promise.all(hosts.map((host) => host.kill()))),
  }
}
