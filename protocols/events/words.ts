/**
 * The first words that this node publishes or hears: each is one gossip topic, `events/<word>`.
 *
 * A word is held while there is a subscription on it, while this node publishes under it, or while a wildcard
 * subscription is open and a neighbour is subscribed to it. Who publishes a word subscribes to it, so that wildcards
 * elsewhere find it. Bounded by `maxWords`; a word too many is refused, or, for a wildcard, not followed and counted.
 */
import { ParleyError } from '../errors.ts'
import type { Port, Stop } from '../port.ts'
import { signingPrefix } from './batch.ts'
import { createCircle } from './circle.ts'
import type { Counters } from './counters.ts'
import { type Dispatch, eventId } from './dispatch.ts'
import { createHolding } from './holding.ts'
import { createInlet, type Inlet } from './inlet.ts'
import type { Settings } from './options.ts'
import { type Budget, createOutlet, type Outlet } from './outlet.ts'
import { type Audience, createAudience, createReach, type Reach, type ReachPort } from './reach.ts'
import { createRepair, type RepairPort } from './repair.ts'
import { createSeen } from './seen.ts'
import { isFirstWord } from './topic.ts'

const GOSSIP_PREFIX = 'events/'

export type WordsPort = ReachPort & RepairPort & Pick<Port, 'self' | 'clock' | 'hash' | 'sign' | 'verify' | 'metrics'>

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
}

export interface Words {
  readonly reach: Reach
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
  /** Sends what waits, for at most `timeoutMs`, and ends. */
  stop(timeoutMs: number): Promise<void>
}

export const createWords = (port: WordsPort, settings: Settings, dispatch: Dispatch, counters: Counters): Words => {
  const words = new Map<string, Held>()
  const seen = createSeen(settings.maxPublishers)
  const prefix = signingPrefix(port.self.mesh)
  const budget: Budget = { queuedBytes: 0 }
  const checking = { bytes: 0 }
  const circle = createCircle(port)
  const holding = createHolding(settings.maxHeldBytes, () => port.clock.monotonic())
  let stopped = false

  const neighbourWords = (): Set<string> => {
    const topics = port.gossip.topics().filter((topic) => topic.startsWith(GOSSIP_PREFIX))
    return new Set(topics.map((topic) => topic.slice(GOSSIP_PREFIX.length)).filter(isFirstWord))
  }

  const listen = (name: string, topic: string): Pick<Held, 'inlet' | 'unsubscribe'> => {
    const inlet = createInlet(port, name, prefix, settings, checking, seen, {
      refused: counters.refused,
      missed(publisher, epoch, { from, to }) {
        counters.missed(name, to - from + 1)
        dispatch.missed({ publisher, word: name, epoch, from, to, reason: 'gap' })
        repair.gap({ publisher, word: name, epoch }, { from, to })
      },
      wanted: () => dispatch.wanted(name),
      event: dispatch.remote,
      malformed: () => counters.dropped('malformed'),
      batch: (events) => counters.received(name, events),
      gaveUp: counters.unrepaired,
      repaired: counters.repaired,
      heard({ publisher, epoch, first, spans }, bytes) {
        const series = { publisher, word: name, epoch }
        const range = { from: first, to: first + spans.length / 2 - 1 }
        holding.keep(series, range, bytes)
        repair.heard(series, range)
      },
      complete: ({ publisher, circle: named }) => named !== undefined && circle.isComplete(topic, publisher, named),
    })
    return { inlet, unsubscribe: port.gossip.subscribe(topic, inlet.accept, inlet.deliver) }
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
    const topic = `${GOSSIP_PREFIX}${name}`
    const word: Held = {
      name,
      audience: createAudience(topic),
      outgoing: undefined,
      subscriptions: 0,
      ...listen(name, topic),
    }
    words.set(name, word)
    return word
  }

  const release = (name: string): void => {
    const word = words.get(name)
    if (word === undefined || word.subscriptions > 0 || word.outgoing !== undefined) return
    if (dispatch.open() > 0 && neighbourWords().has(name)) return
    words.delete(name)
    word.unsubscribe()
    seen.pause(name)
    repair.forget(name)
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

  const reach = createReach(port, {
    syncMs: settings.syncMs,
    *audiences() {
      for (const word of words.values()) yield word.audience
    },
    hears: (topic) => words.has(topic.slice(GOSSIP_PREFIX.length)),
    onNeighbour: follow,
    holding,
  })

  const repair = createRepair(port, {
    take: async (series, range, bytes, ageMs) => words.get(series.word)?.inlet.take(series, range, bytes, ageMs),
    topicOf: (name) => words.get(name)?.audience.topic,
    unrepaired: counters.unrepaired,
  })

  const makeOutlet = (word: Held): Outlet =>
    createOutlet(port, word.name, word.audience.topic, prefix, settings, budget, {
      ready(openedAt) {
        if (word.audience.waiting.size === 0) return Promise.resolve()
        const restMs = openedAt + settings.syncMs - port.clock.monotonic()
        return restMs <= 0 ? Promise.resolve() : reach.settled(word.audience, restMs)
      },
      circle: () => circle.ofPublisher(word.audience.topic, word.audience.confirmed),
      sent(first, events, recipients, bytes) {
        counters.sent(word.name, events, recipients)
        const { id: publisher, incarnation: epoch } = port.self
        holding.keep({ publisher, word: word.name, epoch }, { from: first, to: first + events - 1 }, bytes)
      },
      failed(events, error) {
        counters.rejected('failed', events)
        if (!stopped) port.log.warn('a batch of events could not be sent', { word: word.name, events, error })
      },
    })

  port.metrics.gauge('events_held_bytes', 'Bytes of batches kept for neighbours that missed them', holding.bytes)
  port.metrics.gauge('events_queued_bytes', 'Bytes of events that wait to be sent', () => budget.queuedBytes)

  return {
    reach,
    hold,
    outgoing(name) {
      const word = hold(name)
      if (word.outgoing === undefined) {
        word.outgoing = { outlet: makeOutlet(word), idPrefix: eventId(port.self.id, name, port.self.incarnation, '') }
        void reach.announce([word.audience])
      }
      return word.outgoing
    },
    release,
    follow,
    all: () => [...words.values()],
    peers: (name) => port.gossip.subscribers(`${GOSSIP_PREFIX}${name}`).length,
    queuedBytes: () => budget.queuedBytes,
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
      repair.stop()
      await reach.stop()
    },
  }
}
