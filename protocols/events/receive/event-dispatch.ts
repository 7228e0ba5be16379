/**
 * Brings events to those who listen on this node: subscriptions, taps and the list of recent events.
 *
 * An event that came from a peer and one that was published here take the same way from their JSON on, so a listener
 * cannot tell them apart and cannot reach into the publisher's data. Events published here are handed out in a microtask:
 * a listener never runs inside publish().
 */
import type { Log, Port, Stop } from '../../port.ts'
import { readJsonText } from '../../wire/payload/payload-bounds.ts'
import type { DecodedBatch, WireEvent } from '../batch/batch-decoder.ts'
import type { EventAttributes } from '../batch/batch-encoder.ts'
import { checkEventData, type EventDefinition } from '../define-event.ts'
import type { InvalidEvent, MeshEvent, Missed } from '../event.ts'
import type { EventCounters } from '../event-counters.ts'
import { firstWord, type Matcher } from '../topic.ts'
import { createRecentEvents, type RecentEvents } from './recent-events.ts'
import type { SubscriptionQueue } from './subscription-queue.ts'
import { createTopicTable, type TopicEntry, type TopicTable } from './topic-table.ts'

/** One subscription, seen from here. */
export interface LocalSubscription {
  readonly pattern: string
  /** First word of the pattern; undefined when it is a wildcard. */
  readonly word: string | undefined
  readonly match: Matcher
  readonly definition: EventDefinition | undefined
  /** Undefined for one that reads at its own pace (reader.ts). */
  readonly queue: SubscriptionQueue | undefined
  readonly onInvalid: ((invalid: InvalidEvent) => void) | undefined
}

export interface EventDispatch {
  readonly topics: TopicTable<LocalSubscription>
  readonly recent: RecentEvents
  add(sub: LocalSubscription): void
  remove(sub: LocalSubscription): void
  all(): Iterable<LocalSubscription>
  /** Subscriptions whose first word is a wildcard. */
  wildcards(): number
  listeners(topic: TopicEntry<LocalSubscription>): readonly LocalSubscription[]
  /** True when somebody may listen to a topic of this word. */
  hasListeners(word: string): boolean
  /** What a subscription that reads gets of an event; undefined where it does not match, is over, or is not valid. */
  eventFor(
    sub: LocalSubscription,
    batch: DecodedBatch,
    index: number,
    event: WireEvent,
    arrivedAt: number,
  ): MeshEvent | undefined
  /** An event out of a verified batch. */
  deliverReceived(batch: DecodedBatch, index: number, event: WireEvent, arrivedAt: number): void
  /** An event that was just published here. */
  deliverOwn(
    topic: TopicEntry<LocalSubscription>,
    id: string,
    sequence: number,
    text: string,
    marks: EventAttributes | undefined,
  ): void
  missed(missed: Missed): void
  /** False while a subscription to this word has more than half of its queue waiting. */
  hasRoom(word: string): boolean
  tap(fn: (event: MeshEvent) => void): Stop
  /** Counts a listener that threw, and logs at most one a second. */
  listenerFailed(word: string, error: unknown): void
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})
const LOG_EVERY_MS = 1000

/** One line a second at most, which says how many it stands for. */
const createFailureLog = (log: Log, monotonic: () => number) => {
  let loggedAt = Number.NEGATIVE_INFINITY
  let unlogged = 0
  return (word: string, error: unknown): void => {
    unlogged += 1
    const now = monotonic()
    if (now - loggedAt < LOG_EVERY_MS) return
    log.error('a listener failed', { word, messageType: 'EVENT', error, failures: unlogged })
    loggedAt = now
    unlogged = 0
  }
}

const build = (
  topic: TopicEntry<LocalSubscription>,
  from: { id: string; source: string; timestamp: number; epoch: number; sequence: number },
  data: unknown,
  marks: EventAttributes | undefined,
  expiresAt: number | undefined,
): MeshEvent => ({
  id: from.id,
  topic: topic.name,
  data,
  source: from.source,
  timestamp: from.timestamp,
  epoch: from.epoch,
  sequence: from.sequence,
  type: marks?.type,
  version: marks?.version,
  conversationId: marks?.conversationId,
  correlationId: marks?.correlationId,
  headers: marks?.headers ?? NO_HEADERS,
  priority: marks?.priority ?? 'normal',
  expiresAt,
})

export const eventId = (source: string, word: string, epoch: number, sequence: number | ''): string =>
  `${source}/${word}/${epoch}/${sequence}`

