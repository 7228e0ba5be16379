/** How a node finds others near it, beside what it is told to join: multicast DNS, and notes of this machine. */
import type { Clock, Log, Metrics, Timers } from '../../../protocols/port.ts'
import type { MeshOptions } from '../../options/schema.ts'
import type { LocalDiscovery } from '../dial/connection-supervisor.ts'
import type { LocalNodes } from './local-nodes.ts'

export interface LocalDiscoveryDeps {
  readonly self: string
  readonly options: MeshOptions
  readonly log: Log
  readonly metrics: Metrics
  readonly timers: Timers
  readonly clock: Pick<Clock, 'monotonic'>
  /** Where this node can be dialled, with its peer id. */
  addresses(): string[]
}

/** Several ways to find others, as one. */
const together = (ways: readonly LocalDiscovery[]): LocalDiscovery | undefined => {
  const [first, ...more] = ways
  if (first === undefined || more.length === 0) return first
  return {
    start(found) {
      for (const way of ways) way.start(found)
    },
    addressesOf: (peer) => [...new Set(ways.flatMap((way) => way.addressesOf(peer)))],
    isSilent: () => ways.every((way) => way.isSilent()),
    stop() {
      for (const way of ways) way.stop()
    },
  }
}

/** Where the folder cannot be used, the node starts without. */
const openLocal = async ({ options, log, clock, ...deps }: LocalDiscoveryDeps): Promise<LocalNodes | undefined> => {
  if (!options.discovery.local || options.secret === undefined) return undefined
  const { openLocalNodes } = await import('./local-nodes.ts')
  try {
    return await openLocalNodes({ ...deps, options, log, nowMs: () => clock.monotonic() })
  } catch (error) {
    log.info('nodes of this machine are not found by themselves', { error, hint: 'join one by its address' })
    return undefined
  }
}

/** Each is loaded where it is wanted. @returns with how many nodes of this machine were there before */
export const openLocalDiscovery = async (
  deps: LocalDiscoveryDeps,
): Promise<{ nearby: LocalDiscovery | undefined; localOthers: number }> => {
  const mdns = deps.options.discovery.mdns ? await import('./mdns-sockets.ts') : undefined
  const nearby = await mdns?.createMdnsDiscovery(deps)
  const local = await openLocal(deps)
  return { nearby: together([nearby, local].flatMap((way) => way ?? [])), localOthers: local?.others ?? 0 }
}
