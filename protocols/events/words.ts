/**
 * The first words that this node publishes or hears: each is one gossip topic, `events/<word>`.
 *
 * A word is held while there is a subscription on it, while this node publishes under it, or while a wildcard
 * subscription is open and a neighbour is subscribed to it. Who publishes a word subscribes to it, so that wildcards
 * elsewhere find it. Bounded by `maxWords`; a word too many is refused, or, for a wildcard, not followed and counted. What
 * comes in is incoming.ts.
 */
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import { signingPrefix } from './batch.ts'
import { createCircle } from './circle.ts'
import type { Counters } from './counters.ts'
import { type Dispatch, eventId } from './dispatch.ts'
import type { History } from './history.ts'
import { createIncoming, type IncomingPort } from './incoming.ts'
import { type Inlet, open } from './inlet.ts'
import type { Settings } from './options.ts'
import { type Budget, createOutlet, type Outlet } from './outlet.ts'
import { type Audience, createAudience, createReach, type Reach, type ReachPort } from './reach.ts'
import type { Readers } from './readers.ts'
import type { Retrieve } from './retrieve.ts'
import type { Start } from './starts.ts'
import { isFirstWord } from './topic.ts'

const GOSSIP_PREFIX = 'events/'
export type WordsPort = ReachPort & IncomingPort & Pick<Port, 'hash' | 'metrics'>

export interface Outgoing {
  readonly outlet: Outlet
  /** In front of a sequence number it is an event's id. */
  readonly idPrefix: string
}

export interface Word {
  readonly name: string
  readonly audience: Audience
  outgoing: Outgoing | undefined
  /** Subscriptions on this very word. */
  subscriptions: number
}

interface Held extends Word {
  readonly inlet: Inlet
  readonly unsubscribe: Stop
  /** Number of the last event that was sent. */
  lastSent: number
  /** The same when each neighbour was first seen to hear the word. */
  readonly seenAt: Map<string, number>
}

export interface Words {
  readonly reach: Reach
  readonly retrieve: Retrieve
  /**
   * The word, subscribed to.
   * @throws COM003 when there are too many
   */
  hold(name: string): Word
  /** The word's way out, made when it is first used. */
  outgoing(name: string): Outgoing
  /** Lets go of a word that nothing needs any more. */
  release(name: string): void
  /** Takes up the words that neighbours are subscribed to and lets go of others, for the sake of wildcards. */
  follow(): void
  all(): Word[]
  /** Neighbours subscribed to the word. */
  peers(name: string): number
  queuedBytes(): number
  /** Bytes of batches behind a gap. */
  waitingBytes(): number
  /** How far a publisher is, as it was let in here, or published. */
  position(publisher: string, word: string): Start | undefined
  /** Who was heard under a word, this node included. */
  publishers(word: string): string[]
  /** Sends what waits, for at most `timeoutMs`, and ends. */
  stop(timeoutMs: number): Promise<void>
}