export const createEventDispatch = (
  port: Pick<Port, 'self' | 'clock' | 'log'>,
  definitionOf: (topic: string) => EventDefinition | undefined,
  recentEvents: number,
  counters: EventCounters,
): EventDispatch => {
  const topics = createTopicTable<LocalSubscription>(definitionOf)
  const recent = createRecentEvents(recentEvents)
  const byWord = new Map<string, Set<LocalSubscription>>()
  const open = new Set<LocalSubscription>()
  const taps = new Set<(event: MeshEvent) => void>()
  let changes = 0
  let queued: (() => void)[] = []
  const monotonic = () => port.clock.monotonic()
  const logFailure = createFailureLog(port.log, monotonic)

  const failed = (word: string, error: unknown): void => {
    counters.listenerFailed(word)
    logFailure(word, error)
  }
  const guarded = (word: string, fn: () => void): void => {
    try {
      fn()
    } catch (error) {
      failed(word, error)
    }
  }

  const listeners = (topic: TopicEntry<LocalSubscription>): readonly LocalSubscription[] => {
    if (topic.listenersAt !== changes) {
      topic.listeners = [...(byWord.get(topic.word) ?? []), ...open].filter((sub) => sub.match(topic.name))
      topic.listenersAt = changes
    }
    return topic.listeners
  }

  const invalid = (sub: LocalSubscription, event: MeshEvent, issues: InvalidEvent['issues']): void => {
    counters.dropped('invalid')
    const { id, topic, source } = event
    if (sub.onInvalid !== undefined) guarded(firstWord(topic), () => sub.onInvalid?.({ id, topic, source, issues }))
  }

  const hand = (topic: TopicEntry<LocalSubscription>, event: MeshEvent): void => {
    for (const tap of taps) guarded(topic.word, () => tap(event))
    let definition: EventDefinition | undefined
    let checked: ReturnType<typeof checkEventData> | undefined
    for (const sub of listeners(topic)) {
      const { queue } = sub
      if (queue === undefined) continue
      const wanted = sub.definition ?? topic.definition
      if (wanted === undefined) {
        queue.push(event)
        continue
      }
      if (checked === undefined || definition !== wanted) checked = checkEventData(wanted, event.data)
      definition = wanted
      if (checked.ok) queue.push({ ...event, data: checked.data })
      else invalid(sub, event, checked.issues)
    }
  }

  /** An event off the wire; undefined, and counted, for one that cannot be read. */
  const fromWire = (
    batch: DecodedBatch,
    index: number,
    wire: WireEvent,
    arrivedAt: number,
  ): { topic: TopicEntry<LocalSubscription>; event: MeshEvent } | undefined => {
    let topic: TopicEntry<LocalSubscription>
    let data: unknown
    try {
      topic = topics.get(wire.topic)
      if (topic.word !== batch.word) return undefined
      data = readJsonText(wire.text)
    } catch {
      // A topic that is not one, or a payload that is not JSON, or too much of it.
      return undefined
    }
    const { publisher: source, epoch, sentAt: timestamp } = batch
    const sequence = batch.first + index
    const id = wire.id ?? eventId(source, batch.word, epoch, sequence)
    const expires = wire.ttlMs !== undefined && wire.ttlMs > 0 ? arrivedAt + wire.ttlMs - batch.waitedMs : undefined
    return { topic, event: build(topic, { id, source, timestamp, epoch, sequence }, data, wire, expires) }
  }
  const isOver = ({ expiresAt }: MeshEvent): boolean => expiresAt !== undefined && expiresAt <= monotonic()

  const flush = (): void => {
    const now = queued
    queued = []
    for (const deliver of now) deliver()
  }

  return {
    topics,
    recent,
    add(sub) {
      changes += 1
      if (sub.word === undefined) open.add(sub)
      else byWord.set(sub.word, (byWord.get(sub.word) ?? new Set()).add(sub))
    },
    remove(sub) {
      changes += 1
      open.delete(sub)
      if (sub.word === undefined) return
      const subs = byWord.get(sub.word)
      subs?.delete(sub)
      if (subs?.size === 0) byWord.delete(sub.word)
    },
    *all() {
      yield* open
      for (const subs of byWord.values()) yield* subs
    },
    wildcards: () => open.size,
    listeners,
    hasListeners: (word) => open.size > 0 || taps.size > 0 || byWord.has(word),
    eventFor(sub, batch, index, wire, arrivedAt) {
      const read = fromWire(batch, index, wire, arrivedAt)
      if (read === undefined) {
        counters.dropped('malformed')
        return undefined
      }
      const { topic, event } = read
      if (!sub.match(topic.name)) return undefined
      if (isOver(event)) {
        counters.dropped('expired')
        return undefined
      }
      const wanted = sub.definition ?? topic.definition
      if (wanted === undefined) return event
      const checked = checkEventData(wanted, event.data)
      if (checked.ok) return { ...event, data: checked.data }
      invalid(sub, event, checked.issues)
      return undefined
    },
    deliverReceived(batch, index, wire, arrivedAt) {
      const read = fromWire(batch, index, wire, arrivedAt)
      if (read === undefined) return counters.dropped('malformed')
      const { topic, event } = read
      topic.received += 1
      recent.add(event.id, topic.name, event.source, event.timestamp, wire.type, wire.text)
      if (isOver(event)) return counters.dropped('expired')
      hand(topic, event)
    },
    deliverOwn(topic, id, sequence, text, marks) {
      const timestamp = port.clock.now()
      const { id: source, incarnation: epoch } = port.self
      recent.add(id, topic.name, source, timestamp, marks?.type, text)
      const isHeard = listeners(topic).length > 0
      if (taps.size === 0 && !isHeard) return
      const expiresAt = marks?.ttlMs === undefined ? undefined : monotonic() + marks.ttlMs
      if (queued.length === 0) queueMicrotask(flush)
      queued.push(() => {
        if (isHeard) topic.received += 1
        hand(topic, build(topic, { id, source, timestamp, epoch, sequence }, JSON.parse(text), marks, expiresAt))
      })
    },
    missed(missed) {
      for (const sub of open) sub.queue?.missed(missed)
      for (const sub of byWord.get(missed.word) ?? []) sub.queue?.missed(missed)
    },
    hasRoom(word) {
      for (const sub of open) if (sub.queue?.isBehind() === true) return false
      for (const sub of byWord.get(word) ?? []) if (sub.queue?.isBehind() === true) return false
      return true
    },
    tap(fn) {
      // A function of its own, so that the same one given twice is called twice and removed once.
      const tap = (event: MeshEvent) => fn(event)
      taps.add(tap)
      return () => {
        taps.delete(tap)
      }
    },
    listenerFailed: failed,
  }
}
