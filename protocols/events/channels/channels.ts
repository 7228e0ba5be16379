/**
 * The channels that this node publishes to or hears, one for each first word.
 *
 * A channel is kept while there is a subscription on its word, while this node publishes under it, or while a wildcard
 * subscription is open and a neighbour is subscribed to it. Who publishes a word subscribes to it, so that wildcards
 * elsewhere find it. Bounded by `maxWords`; a word too many is refused, or, for a wildcard, not followed and counted. What
 * comes in is ingest.ts.
 *
 * State: the channels, and the bytes that wait to be sent in all of them.
 */
import { within } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import { signingPrefixes } from '../batch/batch-encoder.ts'
import { createDirectRecipients, type DirectRecipients } from '../batch/direct-recipients.ts'
import type { EventCounters } from '../event-counters.ts'
import type { History } from '../history/history.ts'
import type { EventsSettings } from '../options.ts'
import type { OwnHead } from '../protocol.ts'
import { BatchProducer, type ChannelProducer, type SendBudget } from '../publish/batch-producer.ts'
import { tryDecodeBatch } from '../receive/batch-validator.ts'
import { eventId } from '../receive/event-builder.ts'
import type { EventDispatch } from '../receive/event-dispatch.ts'
import type { Retrieval } from '../repair/retrieval.ts'
import type { CatchupRegistry } from '../replay/catchup-registry.ts'
import type { SeriesPosition } from '../replay/start-position.ts'
import { EventChannel, gossipTopicOf, wordOfTopic, wordsOfTopics } from './event-channel.ts'
import { EventRequests } from './event-requests.ts'
import { EventIngest, type EventIngestPort } from './ingest.ts'
import { SubscriptionSync, type SubscriptionSyncPort } from './subscription-sync.ts'

export type EventChannelsPort = SubscriptionSyncPort & EventIngestPort & Pick<Port, 'hash' | 'metrics' | 'serve'>

export class EventChannels {
  readonly sync: SubscriptionSync
  readonly #port: EventChannelsPort
  readonly #settings: EventsSettings
  readonly #dispatch: EventDispatch
  readonly #counters: EventCounters
  readonly #history: History
  readonly #readers: CatchupRegistry
  readonly #directRecipients: DirectRecipients
  readonly #ingest: EventIngest
  readonly #requests: EventRequests
  readonly #prefix: Uint8Array
  readonly #stopWatching: Stop
  readonly #channels = new Map<string, EventChannel>()
  readonly #budget: SendBudget = { queuedBytes: 0 }
  #stopped = false

