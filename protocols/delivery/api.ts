/** What a program sees of durable messages; delivery.ts says what is promised. */
import type { ZodType, z } from 'zod'
import type { Port } from '../port.ts'
import type { Registration } from '../registration.ts'
import type { RequestInWork } from '../request-in-work.ts'
import type { Priority } from '../wire/envelope.ts'
import type { CallEndListener, ConversationCall, Conversations } from './conversations/conversation-log.ts'
import type { DeadLetters, FailedCall } from './dead-letters/dead-letter-store.ts'
import type { MessageDefinition } from './define-message.ts'
import type { WaitOptions } from './delivery-outcome.ts'
import type { Guarantee } from './durable-message.ts'
import type { Inbox } from './inbox/inbox-api.ts'
import type { ResolvedDeliveryOptions, RetryPolicy } from './options.ts'
import type { Received } from './receive/inbound-message.ts'
import type { OutboxEntry, OutboxPage } from './send/outbox-list.ts'
import type { TransactionWrites } from './store/transactions.ts'

/**
 * To whom: a peer id, or the name of an agent where only one has it, whose peer id counts from then on; several of them; or
 * whoever offers a capability: an agent that receives this type of message or serves a protocol of this name. One of those
 * is chosen when the message is sent first; it stays with that one, and so does its conversation, until that peer has been
 * away for `rebindAfterMs` or left for good. Then another one gets what it has not acknowledged: AT_LEAST_ONCE always,
 * EXACTLY_ONCE where `rebind` allows it; else that is a dead letter.
 */
export type To = string | readonly string[] | { readonly capability: string }

export interface SendOptions {
  /**
   * The request on whose behalf it is sent: the message has its delegation chain and, unless told, its priority and trace
   * context. It outlives the request, whose time and signal are not its own. An answer by `reply()` has no chain. Of the budget
   * of the request it has the limits and nothing to spend, since it may be processed more than once: what it may spend is lent
   * (`mesh.budgets`), and the message says the id of the loan.
   */
  parent?: RequestInWork
  /** As the settings say: AT_LEAST_ONCE unless told. */
  guarantee?: Guarantee
  /** Messages of one conversation are processed in the order in which they were sent; others in any order. */
  conversationId?: string
  correlationId?: string
  /**
   * An agent, by peer id or name, or `topic:<name>`: where `reply()` of the receiver's handler goes; to the sender unless
   * told. Of a message to a capability that went on to another agent, both may have answered. The sender is handed the
   * answers of one of them; elsewhere those of the second have the same `correlationId` and another `source`.
   */
  replyTo?: string
  /**
   * Of a message EXACTLY_ONCE to a capability: where its peer stays away, another one gets it. What the first one did with
   * it before counts at that one, so it may be processed by both, once each.
   */
  rebind?: 'allowed'
  headers?: Record<string, string>
  priority?: Priority
  /** Milliseconds after which the message is worth nothing: it is not delivered any more then, and becomes a dead letter. */
  ttlMs?: number
  /** What differs from the settings. */
  retry?: Partial<RetryPolicy>
  traceparent?: string
  /** Ends the waiting for room, not the message. */
  signal?: AbortSignal
}

/** The message is kept by this node and will be delivered. */
export interface MessageReceipt {
  readonly id: string
  /** Peers that it goes to; empty while nobody offers the capability. */
  readonly destinations: readonly string[]
  /**
   * Resolves once every destination has processed it, which may take as long as they are away unless `timeoutMs` is given.
   * It is not forgotten when nobody waits.
   * @throws why it became a dead letter, with `details.deadLetter`; COM001 after `timeoutMs`; the signal's reason
   */
  delivered(options?: WaitOptions): Promise<void>
}

export interface Tx extends TransactionWrites {
  /** Sends with the transaction: the message goes out if and only if the rest of it counts. As `Messages.send`. */
  send<S extends ZodType>(
    to: To,
    message: MessageDefinition<S>,
    data: z.input<S>,
    options?: Omit<SendOptions, 'signal'>,
  ): Promise<void>
}

/** What an answer says beside its data; its correlationId and conversationId are those of the message. */
export type ReplyOptions = Pick<SendOptions, 'guarantee' | 'headers' | 'priority' | 'ttlMs' | 'retry'>

export interface MessageContext<T = unknown> extends RequestInWork {
  readonly message: Received<T>
  /** Committed with the note that the message was processed, when the handler returns; dropped where it throws. */
  readonly tx: Tx
  /** From 1. */
  readonly attempt: number
  /** The same for every attempt at this message, and no other one's: for systems outside of the mesh. */
  readonly idempotencyKey: string
  /** Aborted when the handler has taken too long, and when this node stops. */
  readonly signal: AbortSignal
  /**
   * Answers with the transaction, durably: to the message's `replyTo`, or to its sender. On a topic the answer becomes an
   * event `{ correlationId, requester, value }`, published once the transaction counts, once or more.
   * @throws MSG001 for data that does not fit, and what `tx.send` throws
   */
  reply<S extends ZodType>(message: MessageDefinition<S>, data: z.input<S>, options?: ReplyOptions): Promise<void>
  /** The handler is getting on: it has `handlerTimeoutMs` from now on. */
  progress(): void
  /**
   * Runs `fn` and keeps its result, which must be what CBOR can hold; at the next attempt at this message the result is
   * there and `fn` is not run. Where the process dies between the end of `fn` and the keeping, `fn` runs again: give the
   * outside system the idempotency key.
   */
  effect<R>(name: string, fn: () => Promise<R> | R): Promise<R>
}

