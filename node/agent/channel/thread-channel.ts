/**
 * Exchanges between two threads, in both directions: each side makes requests of the other, for one answer or for a
 * stream of items.
 *
 * Guarantees: every exchange ends, by its answer, its signal, or the end of the channel; at most `maxOpen` exchanges and
 * `maxBytes` of requests are open in each direction, a cancelled one until the other side is done with it; items are sent
 * only against credit. Ordered like the port under it.
 */

import type { ChannelMessage, ThreadChannelOptions } from './channel-message.ts'
import { ChannelRequester, type ChannelRequestOptions } from './channel-requester.ts'
import { ChannelResponder } from './channel-responder.ts'

export class ThreadChannel {
  readonly #requester: ChannelRequester
  readonly #responder: ChannelResponder

  constructor(options: ThreadChannelOptions) {
    this.#requester = new ChannelRequester(options)
    this.#responder = new ChannelResponder(options)
  }

  request(body: unknown, options?: ChannelRequestOptions): Promise<unknown> {
    return this.#requester.request(body, options)
  }

  stream(body: unknown, options?: ChannelRequestOptions): AsyncIterableIterator<unknown> {
    return this.#requester.stream(body, options)
  }

  /** Exchanges that this side opened. */
  size(): number {
    return this.#requester.size()
  }

  /** Resolves when this side has none open. */
  idle(): Promise<void> {
    return this.#requester.idle()
  }

  receive(message: ChannelMessage): void {
    if (message.kind === 'open') this.#responder.open(message)
    else if (message.kind === 'cancel') this.#responder.cancel(message.id, message.failure)
    else if (message.kind === 'credit') this.#responder.credit(message.id, message.units)
    else this.#requester.receive(message)
  }

  /** Ends everything: what this side requested fails with `lost(sent)`, what the other side requested is aborted. */
  close(lost: (sent: boolean) => Error): void {
    this.#requester.close(lost)
    this.#responder.close(lost(true))
  }
}
