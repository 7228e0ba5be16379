/**
 * Notifications: what the coordinator tells the whole mesh (seed 002, "Broadcast"), and who believes it.
 *
 * They are events on `coordination.notification`, of type NOTIFICATION with the performative inform, signed by their
 * publisher like all events. Each carries the epoch of its coordinator as a fence. A receiver lets one through only where its
 * publisher is the coordinator of the newest epoch that it knows; older ones, and those of anybody else, are refused and
 * counted. One of an epoch that the receiver has not heard of waits for a moment, until it hears who coordinates that.
 * Delivery is that of events: best effort, in order from one coordinator.
 * State: the listeners, the subscription, and what waits (bounded).
 */
import * as z from 'zod'
import { ParleyError } from '../errors.ts'
import type { Events, Receipt, Subscription } from '../events/api.ts'
import { defineEvent } from '../events/define-event.ts'
import { NOTIFICATION_TOPIC } from '../events/event-traffic.ts'
import { type Fence, FenceSchema } from '../journal/fencing/fence.ts'
import { implementPart } from '../part.ts'
import type { Port, Stop } from '../port.ts'
import type { notifications } from './part.ts'

const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/
const MAX_LISTENERS = 1_024
/** Notifications of an epoch that is not known yet, and how long they wait. */
const MAX_HELD = 64
const HELD_MS = 2_000

export const notificationEvent = defineEvent({
  topic: NOTIFICATION_TOPIC,
  version: '1.0.0',
  schema: z.object({
    notification_id: z.string().min(1).max(128),
    mesh_id: z.string().min(1).max(64),
    name: z.string().regex(NAME),
    /** Peer id of the coordinator. */
    leader: z.string().min(1).max(128),
    /** Its epoch, and the version of the journal that it had. */
    fence: FenceSchema,
    timestamp: z.number(),
    data: z.unknown().optional(),
  }),
})
type Data = z.output<typeof notificationEvent.schema>

export interface Notification {
  readonly id: string
  readonly name: string
  readonly data: unknown
  /** Peer id of the coordinator that sent it. */
  readonly source: string
  readonly epoch: number
  /** For `mesh.fences.accept`, where what is done about it must not be done for a coordinator that was replaced. */
  readonly fence: Fence
  /** Milliseconds since 1970 by the coordinator's clock. */
  readonly timestamp: number
}

export interface NotificationCounts {
  readonly sent: number
  readonly delivered: number
  /** Of an epoch older than the newest one that is known. */
  readonly refusedStale: number
  /** Of somebody who does not coordinate, or of another mesh. */
  readonly refusedForeign: number
  /** Of an epoch that was not heard of in time, or for want of room to wait. */
  readonly refusedUnknown: number
}

export interface Notifications {
  /**
   * Tells all nodes of the mesh that listen, this one included.
   * @param name 1 to 128 letters, digits and . _ -
   * @throws STA003 with `details.reason` `not-leader` on a node that does not coordinate; what events.publish throws
   */
  broadcast(name: string, data?: unknown, options?: { ttlMs?: number; signal?: AbortSignal }): Promise<Receipt>
  /** Hears notifications of this name, or of any. @throws COM003 for more than 1,024 listeners */
  on(name: string, fn: (notification: Notification) => void | Promise<void>): Stop
  /** Resolves once this node hears them; on() begins that too. */
  ready(): Promise<void>
  counts(): NotificationCounts
}

export interface NotificationsDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'random' | 'metrics'>
  readonly events: Pick<Events, 'publish' | 'subscribe'>
  status(): {
    readonly meshId: string | undefined
    readonly epoch: number
    readonly leader: string | undefined
    readonly acting: boolean
    readonly version: number
  }
  onChange(fn: () => void): Stop
}

type Verdict = 'deliver' | 'stale' | 'foreign' | 'wait'

/** Whether a notification is let through, by what is known of who coordinates. Pure. */
export const decideNotification = (
  { mesh_id: meshId, leader, fence }: Pick<Data, 'mesh_id' | 'leader' | 'fence'>,
  source: string,
  known: { meshId: string | undefined; epoch: number; leader: string | undefined },
): Verdict => {
  if (source !== leader || meshId !== known.meshId) return 'foreign'
  if (fence.term < known.epoch) return 'stale'
  if (fence.term > known.epoch || known.leader === undefined) return 'wait'
  return source === known.leader ? 'deliver' : 'foreign'
}

