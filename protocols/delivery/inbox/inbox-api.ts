/** What a program sees of its inbox; inbox.ts says what is promised. */
import type { Registration } from '../../registration.ts'
import type { MessageDefinition } from '../define-message.ts'
import type { Guarantee } from '../durable-message.ts'
import type { Received } from '../receive/inbound-message.ts'

/** A type, or a definition, whose version the directory tells then; nothing is checked against its schema here. */
export type InboxType = string | Pick<MessageDefinition, 'type' | 'version'>

export interface InboxEntry {
  /** Of its place in the inbox; they are in the order in which the messages came. */
  readonly id: string
  readonly messageId: string
  readonly type: string
  /** Peer id of the sender, proven by Noise. */
  readonly source: string
  readonly guarantee: Guarantee
  readonly conversationId: string | undefined
  /** Milliseconds since 1970, by the sender's clock and by this node's. */
  readonly sentAt: number
  readonly receivedAt: number
  readonly bytes: number
}

export interface InboxItem extends InboxEntry {
  /** With its data, which was checked against no schema. */
  readonly message: Received
  /** Removes it; doing so twice is harmless. @throws STA003, and it is handed out again */
  done(): Promise<void>
  /** It is not done, and is handed out again. */
  release(): void
}

export interface InboxQuery {
  /** 1 to 1000, 100 unless told. */
  readonly limit?: number
  /** Id of the last entry that was seen. */
  readonly after?: string
  readonly type?: string
  readonly conversationId?: string
  readonly source?: string
}

export interface InboxNextOptions {
  readonly type?: string
  readonly signal?: AbortSignal
}

export interface Inbox {
  /**
   * Takes messages of these types, or of all, as long as they have no handler. Types that are named are told in the
   * directory, so that messages to the capability come here.
   * @returns ends the taking; what lies here stays
   * @throws STA003 without a data directory, MSG001 for a type that is not usable, COM003 for more than 64 types
   */
  open(options?: { types?: 'all' | readonly InboxType[] }): Promise<Registration>
  /** Oldest first. */
  list(query?: InboxQuery): Promise<InboxEntry[]>
  /** @throws STA001 */
  read(id: string): Promise<InboxItem>
  /** @throws STA001 */
  remove(id: string): Promise<void>
  /** Throws all of it away. @returns how many */
  clear(): Promise<number>
  /**
   * The oldest message that nobody has been handed, once there is one. It counts as handed out until it is done or
   * released, or this node starts anew.
   * @throws the signal's reason; COM002 when the node stops, COM003 where 1000 wait already
   */
  next(options?: InboxNextOptions): Promise<InboxItem>
  /** One after the other; ends when the node stops. What is not done by then, or when the loop is left, is released. */
  items(options?: InboxNextOptions): AsyncGenerator<InboxItem, void, undefined>
  size(): number
  bytes(): number
  /** What is taken now. */
  types(): 'all' | string[]
  /** Told of each message once it is kept. */
  onMessage(fn: (entry: InboxEntry) => void): Registration
}
