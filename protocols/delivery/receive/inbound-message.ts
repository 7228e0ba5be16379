/** A message that came: as the receiver holds it until it is processed, and as a program sees it. */
import type { Priority } from '../../wire/envelope.ts'
import type { DurableMessage, Guarantee } from '../durable-message.ts'

export interface InboundMessage {
  readonly message: DurableMessage
  readonly source: string
  readonly attempt: number
  /** Monotonic. */
  readonly receivedAt: number
  /** Monotonic. */
  readonly expiresAt: number | undefined
}

/** What came with a message. */
export interface Received<T = unknown> {
  readonly id: string
  readonly type: string
  readonly version: string | undefined
  readonly data: T
  /** Peer id of the sender, proven by Noise. */
  readonly source: string
  readonly destinations: readonly string[]
  readonly guarantee: Guarantee
  readonly conversationId: string | undefined
  readonly correlationId: string | undefined
  readonly replyTo: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly priority: Priority
  /** Milliseconds since 1970 by the sender's clock: for people. */
  readonly timestamp: number
  readonly traceparent: string | undefined
}

export const toReceived = (message: DurableMessage, source: string, data: unknown): Received => ({
  id: message.id,
  type: message.type,
  version: message.version,
  data,
  source,
  destinations: message.destinations,
  guarantee: message.guarantee,
  conversationId: message.conversationId,
  correlationId: message.correlationId,
  replyTo: message.replyTo,
  headers: message.headers,
  priority: message.priority,
  timestamp: message.createdAt,
  traceparent: message.traceparent,
})
