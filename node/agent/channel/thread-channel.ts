/**
 * Exchanges between two threads, in both directions: each side asks the other, for one answer or for a stream of items.
 *
 * State: the open exchanges (asking.ts, answering.ts). Guarantees: every exchange ends, by its answer, its signal, or the
 * end of the channel; at most `maxOpen` exchanges and `maxBytes` of requests are open in each direction, a cancelled one
 * until the other side is done with it; items are sent only against credit. Ordered like the port under it.
 */

import { type ChannelRequester, createChannelRequester } from './channel-requester.ts'
import { type ChannelRequestHandler, createChannelResponder } from './channel-responder.ts'
import type { TransferableError } from './transferable-error.ts'

export type ChannelMessage =
  /** Without credit the asker expects one answer. */
  | { kind: 'open'; id: number; body: unknown; bytes: Uint8Array | undefined; credit: number }
  | { kind: 'item'; id: number; value: unknown }
  /** Something on the side, before the answer. */
  | { kind: 'aside'; id: number; value: unknown }
  | { kind: 'end'; id: number; value: unknown }
  | { kind: 'fail'; id: number; failure: TransferableError }
  | { kind: 'cancel'; id: number; failure: TransferableError }
  | { kind: 'credit'; id: number; units: number }

/** @throws DataCloneError for what cannot be posted */
export type PostChannelMessage = (message: ChannelMessage, transfer: ArrayBuffer[]) => void

export interface ThreadChannelOptions {
  post: PostChannelMessage
  /** Carries out what the other side asks for. */
  answer: ChannelRequestHandler
  /** Told of every error that is no ParleyError; the other side gets `unexpected` instead. */
  failed(error: unknown, body: unknown): void
  unexpected: string
  maxOpen: number
  maxBytes: number
  /** Who is asked, for messages: `the agent`. */
  other: string
}

export interface ThreadChannel extends Pick<ChannelRequester, 'ask' | 'stream' | 'size' | 'idle'> {
  receive(message: ChannelMessage): void
  /** Ends everything: what was asked here fails with `lost(sent)`, what was asked there is aborted. */
  close(lost: (sent: boolean) => Error): void
}

export const createThreadChannel = (options: ThreadChannelOptions): ThreadChannel => {
  const asking = createChannelRequester(options)
  const answering = createChannelResponder(options)
  return {
    ask: asking.ask,
    stream: asking.stream,
    size: asking.size,
    idle: asking.idle,
    receive(message) {
      switch (message.kind) {
        case 'open':
          return answering.open(message)
        case 'cancel':
          return answering.cancel(message.id, message.failure)
        case 'credit':
          return answering.credit(message.id, message.units)
        default:
          return asking.receive(message)
      }
    },
    close(lost) {
      asking.close(lost)
      answering.close(lost(true))
    },
  }
}
