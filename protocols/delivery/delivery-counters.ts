/** What delivery counts, for the debug endpoint and the metrics. State: the counters. */
import type { Metrics } from '../port.ts'
import type { ReceiverCounter } from './receive/receiver.ts'
import type { OutboxCounter } from './send/peer-sender-api.ts'

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
