/** What a program sees of events; events.ts says what is promised. */
import type { ZodType, ZodUnknown, z } from 'zod'
import type { Port } from '../port.ts'
import type { Registration } from '../registration.ts'
import type { Priority } from '../wire/envelope.ts'
import type { EventDefinition } from './define-event.ts'
import type { InvalidEvent, Listener, MeshEvent, Missed } from './event.ts'
import type { CursorPosition } from './history/history-contract.ts'

export interface PublishOptions {
  /** Where the definition is for a family of topics (`tasks.status.*`): the one to publish to. */
  topic?: string
  /** 1 to 128 characters; made from publisher, epoch and sequence unless told. */
  id?: string
  type?: string
  conversationId?: string
  correlationId?: string
  /** At most 32, of 4096 characters together. */
  headers?: Record<string, string>
  priority?: Priority
  /** Milliseconds after which the event is worth nothing; it is dropped and counted where it is found expired. */
  ttlMs?: number
  /** Ends the waiting, not the event: it may still go out. */
  signal?: AbortSignal
}

export interface Receipt {
  readonly id: string
  readonly topic: string
  readonly epoch: number
  readonly sequence: number
  /** Peers that gossip sent it to directly. 0: nobody else was there to hear it. */
  readonly recipients: number
}

/** Where a subscription starts; see SubscribeOptions. */
export type StartPosition =
  | 'earliest'
  | 'latest'
  | { readonly since: number | Date }
  | { readonly last: number }
  | { readonly cursor: EventCursor }

/** A place in the history of one first word, as JSON: a program keeps it, and subscribes from there later, on any node. */
export interface EventCursor {
  /** Milliseconds since 1970: of publishers that are not named, events count from then on. */
  readonly createdAt: number
  /** By publisher, the number of the next event. */
  readonly positions: readonly CursorPosition[]
}

export interface SubscribeOptions {
  /** Told about events that are gone for good, and about those dropped because this subscription's queue was full. */
  onMissed?: (missed: Missed) => void
  /**
   * Where to start, `latest` unless told: with what is published from now on. Else with what this node and its neighbours
   * still hold: `earliest`, all of it (events of an epoch that are gone are reported as missed); `since`, by the publishers'
   * clocks (milliseconds since 1970, or a Date); `last`, so many events of each publisher under the first word, before
   * the pattern is applied; `cursor`, what came after `cursor()` was asked. Events of one publisher come in order, its earlier
   * epochs first, none twice.
   */
  from?: StartPosition
  /**
   * An event is handled when the listener's promise resolves, or when the loop asks for the next one; one that fails is
   * handed out again, and the next ones of its publisher wait. Nothing overflows: what waits is read when it is wanted.
   */
  ack?: boolean
  /** With `ack`: attempts of one event before it is left behind, 5 unless told. */
  attempts?: number
  /** With `ack`: milliseconds before the second attempt, 100 unless told; doubled for each one more, up to 10 s. */
  retryMs?: number
  /** With `ack`: told about an event that failed in its last attempt. */
  onFailed?: (event: MeshEvent, error: unknown) => void
  /**
   * Keeps under this name how far the subscription is, in the data directory where there is one: with the same name it
   * goes on from there, also after a restart, and `from` counts only the first time. 1 to 64 letters, digits, `_`, `-` and
   * `.`; one subscription of a name at a time. After a crash events of the last second may come again.
   */
  name?: string
  /** Told about events whose data does not fit their definition. */
  onInvalid?: (invalid: InvalidEvent) => void
  /** Events that wait while the listener works; `queueEvents` of the settings unless told. */
  queueEvents?: number
  /** Aborting it ends the subscription. */
  signal?: AbortSignal
}

/** `stop` ends it and drops what is queued. */
export interface Subscription<T = unknown> extends AsyncIterable<MeshEvent<T>>, Registration {
  readonly pattern: string
  /** Neighbours that know of this subscription, or had nothing to be told: what they publish from now on comes here. */
  readonly confirmed: number
  /** Neighbours that did not answer in time. Their events come as soon as gossip has told them. */
  readonly unconfirmed: readonly string[]
  /** Events handed to the listener or the loop so far. */
  delivered(): number
  /** Events dropped because the queue was full; a subscription that reads has no queue and drops none. */
  dropped(): number
  /** Behind what it has handled, to go on from later; undefined where it began with what is new, and for agents in threads. */
  cursor(): EventCursor | undefined
}

