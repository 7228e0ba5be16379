/**
 * subscribe(): a queue, or a reader for one that starts in the past, is acknowledged or has a name; its place in the
 * dispatch, and the words it needs, made known to the neighbours.
 */
import { ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'
import type { SubscribeOptions, Subscription } from './api.ts'
import type { EventChannel, EventChannels } from './channels/channels.ts'
import { defineEvent, type EventDefinition } from './define-event.ts'
import type { Listener, Missed } from './event.ts'
import type { EventCounters } from './event-counters.ts'
import type { EventsSettings } from './options.ts'
import type { EventDispatch, LocalSubscription } from './receive/event-dispatch.ts'
import { createSubscriptionQueue } from './receive/subscription-queue.ts'
import type { CatchupRegistry } from './replay/catchup-registry.ts'
import { type CatchupSubscription, createCatchupSubscription } from './replay/catchup-subscription.ts'
import type { DurableCursor, DurableCursors } from './replay/durable-cursors.ts'
import type { CatalogQuery } from './replay/history-catalog.ts'
import { compilePattern, firstWord, isOpen } from './topic.ts'

const OPTION_KEYS = keysOf<SubscribeOptions>({
  onMissed: true,
  from: true,
  ack: true,
  attempts: true,
  retryMs: true,
  onFailed: true,
  name: true,
  onInvalid: true,
  queueEvents: true,
  signal: true,
})
const ATTEMPTS = 5
const RETRY_MS = 100

const checkCount = (name: string, value: number): number => {
  if (Number.isInteger(value) && value >= 1) return value
  throw new ParleyError('MSG001', `${name} is ${value}`, { hint: 'give a whole number, at least 1' })
}

const checkFrom = (from: SubscribeOptions['from'] = 'latest'): NonNullable<SubscribeOptions['from']> => {
  if (from === 'latest' || from === 'earliest') return from
  // It may be called without types.
  const given: { last?: unknown; since?: unknown } | null = typeof from === 'object' ? from : null
  if (Number.isInteger(given?.last) && Number(given?.last) >= 1) return from
  if (given?.since !== undefined && Number.isFinite(Number(given.since))) return from
  throw new ParleyError('MSG001', `from is ${JSON.stringify(from)?.slice(0, 80)}`, {
    hint: "start from 'latest', 'earliest', { since: <milliseconds or Date> } or { last: <number of events> }",
  })
}

const isReading = ({ from = 'latest', ack, name }: SubscribeOptions): boolean =>
  from !== 'latest' || ack === true || name !== undefined

/** What a program holds; the listener's type is what its definition's schema makes of the data. */
const subscriptionOf = (
  pattern: string,
  source: Pick<CatchupSubscription, 'delivered' | 'iterate'> & { dropped(): number },
  unsubscribe: () => void,
  known: { confirmed: number; unconfirmed: string[] },
): Subscription<never> => ({
  pattern,
  ...known,
  delivered: source.delivered,
  dropped: source.dropped,
  unsubscribe,
  [Symbol.asyncIterator]: () => source.iterate(unsubscribe) as AsyncIterator<never>,
})

export const createSubscribe = (
  port: Pick<Port, 'clock' | 'members' | 'timers' | 'log'>,
  settings: EventsSettings,
  words: EventChannels,
  dispatch: EventDispatch,
  counters: EventCounters,
  readers: CatchupRegistry,
  catalogs: CatalogQuery,
  cursors: DurableCursors,
) => {
  const open = (word: string | undefined): EventChannel[] => {
    if (word === undefined) {
      words.followNeighbours()
      return words.all()
    }
    const held = words.acquire(word)
    held.subscriptions += 1
    return [held]
  }

  const close = (word: string | undefined): void => {
    if (word === undefined) {
      if (dispatch.wildcards() === 0) for (const held of words.all()) words.release(held.name)
      return
    }
    const held = words.all().find(({ name }) => name === word)
    if (held === undefined) return
    held.subscriptions -= 1
    words.release(word)
  }

  /** Tells the neighbours and says which of them know. */
  const makeKnown = async (held: readonly EventChannel[]): Promise<{ confirmed: number; unconfirmed: string[] }> => {
    const audiences = held.map(({ syncedTopic }) => syncedTopic)
    void words.sync.announce(audiences)
    await Promise.all(audiences.map((audience) => words.sync.settled(audience, settings.syncMs)))
    const members = port.members().map(({ id }) => id)
    const unconfirmed = members.filter((id) => !audiences.every(({ confirmed }) => confirmed.has(id)))
    return { confirmed: members.length - unconfirmed.length, unconfirmed }
  }

  /** The inside of a subscription, and its place in the dispatch. */
  interface Inside {
    readonly sub: LocalSubscription
    readonly source: Pick<CatchupSubscription, 'delivered' | 'iterate'> & { dropped(): number }
    /** Where it starts in the past: once it is known what there is. */
    begin(held: readonly EventChannel[]): Promise<unknown>
    close(): void
  }

  interface Target {
    readonly pattern: string
    readonly word: string | undefined
    readonly label: string
    readonly match: LocalSubscription['match']
    readonly definition: EventDefinition | undefined
  }

  const queued = (
    { pattern, word, label, match, definition }: Target,
    listener: Listener<unknown> | undefined,
    options: SubscribeOptions,
  ): Inside => {
    const queue = createSubscriptionQueue(
      listener,
      checkCount('queueEvents', options.queueEvents ?? settings.queueEvents),
      {
        monotonic: () => port.clock.monotonic(),
        onMissed: options.onMissed,
        failed: (error) => dispatch.listenerFailed(label, error),
        expired: () => counters.dropped('expired'),
        overflowed: () => counters.dropped('overflow'),
      },
    )
    const sub: LocalSubscription = { pattern, word, match, definition, queue, onInvalid: options.onInvalid }
    dispatch.add(sub)
    return { sub, source: queue, begin: () => Promise.resolve(), close: queue.close }
  }

  const reading = (
    { pattern, word, label, match, definition }: Target,
    listener: Listener<unknown> | undefined,
    options: SubscribeOptions,
    cursor: DurableCursor | undefined,
  ): Inside => {
    const sub: LocalSubscription = { pattern, word, match, definition, queue: undefined, onInvalid: options.onInvalid }
    const guarded = (fn: () => void): void => {
      try {
        fn()
      } catch (error) {
        dispatch.listenerFailed(label, error)
      }
    }
    const reader = createCatchupSubscription(
      port,
      listener,
      {
        from: checkFrom(options.from),
        cursor: cursor?.saved,
        ack: options.ack === true,
        attempts: checkCount('attempts', options.attempts ?? ATTEMPTS),
        retryMs: checkCount('retryMs', options.retryMs ?? RETRY_MS),
        maxPublishers: settings.maxPublishers,
      },
      {
        retrieve: words.retrieve,
        catalogs,
        position: words.position,
        publishers: words.publishers,
        eventFor({ batch, index, wire, arrivedAt }) {
          if (wire === undefined) {
            counters.dropped('malformed')
            return undefined
          }
          return dispatch.eventFor(sub, batch, index, wire, arrivedAt)
        },
        missed(missed: Missed) {
          counters.unread(missed.word, missed.to - missed.from + 1)
          guarded(() => options.onMissed?.(missed))
        },
        failed: (error) => dispatch.listenerFailed(label, error),
        redelivered: counters.redelivered,
        givenUp(event, error) {
          counters.givenUp()
          dispatch.listenerFailed(label, error)
          guarded(() => options.onFailed?.(event, error))
        },
        delivered: counters.replayed,
        moved: () => cursor?.moved(),
      },
    )
    cursor?.follow(reader.positions)
    dispatch.add(sub)
    readers.add(word, reader)
    return {
      sub,
      source: { ...reader, dropped: () => 0 },
      begin: (held) => Promise.all(held.map(({ name }) => reader.begin(name))),
      close() {
        readers.remove(word, reader)
        reader.close()
        void cursor?.close()
      },
    }
  }

  const closers = new Set<() => void>()

  const subscribe = async (
    target: string | EventDefinition,
    given?: Listener<never>,
    options: SubscribeOptions = {},
  ): Promise<Subscription<never>> => {
    checkKeys(options, OPTION_KEYS, 'the options of subscribe()')
    options.signal?.throwIfAborted()
    const definition = typeof target === 'string' ? undefined : defineEvent(target)
    const pattern = typeof target === 'string' ? target : target.topic
    const match = compilePattern(pattern)
    const word = isOpen(pattern) ? undefined : firstWord(pattern)
    const about: Target = { pattern, word, label: word ?? '#', match, definition }
    // The schema has made the data what the listener expects; without one its type is unknown.
    const listener = given as Listener<unknown> | undefined
    checkFrom(options.from)
    const cursor = options.name === undefined ? undefined : await cursors.open(options.name)
    let inside: Inside
    try {
      inside = isReading(options) ? reading(about, listener, options, cursor) : queued(about, listener, options)
    } catch (error) {
      void cursor?.close()
      throw error
    }
    let active = true
    let held: EventChannel[] | undefined
    const end = (): void => {
      if (!active) return
      active = false
      closers.delete(end)
      options.signal?.removeEventListener('abort', unsubscribe)
      inside.close()
      dispatch.remove(inside.sub)
    }
    const unsubscribe = (): void => {
      if (!active) return
      end()
      if (held !== undefined) close(word)
    }
    closers.add(end)
    try {
      held = open(word)
      options.signal?.addEventListener('abort', unsubscribe, { once: true })
      await words.sync.serving
      const [known] = await Promise.all([makeKnown(held), inside.begin(held)])
      return subscriptionOf(pattern, inside.source, unsubscribe, known)
    } catch (error) {
      unsubscribe()
      throw error
    }
  }

  return {
    subscribe,
    closeAll(): void {
      for (const end of [...closers]) end()
    },
  }
}
