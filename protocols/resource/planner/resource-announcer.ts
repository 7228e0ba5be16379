/**
 * Tells of resources by events, as whoever coordinates: what was asked for, and how much of each resource is used, several changes
 * within a moment as one. They are notifications; what holds is the journal. Nothing is told where nobody listens.
 *
 * State: the nodes, what was told of each resource last, and what is to be told.
 */
import type { Events } from '../../events/api.ts'
import { EventTeller } from '../../events/event-teller.ts'
import type { Port, Stop } from '../../port.ts'
import {
  type ResourceStatusData,
  resourceRequestEvent,
  resourceStatusEvent,
  resourceTopic,
} from '../resource-events.ts'
import type { Allocation, NodeRecord } from '../resource-record.ts'
import { amountOf, NONE, plus } from '../units.ts'

/** Milliseconds in which changes of one resource are told as one. */
const TOGETHER_MS = 250
/** Of one such time; the others are told after the next. */
const MOST_AT_ONCE = 512

export interface ResourceAnnouncerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
}

type Status = ResourceStatusData['status']

export const resourceStatus = ({ isOver, draining, used, capacity }: NodeRecord, name: string): Status => {
  if (isOver === true) return 'lost'
  if (draining === true) return 'draining'
  return amountOf(used, name) < amountOf(capacity, name) ? 'available' : 'full'
}

export class ResourceAnnouncer {
  readonly #deps: ResourceAnnouncerDeps
  readonly #teller: EventTeller
  readonly #nodes = new Map<string, NodeRecord>()
  /** As text, by resource. */
  readonly #told = new Map<string, string>()
  readonly #changed = new Map<string, Omit<ResourceStatusData, 'timestamp'>>()
  #stop: Stop | undefined

  constructor(deps: ResourceAnnouncerDeps) {
    this.#deps = deps
    this.#teller = new EventTeller(deps.port.log, 'resources')
  }

  dropped(): number {
    return this.#teller.dropped()
  }

  /** That is no news. */
  noteNode(peer: string, record: NodeRecord | undefined): void {
    if (record === undefined) this.#nodes.delete(peer)
    else this.#nodes.set(peer, record)
  }

  /** @param after undefined: it is gone */
  tellNode(peer: string, after: NodeRecord | undefined): void {
    const before = this.#nodes.get(peer)
    this.noteNode(peer, after)
    const record = after ?? (before && { ...before, isOver: true, used: NONE })
    if (record === undefined || !this.#deps.events.hasAudience(resourceStatusEvent.topic)) return
    for (const name of Object.keys(record.capacity)) {
      const resource_id = `${name}@${peer}`
      const amounts = { capacity: amountOf(record.capacity, name), used: amountOf(record.used, name) }
      this.#changed.set(resource_id, { resource_id, status: resourceStatus(record, name), ...amounts })
    }
    this.#stop ??= this.#deps.port.timers.after(TOGETHER_MS, () => this.#flush())
  }

  /** Somebody asked for it. */
  tellAsked(id: string, { task, parts, priority, askedAt }: Allocation): void {
    const { events } = this.#deps
    if (!events.hasAudience(resourceRequestEvent.topic)) return
    const resources = parts.reduce((sum, { units }) => plus(sum, units), NONE)
    const asked = { request_id: id, requirements: { resources: { ...resources } }, priority, timestamp: askedAt }
    const more = task === undefined ? {} : { task_id: task }
    this.#teller.tell(() => events.publish(resourceRequestEvent, { ...asked, ...more }))
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#changed.clear()
    this.#told.clear()
    this.#nodes.clear()
  }

  #flush(): void {
    this.#stop = undefined
    const { events, port } = this.#deps
    const hears = events.hasAudience(resourceStatusEvent.topic)
    let told = 0
    for (const [id, status] of this.#changed) {
      if (told >= MOST_AT_ONCE) break
      this.#changed.delete(id)
      const text = JSON.stringify(status)
      if (!hears || this.#told.get(id) === text) continue
      if (status.status === 'lost') this.#told.delete(id)
      else this.#told.set(id, text)
      told += 1
      const data = { ...status, timestamp: port.clock.now() }
      this.#teller.tell(() => events.publish(resourceStatusEvent, data, { topic: resourceTopic(id) }))
    }
    if (this.#changed.size > 0) this.#stop = port.timers.after(TOGETHER_MS, () => this.#flush())
  }
}
