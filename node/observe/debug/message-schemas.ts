/**
 * What the debug endpoint shows of durable messages, as data; the node implements MessageSource.
 *
 * As in debug-schemas.ts a field that is not named here never leaves the process. What messages say (`data`, `headers`) is in
 * fields of its own, which the routes leave out for whoever does not show the key of this node.
 */
import * as z from 'zod'

/** Milliseconds since 1970, this node's clock. */
const At = z.number()

export const DeliverySchema = z.object({
  /** Why this node keeps no messages at the moment. */
  problem: z.string().optional(),
  outbox: z.object({ messages: z.number(), bytes: z.number(), inFlight: z.number() }),
  received: z.object({
    /** Received, and not processed yet. */
    held: z.number(),
    bytes: z.number(),
    /** Handlers at work. */
    running: z.number(),
    /** Peers whose positions are remembered. */
    senders: z.number(),
  }),
  inbox: z.object({
    messages: z.number(),
    bytes: z.number(),
    /** What it takes, of what has no handler. */
    types: z.union([z.literal('all'), z.array(z.string())]),
  }),
  deadLetters: z.object({ messages: z.number(), bytes: z.number() }),
  conversations: z.object({ count: z.number(), bytes: z.number() }),
  counts: z.record(z.string(), z.number()),
  /** Those with the most messages first, at most 1000. */
  destinations: z.array(
    z.object({
      id: z.string(),
      /** Empty where it is not known. */
      name: z.string(),
      state: z.enum(['idle', 'greeting', 'up', 'refused']),
      /** How long it has been away while messages wait for it; those to a capability go to another agent then. */
      awayMs: z.number().optional(),
      breaker: z.enum(['closed', 'open', 'half-open']),
      waiting: z.number(),
      inFlight: z.number(),
    }),
  ),
})
export type DeliveryView = z.input<typeof DeliverySchema>

export const DeadLetterSchema = z.object({
  id: z.string(),
  messageId: z.string(),
  type: z.string(),
  /** A call, which cannot be sent again from here. */
  isCall: z.boolean(),
  /** A peer id, `capability:<name>`, or empty. */
  destination: z.string(),
  /** What it was sent to, where that was no peer. */
  capability: z.string().optional(),
  /** Of the peer; empty where it is not known. */
  name: z.string(),
  guarantee: z.string(),
  conversationId: z.string().optional(),
  code: z.string(),
  reason: z.string(),
  hint: z.string().optional(),
  attempts: z.number(),
  firstFailureAt: At,
  lastFailureAt: At,
  bytes: z.number(),
})
export type DeadLetterView = z.input<typeof DeadLetterSchema>

export const DeadLettersSchema = z.object({
  /** Of all. */
  messages: z.number(),
  bytes: z.number(),
  letters: z.array(DeadLetterSchema),
  /** Where the next page begins (`after`); absent where there is nothing behind. */
  next: z.string().optional(),
})
export type DeadLettersView = z.input<typeof DeadLettersSchema>

/** Why, what, and for whom. */
export const GroupingSchema = z.enum(['code', 'type', 'destination'])

export const DeadLetterGroupsSchema = z.object({
  by: GroupingSchema,
  /** Those of most letters first. */
  groups: z.array(
    z.object({
      key: z.string(),
      /** Of the peer, where they are grouped by destination; empty where it is not known. */
      name: z.string(),
      letters: z.number(),
      bytes: z.number(),
      /** Of the letter that died last. */
      reason: z.string(),
      lastFailureAt: At,
    }),
  ),
  /** Letters in smaller groups, which are left out. */
  others: z.number(),
})
export type DeadLetterGroupsView = z.input<typeof DeadLetterGroupsSchema>

export const DeadLetterDetailsSchema = DeadLetterSchema.extend({
  sentAt: z.number(),
  /** What the message says is not shown without the key. */
  isHidden: z.boolean().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  data: z.unknown().optional(),
})
export type DeadLetterDetailsView = z.input<typeof DeadLetterDetailsSchema>

export const RetriedSchema = z.object({ retried: z.number() })
export const PurgedSchema = z.object({ purged: z.number() })

export const ConversationsSchema = z.object({
  count: z.number(),
  conversations: z.array(
    z.object({
      id: z.string(),
      messages: z.number(),
      /** Messages that are not remembered any more. */
      forgotten: z.number(),
      peers: z.array(z.string()),
      firstAt: At,
      lastAt: At,
    }),
  ),
})
export type ConversationsView = z.input<typeof ConversationsSchema>

export const ConversationSchema = z.object({
  id: z.string(),
  isHidden: z.boolean().optional(),
  messages: z.array(
    z.object({
      id: z.string(),
      direction: z.enum(['sent', 'received']),
      type: z.string(),
      isCall: z.boolean(),
      peer: z.string(),
      name: z.string(),
      status: z.enum(['sent', 'delivered', 'moved', 'dead', 'received', 'processed', 'failed', 'answered']),
      code: z.string().optional(),
      attempts: z.number(),
      at: At,
      changedAt: At,
      bytes: z.number(),
      isCut: z.boolean(),
      data: z.unknown().optional(),
    }),
  ),
})
export type ConversationView = z.input<typeof ConversationSchema>

export const InboxSchema = z.object({
  messages: z.number(),
  bytes: z.number(),
  entries: z.array(
    z.object({
      id: z.string(),
      messageId: z.string(),
      type: z.string(),
      source: z.string(),
      name: z.string(),
      guarantee: z.string(),
      conversationId: z.string().optional(),
      sentAt: z.number(),
      receivedAt: At,
      bytes: z.number(),
    }),
  ),
})
export type InboxView = z.input<typeof InboxSchema>

export interface PageQuery {
  readonly limit?: number | undefined
  readonly after?: string | undefined
}

export interface DeadLetterQuery extends PageQuery {
  readonly type?: string | undefined
  readonly destination?: string | undefined
  readonly code?: string | undefined
  /** Words to search for (text-filter.ts). */
  readonly text?: string | undefined
}

export interface MessageSource {
  delivery(): DeliveryView
  deadLetters(query: DeadLetterQuery): Promise<Pick<DeadLettersView, 'letters' | 'next'>>
  letterGroups(by: DeadLetterGroupsView['by']): Promise<DeadLetterGroupsView>
  /** @throws STA001 */
  deadLetter(id: string): Promise<DeadLetterDetailsView>
  /** @throws STA001, STA003, and what sending throws */
  retry(id: string, to: string | undefined): Promise<void>
  /** @throws STA001 */
  purge(id?: string): Promise<number>
  conversations(limit: number | undefined): ConversationsView
  conversation(id: string): ConversationView
  inbox(page: PageQuery & { type?: string | undefined }): Promise<InboxView>
}
