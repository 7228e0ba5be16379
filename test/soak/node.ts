/** One node of the soak, in whatever process: it serves, calls, publishes and hears. */
import { createMesh, type Mesh, type MeshOptionsInput } from '../../node/index.ts'
import type { Failure } from './classify.ts'
import { type Answering, createAnswering, soak } from './contract.ts'
import { type Hearing, startHearing } from './hearing.ts'
import { type Load, startLoad } from './load.ts'
import { createRandom } from './random.ts'

const JOIN_MS = 30_000

export interface NodeOrder {
  readonly options: MeshOptionsInput
  readonly seed: number
}

export interface WorkOrder {
  readonly callsPerSecond: number
  readonly eventsPerSecond: number
  readonly maxInFlight: number
  /** Peers whose events are counted. */
  readonly counted: readonly string[]
}

export interface Tell {
  failure(failure: Failure): void
  wrong(what: string): void
  /** It stops from now on. */
  leaving(peer: string): void
}

export interface SoakNode {
  readonly mesh: Mesh
  readonly answering: Answering
  work(order: WorkOrder): Promise<{ load: Load; hearing: Hearing }>
}

/** Joined and serving. */
export const startNode = async ({ options, seed }: NodeOrder, tell: Tell): Promise<SoakNode> => {
  const mesh = await createMesh(options)
  const answering = createAnswering(() => mesh.self.id)
  try {
    await mesh.serve(soak, answering.handlers)
    await mesh.joined({ signal: AbortSignal.timeout(JOIN_MS) })
  } catch (error) {
    // Others may know it already.
    tell.leaving(mesh.self.id)
    await mesh.stop()
    throw error
  }
  return {
    mesh,
    answering,
    async work({ callsPerSecond, eventsPerSecond, maxInFlight, counted }) {
      const hearing = await startHearing(mesh, { eventsPerSecond, counted, wrong: tell.wrong })
      const load = startLoad(mesh, {
        callsPerSecond,
        maxInFlight,
        random: createRandom(seed),
        report: tell.failure,
      })
      return { load, hearing }
    },
  }
}
