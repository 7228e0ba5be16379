/** What delivery counts, for the debug endpoint and the metrics. State: the counters. */
import type { Metrics } from '../port.ts'
import type { OutboxCount } from './destination-api.ts'
import type { ReceivingCount } from './receiving.ts'

export type DeliveryCount =
  | OutboxCount
  | ReceivingCount
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

export const createCounts = (metrics: Metrics) => {
  const counts: Partial<Record<DeliveryCount, number>> = {}
  const total = metrics.counter('delivery_total', 'What became of durable messages', ['what'])
  return {
    add(what: DeliveryCount, by = 1): void {
      if (by === 0) return
      counts[what] = (counts[what] ?? 0) + by
      total({ what }, by)
    },
    all: (): Record<string, number> => ({ ...counts }),
  }
}