  constructor(
    port: EventChannelsPort,
    settings: EventsSettings,
    dispatch: EventDispatch,
    counters: EventCounters,
    history: History,
    readers: CatchupRegistry,
  ) {
    this.#port = port
    this.#settings = settings
    this.#dispatch = dispatch
    this.#counters = counters
    this.#history = history
    this.#readers = readers
    this.#prefix = signingPrefixes(port.self.mesh).digest
    this.#directRecipients = createDirectRecipients(port)
    this.#ingest = new EventIngest(port, settings, dispatch, counters, history, readers, this.#directRecipients, {
      topicOf: gossipTopicOf,
      has: (word) => this.#channels.has(word),
    })
    const { heads } = this.#ingest
    this.sync = new SubscriptionSync(port, {
      syncMs: settings.syncMs,
      syncedTopics: () => this.all().map(({ syncedTopic }) => syncedTopic),
      onNeighbour: (peer) => this.#noteNeighbour(peer),
      learnHeads: (peer, own) => this.#ingest.learnHeads(peer, own),
    })
    this.#requests = new EventRequests(port, settings.syncMs, history, {
      waitUntilSeen: (peer, topics, timeoutMs) =>
        this.sync.until(() => topics.every((topic) => this.sync.sees(peer, topic)), timeoutMs),
      seen: (peer, topics) => {
        this.#noteNeighbour(peer)
        const seen = topics.filter((topic) => this.sync.sees(peer, topic))
        return { seen, hears: seen.filter((topic) => this.#channels.has(wordOfTopic(topic))) }
      },
      ownHeads: (peer, topics) => this.#ownHeads(peer, topics),
      goneTo: (series, range) => this.#ingest.goneTo(series, range),
      receiveHeads: (from, told) => heads.receive(from, told),
    })
    this.#stopWatching = port.onMember(({ id }, change) => {
      if (change === 'left') for (const channel of this.#channels.values()) channel.forgetSubscriber(id)
    })
  }

  /** Settles once the events protocol is served; rejects when it cannot be. */
  get serving(): Promise<void> {
    return this.#requests.serving
  }

  get retrieval(): Retrieval {
    return this.#ingest.retrieval
  }

  /**
   * The channel of a word, subscribed to.
   * @throws COM003 when there are too many
   */
  acquire(word: string): EventChannel {
    if (this.#stopped)
      throw new ParleyError('COM002', 'this mesh has stopped', { hint: 'publish and subscribe before stop()' })
    const known = this.#channels.get(word)
    if (known !== undefined) return known
    const count = this.#channels.size
    if (count >= this.#settings.maxWords) {
      throw new ParleyError('COM003', `${count} first words are in use, ${JSON.stringify(word)} is one too many`, {
        hint: 'put what varies into a later word of the topic, or raise maxWords',
      })
    }
    const channel = new EventChannel(word, this.#ingest.subscribe(word, gossipTopicOf(word)))
    this.#channels.set(word, channel)
    for (const reader of this.#readers.of(word)) {
      reader
        .begin(word)
        .catch((error: unknown) => this.#port.log.error('it was not found out what is held', { word, error }))
    }
    return channel
  }

  /** The way out of a word, made when it is first used. */
  producerOf(word: string): ChannelProducer {
    const channel = this.acquire(word)
    if (channel.producer === undefined) {
      const { id, incarnation } = this.#port.self
      channel.producer = { batches: this.#createProducer(channel), idPrefix: eventId(id, word, incarnation, '') }
      const { topic } = channel.syncedTopic
      for (const peer of this.#port.gossip.subscribers(topic)) channel.noteSubscriber(peer, true)
      void this.sync.announce([channel.syncedTopic])
    }
    return channel.producer
  }

  /** Lets go of a word that nothing needs any more. */
  release(word: string): void {
    const channel = this.#channels.get(word)
    if (channel === undefined || channel.isNeeded()) return
    if (this.#dispatch.wildcards() > 0 && this.#neighbourWords().has(word)) return
    this.#channels.delete(word)
    channel.unsubscribe()
    this.#ingest.reorderBuffer.stopListening(word)
  }

  /** Takes up the words that neighbours are subscribed to and lets go of others, for the sake of wildcards. */
  followNeighbours(): void {
    if (this.#stopped || this.#dispatch.wildcards() === 0) return
    const wanted = this.#neighbourWords()
    for (const word of this.#channels.keys()) if (!wanted.has(word)) this.release(word)
    for (const word of wanted) {
      if (this.#channels.has(word)) continue
      if (this.#channels.size >= this.#settings.maxWords) this.#counters.unfollowed()
      else this.acquire(word)
    }
  }

  get(word: string): EventChannel | undefined {
    return this.#channels.get(word)
  }

  all(): EventChannel[] {
    return [...this.#channels.values()]
  }

  /** Neighbours subscribed to the word. */
  peers(word: string): number {
    return this.#port.gossip.subscribers(gossipTopicOf(word)).length
  }

  /** Of events published here that wait to be sent. */
  queuedBytes(): number {
    return this.#budget.queuedBytes
  }

  /** Of batches behind a gap. */
  waitingBytes(): number {
    return this.#ingest.reorderBuffer.waitingBytes()
  }

  /** How far a publisher is, as it was let in here, or published. */
  position(publisher: string, word: string): SeriesPosition | undefined {
    if (publisher !== this.#port.self.id) return this.#ingest.reorderBuffer.position(publisher, word)
    const last = this.#channels.get(word)?.lastSent ?? 0
    return last === 0 ? undefined : { epoch: this.#port.self.incarnation, next: last + 1 }
  }

  /** Who was heard under a word, this node included. */
  publishers(word: string): string[] {
    const hasPublished = (this.#channels.get(word)?.lastSent ?? 0) > 0
    return [...this.#ingest.reorderBuffer.publishers(word), ...(hasPublished ? [this.#port.self.id] : [])]
  }

  /** Sends what waits, for at most `timeoutMs`, and ends. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopped = true
    const producers = this.all().flatMap(({ producer }) => producer?.batches ?? [])
    await within(this.#port.timers, timeoutMs, Promise.all(producers.map((producer) => producer.idle())))
    for (const producer of producers) producer.stop()
    for (const { unsubscribe } of this.#channels.values()) unsubscribe()
    this.#channels.clear()
    this.#stopWatching()
    this.#ingest.stop()
    this.sync.stop()
    await this.#requests.stop()
    await this.#history.close()
  }

  #neighbourWords(): Set<string> {
    return wordsOfTopics(this.#port.gossip.topics())
  }

  /** A neighbour's subscriptions may have changed. */
  #noteNeighbour(peer: string): void {
    const { gossip } = this.#port
    for (const channel of this.#channels.values()) {
      if (channel.producer !== undefined)
        channel.noteSubscriber(peer, gossip.subscribers(channel.syncedTopic.topic).includes(peer))
    }
    this.followNeighbours()
  }

  #ownHeads(peer: string, topics: readonly string[]): OwnHead[] {
    const { incarnation: epoch } = this.#port.self
    const words = topics.map(wordOfTopic)
    this.#ingest.heads.introduce(peer, words)
    return words.map((word) => this.#channels.get(word)?.ownHead(peer, epoch) ?? { word, epoch, last: 0, since: 0 })
  }

  #createProducer(channel: EventChannel): BatchProducer {
    const { name: word, syncedTopic } = channel
    const { clock, log } = this.#port
    return new BatchProducer(this.#port, word, syncedTopic.topic, this.#prefix, this.#settings, this.#budget, {
      ready: (openedAt) => {
        if (syncedTopic.waiting.size === 0) return Promise.resolve()
        const restMs = openedAt + this.#settings.syncMs - clock.monotonic()
        return restMs <= 0 ? Promise.resolve() : this.sync.settled(syncedTopic, restMs)
      },
      directRecipients: () => this.#directRecipients.digestFor(syncedTopic.topic, syncedTopic.confirmed),
      sent: (first, events, recipients, bytes, sentAt) => {
        this.#counters.sent(word, events, recipients, bytes)
        this.#noteSent(channel, first, first + events - 1, bytes, sentAt)
      },
      failed: (events, error) => {
        this.#counters.unsent(events)
        if (!this.#stopped)
          log.warn('a batch of events could not be sent', { word, messageType: 'EVENT', events, error })
      },
    })
  }

  /** A batch of this node went to gossip. */
  #noteSent(channel: EventChannel, first: number, last: number, bytes: Uint8Array, sentAt: number): void {
    const { id: publisher, incarnation: epoch } = this.#port.self
    const { name: word } = channel
    channel.lastSent = last
    this.#history.keep({ publisher, word, epoch }, { from: first, to: last }, bytes, sentAt)
    this.#ingest.heads.sent(word, last)
    if (!this.#readers.has(word)) return
    const batch = tryDecodeBatch(bytes)
    if (batch === undefined) return
    const proven = { batch, bytes, arrivedAt: this.#port.clock.monotonic() }
    for (const reader of this.#readers.of(word)) reader.offer(proven)
  }
}
