/** Meshes in the test's own process, and the short times that tests run with. */
import { createMesh, type Mesh, type MeshOptionsInput } from '../../node/index.ts'
import type { Fields, Log } from '../../protocols/port.ts'
import { createProbe, type ProbeNode, probe } from './probe.ts'
import { until } from './until.ts'

export interface LogLine {
  level: 'error' | 'warn' | 'info'
  message: string
  fields: Fields | undefined
}

/** A log that keeps its lines for the test to look at. */
export const keptLog = (): Log & { lines: LogLine[] } => {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (message: string, fields?: Fields) =>
    void lines.push({ level, message, fields })
  return { lines, error: at('error'), warn: at('warn'), info: at('info') }
}

/** Times with which a frozen peer is noticed in tenths of a second. Too short for a machine that is used as well. */
export const BRISK = {
  probePeriodMs: 150,
  probeTimeoutMs: 150,
  suspectAfter: 2,
  deadAfterMs: 2_000,
  backoffMinMs: 50,
  backoffMaxMs: 400,
  syncPeriodMs: 250,
  dialTimeoutMs: 2_000,
} as const

const running = new Set<Mesh>()

export interface OwnMesh extends ProbeNode {
  readonly mesh: Mesh
  readonly log: ReturnType<typeof keptLog>
}

/** A mesh in this process that serves probe. */
export const startMesh = async (options: MeshOptionsInput = {}): Promise<OwnMesh> => {
  const log = keptLog()
  const mesh = await createMesh({ log, ...options })
  running.add(mesh)
  const node = createProbe(() => mesh.self.id)
  await mesh.serve(probe, node.handlers)
  return { ...node, mesh, log }
}

export const stopMeshes = async (): Promise<void> => {
  const all = [...running]
  running.clear()
  await Promise.all(all.map((mesh) => mesh.stop()))
}

/** Until the directory of `mesh` has these peers with their probe, so that any() and all() can find them. */
export const untilKnown = (mesh: Mesh, ...peers: string[]): Promise<unknown> =>
  until(`${mesh.self.name} knows ${peers.length} agents`, () => {
    const offering = mesh.directory.offers('probe', 1).map(({ peer }) => peer)
    return peers.every((peer) => offering.includes(peer))
  })
