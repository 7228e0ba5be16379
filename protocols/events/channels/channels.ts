/**
 * The first words that this node publishes or hears: each is one gossip topic, `events/<word>`.
 *
 * A word is held while there is a subscription on it, while this node publishes under it, or while a wildcard
 * subscription is open and a neighbour is subscribed to it. Who publishes a word subscribes to it, so that wildcards
 * elsewhere find it. Bounded by `maxWords`; a word too many is refused, or, for a wildcard, not followed and counted. What
 * comes in is incoming.ts.
 */
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import { signingPrefix } from '../batch/batch-encoder.ts'
import { createDirectRecipients } from '../batch/direct-recipients.ts'
import type { EventCounters } from '../event-counters.ts'
import type { History } from '../history/history.ts'
import type { EventsSettings } from '../options.ts'
import {
  type BatchProducer,
  type ChannelProducer,
  createBatchProducer,
  type SendBudget,
} from '../publish/batch-producer.ts'
import { type BatchValidator, tryDecodeBatch } from '../receive/batch-validator.ts'
import { type EventDispatch, eventId } from '../receive/event-dispatch.ts'
import type { Retrieve } from '../repair/retrieve.ts'
import type { CatchupRegistry } from '../replay/catchup-registry.ts'
import type { SeriesPosition } from '../replay/start-position.ts'
import { isFirstWord } from '../topic.ts'
import { createEventIngest, type EventIngestPort } from './ingest.ts'
import {
  createSubscriptionSync,
  createSyncedTopic,
  type SubscriptionSync,
  type SubscriptionSyncPort,
  type SyncedTopic,
} from './subscription-sync.ts'

const GOSSIP_PREFIX = 'events/'
export type EventChannelsPort = SubscriptionSyncPort & EventIngestPort & Pick<Port, 'hash' | 'metrics'>

export interface EventChannel {
  readonly name: string
  readonly syncedTopic: SyncedTopic
  producer: ChannelProducer | undefined
  /** Subscriptions on this very word. */
  subscriptions: number
}

interface Held extends EventChannel {
  readonly inlet: BatchValidator
  readonly unsubscribe: Stop
  /** Number of the last event that was sent. */
  lastSent: number
  /** The same when each neighbour was first seen to hear the word. */
  readonly seenAt: Map<string, number>
}

export interface EventChannels {
  readonly sync: SubscriptionSync
  readonly retrieve: Retrieve
  /**
   * The word, subscribed to.
   * @throws COM003 when there are too many
   */
  acquire(name: string): EventChannel
  /** The word's way out, made when it is first used. */
  producerOf(name: string): ChannelProducer
  /** Lets go of a word that nothing needs any more. */
  release(name: string): void
  /** Takes up the words that neighbours are subscribed to and lets go of others, for the sake of wildcards. */
  followNeighbours(): void
  all(): EventChannel[]
  /** Neighbours subscribed to the word. */
  peers(name: string): number
  queuedBytes(): number
  /** Bytes of batches behind a gap. */
  waitingBytes(): number
  /** How far a publisher is, as it was let in here, or published. */
  position(publisher: string, word: string): SeriesPosition | undefined
  /** Who was heard under a word, this node included. */
  publishers(word: string): string[]
  /** Sends what waits, for at most `timeoutMs`, and ends. */
  stop(timeoutMs: number): Promise<void>
}

