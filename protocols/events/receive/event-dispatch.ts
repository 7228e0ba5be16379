/**
 * Brings events to those who listen on this node: subscriptions, taps and the list of recent events.
 *
 * An event that came from a peer and one that was published here take the same way from their JSON on, so a listener
 * cannot tell them apart and cannot reach into the publisher's data. Events published here are handed out in a microtask:
 * a listener never runs inside publish().
 */
import { isParleyError } from '../../errors.ts'
import type { Log, Port, Stop } from '../../port.ts'
import { type DecodedBatch, eventDecoder, type VerifiedBatch, type WireEvent } from '../batch/batch-decoder.ts'
import type { EventAttributes } from '../batch/event-attributes.ts'
import { checkEventData, type EventDefinition } from '../define-event.ts'
import type { InvalidEvent, MeshEvent, Missed } from '../event.ts'
import type { EventCounters } from '../event-counters.ts'
import { firstWord, type Matcher } from '../topic.ts'
import { buildEvent, readWireEvent } from './event-builder.ts'
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
  /** Undefined for one that catches up at its own pace (catchup-subscription.ts). */
  readonly queue: SubscriptionQueue | undefined
  readonly onInvalid: ((invalid: InvalidEvent) => void) | undefined
}

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

export class EventDispatch {
  readonly #port: Pick<Port, 'self' | 'clock' | 'log'>
  readonly #counters: EventCounters
  readonly topics: TopicTable<LocalSubscription>
  readonly recent: RecentEvents
  readonly #byWord = new Map<string, Set<LocalSubscription>>()
  readonly #wildcards = new Set<LocalSubscription>()
  readonly #taps = new Set<(event: MeshEvent) => void>()
  #subscriptionChanges = 0
  #ownEvents: (() => void)[] = []
  readonly #logFailure: (word: string, error: unknown) => void

  constructor(
    port: Pick<Port, 'self' | 'clock' | 'log'>,
    definitionOf: (topic: string) => EventDefinition | undefined,
    recentEvents: number,
    counters: EventCounters,
  ) {
    this.#port = port
    this.#counters = counters
    this.topics = createTopicTable<LocalSubscription>(definitionOf)
    this.recent = createRecentEvents(recentEvents)
    this.#logFailure = createFailureLog(port.log, () => port.clock.monotonic())
  }

  add(sub: LocalSubscription): void {
    this.#subscriptionChanges += 1
    if (sub.word === undefined) this.#wildcards.add(sub)
    else this.#byWord.set(sub.word, (this.#byWord.get(sub.word) ?? new Set()).add(sub))
  }

  remove(sub: LocalSubscription): void {
    this.#subscriptionChanges += 1
    this.#wildcards.delete(sub)
    if (sub.word === undefined) return
    const subs = this.#byWord.get(sub.word)
    subs?.delete(sub)
    if (subs?.size === 0) this.#byWord.delete(sub.word)
  }