export type MessageHandler<T> = (data: T, context: MessageContext<T>) => Promise<void> | void

export interface ReceiveOptions {
  /** Milliseconds that the handler has; the settings' unless told. */
  timeoutMs?: number
  /** One sentence for the directory. */
  description?: string
}

export interface DeliveryFigures {
  /** In the outbox, and bytes of them. */
  readonly outbox: number
  readonly outboxBytes: number
  readonly inFlight: number
  /** Received, and not processed yet. */
  readonly held: number
  readonly heldBytes: number
  readonly running: number
  readonly deadLetters: number
  readonly deadLetterBytes: number
  readonly inbox: number
  readonly inboxBytes: number
  /** Peers whose positions are remembered. */
  readonly senders: number
  readonly counts: Readonly<Record<string, number>>
  readonly destinations: readonly {
    readonly peer: string
    readonly state: 'idle' | 'greeting' | 'up' | 'refused'
    /** How long it has been away while messages wait for it. */
    readonly awayMs: number
    readonly breaker: 'closed' | 'open' | 'half-open'
    readonly waiting: number
    readonly inFlight: number
  }[]
}

export interface Messages {
  /**
   * Keeps a message in this node's outbox, and delivers it.
   * @returns once it is durable here
   * @throws MSG001 and MSG002 for data or options that are not usable, COM002 for a name that nobody has and STA003 for one
   *   that several have, COM003 where the outbox stayed full, STA003 where the disk takes nothing or the node has no data
   *   directory (AT_MOST_ONCE needs none), COM002 and COM004 for a message AT_MOST_ONCE that could not be sent at once
   */
  send<S extends ZodType>(
    to: To,
    message: MessageDefinition<S>,
    data: z.input<S>,
    options?: SendOptions,
  ): Promise<MessageReceipt>
  /**
   * Processes messages of a type. A message that fails is tried again by its sender, and becomes a dead letter there.
   * @returns once the directory tells of it; `stop` resolves once the directory tells of it no more
   * @throws STA003 where the type is received already
   */
  receive<S extends ZodType>(
    message: MessageDefinition<S>,
    handler: MessageHandler<z.output<S>>,
    options?: ReceiveOptions,
  ): Promise<Registration>
  /**
   * Changes what this node keeps and sends messages because of it, all or nothing. `fn` may be run several times, where
   * others changed what it read.
   * @throws what `fn` throws, and nothing counts; STA003
   */
  change<R>(fn: (tx: Tx) => Promise<R> | R): Promise<R>
  /** What handlers and changes keep. */
  readonly state: {
    get(key: string): Promise<unknown>
    list(prefix: string, options?: { limit?: number; after?: string }): Promise<{ key: string; value: unknown }[]>
  }
  /** As `effect` of a handler, by a name that is this node's own, kept for `effectKeepMs`. */
  effect<R>(name: string, fn: () => Promise<R> | R): Promise<R>
  /** What this node sent that was not processed yet. @throws STA003 where the disk cannot be read */
  outbox(page?: OutboxPage): Promise<OutboxEntry[]>
  readonly deadLetters: DeadLetters
  /** Messages of types without a handler. */
  readonly inbox: Inbox
  /** What was said, by conversationId. */
  readonly conversations: Conversations
  figures(): DeliveryFigures
}

/** Messages as the rest of a node sees them. */
export interface MessagesFeature extends Messages {
  /** Puts a call that failed although its recovery was tried with the dead letters; it never throws. */
  addFailedCall(call: FailedCall): void
  /** Puts a call with the conversation that it belongs to. @returns undefined where it is not remembered */
  noteCall(call: ConversationCall): CallEndListener | undefined
  /** Handlers at work, and another number after each sign that they get on. */
  readonly work: { inWork(): number; signs(): number }
  /** Begins no further handler, and waits for those at work, at most so many milliseconds. What waits comes again. */
  drain(timeoutMs: number): Promise<void>
  /** Settings from now on; they must have passed the schema. */
  retune(next: Partial<ResolvedDeliveryOptions>): void
  stop(): Promise<void>
}

export type DeliveryPort = Pick<
  Port,
  'self' | 'clock' | 'timers' | 'log' | 'metrics' | 'random' | 'members' | 'onMember' | 'serve' | 'to'
>
