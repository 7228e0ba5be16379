/**
 * Events: publish and subscribe by topic, over gossip, without a broker.
 *
 * Promises: each event reaches a listener at most once, and those of one publisher under one first word in order. What
 * was published after a subscribe() that resolved is not lost without a word: both sides make sure that they know of each
 * other first (subscription-sync.ts), a gap is noticed by the next batch or by what the publisher tells of itself
 * (publisher-heads.ts), filled out of the history of whoever has it (gap-repair.ts), and what is gone for good is reported
 * through `onMissed`, and never comes. A subscription may start in the past, be acknowledged (then an event may come more
 * than once), and keep its position (catchup-subscription.ts).
 *
 * The way out: check, serialize (publish.ts), gather, sign, gossip (batch-producer.ts), history. The way in: gossip,
 * signature (batch-validator.ts), its turn (reorder-buffer.ts), history, delivery (ingest.ts), read, schema
 * (event-dispatch.ts), queue, listener (subscription-queue.ts). Wire: batch.proto; protocol.ts.
 * State: soft, dropped at stop, but for what the store keeps of history and positions.
 */

import { type EventChains, type HearChain, NO_CHAINS } from '../interceptors/chains.ts'
import type { Quota } from '../limits/quota.ts'
import { createRegistration } from '../registration.ts'
import type { Events, EventsFigures, EventsPort, TopicFigures } from './api.ts'
import { EventChannels } from './channels/channels.ts'
import { createEventRegistry } from './define-event.ts'
import type { MeshEvent } from './event.ts'
import { createEventCounters, registerEventGauges } from './event-counters.ts'
import type { EventTraffic } from './event-traffic.ts'
import { createHistory } from './history/history.ts'
import type { EventStore } from './history/history-contract.ts'
import { checkEventsOptions, type EventsOptions, type EventsSettings } from './options.ts'
import { createPublish, interceptPublish, type Publish } from './publish/publish.ts'
import { EventDispatch, type LocalSubscription } from './receive/event-dispatch.ts'
import type { TopicEntry } from './receive/topic-table.ts'
import { createCatchupRegistry } from './replay/catchup-registry.ts'
import { createDurableCursors } from './replay/durable-cursors.ts'
import { createCatalogQuery } from './replay/history-catalog.ts'
import { Subscriptions } from './subscribe.ts'
import { firstWord, isOpen } from './topic.ts'

/** Where emit() publishes a type that the settings do not name. */
export const DEFAULT_TOPIC = 'task.events.default'

const RATE_OVER_MS = 1000

/** Events a second since the last sample; a new sample is taken when the old one is a second old. */
const rateOf = (topic: TopicEntry<LocalSubscription>, nowMs: number): number => {
  const total = topic.published + topic.received
  const elapsedMs = nowMs - topic.sampledAt
  if (elapsedMs >= RATE_OVER_MS) {
    topic.rate = ((total - topic.sampled) * 1000) / elapsedMs
    topic.sampled = total
    topic.sampledAt = nowMs
  }
  return topic.rate
}

/**
 * @param options see EventsSettings
 * @param store where history and positions outlive this run; in memory without one
 * @param quota over all that the node keeps on disk
 * @param chains interceptors of events
 * @throws MSG001 for settings that are not usable
 */
export const createEvents = (
  port: EventsPort,
  options: EventsOptions = {},
  store?: EventStore,
  quota?: Quota,
  chains: EventChains = NO_CHAINS,
): Events & {
  /** Of the mesh itself: they pass no interceptors. */
  own: Events
  /** Settings from now on; what was made by the former ones (histories, subscriptions) stays as it is. */
  retune(next: Partial<EventsSettings>): void
  /** Open subscriptions of this node by pattern. */
  listening(): Map<string, number>
  /** What passed by type of message, since the start. */
  traffic(): EventTraffic
} => {
  const settings = checkEventsOptions(options)
  const counters = createEventCounters(port)
  const registry = createEventRegistry(settings.events)
  const dispatch = new EventDispatch(port, registry, settings.recentEvents, counters)
  const history = createHistory(settings, store, () => port.clock.monotonic(), port.log, quota)
  const readers = createCatchupRegistry()
  const cursors = createDurableCursors(port, store)
  const channels = new EventChannels(port, settings, dispatch, counters, history, readers)
  const publishOwn = createPublish(port, settings, (word) => channels.producerOf(word), dispatch, counters)
  const publish = chains.publish === undefined ? publishOwn : interceptPublish(publishOwn, chains.publish)
  const catalogs = createCatalogQuery(port, history, (series, peer) => channels.retrieval.holds(series, peer))
  const subscriptions = new Subscriptions({ port, settings, channels, dispatch, counters, readers, catalogs }, cursors)
  let stopping: Promise<void> | undefined

  const figures = (topic: TopicEntry<LocalSubscription>, nowMs: number): TopicFigures => ({
    topic: topic.name,
    published: topic.published,
    received: topic.received,
    rate: rateOf(topic, nowMs),
    subscribers: dispatch.listeners(topic).length,
    peers: channels.peers(topic.word),
  })

  const all = (): EventsFigures => {
    const { bytes: historyBytes, events: historyEvents, unkept: historyUnkept } = history.figures()
    return {
      historyBytes,
      historyEvents,
      historyUnkept,
      waitingBytes: channels.waitingBytes(),
      queuedBytes: channels.queuedBytes(),
      queuedEvents: [...dispatch.all()].reduce((sum, { queue }) => sum + (queue?.size() ?? 0), 0),
      readingBytes: [...readers.all()].reduce((sum, reader) => sum + reader.bytes(), 0),
      ...counters.totals(),
    }
  }
  registerEventGauges(port, all)

  const stop = async (): Promise<void> => {
    await channels.stop(settings.syncMs)
    subscriptions.closeAll()
    await cursors.settled()
    await store?.close()
  }

  const through = (send: Publish, chain: HearChain | undefined): Pick<Events, 'publish' | 'emit' | 'subscribe'> => ({
    publish: send,
    emit: (type, data, given) => send(settings.topics[type] ?? DEFAULT_TOPIC, data, { ...given, type }),
    subscribe: (target, listener, given) => subscriptions.subscribe(target, listener, given, chain),
  })

  const events = {
    ...through(publish, chains.hear),
    topics() {
      const nowMs = port.clock.monotonic()
      return dispatch.topics.all().map((topic) => figures(topic, nowMs))
    },
    hasAudience(topic: string) {
      const word = firstWord(topic)
      const isHeard = ({ pattern }: LocalSubscription): boolean => isOpen(pattern) || firstWord(pattern) === word
      return channels.peers(word) > 0 || [...dispatch.all()].some(isHeard)
    },
    traffic: counters.traffic,
    listening() {
      const found = new Map<string, number>()
      for (const { pattern } of dispatch.all()) found.set(pattern, (found.get(pattern) ?? 0) + 1)
      return found
    },
    cursor: (topic: string) => subscriptions.cursor(topic),
    figures: all,
    recent: () => dispatch.recent.list(),
    retune(next: Partial<EventsSettings>) {
      Object.assign(settings, next)
    },
    onEvent: (fn: (event: MeshEvent) => void) => createRegistration(dispatch.tap(fn)),
    stop() {
      stopping ??= stop()
      return stopping
    },
  }
  return { ...events, own: { ...events, ...through(publishOwn, undefined) } }
}
