/**
 * Settings of durable messages. The schema is the type, the defaults and the check; an unknown field is refused.
 * Defaults: seed 002 and 003 (retries, waits, window, breaker).
 */
import * as z from 'zod'

const KIB = 1024
const MIB = 1024 * KIB
const DAY_MS = 86_400_000

export const RetryPolicySchema = z.strictObject({
  /** Attempts after the first one, counted only where they reached the peer. 0: one attempt. */
  maxRetries: z.int().min(0).max(1_000).default(3),
  /** Milliseconds before the second attempt; it doubles with each, give or take a quarter. */
  initialDelayMs: z.int().min(1).max(DAY_MS).default(1_000),
  /** Milliseconds between two attempts at most. */
  maxDelayMs: z.int().min(1).max(DAY_MS).default(30_000),
})
export type RetryPolicy = z.output<typeof RetryPolicySchema>

export const BreakerOptions = z.strictObject({
  /** Calls to a peer that must fail within windowMs until it is left alone for a while. 0: never. */
  failures: z.int().min(0).max(1_000).default(5),
  /** Milliseconds. */
  windowMs: z.int().min(1).max(DAY_MS).default(10_000),
  /** Milliseconds that calls to it fail at once, before one is let through to see whether it is back. */
  halfOpenAfterMs: z.int().min(1).max(DAY_MS).default(30_000),
})

export const DeliverySettings = z.strictObject({
  breaker: BreakerOptions.prefault({}),
  /** Messages without an acknowledgement on their way to one peer. More hides a longer delay, and is held at the receiver. */
  window: z.int().min(1).max(1_000).default(100),
  /** Bytes of them; one larger message goes alone. */
  windowBytes: z
    .int()
    .min(KIB)
    .default(4 * MIB),
  /** Milliseconds without a sign of a message that was sent, until that counts as a failed attempt. */
  ackTimeoutMs: z.int().min(10).max(600_000).default(5_000),
  retry: RetryPolicySchema.prefault({}),
  /** Messages in the outbox, all peers together; beyond it senders wait, then get COM003. */
  outboxMessages: z.int().min(1).max(10_000_000).default(100_000),
  /** Bytes of them. */
  outboxBytes: z
    .int()
    .min(KIB)
    .default(256 * MIB),
  /** Bytes of messages in the outbox that are kept in memory as well; beyond it they are read from the disk when their turn comes. */
  outboxMemoryBytes: z
    .int()
    .min(0)
    .default(16 * MIB),
  /** Milliseconds that a sender waits for room in a full outbox. */
  roomTimeoutMs: z.int().min(0).max(DAY_MS).default(30_000),
  /** Bytes of one message's data. Larger things go by a stream or a file, with a message that tells of them. */
  maxMessageBytes: z
    .int()
    .min(1)
    .max(3 * MIB)
    .default(MIB),
  /** Handlers of messages that run at the same time on this node. */
  concurrency: z.int().min(1).max(65_536).default(64),
  /** Bytes of messages that were received and wait for their handler, all senders together; beyond it senders are slowed down. */
  heldBytes: z
    .int()
    .min(KIB)
    .default(32 * MIB),
  /** Milliseconds that a handler has, from the start or its last progress(). */
  handlerTimeoutMs: z.int().min(1).default(30_000),
  /** Senders whose positions are kept; the one heard longest ago is forgotten first, and only after senderKeepMs. */
  senders: z.int().min(1).default(10_000),
  /** Milliseconds that a silent sender is remembered. What it sends again after that could be processed twice. */
  senderKeepMs: z
    .int()
    .min(1_000)
    .default(30 * DAY_MS),
  deadLetters: z.int().min(1).max(1_000_000).default(10_000),
  deadLetterBytes: z
    .int()
    .min(KIB)
    .default(64 * MIB),
  /** Messages in the inbox; beyond it senders get COM003. */
  inboxMessages: z.int().min(1).max(1_000_000).default(10_000),
  inboxBytes: z
    .int()
    .min(KIB)
    .default(64 * MIB),
  /** Conversations whose messages are remembered, messages of each, and bytes of all, in memory. 0: none. */
  conversations: z.int().min(0).max(1_000_000).default(1_000),
  conversationMessages: z.int().min(1).max(100_000).default(1_000),
  conversationBytes: z
    .int()
    .min(0)
    .default(16 * MIB),
  /** Results of effects that are kept by name, and for how long. */
  effects: z.int().min(1).default(100_000),
  effectKeepMs: z
    .int()
    .min(1_000)
    .default(7 * DAY_MS),
})
export type DeliveryOptions = z.input<typeof DeliverySettings>
export type Settings = z.output<typeof DeliverySettings>
