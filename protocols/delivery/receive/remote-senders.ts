/**
 * The senders that this node knows: which outbox of each counts, and what was processed of it.
 *
 * A sender whose outbox took the place of another one is told what was processed of that, and the other one is refused from
 * then on. State: as rows (`i/<peer>`), at most `settings.senders`; those that were not seen for `senderKeepMs` make room.
 */
import { within } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { type AckRanges, MAX_REPLACED } from '../ack-ranges.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import { decodeSender, SENDERS, type SenderRow } from '../store/delivery-rows.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { InboundMessage } from './inbound-message.ts'
import type { HeldMessage, ReceiveWindow } from './receive-window.ts'
import { createRemoteSender, type RemoteSender } from './remote-sender.ts'

/** Which outbox greets. */
export interface OutboxIdentity {
  readonly epoch: string
  /** Outboxes that it took the place of. */
  readonly former: readonly string[]
}

export interface RemoteSendersDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'to' | 'log'>
  readonly store: Pick<RowStore, 'rows' | 'later'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'window' | 'senders' | 'senderKeepMs'>
  createWindow(sender: () => RemoteSender, positions?: ReadonlyMap<number, AckRanges>): ReceiveWindow<InboundMessage>
  /** These wait no more. */
  dropped(messages: ReadonlySet<HeldMessage<InboundMessage>>): void
  count(what: 'refusedEpochs' | 'sendersForgotten'): void
}

const SETTLE_MS = 10_000

export class RemoteSenders {
  readonly #deps: RemoteSendersDeps
  readonly #senders = new Map<string, RemoteSender>()

  constructor(deps: RemoteSendersDeps) {
    this.#deps = deps
  }

  /** Those of the store. @throws what the store throws */
  async load(): Promise<void> {
    for await (const { key, value } of this.#deps.store.rows(SENDERS))
      this.#add(key.slice(SENDERS.length), decodeSender(value))
  }

  #add(peer: string, row: SenderRow): RemoteSender {
    const { port, settings, createWindow } = this.#deps
    const { epoch, replaced, former, lastSeenAt, lanes } = row
    const about = { peer, epoch, replaced, former, lastSeenAt, windowSize: settings.window }
    const sender = createRemoteSender(port, about, (own) => createWindow(own, lanes))
    this.#senders.set(peer, sender)
    return sender
  }

  get(peer: string): RemoteSender | undefined {
    return this.#senders.get(peer)
  }

  all(): Iterable<RemoteSender> {
    return this.#senders.values()
  }

  size(): number {
    return this.#senders.size
  }

  /** One that greets for the first time. @throws COM003 where there is no room */
  add(peer: string, { epoch, former }: OutboxIdentity): RemoteSender {
    this.#makeRoom()
    const replaced = former.slice(0, MAX_REPLACED)
    const lastSeenAt = this.#deps.port.clock.now()
    return this.#add(peer, { epoch, replaced, lastSeenAt, lanes: new Map(), former: undefined })
  }

  /**
   * The sender has another outbox than before.
   * @param signal aborted once the sender does not wait for it any more
   * @throws STA002 for an outbox that was replaced, COM003 where it is to be tried again; the signal's reason
   */
  async replace(sender: RemoteSender, { epoch, former }: OutboxIdentity, signal?: AbortSignal): Promise<void> {
    const was = sender.epoch
    if (sender.replaced.includes(epoch)) {
      this.#deps.count('refusedEpochs')
      throw new ParleyError('STA002', 'this outbox was replaced by a newer one of the same node', {
        hint: 'two nodes run with copies of one data directory, or an old copy was started: stop this one',
      })
    }
    // Of a process that is gone: its next one may have greeted before, with an outbox that is not to be replaced by this one.
    signal?.throwIfAborted()
    await this.#quiet(sender)
    signal?.throwIfAborted()
    if (sender.epoch !== was)
      throw new ParleyError('COM003', 'another outbox of this sender greeted meanwhile', {
        hint: 'it is tried again by itself',
        details: { retryAfterMs: 1_000 },
      })
    // Also where the new one does not know of it: a copy that is older than that was started.
    sender.former = { epoch: was, lanes: sender.window.ackRanges() }
    const others = former.filter((id) => id !== epoch)
    sender.replaced = [...new Set([was, ...others, ...sender.replaced])].slice(0, MAX_REPLACED)
    sender.epoch = epoch
    sender.window = this.#deps.createWindow(() => sender)
  }

  /** Resolves when nothing of it runs; what waits is dropped, since it comes again. */
  async #quiet(sender: RemoteSender): Promise<void> {
    sender.session = 0
    this.#deps.dropped(new Set(sender.window.clear()))
    if (sender.window.running() === 0) return
    const idle = new Promise<void>((resolve) => {
      sender.onIdle = resolve
    })
    const isIdle = await within(this.#deps.port.timers, SETTLE_MS, idle)
    sender.onIdle = undefined
    if (isIdle) return
    throw new ParleyError('COM003', 'messages of the former outbox are still at work', {
      hint: 'it is tried again by itself',
      details: { retryAfterMs: SETTLE_MS },
    })
  }

  #forget(sender: RemoteSender): void {
    this.#senders.delete(sender.peer)
    this.#deps.store.later([{ key: SENDERS + sender.peer, value: undefined }])
    this.#deps.count('sendersForgotten')
  }

  #isOld({ session, lastSeenAt }: RemoteSender): boolean {
    const { port, settings } = this.#deps
    return session === 0 && lastSeenAt <= port.clock.now() - settings.senderKeepMs
  }

  /** @throws COM003 */
  #makeRoom(): void {
    const size = this.#senders.size
    if (size < this.#deps.settings.senders) return
    let oldest: RemoteSender | undefined
    for (const sender of this.#senders.values())
      if (this.#isOld(sender) && (oldest === undefined || sender.lastSeenAt < oldest.lastSeenAt)) oldest = sender
    if (oldest === undefined)
      throw new ParleyError('COM003', `this node remembers ${size} senders, and can take no further one`, {
        hint: 'raise delivery.senders at the receiver',
        details: { retryAfterMs: 30_000 },
      })
    this.#forget(oldest)
  }

  /** Forgets those that were not seen for long. */
  prune(): void {
    for (const sender of [...this.#senders.values()]) if (this.#isOld(sender)) this.#forget(sender)
  }
}
