/**
 * Notifications: what the coordinator tells the whole mesh (seed 002, "Broadcast"), and who believes it.
 *
 * They are events on `coordination.notification`, of type NOTIFICATION with the performative inform, signed by their
 * publisher like all events. Each carries the epoch of its coordinator as a fence. A receiver lets one through only where its
 * publisher is the coordinator of the newest epoch that it knows; older ones, and those of anybody else, are refused and
 * counted. One of an epoch that the receiver has not heard of waits for a moment, until it hears who coordinates that.
 * Delivery is that of events: best effort, in order from one coordinator.
 * State: how many were sent; the rest is the receiver's (notification-receiver.ts).
 */
import { ParleyError } from '../errors.ts'
import type { Events, Receipt } from '../events/api.ts'
import type { Port } from '../port.ts'
import type { Registration } from '../registration.ts'
import { NOTIFICATION_NAME, type Notification, notificationEvent } from './notification.ts'
import { NotificationReceiver, type NotificationReceiverDeps, type ReceivedCounts } from './notification-receiver.ts'

export interface NotificationCounts extends ReceivedCounts {
  readonly sent: number
}

export interface Notifications {
  /**
   * Tells all nodes of the mesh that listen, this one included.
   * @param name 1 to 128 letters, digits and . _ -
   * @throws STA003 with `details.reason` `not-leader` on a node that does not coordinate; what events.publish throws
   */
  broadcast(name: string, data?: unknown, options?: { ttlMs?: number; signal?: AbortSignal }): Promise<Receipt>
  /** Hears notifications of this name, or of any. @throws COM003 for more than 1,024 listeners */
  on(name: string, fn: (notification: Notification) => void | Promise<void>): Registration
  /** Resolves once this node hears them; on() begins that too. */
  ready(): Promise<void>
  counts(): NotificationCounts
}

export interface NotificationsDeps extends NotificationReceiverDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'random' | 'metrics'>
  readonly events: Pick<Events, 'publish' | 'subscribe'>
  status(): ReturnType<NotificationReceiverDeps['status']> & { readonly acting: boolean; readonly version: number }
}

export const createNotifications = (deps: NotificationsDeps): Notifications & { stop(): Promise<void> } => {
  const { port, events } = deps
  const receiver = new NotificationReceiver(deps)
  let sent = 0

  return {
    async broadcast(name, data, { ttlMs, signal } = {}) {
      if (!NOTIFICATION_NAME.test(name))
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
      const notification = { notification_id: id, mesh_id: meshId, name, leader: port.self.id, fence, timestamp, data }
      sent += 1
      return events.publish(notificationEvent, notification, {
        type: 'NOTIFICATION',
        headers: { performative: 'inform', 'message-type': 'NOTIFICATION' },
        priority: 'high',
        ...(ttlMs !== undefined && { ttlMs }),
        ...(signal !== undefined && { signal }),
      })
    },
    on: (name, fn) => receiver.on(name, fn),
    async ready() {
      await receiver.listen()
    },
    counts: () => ({ sent, ...receiver.counts() }),
    stop: () => receiver.stop(),
  }
}
