/**
 * Events: publish and subscribe by topic, over gossip, without a broker.
 *
 * Promises: each event reaches a listener at most once, and those of one publisher under one first word in order, but
 * for one that was reported missed and came late. A publish after a subscribe() that resolved is not lost without a word:
 * both sides make sure that they know of each other first (reach.ts), and the receipt says to how many peers the event
 * went. Delivery is best effort: a gap in the numbers is reported through `onMissed`, and what a neighbour still holds of
 * it comes late (repair.ts).
 *
 * The way out: check, serialize, gather (outlet.ts), sign, gossip. The way in: gossip, signature, replay (inlet.ts),
 * read, schema, queue, listener (dispatch.ts). Wire: batch.proto; protocol.ts.
 * State: soft, dropped at stop.
 */
import { ParleyError } from '../errors.ts'
import type { Events, EventsPort, TopicFigures } from './api.ts'
import { createCounters } from './counters.ts'
import { createRegistry } from './define-event.ts'
import { createDispatch, type Sub } from './dispatch.ts'
import { type EventsOptions, EventsSettings, type Settings } from './options.ts'
import { createPublish } from './publish.ts'
import { createSubscribe } from './subscribe.ts'
import { checkTopic } from './topic.ts'
import type { Topic } from './topic-table.ts'
import { createWords } from './words.ts'

/** Where emit() publishes a type that the settings do not name. */
export const DEFAULT_TOPIC = 'task.events.default'

const RATE_OVER_MS = 1000

const checkSettings = (options: EventsOptions): Settings => {
  const result = EventsSettings.safeParse(options)
  if (result.success) {
    for (const topic of Object.values(result.data.topics)) checkTopic(topic)
    return result.data
  }
  const what = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
  throw new ParleyError('MSG001', `the settings of events are not usable: ${what}`, { hint: 'see EventsSettings' })
}

/** Events a second since the last sample; a new sample is taken when the old one is a second old. */
const rateOf = (topic: Topic<Sub>, nowMs: number): number => {
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
 * @throws MSG001 for settings that are not usable
 */
export const createEvents = (port: EventsPort, options: EventsOptions = {}): Events => {
  const settings = checkSettings(options)
  const counters = createCounters(port)
  const dispatch = createDispatch(port, createRegistry(settings.events), settings.recentEvents, counters)
  const words = createWords(port, settings, dispatch, counters)
  const publish = createPublish(port, settings, words, dispatch, counters)
  const { subscribe, closeAll } = createSubscribe(port, settings, words, dispatch, counters)
  let stopping: Promise<void> | undefined

  const figures = (topic: Topic<Sub>, nowMs: number): TopicFigures => ({
    topic: topic.name,
    published: topic.published,
    received: topic.received,
    rate: rateOf(topic, nowMs),
    subscribers: dispatch.listeners(topic).length,
    peers: words.peers(topic.word),
  })

  const stop = async (): Promise<void> => {
    await words.stop(settings.syncMs)
    closeAll()
  }

  return {
    publish,
    emit: (type, data, given) => publish(settings.topics[type] ?? DEFAULT_TOPIC, data, { ...given, type }),
    subscribe,
    topics() {
      const nowMs = port.clock.monotonic()
      return dispatch.topics.all().map((topic) => figures(topic, nowMs))
    },
    recent: () => dispatch.recent.list(),
    onEvent: (fn) => dispatch.tap(fn),
    stop() {
      stopping ??= stop()
      return stopping
    },
  }
}
