/**
 * The first words that this node publishes or hears: each is one gossip topic, `events/<word>`.
 *
 * A word is held while there is a subscription on it, while this node publishes under it, or while a wildcard
 * subscription is open and a neighbour is subscribed to it. Who publishes a word subscribes to it, so that wildcards
 * elsewhere find it. Bounded by `maxWords`; a word too many is refused, or, for a wildcard, not followed and counted. Here
 * the parts of a word's way in are put together: what comes, what is missing, what is kept.
 */
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import { signingPrefix } from './batch.ts'
import { createCircle } from './circle.ts'
import type { Counters } from './counters.ts'
import { type Dispatch, eventId } from './dispatch.ts'
import { createHeads } from './heads.ts'
import type { History } from './history.ts'
import { createInlet, createProver, type Inlet, open } from './inlet.ts'
import type { Settings } from './options.ts'
import { createOrder } from './order.ts'
import { type Budget, createOutlet, type Outlet } from './outlet.ts'
import { type Audience, createAudience, createReach, type OwnHead, type Reach, type ReachPort } from './reach.ts'
import { rangeOf } from './read-batch.ts'
import type { Readers } from './readers.ts'
import { createRepair } from './repair.ts'
import { createRetrieve, type Proven, type Retrieve, type RetrievePort } from './retrieve.ts'
import type { Range, Series } from './series.ts'
import { signedHead } from './signed-head.ts'
import type { Start } from './starts.ts'
import { isFirstWord } from './topic.ts'

const GOSSIP_PREFIX = 'events/'
/** Batches that are on their way are not missing yet, when their publisher says how far it is. */
const HEAD_DELAY_MS = 100
/** Only what was said shortly before its publisher left may not have come. */
const TAIL_MS = 15_000
/** Ranges that were given up, for those that ask for them. */
const MAX_LOSSES = 256
const ROOM_EVERY_MS = 20
const ROOM_LIMIT_MS = 2_000

