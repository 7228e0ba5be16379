/** What a listener gets, and what it is told about events that it did not get. */
import type { Priority } from '../wire/envelope.ts'
import type { SchemaIssue } from './define-event.ts'

export interface MeshEvent<T = unknown> {
  /** `<publisher>/<first word>/<epoch>/<sequence>`, unless the publisher gave one. */
  readonly id: string
  readonly topic: string
  readonly data: T
  /** Peer id of the publisher: proven by its signature. */
  readonly source: string
  /** Milliseconds since 1970 by the publisher's clock, of the whole batch: for people. */
  readonly timestamp: number
  /** The publisher's incarnation. */
  readonly epoch: number
  /** Counts up by one per publisher, epoch and first word of the topic. */
  readonly sequence: number
  readonly type: string | undefined
  /** Version of the definition that it was published with. */
  readonly version: string | undefined
  readonly conversationId: string | undefined
  readonly correlationId: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly priority: Priority
  /** Milliseconds on this node's monotonic clock after which the event is worth nothing. */
  readonly expiresAt: number | undefined
}

/**
 * Events that a subscription did not get and will not get. The numbers count all events of the first word, so some of them
 * may have been of topics that the pattern does not match.
 */
export interface Missed {
  readonly publisher: string
  /** First word of the topic. */
  readonly word: string
  readonly epoch: number
  readonly from: number
  /** Inclusive. */
  readonly to: number
  /** `gap`: it is gone for good, nobody has it. `overflow`: it arrived, and the subscription's queue was full. */
  readonly reason: 'gap' | 'overflow'
}

/** An event whose data does not fit its definition; it is not delivered. */
export interface InvalidEvent {
  readonly id: string
  readonly topic: string
  readonly source: string
  readonly issues: SchemaIssue[]
}

export type Listener<T> = (event: MeshEvent<T>) => void | Promise<void>
