/**
 * What delivery shows of itself, for the debug endpoint and the metrics: counters of what became of messages, gauges, and
 * the figures of this moment. State: the counters.
 */
import type { Metrics } from '../port.ts'
import type { DeliveryFigures } from './api.ts'
import type { Conversations } from './conversations/conversation-log.ts'
import type { DeadLetterStore } from './dead-letters/dead-letter-store.ts'
import type { Inbox } from './inbox/inbox-api.ts'
import type { MessageReceiver, ReceiverCounter } from './receive/receiver.ts'
import type { Outbox } from './send/outbox.ts'
import type { OutboxCounter } from './send/peer/peer-sender-api.ts'

export type DeliveryCounter =
  | OutboxCounter
  | ReceiverCounter
  | 'accepted'
  | 'fired'
  | 'fireDropped'
  | 'waitedForRoom'
  | 'conflicts'
  | 'timeouts'
  | 'reserialized'
  | 'recovered'
  | 'deadLettersDropped'
  | 'inboxFull'
  | 'conversationsForgotten'
  | 'effectsDropped'
  | 'moved'
  | 'receiverGone'
  | 'lateAnswers'
  | 'movedForgotten'
  | 'bindingsForgotten'
  | 'topicAnswers'

export const createDeliveryCounters = (metrics: Metrics) => {
  const counts: Partial<Record<DeliveryCounter, number>> = {}
  const total = metrics.counter('delivery_total', 'What became of durable messages', ['what'])
  return {
    add(what: DeliveryCounter, by = 1): void {
      if (by === 0) return
      counts[what] = (counts[what] ?? 0) + by
      total({ what }, by)
    },
    all: (): Record<string, number> => ({ ...counts }),
  }
}

/** What the figures are of; nothing while the store is not open. */
export interface FigureSources {
  readonly outbox: Pick<Outbox, 'size' | 'bytes' | 'destinations'>
  readonly receiver: Pick<MessageReceiver, 'held' | 'heldBytes' | 'senders'>
  readonly deadLetters: Pick<DeadLetterStore, 'size' | 'bytes'>
  running(): number
  awayMs(peer: string): number
}

export const addDeliveryGauges = (
  metrics: Metrics,
  sources: () => FigureSources | undefined,
  inbox: Pick<Inbox, 'size' | 'bytes'>,
  conversations: Pick<Conversations, 'size'>,
): void => {
  metrics.gauge('delivery_outbox_messages', 'Messages in the outbox', () => sources()?.outbox.size() ?? 0)
  metrics.gauge('delivery_outbox_bytes', 'Bytes in the outbox', () => sources()?.outbox.bytes() ?? 0)
  metrics.gauge(
    'delivery_held_bytes',
    'Bytes of messages that wait for their handler',
    () => sources()?.receiver.heldBytes() ?? 0,
  )
  metrics.gauge('delivery_dead_letters', 'Dead letters on disk', () => sources()?.deadLetters.size() ?? 0)
  metrics.gauge('delivery_inbox_messages', 'Messages in the inbox', () => inbox.size())
  metrics.gauge('delivery_inbox_bytes', 'Bytes in the inbox', () => inbox.bytes())
  metrics.gauge('delivery_conversations', 'Conversations that are remembered', () => conversations.size())
}

export const deliveryFiguresOf = (
  sources: FigureSources | undefined,
  inbox: Pick<Inbox, 'size' | 'bytes'>,
  counts: Record<string, number>,
): DeliveryFigures => {
  const destinations = sources?.outbox.destinations() ?? []
  return {
    outbox: sources?.outbox.size() ?? 0,
    outboxBytes: sources?.outbox.bytes() ?? 0,
    inFlight: destinations.reduce((sum, one) => sum + one.inFlight(), 0),
    held: sources?.receiver.held() ?? 0,
    heldBytes: sources?.receiver.heldBytes() ?? 0,
    running: sources?.running() ?? 0,
    deadLetters: sources?.deadLetters.size() ?? 0,
    deadLetterBytes: sources?.deadLetters.bytes() ?? 0,
    inbox: inbox.size(),
    inboxBytes: inbox.bytes(),
    senders: sources?.receiver.senders() ?? 0,
    counts,
    destinations: destinations.map((one) => ({
      peer: one.peer,
      state: one.state(),
      awayMs: sources?.awayMs(one.peer) ?? 0,
      breaker: one.breaker(),
      waiting: one.size() - one.inFlight(),
      inFlight: one.inFlight(),
    })),
  }
}
