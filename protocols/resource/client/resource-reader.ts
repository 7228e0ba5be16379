/** What the journal says of nodes and allocations, for programs and people. Keeps no state. */
import { ParleyError } from '../../errors.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import type { TableData } from '../../part.ts'
import type { Port } from '../../port.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { AllocationState, ResourceStatus, ResourceWaitOptions } from '../api.ts'
import {
  ALLOCATION_PREFIX,
  type Allocation,
  allocationKey,
  NODE_PREFIX,
  type NodeRecord,
  resourceStatus,
} from '../resource-record.ts'
import { amountOf, type Units } from '../units.ts'

const READ_MS = 10_000
/** A table is for somebody who looks at it. */
const SHOW_MS = 2_000

const stateOf = (id: string, allocation: Allocation): AllocationState => {
  const { status, holder, task, priority, parts, places, askedAt, changedAt, reason } = allocation
  return {
    ...{ id, status, holder, task, askedAt, changedAt, reason, priority: PRIORITIES[priority] ?? 'normal' },
    parts: parts.map(({ units, owner }, i) => ({ units, owner: places?.[i]?.owner ?? owner })),
  }
}

const notRead = (): ParleyError =>
  new ParleyError('COM001', 'resources were not read in time', { hint: 'is there a node that coordinates?' })

export class ResourceReader {
  readonly #journal: Pick<Journal, 'get' | 'list'>
  readonly #timers: Port['timers']

  constructor(journal: Pick<Journal, 'get' | 'list'>, timers: Port['timers']) {
    this.#journal = journal
    this.#timers = timers
  }

  /** Undefined: there is none, or it has ended a while ago. */
  async allocation(id: string, signal: AbortSignal): Promise<Allocation | undefined> {
    const found = await this.#journal.get(allocationKey(id), { signal })
    // This part wrote it.
    return found?.value as unknown as Allocation | undefined
  }

  async get(id: string, options: ResourceWaitOptions = {}): Promise<AllocationState> {
    const found = await this.#journal.get(allocationKey(id), options)
    if (found !== undefined) return stateOf(id, found.value as unknown as Allocation)
    throw new ParleyError('STA001', `there is no allocation ${id}`, {
      hint: 'it was released, or has ended a while ago',
      details: { allocation: id },
    })
  }

  async list(options: ResourceWaitOptions = {}): Promise<AllocationState[]> {
    const all = await this.#all<Allocation>(ALLOCATION_PREFIX, options)
    return all.map(([id, allocation]) => stateOf(id, allocation))
  }

  async status(options: ResourceWaitOptions = {}): Promise<ResourceStatus[]> {
    const all = await this.#all<NodeRecord>(NODE_PREFIX, options)
    return all.flatMap(([owner, node]) =>
      Object.keys(node.capacity)
        .sort()
        .map((name) => ({
          ...{ resource_id: `${name}@${owner}`, name, owner, status: resourceStatus(node, name) },
          ...{ capacity: amountOf(node.capacity, name), used: amountOf(node.used, name) },
          timestamp: new Date(node.renewedAt).toISOString(),
        })),
    )
  }

  async nodesTable(): Promise<TableData> {
    const all = await this.status({ timeoutMs: SHOW_MS })
    return {
      columns: ['owner', 'resource', 'status', 'used', 'capacity'],
      rows: all.map(({ owner, name, status, used, capacity }) => [owner, name, status, used, capacity]),
    }
  }

  async allocationsTable(): Promise<TableData> {
    const all = await this.list({ timeoutMs: SHOW_MS })
    const text = (units: Units): string =>
      Object.entries(units)
        .map(([name, amount]) => `${amount} ${name}`)
        .join(', ')
    return {
      columns: ['id', 'status', 'holder', 'task', 'priority', 'of'],
      rows: all.map(({ id, status, holder, task, priority, parts }) => [
        ...[id, status, holder, task ?? '', priority],
        parts.map(({ units, owner }) => `${text(units)} at ${owner ?? 'any node'}`).join('; '),
      ]),
    }
  }

  async #all<T>(prefix: string, options: ResourceWaitOptions): Promise<[id: string, record: T][]> {
    const limit = new AbortController()
    const stop = this.#timers.after(options.timeoutMs ?? READ_MS, () => limit.abort(notRead()))
    const signal = AbortSignal.any([limit.signal, ...(options.signal === undefined ? [] : [options.signal])])
    try {
      const { records } = await this.#journal.list(prefix, { signal })
      return records.map(({ key, value }) => [key.slice(prefix.length), value as T])
    } finally {
      stop()
    }
  }
}
