/**
 * Tells of resources by events, as whoever coordinates one epoch: what was asked for, and how much of each resource is used, several
 * changes within a moment as one. They are notifications; what holds is the journal. Where nobody listens nothing is told, or
 * kept to be told.
 *
 * State: the nodes as they were read last, and the resources that are to be told of, at most as many as there are.
 */
import type { Events } from '../../events/api.ts'
import type { EventTeller } from '../../events/event-teller.ts'
import type { Port, Stop } from '../../port.ts'
import {
  type ResourceStatusData,
  resourceRequestEvent,
  resourceStatusEvent,
  resourceTopic,
} from '../resource-events.ts'
import { type Allocation, type NodeRecord, resourceStatus } from '../resource-record.ts'
import { amountOf } from '../units.ts'

/** Milliseconds in which changes of one resource are told as one. */
const TOGETHER_MS = 250
/** Of resources, and of what was asked for, in one such time: the others are told after the next, or dropped and counted. */
const MOST_AT_ONCE = 512

export interface ResourceAnnouncerDeps {
  readonly port: Pick<Port, 'clock' | 'timers'>
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
  readonly teller: EventTeller
}

type Status = Pick<ResourceStatusData, 'status' | 'capacity' | 'used'>
/** Undefined: the node has nothing of the kind, and had nothing of it. */
type Change = { readonly before: Status | undefined; readonly after: Status | undefined }

const LOST: Status = { status: 'lost', capacity: 0, used: 0 }
const sumOf = (parts: Allocation['parts']): Record<string, number> => {
  const sum = new Map<string, number>()
  for (const { units } of parts)
    for (const [name, amount] of Object.entries(units)) if (amount > 0) sum.set(name, (sum.get(name) ?? 0) + amount)
  return Object.fromEntries(sum)
}
const statusOf = (node: NodeRecord | undefined, name: string): Status | undefined =>
  node === undefined || !Object.hasOwn(node.capacity, name)
    ? undefined
    : {
        status: resourceStatus(node, name),
        capacity: amountOf(node.capacity, name),
        used: amountOf(node.used, name),
      }
const isSame = ({ before = LOST, after = LOST }: Change): boolean =>
  before.status === after.status &&
  // What a node that is lost still has to end is no news.
  (after.status === 'lost' || (before.used === after.used && before.capacity === after.capacity))

export class ResourceAnnouncer {
  readonly #deps: ResourceAnnouncerDeps
  #nodes = new Map<string, NodeRecord>()
  /** By resource: as it was told last, and as it is. */
  readonly #changed = new Map<string, Change>()
  /** Told of what was asked for since the time began that ends next. */
  #asked = 0
  #stop: Stop | undefined

  constructor(deps: ResourceAnnouncerDeps, nodes: ReadonlyMap<string, NodeRecord>) {
    this.#deps = deps
    this.#nodes = new Map(nodes)
  }

  /** All nodes that there are, where it is not known which changed. */
  tellAll(nodes: ReadonlyMap<string, NodeRecord>): void {
    for (const peer of [...this.#nodes.keys()]) if (!nodes.has(peer)) this.tellNode(peer, undefined)
    for (const [peer, node] of nodes) this.tellNode(peer, node)
  }

  /** @param after undefined: it is gone */
  tellNode(peer: string, after: NodeRecord | undefined): void {
    const before = this.#nodes.get(peer)
    if (after === undefined) this.#nodes.delete(peer)
    else this.#nodes.set(peer, after)
    if (!this.#deps.events.hasAudience(resourceStatusEvent.topic)) return
    for (const name of new Set([...Object.keys(before?.capacity ?? {}), ...Object.keys(after?.capacity ?? {})])) {
      const id = `${name}@${peer}`
      const told = this.#changed.get(id)
      const change = { before: told ? told.before : statusOf(before, name), after: statusOf(after, name) }
      if (told === undefined && isSame(change)) continue
      this.#changed.set(id, change)
      this.#beginTime()
    }
  }

  /** Somebody asked for it. */
  tellAsked(id: string, { task, parts, priority, askedAt }: Allocation): void {
    const { events, teller } = this.#deps
    if (!events.hasAudience(resourceRequestEvent.topic)) return
    this.#beginTime()
    this.#asked += 1
    if (this.#asked > MOST_AT_ONCE) {
      teller.drop()
      return
    }
    const asked = { request_id: id, requirements: { resources: sumOf(parts) }, priority, timestamp: askedAt }
    const more = task === undefined ? {} : { task_id: task }
    teller.tell(() => events.publish(resourceRequestEvent, { ...asked, ...more }))
  }

  /** What was not told yet is told by whoever coordinates next, where it changes again. */
  stop(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#changed.clear()
  }

  #beginTime(): void {
    this.#stop ??= this.#deps.port.timers.after(TOGETHER_MS, () => this.#endTime())
  }

  #endTime(): void {
    this.#stop = undefined
    this.#asked = 0
    const { events, port, teller } = this.#deps
    if (!events.hasAudience(resourceStatusEvent.topic)) this.#changed.clear()
    let told = 0
    for (const [resource_id, change] of this.#changed) {
      if (told >= MOST_AT_ONCE) break
      this.#changed.delete(resource_id)
      if (isSame(change)) continue
      told += 1
      const data = { resource_id, ...(change.after ?? LOST), timestamp: port.clock.now() }
      teller.tell(() => events.publish(resourceStatusEvent, data, { topic: resourceTopic(resource_id) }))
    }
    if (this.#changed.size > 0) this.#beginTime()
  }
}
