/**
 * Where a running node can be asked from outside the mesh: the debug endpoint, the health listener and the control socket.
 * Each is loaded when it is wanted. State: the three, and who is told of a wish to stop.
 */
import { randomBytes } from 'node:crypto'
import type { Log, Stop } from '../../protocols/port.ts'
import type { Mesh } from '../api.ts'
import type { ControlServer } from '../control/control-server.ts'
import type { MeshOptions } from '../options/schema.ts'
import type { DebugSource } from './debug/debug-schemas.ts'
import type { HttpListener } from './http/http-listener.ts'
import type { NodeMetrics } from './metrics/metrics.ts'
import { startProcessMetrics } from './metrics/process-metrics.ts'

const KEY_BYTES = 16

export interface EndpointsDeps {
  readonly options: MeshOptions
  /** The debug endpoint's of the last start, where it may take any. */
  readonly debugPort: number | undefined
  /** The data directory is this node's. */
  readonly hasLock: boolean
  readonly source: DebugSource
  mesh(): Mesh
  readonly log: Log
  readonly metrics: NodeMetrics
  /** Steps that undo the start, last one first. */
  readonly undo: (() => Promise<void>)[]
}

export interface Endpoints {
  readonly debugUrl: string | undefined
  readonly healthUrl: string | undefined
  /** What other programs of this user are told by `node.json`. */
  described(): { control?: string; debugUrl?: string; debugKey?: string; healthUrl?: string }
  onStopRequest(fn: () => void): Stop
  closeControl(): Promise<void>
  /** The debug endpoint and the health listener. */
  closeListeners(): Promise<void>
  stopProcessMetrics(): void
}

export const openEndpoints = async (deps: EndpointsDeps): Promise<Endpoints> => {
  const { options, source, log, metrics, undo } = deps
  let debug: HttpListener | undefined
  let health: HttpListener | undefined
  let debugKey: string | undefined
  let control: ControlServer | undefined
  let stopProcessMetrics = (): void => {}
  const stopListeners = new Set<() => void>()
  metrics.gauge('ready', 'Whether this node is ready, 0 or 1', () => Number(source.readiness().ready))

  if (options.debug !== false) {
    const { startDebugServer } = await import('./debug/debug-server.ts')
    if (deps.hasLock) debugKey = randomBytes(KEY_BYTES).toString('base64url')
    debug = await startDebugServer(source, {
      ...options.debug,
      ...(deps.debugPort !== undefined && { port: deps.debugPort, orAnyPort: true }),
      ...(debugKey !== undefined && { key: debugKey }),
      log,
      metrics,
    })
    undo.push(async () => debug?.close())
  }
  if (options.health !== false) {
    const { startHealthListener } = await import('./health-listener.ts')
    health = await startHealthListener(source, { ...options.health, log, metrics })
    undo.push(async () => health?.close())
  }
  if (debug !== undefined || health !== undefined) stopProcessMetrics = startProcessMetrics(metrics.asNamed)
  if (options.control && options.dataDir !== undefined) {
    const { createControlServer } = await import('../control/control-server.ts')
    control = await createControlServer({
      mesh: deps.mesh,
      views: source,
      dataDir: options.dataDir,
      log,
      metrics,
      stop() {
        if (stopListeners.size === 0) void deps.mesh().stop()
        for (const listener of [...stopListeners]) listener()
      },
    })
    undo.push(async () => control?.close())
  }
  return {
    debugUrl: debug?.url,
    healthUrl: health?.url,
    described: () => ({
      ...(control !== undefined && { control: control.path }),
      ...(debug !== undefined && { debugUrl: debug.url }),
      ...(health !== undefined && { healthUrl: health.url }),
      ...(debug !== undefined && debugKey !== undefined && { debugKey }),
    }),
    onStopRequest(fn) {
      stopListeners.add(fn)
      return () => stopListeners.delete(fn)
    },
    closeControl: async () => control?.close(),
    closeListeners: async () => void (await Promise.all([debug?.close(), health?.close()])),
    stopProcessMetrics,
  }
}
