/**
 * One channel: the gossip topic `events/<word>` of one first word, while this node needs it.
 *
 * State: who needs it (subscriptions, the producer), the number of the last event that was sent, and from which number on
 * each neighbour hears what is sent here.
 */
import type { Stop } from '../../port.ts'
import type { OwnHead } from '../protocol.ts'
import type { ChannelProducer } from '../publish/batch-producer.ts'
import { isFirstWord } from '../topic.ts'
import { createSyncedTopic, type SyncedTopic } from './subscription-sync.ts'

const GOSSIP_PREFIX = 'events/'

/** The gossip topic of a first word. */
export const gossipTopicOf = (word: string): string => `${GOSSIP_PREFIX}${word}`

/** The first word of a gossip topic of events. */
export const wordOfTopic = (topic: string): string => topic.slice(GOSSIP_PREFIX.length)

/** The first words among gossip topics. */
export const wordsOfTopics = (topics: readonly string[]): Set<string> =>
  new Set(
    topics
      .filter((topic) => topic.startsWith(GOSSIP_PREFIX))
      .map(wordOfTopic)
      .filter(isFirstWord),
  )

export class EventChannel {
  readonly name: string
  readonly syncedTopic: SyncedTopic
  /** Undefined until something is published. */
  producer: ChannelProducer | undefined
  /** Subscriptions on this very word. */
  subscriptions = 0
  /** Number of the last event that was sent. */
  lastSent = 0
  readonly unsubscribe: Stop
  /** `lastSent` when each neighbour was first seen to hear the word. */
  readonly #subscribedFrom = new Map<string, number>()

  constructor(name: string, unsubscribe: Stop) {
    this.name = name
    this.syncedTopic = createSyncedTopic(gossipTopicOf(name))
    this.unsubscribe = unsubscribe
  }

  /** True while a subscription on this very word, or publishing, needs it. */
  isNeeded(): boolean {
    return this.subscriptions > 0 || this.producer !== undefined
  }

  /** Notes from which number on a neighbour hears what is sent here. */
  noteSubscriber(peer: string, isSubscribed: boolean): void {
    if (this.producer === undefined) return
    if (!isSubscribed) this.#subscribedFrom.delete(peer)
    else if (!this.#subscribedFrom.has(peer)) this.#subscribedFrom.set(peer, this.lastSent)
  }

  forgetSubscriber(peer: string): void {
    this.#subscribedFrom.delete(peer)
  }

  /** How far this node is with what it publishes, and since when the neighbour hears it. */
  ownHead(peer: string, epoch: number): OwnHead {
    return { word: this.name, epoch, last: this.lastSent, since: this.#subscribedFrom.get(peer) ?? this.lastSent }
  }
}