/** One line of the list of recent events. */
export interface RecentEvent {
  readonly id: string
  readonly topic: string
  readonly source: string
  readonly timestamp: number
  readonly type: string | undefined
  /** Characters of the payload's JSON. */
  readonly size: number
  /** Left out when the payload is large. */
  readonly data?: unknown
}

export interface TopicFigures {
  readonly topic: string
  /** By this node. */
  readonly published: number
  /** Heard on this node, its own included where somebody here listens. */
  readonly received: number
  /** Events a second, both together, since it was last asked; at least over one second. */
  readonly rate: number
  /** Subscriptions on this node that match. */
  readonly subscribers: number
  /** Neighbours subscribed to the first word. */
  readonly peers: number
}

/** Sizes now, and numbers of events since the start. */
export interface EventsFigures {
  /** What is held for those that missed events or come late. */
  readonly historyBytes: number
  readonly historyEvents: number
  /** Batches that were not kept on disk, since the quota of the disk had no room. */
  readonly historyUnkept: number
  /** Batches behind a gap. */
  readonly waitingBytes: number
  /** Events published here that wait to be sent. */
  readonly queuedBytes: number
  /** Events that wait in subscriptions for their listeners. */
  readonly queuedEvents: number
  /** Batches that wait in subscriptions that read. */
  readonly readingBytes: number
  readonly repaired: number
  readonly missed: number
  /** Handed to subscriptions that read. */
  readonly replayed: number
  readonly redelivered: number
  /** Left behind after their last attempt. */
  readonly givenUp: number
}

export interface Events {
  /**
   * To the topic of a definition, or to a topic by name, with any data. One signature and no overloads: where data do not
   * fit their definition, the compiler names the field.
   * @returns once the event's batch went to gossip
   * @throws MSG001 for a topic, data or option that is not usable, MSG002 for data that JSON cannot hold, COM003 (with
   *   `retryAfterMs` in its details) when too much waits already, COM002 when it could not be sent
   */
  publish<S extends ZodType = ZodUnknown>(
    event: EventDefinition<S> | string,
    data: z.input<S>,
    options?: PublishOptions,
  ): Promise<Receipt>
  /** Publishes to the topic that the settings name for this type, `task.events.default` unless told. */
  emit(type: string, data: unknown, options?: Omit<PublishOptions, 'type' | 'topic'>): Promise<Receipt>
  /**
   * Hears a topic or a pattern (`*` one word, `#` the rest). Without a listener the subscription is read by `for await`.
   * @returns once the neighbours know of it, or after `syncMs`; `confirmed` and `unconfirmed` say which
   */
  subscribe<S extends ZodType = ZodUnknown>(
    event: EventDefinition<S> | string,
    listener?: Listener<z.output<S>>,
    options?: SubscribeOptions,
  ): Promise<Subscription<z.output<S>>>
  /**
   * Where the history of this topic's first word ends now, as far as this node and its neighbours know: what is published
   * after it resolved comes to a subscription from there.
   * @throws MSG001 for a first word that is a wildcard; COM003 for too many first words
   */
  cursor(topic: string): Promise<EventCursor>
  topics(): TopicFigures[]
  /** Whether anybody listens to the first word of this topic, as far as this node knows: itself, or a neighbour. */
  hasAudience(topic: string): boolean
  figures(): EventsFigures
  /** The last events that were published or heard here, oldest first. */
  recent(): RecentEvent[]
  /** Sees every event that is published or heard here, unchecked. For a page or a log; it must be quick. */
  onEvent(fn: (event: MeshEvent) => void): Registration
  /** Sends what waits, for at most `syncMs`, ends all subscriptions and stops listening. */
  stop(): Promise<void>
}

export type EventsPort = Pick<
  Port,
  | 'self'
  | 'clock'
  | 'timers'
  | 'log'
  | 'metrics'
  | 'gossip'
  | 'hash'
  | 'random'
  | 'sign'
  | 'verify'
  | 'members'
  | 'onMember'
  | 'serve'
  | 'to'
>