export const createEventChannels = (
  port: EventChannelsPort,
  settings: EventsSettings,
  dispatch: EventDispatch,
  counters: EventCounters,
  history: History,
  readers: CatchupRegistry,
): EventChannels => {
  const words = new Map<string, Held>()
  const prefix = signingPrefix(port.self.mesh)
  const budget: SendBudget = { queuedBytes: 0 }
  const circle = createDirectRecipients(port)
  let stopped = false

  const topicOf = (name: string): string => `${GOSSIP_PREFIX}${name}`
  const neighbourWords = (): Set<string> => {
    const topics = port.gossip.topics().filter((topic) => topic.startsWith(GOSSIP_PREFIX))
    return new Set(topics.map((topic) => topic.slice(GOSSIP_PREFIX.length)).filter(isFirstWord))
  }

  const incoming = createEventIngest(port, settings, dispatch, counters, history, readers, circle, {
    topicOf,
    hears: (name) => words.has(name),
    inletOf: (name) => words.get(name)?.inlet,
  })
  const { heads, reorderBuffer } = incoming

  const hold = (name: string): Held => {
    if (stopped)
      throw new ParleyError('COM002', 'this mesh has stopped', { hint: 'publish and subscribe before stop()' })
    const known = words.get(name)
    if (known !== undefined) return known
    if (words.size >= settings.maxWords) {
      throw new ParleyError('COM003', `${words.size} first words are in use, ${JSON.stringify(name)} is one too many`, {
        hint: 'put what varies into a later word of the topic, or raise maxWords',
      })
    }
    const topic = topicOf(name)
    const word: Held = {
      name,
      syncedTopic: createSyncedTopic(topic),
      producer: undefined,
      subscriptions: 0,
      lastSent: 0,
      seenAt: new Map(),
      ...incoming.subscribe(name, topic),
    }
    words.set(name, word)
    for (const reader of readers.of(name)) {
      reader
        .begin(name)
        .catch((error: unknown) => port.log.error('it was not found out what is held', { word: name, error }))
    }
    return word
  }

  const release = (name: string): void => {
    const word = words.get(name)
    if (word === undefined || word.subscriptions > 0 || word.producer !== undefined) return
    if (dispatch.wildcards() > 0 && neighbourWords().has(name)) return
    words.delete(name)
    word.unsubscribe()
    reorderBuffer.stopListening(name)
  }

  const follow = (): void => {
    if (stopped || dispatch.wildcards() === 0) return
    const wanted = neighbourWords()
    for (const name of words.keys()) if (!wanted.has(name)) release(name)
    for (const name of wanted) {
      if (words.has(name)) continue
      if (words.size >= settings.maxWords) counters.unfollowed()
      else hold(name)
    }
  }

  /** Notes from which number on a neighbour hears what is sent here. */
  const noteHearer = (word: Held, peer: string): void => {
    if (word.producer === undefined) return
    if (!port.gossip.subscribers(word.syncedTopic.topic).includes(peer)) word.seenAt.delete(peer)
    else if (!word.seenAt.has(peer)) word.seenAt.set(peer, word.lastSent)
  }

  const reach = createSubscriptionSync(port, {
    syncMs: settings.syncMs,
    *syncedTopics() {
      for (const word of words.values()) yield word.syncedTopic
    },
    isSubscribed: (topic) => words.has(topic.slice(GOSSIP_PREFIX.length)),
    onNeighbour(peer) {
      for (const word of words.values()) noteHearer(word, peer)
      follow()
    },
    history,
    goneTo: incoming.goneTo,
    ownHeads(peer, topics) {
      const { incarnation: epoch } = port.self
      const names = topics.map((topic) => topic.slice(GOSSIP_PREFIX.length))
      heads.introduce(peer, names)
      return names.map((name) => {
        const word = words.get(name)
        const last = word?.lastSent ?? 0
        return { word: name, epoch, last, since: word?.seenAt.get(peer) ?? last }
      })
    },
    learnHeads: incoming.learnHeads,
    receiveHeads: heads.receive,
  })

  const stopWatching = port.onMember(({ id }, change) => {
    if (change === 'left') for (const { seenAt } of words.values()) seenAt.delete(id)
  })

  const makeOutlet = (word: Held): BatchProducer =>
    createBatchProducer(port, word.name, word.syncedTopic.topic, prefix, settings, budget, {
      ready(openedAt) {
        if (word.syncedTopic.waiting.size === 0) return Promise.resolve()
        const restMs = openedAt + settings.syncMs - port.clock.monotonic()
        return restMs <= 0 ? Promise.resolve() : reach.settled(word.syncedTopic, restMs)
      },
      directRecipients: () => circle.digestFor(word.syncedTopic.topic, word.syncedTopic.confirmed),
      sent(first, events, recipients, bytes, sentAt) {
        counters.sent(word.name, events, recipients, bytes)
        const { id: publisher, incarnation: epoch } = port.self
        const last = first + events - 1
        word.lastSent = last
        history.keep({ publisher, word: word.name, epoch }, { from: first, to: last }, bytes, sentAt)
        heads.sent(word.name, last)
        if (!readers.has(word.name)) return
        const batch = tryDecodeBatch(bytes)
        if (batch === undefined) return
        const proven = { batch, bytes, arrivedAt: port.clock.monotonic() }
        for (const reader of readers.of(word.name)) reader.offer(proven)
      },
      failed(events, error) {
        counters.unsent(events)
        if (!stopped)
          port.log.warn('a batch of events could not be sent', { word: word.name, messageType: 'EVENT', events, error })
      },
    })

  port.metrics.gauge(
    'events_held_bytes',
    'Bytes of batches kept for those that missed them or come late',
    () => history.figures().bytes,
  )
  port.metrics.gauge(
    'events_held',
    'Events kept for those that missed them or come late',
    () => history.figures().events,
  )
  port.metrics.gauge('events_waiting_bytes', 'Bytes of batches that wait behind a gap', reorderBuffer.waitingBytes)
  port.metrics.gauge('events_queued_bytes', 'Bytes of events that wait to be sent', () => budget.queuedBytes)

  return {
    sync: reach,
    retrieve: incoming.retrieve,
    acquire: hold,
    producerOf(name) {
      const word = hold(name)
      if (word.producer === undefined) {
        word.producer = { batches: makeOutlet(word), idPrefix: eventId(port.self.id, name, port.self.incarnation, '') }
        for (const peer of port.gossip.subscribers(word.syncedTopic.topic)) noteHearer(word, peer)
        void reach.announce([word.syncedTopic])
      }
      return word.producer
    },
    release,
    followNeighbours: follow,
    all: () => [...words.values()],
    peers: (name) => port.gossip.subscribers(topicOf(name)).length,
    queuedBytes: () => budget.queuedBytes,
    waitingBytes: reorderBuffer.waitingBytes,
    position(publisher, name) {
      if (publisher !== port.self.id) return reorderBuffer.position(publisher, name)
      const last = words.get(name)?.lastSent ?? 0
      return last === 0 ? undefined : { epoch: port.self.incarnation, next: last + 1 }
    },
    publishers: (name) => [
      ...reorderBuffer.publishers(name),
      ...((words.get(name)?.lastSent ?? 0) > 0 ? [port.self.id] : []),
    ],
    async stop(timeoutMs) {
      stopped = true
      const outlets = [...words.values()].flatMap((word) => word.producer?.batches ?? [])
      let cancel: Stop = () => undefined
      const timeout = new Promise<void>((resolve) => {
        cancel = port.timers.after(timeoutMs, resolve)
      })
      await Promise.race([Promise.all(outlets.map((outlet) => outlet.idle())), timeout])
      cancel()
      for (const outlet of outlets) outlet.stop()
      for (const word of words.values()) word.unsubscribe()
      words.clear()
      stopWatching()
      incoming.stop()
      await reach.stop()
      await history.close()
    },
  }
}
