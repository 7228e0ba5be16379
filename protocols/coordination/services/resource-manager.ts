/**
 * The resource manager of seed 003: what nodes have free, from what the journal says of them. Wire id
 * `/parley/resource-manager/1`. Keeps no state.
 */
import type { Handlers } from '../../define.ts'
import type { Port } from '../../port.ts'
import type { ResourceStatus } from '../../resource/api.ts'
import { amountOf, fits, NONE, sumsByOwner, type Units } from '../../resource/units.ts'
import type { resourceManagerProtocol } from '../contract.ts'
import { isoTime } from '../messages.ts'

const READ_MS = 800
/** Resources that one answer names. */
const MAX_LISTED = 8_192

export interface ManagerDeps {
  readonly port: Pick<Port, 'clock'>
  /** Of all nodes. */
  status(options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<readonly ResourceStatus[]>
}

/** Nodes that have so much free, and give. */
const nodesWith = (all: readonly ResourceStatus[], requirements: Units): number => {
  const giving = all.filter(({ status }) => status !== 'lost' && status !== 'draining')
  const free = sumsByOwner(giving.map(({ owner, name, capacity, used }) => ({ owner, name, amount: capacity - used })))
  return [...free.values()].filter((units) => fits(units, NONE, requirements)).length
}

export const resourceManager = ({ port, status }: ManagerDeps): Handlers<typeof resourceManagerProtocol> => ({
  async resource_query({ request_id, requirements, count = 1 }, { signal }) {
    const all = await status({ timeoutMs: READ_MS, signal })
    // Who requires nothing asks what there is.
    const isOfAll = Object.keys(requirements).length === 0
    const asked = all.filter(({ name }) => isOfAll || amountOf(requirements, name) > 0)
    return {
      request_id,
      timestamp: isoTime(port.clock.now()),
      available: nodesWith(all, requirements) >= count,
      resources: asked
        .slice(0, MAX_LISTED)
        .map(({ resource_id, owner, capacity, used }) => ({ resource_id, owner, capacity, used })),
    }
  },
})
