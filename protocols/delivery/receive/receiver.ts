/**
 * The receiving side of durable messages: sessions of senders, what may run, what is acknowledged when.
 *
 * AT_LEAST_ONCE is acknowledged when its handler returned (and when what it put or sent is durable), EXACTLY_ONCE when the
 * note that it was processed is durable together with what it did. remote-senders.ts says which outbox of a sender counts.
 * State: of each sender what is held. Bounds: the window of each sender, the bytes held of all (senders get a smaller window
 * then), handlers at work.
 */
import { ParleyError, toFault } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { AckRanges } from '../ack-ranges.ts'
import type { WireAckRanges } from '../contract.ts'
import { decodeMessageFrame, type FrameEntry } from '../delivery-frames.ts'
import { type DurableMessage, decodeMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { HandlerRunner } from './handler-runner.ts'
import type { InboundMessage } from './inbound-message.ts'
import { createReceiveWindow, type HeldMessage, type ReceiveWindow } from './receive-window.ts'
import { type RemoteSender, requestHello, toWireAckRanges } from './remote-sender.ts'
import { type OutboxIdentity, RemoteSenders } from './remote-senders.ts'
import { createRunQueue, type RunQueue } from './run-queue.ts'

export interface MessageReceiverDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'to' | 'members'>
  readonly store: RowStore
  readonly settings: ResolvedDeliveryOptions
  readonly runner: Pick<HandlerRunner, 'run'>
  /** What this node keeps is gone when it stops: EXACTLY_ONCE is refused. */
  readonly isVolatile: boolean
  count(what: ReceiverCounter, by?: number): void
}

export type ReceiverCounter =
  | 'received'
  | 'processed'
  | 'duplicates'
  | 'failed'
  | 'beyond'
  | 'forgotten'
  | 'refusedEpochs'
  | 'sendersForgotten'

export interface HelloRequest extends OutboxIdentity {
  readonly session: number
  readonly isRenewing: boolean
  readonly bases: readonly { readonly lane: number; readonly base: number }[]
}

export interface HelloReply {
  window: number
  positions: WireAckRanges
  former?: { epoch: string; positions: WireAckRanges }
}

const HOLD_MS = 1_000
const ASK_AGAIN_MS = 1_000
const PRUNE_MS = 60_000
/** Window of each sender while too much is held. */
const NARROW = 4

interface Runnable {
  readonly sender: RemoteSender
  /** The sender's, when the message came: it has another one once its outbox was replaced. */
  readonly window: ReceiveWindow<InboundMessage>
  readonly held: HeldMessage<InboundMessage>
}

export class MessageReceiver {
  readonly #deps: MessageReceiverDeps
  readonly #queue: RunQueue<Runnable>
  /** Over all senders. */
  readonly #memory = { bytes: 0 }
  #senders: RemoteSenders | undefined
  #isStopped = false
  #isRefusalLogged = false
  #heldToldAt = 0
  #prunedAt = 0

  private constructor(deps: MessageReceiverDeps) {
    this.#deps = deps
    this.#queue = createRunQueue<Runnable>(deps.settings.concurrency, (runnable) => void this.#work(runnable))
  }
}
