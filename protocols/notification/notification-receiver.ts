/**
 * Where notifications come in: each one is let through, refused and counted, or waits for a moment, until this node hears
 * who coordinates the epoch that it is of.
 *
 * State: the listeners, the subscription, what waits (at most 64, for 2 s), and the newest epoch so far.
 */
import { ParleyError } from '../errors.ts'
import type { Events, Subscription } from '../events/api.ts'
import type { Port, Stop } from '../port.ts'
import { createRegistration, type Registration } from '../registration.ts'
import {
  decideNotification,
  type Notification,
  type NotificationData,
  notificationEvent,
  notificationOf,
} from './notification.ts'

const MAX_LISTENERS = 1_024
/** Notifications of an epoch that is not known yet, and how long they wait. */
const MAX_HELD = 64
const HELD_MS = 2_000

export interface NotificationReceiverDeps {
  readonly port: Pick<Port, 'timers' | 'log' | 'metrics'>
  readonly events: Pick<Events, 'subscribe'>
  /** What is known of who coordinates. */
  status(): { readonly meshId: string | undefined; readonly epoch: number; readonly leader: string | undefined }
  /** Calls `fn` when that changed. */
  onChange(fn: () => void): Registration
}

export interface ReceivedCounts {
  readonly delivered: number
  /** Of an epoch older than the newest one that is known. */
  readonly refusedStale: number
  /** Of somebody who does not coordinate, or of another mesh. */
  readonly refusedForeign: number
  /** Of an epoch that was not heard of in time, or for want of room to wait. */
  readonly refusedUnknown: number
}

interface Listener {
  readonly name: string
  readonly fn: (notification: Notification) => void | Promise<void>
}

interface Held {
  readonly data: NotificationData
  readonly source: string
  readonly stop: Stop
}

export class NotificationReceiver {
  readonly #deps: NotificationReceiverDeps
  readonly #listeners = new Set<Listener>()
  readonly #held = new Set<Held>()
  readonly #counts = { delivered: 0, refusedStale: 0, refusedForeign: 0, refusedUnknown: 0 }
  readonly #countRefusal: (labels: Record<string, string>) => void
  readonly #watching: Registration
  #subscription: Promise<Subscription<NotificationData>> | undefined
  #isStopped = false
  /** The newest epoch of which a notification was let through: what is known of the coordinator may be gone for a while. */
  #newest = 0

  constructor(deps: NotificationReceiverDeps) {
    this.#deps = deps
    this.#countRefusal = deps.port.metrics.counter(
      'notifications_refused_total',
      'Notifications not let through, by reason',
      ['reason'],
    )
    this.#watching = deps.onChange(() => this.#retryHeld())
  }

  on(name: string, fn: (notification: Notification) => void | Promise<void>): Registration {
    if (this.#listeners.size >= MAX_LISTENERS)
      throw new ParleyError('COM003', `${this.#listeners.size} listeners of notifications are there already`, {
        hint: 'listen once to *, and tell the names apart',
      })
    const listener = { name, fn }
    this.#listeners.add(listener)
    if (!this.#isStopped) this.listen().catch(() => {})
    return createRegistration(() => this.#listeners.delete(listener))
  }

  /** Resolves once notifications come in. */
  listen(): Promise<unknown> {
    const { events, port } = this.#deps
    this.#subscription ??= events.subscribe(notificationEvent, ({ data, source }) => this.#receive(data, source))
    this.#subscription.catch((error: unknown) => {
      this.#subscription = undefined
      port.log.warn('notifications of the coordinator cannot be heard', { error })
    })
    return this.#subscription
  }

  counts(): ReceivedCounts {
    return { ...this.#counts }
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    void this.#watching.stop()
    for (const { stop } of this.#held) stop()
    this.#held.clear()
    this.#listeners.clear()
    await (await this.#subscription?.catch(() => undefined))?.stop()
  }

  #receive(data: NotificationData, source: string): void {
    this.#retryHeld()
    if (!this.#tryDeliver(data, source)) return
    if (this.#held.size >= MAX_HELD) {
      this.#refuse('Unknown')
      return
    }
    const held = {
      data,
      source,
      stop: this.#deps.port.timers.after(HELD_MS, () => {
        this.#held.delete(held)
        if (this.#tryDeliver(data, source)) this.#refuse('Unknown')
      }),
    }
    this.#held.add(held)
  }

  #retryHeld(): void {
    for (const held of [...this.#held]) {
      if (this.#tryDeliver(held.data, held.source)) continue
      this.#held.delete(held)
      held.stop()
    }
  }

  /** @returns whether it still waits */
  #tryDeliver(data: NotificationData, source: string): boolean {
    const known = this.#deps.status()
    const verdict = data.fence.term < this.#newest ? 'stale' : decideNotification(data, source, known)
    if (verdict === 'deliver') this.#deliver(data, source)
    else if (verdict === 'stale') this.#refuse('Stale')
    else if (verdict === 'foreign') this.#refuse('Foreign')
    return verdict === 'wait'
  }

  #deliver(data: NotificationData, source: string): void {
    this.#newest = data.fence.term
    this.#counts.delivered += 1
    const notification = notificationOf(data, source)
    for (const { name, fn } of [...this.#listeners]) {
      if (name !== '*' && name !== notification.name) continue
      try {
        Promise.resolve(fn(notification)).catch((error: unknown) => this.#logFailure(notification, error))
      } catch (error) {
        this.#logFailure(notification, error)
      }
    }
  }

  #logFailure({ id, name, source }: Notification, error: unknown): void {
    this.#deps.port.log.error('a listener of notifications failed', {
      error,
      notification: name,
      source,
      correlationId: id,
      messageType: 'NOTIFICATION',
    })
  }

  #refuse(reason: 'Stale' | 'Foreign' | 'Unknown'): void {
    this.#counts[`refused${reason}`] += 1
    this.#countRefusal({ reason: reason.toLowerCase() })
  }
}