export const createNotifications = (deps: NotificationsDeps): Notifications & { stop(): Promise<void> } => {
  const { port, events } = deps
  const listeners = new Set<{ name: string; fn: (notification: Notification) => void | Promise<void> }>()
  const held = new Set<{ data: Data; source: string; stop: Stop }>()
  const counts = { sent: 0, delivered: 0, refusedStale: 0, refusedForeign: 0, refusedUnknown: 0 }
  const refusals = port.metrics.counter('notifications_refused_total', 'Notifications not let through, by reason', [
    'reason',
  ])
  let subscription: Promise<Subscription<Data>> | undefined
  let stopped = false
  /** The newest epoch of which a notification was let through: what is known of the coordinator may be gone for a while. */
  let newest = 0

  const refuse = (reason: 'Stale' | 'Foreign' | 'Unknown'): void => {
    counts[`refused${reason}`] += 1
    refusals({ reason: reason.toLowerCase() })
  }

  const deliver = (data: Data, source: string): void => {
    newest = data.fence.term
    counts.delivered += 1
    const { notification_id: id, name, fence, timestamp } = data
    const notification: Notification = { id, name, data: data.data, source, epoch: fence.term, fence, timestamp }
    for (const one of [...listeners]) {
      if (one.name !== '*' && one.name !== name) continue
      const failed = (error: unknown): void =>
        port.log.error('a listener of notifications failed', {
          error,
          notification: name,
          source,
          correlationId: id,
          messageType: 'NOTIFICATION',
        })
      try {
        Promise.resolve(one.fn(notification)).catch(failed)
      } catch (error) {
        failed(error)
      }
    }
  }

  /** @returns whether it still waits */
  const look = (data: Data, source: string): boolean => {
    const known = deps.status()
    const verdict = data.fence.term < newest ? 'stale' : decideNotification(data, source, known)
    if (verdict === 'deliver') deliver(data, source)
    else if (verdict === 'stale') refuse('Stale')
    else if (verdict === 'foreign') refuse('Foreign')
    return verdict === 'wait'
  }

  const lookAgain = (): void => {
    for (const one of [...held]) {
      if (look(one.data, one.source)) continue
      held.delete(one)
      one.stop()
    }
  }

  const hear = (data: Data, source: string): void => {
    lookAgain()
    if (!look(data, source)) return
    if (held.size >= MAX_HELD) {
      refuse('Unknown')
      return
    }
    const one = {
      data,
      source,
      stop: port.timers.after(HELD_MS, () => {
        held.delete(one)
        if (look(data, source)) refuse('Unknown')
      }),
    }
    held.add(one)
  }

  const listen = (): Promise<Subscription<Data>> => {
    subscription ??= events.subscribe(notificationEvent, ({ data, source }) => hear(data, source))
    subscription.catch((error: unknown) => {
      subscription = undefined
      port.log.warn('notifications of the coordinator cannot be heard', { error })
    })
    return subscription
  }

  const stopLooking = deps.onChange(lookAgain)

  return {
    async broadcast(name, data, { ttlMs, signal } = {}) {
      if (!NAME.test(name))
        throw new ParleyError('MSG001', `the notification ${JSON.stringify(name)?.slice(0, 140)} is not usable`, {
          hint: 'use 1 to 128 letters, digits and . _ - for its name',
        })
      const { acting, epoch, leader, meshId, version } = deps.status()
      if (!acting || meshId === undefined)
        throw new ParleyError('STA003', 'only the node that coordinates may notify the mesh', {
          hint: 'send it from mesh.coordinator.act(), or ask the coordinator to; others publish events',
          details: { reason: 'not-leader', ...(leader !== undefined && { leader }) },
        })
      const id = [...port.random(16)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
      const fence = { term: epoch, index: version }
      const timestamp = port.clock.now()
      const told = { notification_id: id, mesh_id: meshId, name, leader: port.self.id, fence, timestamp, data }
      counts.sent += 1
      return events.publish(notificationEvent, told, {
        type: 'NOTIFICATION',
        headers: { performative: 'inform', 'message-type': 'NOTIFICATION' },
        priority: 'high',
        ...(ttlMs !== undefined && { ttlMs }),
        ...(signal !== undefined && { signal }),
      })
    },
    on(name, fn) {
      if (listeners.size >= MAX_LISTENERS)
        throw new ParleyError('COM003', `${listeners.size} listeners of notifications are there already`, {
          hint: 'listen once to *, and tell the names apart',
        })
      const one = { name, fn }
      listeners.add(one)
      if (!stopped) listen().catch(() => {})
      return () => listeners.delete(one)
    },
    async ready() {
      await listen()
    },
    counts: () => ({ ...counts }),
    async stop() {
      stopped = true
      stopLooking()
      for (const { stop } of held) stop()
      held.clear()
      listeners.clear()
      ;(await subscription?.catch(() => undefined))?.unsubscribe()
    },
  }
}

export default implementPart<typeof notifications>({
  start({ events, coordinator, ...port }) {
    const { stop, ...api } = createNotifications({ port, events, ...coordinator })
    return { api, stop }
  },
})