export type WordsPort = ReachPort & RetrievePort & Pick<Port, 'self' | 'hash' | 'sign' | 'verify' | 'metrics'>

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
  const order = createOrder<Proven>(settings)
  const prefix = signingPrefix(port.self.mesh)
  const budget: Budget = { queuedBytes: 0 }
  const checking = { bytes: 0 }
  const circle = createCircle(port)
  /** What was given up here, the last of it. */
  const losses: (Series & Range)[] = []
  /** When publishers were heard last. */
  const heardAt = new Map<string, number>()
  let stopped = false

  const topicOf = (name: string): string => `${GOSSIP_PREFIX}${name}`
  const neighbourWords = (): Set<string> => {
    const topics = port.gossip.topics().filter((topic) => topic.startsWith(GOSSIP_PREFIX))
    return new Set(topics.map((topic) => topic.slice(GOSSIP_PREFIX.length)).filter(isFirstWord))
  }

  const retrieve = createRetrieve(port, history, settings.gapMs, {
    prove: createProver(port, prefix, settings, checking, counters.refused),
    open(bytes, ageMs) {
      const batch = open(bytes)
      return batch === undefined ? undefined : { batch, bytes, arrivedAt: port.clock.monotonic() - ageMs }
    },
    topicOf,
  })

  /** Resolves when no subscription is far behind, or after ROOM_LIMIT_MS. */
  const room = async (word: string): Promise<void> => {
    for (let waitedMs = 0; waitedMs < ROOM_LIMIT_MS && !dispatch.hasRoom(word); waitedMs += ROOM_EVERY_MS) {
      await new Promise<void>((resolve) => port.timers.after(ROOM_EVERY_MS, resolve))
    }
  }

  const repair = createRepair(port, order, retrieve, {
    take(proven, fetched) {
      const { from, to } = rangeOf(proven.batch)
      const acceptance = words.get(proven.batch.word)?.inlet.take(proven) ?? 'refuse'
      if (fetched && acceptance !== 'refuse') counters.repaired(to - from + 1)
    },
    lost(series, range) {
      losses.push({ ...series, ...range })
      if (losses.length > MAX_LOSSES) losses.shift()
      counters.missed(series.word, range.to - range.from + 1)
      dispatch.missed({ ...series, ...range, reason: 'gap' })
      for (const reader of readers.of(series.word)) reader.lost(series, range)
      words.get(series.word)?.inlet.release(order.giveUp(series, range))
    },
    ended: (series) => words.get(series.word)?.inlet.release(order.nextLife(series)),
    room,
    wanted: (name) => words.has(name) && dispatch.wanted(name),
  })

  const listen = (name: string, topic: string): Pick<Held, 'inlet' | 'unsubscribe'> => {
    const inlet = createInlet(port, name, prefix, settings, checking, order, {
      refused: counters.refused,
      incomplete: (publisher) => repair.look(publisher, name, 0),
      unkept: counters.unkept,
      wanted: () => dispatch.wanted(name),
      event: dispatch.remote,
      malformed: () => counters.dropped('malformed'),
      batch(proven) {
        counters.received(name, proven.batch.spans.length / 2)
        if (readers.has(name)) for (const reader of readers.of(name)) reader.offer(proven)
      },
      heard(batch, bytes) {
        const { publisher, epoch, sentAt } = batch
        history.keep({ publisher, word: name, epoch }, rangeOf(batch), bytes, sentAt)
        if (heardAt.size >= settings.maxPublishers && !heardAt.has(publisher)) heardAt.clear()
        heardAt.set(publisher, port.clock.monotonic())
      },
      complete: ({ publisher, circle: named }) => named !== undefined && circle.isComplete(topic, publisher, named),
    })
    // What was accepted is let in at once: what is accepted next may have waited for it.
    return { inlet, unsubscribe: port.gossip.subscribe(topic, inlet.accept, () => undefined) }
  }

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
      ...listen(name, topic),
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

  const heads = createHeads(port, circle, (head) => signedHead(port.self.mesh, head), {
    heard({ publisher, word, epoch, last }) {
      if (order.head({ publisher, word, epoch }, last)) repair.look(publisher, word, HEAD_DELAY_MS)
    },
    topicOf,
    hears: (name) => words.has(name),
  })

  /** Notes from which number on a neighbour hears what is sent here. */
  const noteHearer = (word: Held, peer: string): void => {
    if (word.outgoing === undefined) return
    if (!port.gossip.subscribers(word.audience.topic).includes(peer)) word.seenAt.delete(peer)
    else if (!word.seenAt.has(peer)) word.seenAt.set(peer, word.lastSent)
  }

  /** A neighbour told how far it is with what it publishes. */
  const learn = (publisher: string, own: readonly OwnHead[] | undefined): void => {
    heads.speaks(publisher, own !== undefined)
    if (own === undefined) {
      repair.askForTails(publisher)
      return
    }
    repair.knowTails(publisher)
    for (const { word, epoch, last, since } of own) {
      if (!words.has(word)) continue
      order.base({ publisher, word, epoch }, since + 1)
      for (const reader of readers.of(word)) reader.look(publisher, word)
      if (order.head({ publisher, word, epoch }, last)) repair.look(publisher, word, HEAD_DELAY_MS)
    }
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
    goneTo({ publisher, word, epoch }, { from, to }) {
      if (publisher === port.self.id) return to
      const isIt = (loss: Series & Range): boolean =>
        loss.publisher === publisher && loss.word === word && loss.epoch === epoch
      return losses.find((loss) => isIt(loss) && loss.from <= from && from <= loss.to)?.to
    },
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
    learn,
    heads: heads.receive,
  })

  const stopWatching = port.onMember(({ id }, change) => {
    if (change === 'joined') {
      for (const reader of readers.all()) reader.joined(id)
      return
    }
    heads.forget(id)
    for (const { seenAt } of words.values()) seenAt.delete(id)
    if ((heardAt.get(id) ?? Number.NEGATIVE_INFINITY) > port.clock.monotonic() - TAIL_MS) repair.askForTails(id)
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
        counters.sent(word.name, events, recipients)
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
        counters.rejected('failed', events)
        if (!stopped) port.log.warn('a batch of events could not be sent', { word: word.name, events, error })
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
    retrieve,
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
      heads.stop()
      retrieve.stop()
      repair.stop()
      await reach.stop()
      await history.close()
    },
  }
}
