/**
 * The figures of the events feature. Labels are bounded: the first 50 first words by name, all others as `other`.
 *
 * Counted per batch where that is possible, so that the hot path does not pay per event.
 */
import { type Code, ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import type { EventsFigures } from './api.ts'
import type { DecodedBatch } from './batch/batch-decoder.ts'
import { createEventTraffic } from './event-traffic.ts'

const MAX_LABELS = 50

/**
 * Why an event did not reach a listener. `overflow`: queue full; `expired`: its ttl was over; `invalid`: not what its
 * definition says; `malformed`: it could not be read; `intercepted`: an interceptor of this node did not pass it on.
 */
export type EventDropReason = 'overflow' | 'expired' | 'invalid' | 'malformed' | 'intercepted'

/** Why a batch was not let in. */
export type BatchRefusal = 'malformed' | 'overloaded' | 'foreign' | 'signature' | 'unchecked' | 'duplicate' | 'stale'

/** Why publish() rejected. */
export type PublishRejectReason = 'invalid' | 'unserializable' | 'overloaded' | 'failed'

const REJECTED: Partial<Record<Code, PublishRejectReason>> = {
  MSG001: 'invalid',
  MSG002: 'unserializable',
  COM003: 'overloaded',
}

export const createEventCounters = ({ metrics }: Pick<Port, 'metrics'>) => {
  const { counter } = metrics
  const published = counter('events_published_total', 'Events handed to gossip', ['topic'])
  const alone = counter('events_without_recipients_total', 'Events handed to gossip that no peer was there for', [
    'topic',
  ])
  const received = counter('events_received_total', 'Events in verified batches', ['topic'])
  const missed = counter('events_missed_total', 'Events that are gone for good: nobody who could be asked had them', [
    'topic',
  ])
  const unread = counter('events_unread_total', 'Events that were gone before a subscription that reads came to them', [
    'topic',
  ])
  const repaired = counter('events_repaired_total', 'Events that a neighbour was asked for and gave')
  const unrepaired = counter('event_gaps_unrepaired_total', 'Gaps that were given up')
  const unkept = counter('event_batches_unkept_total', 'Batches behind a gap that there was no room for')
  const replayed = counter('events_replayed_total', 'Events handed to subscriptions that read')
  const redelivered = counter(
    'events_redelivered_total',
    'Attempts to hand out an event again that was not acknowledged',
  )
  const givenUp = counter('events_given_up_total', 'Events that were not acknowledged in the last attempt')
  const totals = { repaired: 0, missed: 0, replayed: 0, redelivered: 0, givenUp: 0 }
  const batches = counter('event_batches_total', 'Batches handed to gossip or let in', ['direction'])
  const refused = counter('event_batches_refused_total', 'Batches that were not let in', ['reason'])
  const dropped = counter('events_dropped_total', 'Events that arrived and did not reach a listener', ['reason'])
  const rejected = counter('events_rejected_total', 'Events that publish() refused or could not send', ['reason'])
  const failures = counter('event_listener_errors_total', 'Listeners that threw', ['topic'])
  const unfollowed = counter('event_words_unfollowed_total', 'First words not followed because there are too many')

  const traffic = createEventTraffic()
  const labels = new Set<string>()
  const label = (word: string): { topic: string } => {
    if (!labels.has(word) && labels.size < MAX_LABELS) labels.add(word)
    return { topic: labels.has(word) ? word : 'other' }
  }

  return {
    sent(word: string, events: number, recipients: number, bytes: Uint8Array) {
      traffic.sent(word, events, bytes)
      published(label(word), events)
      if (recipients === 0) alone(label(word), events)
      batches({ direction: 'out' })
    },
    received(batch: DecodedBatch) {
      traffic.received(batch)
      received(label(batch.word), batch.spans.length / 2)
      batches({ direction: 'in' })
    },
    /** A batch that could not be handed to gossip. */
    unsent(events: number) {
      traffic.unsent()
      rejected({ reason: 'failed' }, events)
    },
    traffic: traffic.all,
    /** Since the start. */
    totals: (): Readonly<typeof totals> => totals,
    missed(word: string, events: number) {
      totals.missed += events
      missed(label(word), events)
      unrepaired()
    },
    /** Gone before a subscription that reads came to them. */
    unread(word: string, events: number) {
      totals.missed += events
      unread(label(word), events)
    },
    repaired(events: number) {
      totals.repaired += events
      repaired({}, events)
    },
    unkept: () => unkept(),
    replayed() {
      totals.replayed += 1
      replayed()
    },
    redelivered() {
      totals.redelivered += 1
      redelivered()
    },
    givenUp() {
      totals.givenUp += 1
      givenUp()
    },
    refused(reason: BatchRefusal) {
      traffic.refused()
      refused({ reason })
    },
    dropped: (reason: EventDropReason) => dropped({ reason }),
    /** By the code of what publish() threw. */
    rejectedFor(error: unknown) {
      const reason = error instanceof ParleyError ? REJECTED[error.code] : undefined
      rejected({ reason: reason ?? 'failed' })
    },
    listenerFailed: (word: string) => failures(label(word)),
    unfollowed: () => unfollowed(),
  }
}

/** Sizes of now, each read when somebody asks for the metrics. */
export const registerEventGauges = ({ metrics }: Pick<Port, 'metrics'>, figures: () => EventsFigures): void => {
  const gauge = (name: string, help: string, key: keyof EventsFigures): void =>
    metrics.gauge(name, help, () => figures()[key])
  gauge('events_held_bytes', 'Bytes of batches kept for those that missed them or come late', 'historyBytes')
  gauge('events_held', 'Events kept for those that missed them or come late', 'historyEvents')
  gauge('events_waiting_bytes', 'Bytes of batches that wait behind a gap', 'waitingBytes')
  gauge('events_queued_bytes', 'Bytes of events that wait to be sent', 'queuedBytes')
  gauge('events_queued', 'Events that wait for listeners on this node', 'queuedEvents')
  gauge('events_reading_bytes', 'Bytes of batches that wait for listeners that read', 'readingBytes')
}

export type EventCounters = ReturnType<typeof createEventCounters>
