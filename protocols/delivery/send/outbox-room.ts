/**
 * How much is in the outbox, and who waits for room in it.
 *
 * Bounds: messages and bytes of the settings, and the quota of the disk. State: what is taken; who waits, in order, at most
 * `roomTimeoutMs` each.
 */
import { waitFor } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import type { Quota } from '../../limits/quota.ts'
import type { Port } from '../../port.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'

export interface OutboxRoomDeps {
  readonly port: Pick<Port, 'timers'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'outboxMessages' | 'outboxBytes' | 'roomTimeoutMs'>
  /** Over all that the node keeps on disk. */
  readonly quota: Pick<Quota, 'fits' | 'couldEverFit' | 'figures' | 'recordGrowth'>
}

export const outboxFull = (retryAfterMs: number): ParleyError =>
  new ParleyError('COM003', 'the outbox of this node is full', {
    hint: 'send less, see which peer takes nothing (figures().destinations), or raise delivery.outboxMessages and outboxBytes',
    details: { retryAfterMs },
  })

const quotaFull = (retryAfterMs: number, { maxBytes }: { maxBytes: number }): ParleyError =>
  new ParleyError('COM003', `this node keeps as much on disk as it may, ${maxBytes} bytes`, {
    hint: 'work off the inbox and the dead letters, see which peer takes nothing (figures().destinations), or raise limits.maxDiskBytes',
    details: { retryAfterMs, reason: 'disk-quota' },
  })

export class OutboxRoom {
  readonly #deps: OutboxRoomDeps
  /** In the order in which they came. */
  readonly #waiters = new Set<{ messages: number; bytes: number; resolve: () => void }>()
  messages = 0
  bytes = 0

  constructor(deps: OutboxRoomDeps) {
    this.#deps = deps
  }

  #fits(messages: number, bytes: number, times = 1): boolean {
    const { settings, quota } = this.#deps
    return (
      this.messages + messages <= times * settings.outboxMessages &&
      (this.messages === 0 || this.bytes + bytes <= times * settings.outboxBytes) &&
      quota.fits(bytes, times > 1)
    )
  }

  /** See `Outbox.hasRoom`. */
  has(messages: number, bytes: number, isAnswer: boolean): boolean {
    return isAnswer ? this.#fits(messages, bytes, 2) : this.#waiters.size === 0 && this.#fits(messages, bytes)
  }

  /** Takes room that was looked for, or gives some back where negative; `wake` follows then. */
  add(messages: number, bytes: number): void {
    this.messages += messages
    this.bytes += bytes
  }

  /** What comes to the disk as well. */
  grow(messages: number, bytes: number): void {
    this.add(messages, bytes)
    this.#deps.quota.recordGrowth(bytes)
  }

  /** Those go on for whom there is room now. */
  wake(): void {
    for (const { messages, bytes, resolve } of this.#waiters) {
      if (!this.#fits(messages, bytes)) return
      // Taken for it now: it goes on in a later turn, and others are to see that.
      this.add(messages, bytes)
      resolve()
    }
  }

  /** Resolves once there is room, and takes it. @throws COM003 after `roomTimeoutMs`, the signal's reason */
  async wait(messages: number, bytes: number, signal?: AbortSignal): Promise<void> {
    const { settings, quota } = this.#deps
    if (this.has(messages, bytes, false)) {
      this.add(messages, bytes)
      return
    }
    if (bytes > settings.outboxBytes || messages > settings.outboxMessages) throw outboxFull(0)
    if (!quota.couldEverFit(bytes)) throw quotaFull(0, quota.figures())
    signal?.throwIfAborted()
    await this.#waitInLine(messages, bytes, signal)
  }

  #waitInLine(messages: number, bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const { port, settings, quota } = this.#deps
    return waitFor(signal, (resolve, reject) => {
      const waiter = { messages, bytes, resolve }
      const waitedMs = settings.roomTimeoutMs
      const stopLimit = port.timers.after(waitedMs, () =>
        reject(quota.fits(bytes) ? outboxFull(waitedMs) : quotaFull(waitedMs, quota.figures())),
      )
      this.#waiters.add(waiter)
      return () => {
        stopLimit()
        this.#waiters.delete(waiter)
      }
    })
  }

  /** Lets everybody go on, to find that the node stops. */
  stop(): void {
    for (const waiter of this.#waiters) waiter.resolve()
  }
}