  *all(): Iterable<LocalSubscription> {
    yield* this.#wildcards
    for (const subs of this.#byWord.values()) yield* subs
  }

  /** Subscriptions whose first word is a wildcard. */
  wildcards(): number {
    return this.#wildcards.size
  }

  listeners(topic: TopicEntry<LocalSubscription>): readonly LocalSubscription[] {
    if (topic.listenersAt !== this.#subscriptionChanges) {
      topic.listeners = [...(this.#byWord.get(topic.word) ?? []), ...this.#wildcards].filter((sub) =>
        sub.match(topic.name),
      )
      topic.listenersAt = this.#subscriptionChanges
    }
    return topic.listeners
  }

  /** True when somebody may listen to a topic of this word. */
  hasListeners(word: string): boolean {
    return this.#wildcards.size > 0 || this.#taps.size > 0 || this.#byWord.has(word)
  }

  /** What a subscription that catches up gets of an event; undefined where it does not match, is over, or is not valid. */
  eventFor(
    sub: LocalSubscription,
    batch: DecodedBatch,
    index: number,
    wire: WireEvent,
    arrivedAt: number,
  ): MeshEvent | undefined {
    const read = readWireEvent(this.topics, batch, index, wire, arrivedAt)
    if (read === undefined) {
      this.#counters.dropped('malformed')
      return undefined
    }
    const { topic, event } = read
    if (!sub.match(topic.name)) return undefined
    if (this.#isOver(event)) {
      this.#counters.dropped('expired')
      return undefined
    }
    const wanted = sub.definition ?? topic.definition
    if (wanted === undefined) return event
    const checked = checkEventData(wanted, event.data)
    if (checked.ok) return { ...event, data: checked.data }
    this.#invalid(sub, event, checked.issues)
    return undefined
  }

  /** The events of a verified batch whose turn it is; one that cannot be read does not take the others with it. */
  deliverBatch({ batch, arrivedAt }: VerifiedBatch): void {
    const eventAt = eventDecoder(batch)
    const count = batch.spans.length / 2
    for (let index = 0; index < count; index += 1) {
      let wire: WireEvent
      try {
        wire = eventAt(index)
      } catch (error) {
        if (!isParleyError(error, 'MSG003')) throw error
        this.#counters.dropped('malformed')
        continue
      }
      this.#deliver(batch, index, wire, arrivedAt)
    }
  }

  /** An event that was just published here. */
  deliverOwn(
    topic: TopicEntry<LocalSubscription>,
    id: string,
    sequence: number,
    text: string,
    attributes: EventAttributes | undefined,
  ): void {
    const timestamp = this.#port.clock.now()
    const { id: source, incarnation: epoch } = this.#port.self
    this.recent.add(id, topic.name, source, timestamp, attributes?.type, text)
    const isHeard = this.listeners(topic).length > 0
    if (this.#taps.size === 0 && !isHeard) return
    const expiresAt = attributes?.ttlMs === undefined ? undefined : this.#monotonic() + attributes.ttlMs
    if (this.#ownEvents.length === 0) queueMicrotask(() => this.#flush())
    this.#ownEvents.push(() => {
      if (isHeard) topic.received += 1
      this.#hand(
        topic,
        buildEvent(topic, { id, source, timestamp, epoch, sequence }, JSON.parse(text), attributes, expiresAt),
      )
    })
  }

  missed(missed: Missed): void {
    for (const sub of this.#wildcards) sub.queue?.missed(missed)
    for (const sub of this.#byWord.get(missed.word) ?? []) sub.queue?.missed(missed)
  }

  /** False while a subscription to this word has more than half of its queue waiting. */
  hasRoom(word: string): boolean {
    for (const sub of this.#wildcards) if (sub.queue?.isBehind() === true) return false
    for (const sub of this.#byWord.get(word) ?? []) if (sub.queue?.isBehind() === true) return false
    return true
  }

  tap(fn: (event: MeshEvent) => void): Stop {
    // A function of its own, so that the same one given twice is called twice and removed once.
    const tap = (event: MeshEvent) => fn(event)
    this.#taps.add(tap)
    return () => {
      this.#taps.delete(tap)
    }
  }

  /** Counts a listener that threw, and logs at most one a second. */
  listenerFailed(word: string, error: unknown): void {
    this.#counters.listenerFailed(word)
    this.#logFailure(word, error)
  }

  #monotonic(): number {
    return this.#port.clock.monotonic()
  }

  #guarded(word: string, fn: () => void): void {
    try {
      fn()
    } catch (error) {
      this.listenerFailed(word, error)
    }
  }

  #invalid(sub: LocalSubscription, event: MeshEvent, issues: InvalidEvent['issues']): void {
    this.#counters.dropped('invalid')
    const { id, topic, source } = event
    if (sub.onInvalid !== undefined)
      this.#guarded(firstWord(topic), () => sub.onInvalid?.({ id, topic, source, issues }))
  }

  #hand(topic: TopicEntry<LocalSubscription>, event: MeshEvent): void {
    for (const tap of this.#taps) this.#guarded(topic.word, () => tap(event))
    let definition: EventDefinition | undefined
    let checked: ReturnType<typeof checkEventData> | undefined
    for (const sub of this.listeners(topic)) {
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
      else this.#invalid(sub, event, checked.issues)
    }
  }

  #deliver(batch: DecodedBatch, index: number, wire: WireEvent, arrivedAt: number): void {
    const read = readWireEvent(this.topics, batch, index, wire, arrivedAt)
    if (read === undefined) {
      this.#counters.dropped('malformed')
      return
    }
    const { topic, event } = read
    topic.received += 1
    this.recent.add(event.id, topic.name, event.source, event.timestamp, wire.type, wire.text)
    if (this.#isOver(event)) this.#counters.dropped('expired')
    else this.#hand(topic, event)
  }

  #isOver({ expiresAt }: MeshEvent): boolean {
    return expiresAt !== undefined && expiresAt <= this.#monotonic()
  }

  #flush(): void {
    const now = this.#ownEvents
    this.#ownEvents = []
    for (const deliver of now) deliver()
  }
}