export const createWords = (
  port: WordsPort,
  settings: Settings,
  dispatch: Dispatch,
  counters: Counters,
  history: History,
  readers: Readers,
): Words => {
  const words = new Map<string, Held>()
  const prefix = signingPrefix(port.self.mesh)
  const budget: Budget = { queuedBytes: 0 }
  const circle = createCircle(port)
  let stopped = false

  const topicOf = (name: string): string => `${GOSSIP_PREFIX}${name}`
  const neighbourWords = (): Set<string> => {
    const topics = port.gossip.topics().filter((topic) => topic.startsWith(GOSSIP_PREFIX))
    return new Set(topics.map((topic) => topic.slice(GOSSIP_PREFIX.length)).filter(isFirstWord))
  }

  const incoming = createIncoming(port, settings, dispatch, counters, history, readers, circle, {
    topicOf,
    hears: (name) => words.has(name),
    inletOf: (name) => words.get(name)?.inlet,
  })
  const { heads, order } = incoming

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
      audience: createAudience(topic),
      outgoing: undefined,
      subscriptions: 0,
      lastSent: 0,
      seenAt: new Map(),
      ...incoming.listen(name, topic),
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
    if (word === undefined || word.subscriptions > 0 || word.outgoing !== undefined) return
    if (dispatch.open() > 0 && neighbourWords().has(name)) return
    words.delete(name)
    word.unsubscribe()
    order.pause(name)
  }

  const follow = (): void => {
    if (stopped || dispatch.open() === 0) return
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
    if (word.outgoing === undefined) return
    if (!port.gossip.subscribers(word.audience.topic).includes(peer)) word.seenAt.delete(peer)
    else if (!word.seenAt.has(peer)) word.seenAt.set(peer, word.lastSent)
  }

  const reach = createReach(port, {
    syncMs: settings.syncMs,
    *audiences() {
      for (const word of words.values()) yield word.audience
    },
    hears: (topic) => words.has(topic.slice(GOSSIP_PREFIX.length)),
    onNeighbour(peer) {
      for (const word of words.values()) noteHearer(word, peer)
      follow()
    },
    history,
    goneTo: incoming.goneTo,
    own(peer, topics) {
      const { incarnation: epoch } = port.self
      const names = topics.map((topic) => topic.slice(GOSSIP_PREFIX.length))
      heads.introduce(peer, names)
      return names.map((name) => {
        const word = words.get(name)
        const last = word?.lastSent ?? 0
        return { word: name, epoch, last, since: word?.seenAt.get(peer) ?? last }
      })
    },
    learn: incoming.learn,
    heads: heads.receive,
  })

  const stopWatching = port.onMember(({ id }, change) => {
    if (change === 'left') for (const { seenAt } of words.values()) seenAt.delete(id)
  })

  const makeOutlet = (word: Held): Outlet =>
    createOutlet(port, word.name, word.audience.topic, prefix, settings, budget, {
      ready(openedAt) {
        if (word.audience.waiting.size === 0) return Promise.resolve()
        const restMs = openedAt + settings.syncMs - port.clock.monotonic()
        return restMs <= 0 ? Promise.resolve() : reach.settled(word.audience, restMs)
      },
      circle: () => circle.ofPublisher(word.audience.topic, word.audience.confirmed),
      sent(first, events, recipients, bytes, sentAt) {
        counters.sent(word.name, events, recipients, bytes)
        const { id: publisher, incarnation: epoch } = port.self
        const last = first + events - 1
        word.lastSent = last
        history.keep({ publisher, word: word.name, epoch }, { from: first, to: last }, bytes, sentAt)
        heads.sent(word.name, last)
        if (!readers.has(word.name)) return
        const batch = open(bytes)
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
  port.metrics.gauge('events_waiting_bytes', 'Bytes of batches that wait behind a gap', order.waitingBytes)
  port.metrics.gauge('events_queued_bytes', 'Bytes of events that wait to be sent', () => budget.queuedBytes)

  return {
    reach,
    retrieve: incoming.retrieve,
    hold,
    outgoing(name) {
      const word = hold(name)
      if (word.outgoing === undefined) {
        word.outgoing = { outlet: makeOutlet(word), idPrefix: eventId(port.self.id, name, port.self.incarnation, '') }
        for (const peer of port.gossip.subscribers(word.audience.topic)) noteHearer(word, peer)
        void reach.announce([word.audience])
      }
      return word.outgoing
    },
    release,
    follow,
    all: () => [...words.values()],
    peers: (name) => port.gossip.subscribers(topicOf(name)).length,
    queuedBytes: () => budget.queuedBytes,
    waitingBytes: order.waitingBytes,
    position(publisher, name) {
      if (publisher !== port.self.id) return order.position(publisher, name)
      const last = words.get(name)?.lastSent ?? 0
      return last === 0 ? undefined : { epoch: port.self.incarnation, next: last + 1 }
    },
    publishers: (name) => [...order.publishers(name), ...((words.get(name)?.lastSent ?? 0) > 0 ? [port.self.id] : [])],
    async stop(timeoutMs) {
      stopped = true
      const outlets = [...words.values()].flatMap((word) => word.outgoing?.outlet ?? [])
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
