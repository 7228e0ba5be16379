/**
 * Settings of durable messages. The schema is the type, the defaults and the check; an unknown field is refused.
 */
import * as z from 'zod'
import { GUARANTEES } from './durable-message.ts'

const KIB = 1024
const MIB = 1024 * KIB
const DAY_MS = 86_400_000

export const RetryPolicySchema = z.strictObject({
  maxRetries: z
    .int()
    .min(0)
    .max(1_000)
    .default(3)
    .describe('Attempts after the first one, counted only where they reached the peer. 0: one attempt.'),
  initialDelayMs: z
    .int()
    .min(1)
    .max(DAY_MS)
    .default(1_000)
    .describe('Milliseconds before the second attempt; it doubles with each, give or take a quarter.'),
  maxDelayMs: z.int().min(1).max(DAY_MS).default(30_000).describe('Milliseconds between two attempts at most.'),
})
export type RetryPolicy = z.output<typeof RetryPolicySchema>

export const BreakerOptionsSchema = z.strictObject({
  failures: z
    .int()
    .min(0)
    .max(1_000)
    .default(5)
    .describe('Calls to a peer that must fail within windowMs until it is left alone for a while. 0: never.'),
  windowMs: z.int().min(1).max(DAY_MS).default(10_000).describe('Milliseconds in which those failures count.'),
  minWaitMs: z
    .int()
    .min(0)
    .max(DAY_MS)
    .default(1_000)
    .describe(
      'Milliseconds that a call has to wait in vain to count, or as long as its definition gives it. Who gives it less is no judge of the peer.',
    ),
  halfOpenAfterMs: z
    .int()
    .min(1)
    .max(DAY_MS)
    .default(30_000)
    .describe('Milliseconds that calls to it fail at once, before one is let through to see whether it is back.'),
})

export const DeliveryOptionsSchema = z.strictObject({
  guarantee: z
    .enum(GUARANTEES)
    .default('AT_LEAST_ONCE')
    .describe(
      'How often messages of send() may be processed that do not say it themselves. Messages of a transaction are kept in any case.',
    ),
  breaker: BreakerOptionsSchema.prefault({}).describe('When a peer that fails is left alone for a while.'),
  window: z
    .int()
    .min(1)
    .max(1_000)
    .default(100)
    .describe(
      'Messages without an acknowledgement on their way to one peer. More hides a longer delay, and is held at the receiver.',
    ),
  windowBytes: z
    .int()
    .min(KIB)
    .default(4 * MIB)
    .describe('Bytes of messages on their way to one peer without an acknowledgement; one larger message goes alone.'),
  ackTimeoutMs: z
    .int()
    .min(10)
    .max(600_000)
    .default(5_000)
    .describe('Milliseconds without a sign of a message that was sent, until that counts as a failed attempt.'),
  retry: RetryPolicySchema.prefault({}).describe('When a message that was not acknowledged is sent again.'),
  rebindAfterMs: z
    .int()
    .min(100)
    .max(DAY_MS)
    .default(120_000)
    .describe(
      'Milliseconds that the peer of a message to a capability may stay away until the message goes to another one, or, EXACTLY_ONCE, to the dead letters. Less delivers sooner, and more often twice.',
    ),
  outboxMessages: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(100_000)
    .describe('Messages in the outbox, all peers together; beyond it senders wait, then get COM003.'),
  outboxBytes: z
    .int()
    .min(KIB)
    .default(256 * MIB)
    .describe('Bytes of messages in the outbox, all peers together.'),
  outboxMemoryBytes: z
    .int()
    .min(0)
    .default(16 * MIB)
    .describe(
      'Bytes of messages in the outbox that are kept in memory as well; beyond it they are read from the disk when their turn comes.',
    ),
  roomTimeoutMs: z
    .int()
    .min(0)
    .max(DAY_MS)
    .default(30_000)
    .describe('Milliseconds that a sender waits for room in a full outbox.'),
  maxMessageBytes: z
    .int()
    .min(1)
    .max(3 * MIB)
    .default(MIB)
    .describe(
      "Bytes of one message's data. Larger things go by a stream or a file, with a message that tells of them.",
    ),
  concurrency: z
    .int()
    .min(1)
    .max(65_536)
    .default(64)
    .describe('Handlers of messages that run at the same time on this node.'),
  heldBytes: z
    .int()
    .min(KIB)
    .default(32 * MIB)
    .describe(
      'Bytes of messages that were received and wait for their handler, all senders together; beyond it senders are slowed down.',
    ),
  handlerTimeoutMs: z
    .int()
    .min(1)
    .default(30_000)
    .describe('Milliseconds that a handler has, from the start or its last progress().'),
  senders: z
    .int()
    .min(1)
    .default(10_000)
    .describe(
      'Senders whose positions are kept; the one heard longest ago is forgotten first, and only after senderKeepMs.',
    ),
  senderKeepMs: z
    .int()
    .min(1_000)
    .default(30 * DAY_MS)
    .describe(
      'Milliseconds that a silent sender is remembered. What it sends again after that could be processed twice.',
    ),
  deadLetters: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe('Dead letters that are kept; beyond it the oldest are thrown away, and counted.'),
  deadLetterBytes: z
    .int()
    .min(KIB)
    .default(64 * MIB)
    .describe('Bytes of dead letters that are kept.'),
  inboxMessages: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe('Messages in the inbox; beyond it senders get COM003.'),
  inboxBytes: z
    .int()
    .min(KIB)
    .default(64 * MIB)
    .describe('Bytes of messages in the inbox; beyond it senders get COM003.'),
  conversations: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(1_000)
    .describe('Conversations whose messages are remembered, in memory. 0: none.'),
  conversationMessages: z
    .int()
    .min(1)
    .max(100_000)
    .default(1_000)
    .describe('Messages of one conversation that are remembered.'),
  conversationBytes: z
    .int()
    .min(0)
    .default(16 * MIB)
    .describe('Bytes of all conversations that are remembered.'),
  effects: z.int().min(1).default(100_000).describe('Results of effects that are kept by name; the oldest go first.'),
  effectKeepMs: z
    .int()
    .min(1_000)
    .default(7 * DAY_MS)
    .describe('Milliseconds that a result of an effect is kept.'),
})
export type DeliveryOptions = z.input<typeof DeliveryOptionsSchema>
export type ResolvedDeliveryOptions = z.output<typeof DeliveryOptionsSchema>
