/**
 * subscribe(): checks the options, makes the source of the events (subscription-sources.ts), subscribes to the channels that
 * it needs, and makes them known to the neighbours.
 *
 * State: how each open subscription is ended.
 */
import { onAbort } from '../async.ts'
import { ParleyError } from '../errors.ts'
import type { HearChain } from '../interceptors/chains.ts'
import type { Stop } from '../port.ts'
import { createRegistration } from '../registration.ts'
import { checkKeys } from '../unknown-keys.ts'
import type { EventCursor, SubscribeOptions, Subscription } from './api.ts'
import type { EventChannel } from './channels/event-channel.ts'
import { defineEvent, type EventDefinition } from './define-event.ts'
import type { Listener } from './event.ts'
import { type InterceptedHearDeps, interceptIterator, interceptListener } from './receive/intercepted-hear.ts'
import type { DurableCursor, DurableCursors } from './replay/durable-cursors.ts'
import { checkFrom, isCatchup, SUBSCRIBE_KEYS } from './subscribe-options.ts'
import {
  createCatchupSource,
  createLiveSource,
  type SubscriptionDeps,
  type SubscriptionSource,
  type SubscriptionTarget,
} from './subscription-sources.ts'
import { compilePattern, firstWord, isOpen } from './topic.ts'

/** Which neighbours know of a subscription. */
type KnownTo = Pick<Subscription, 'confirmed' | 'unconfirmed'>

/** What a program holds; the listener's type is what its definition's schema makes of the data. */
const subscriptionOf = (
  { sub: { pattern }, delivered, dropped, cursor, iterate }: SubscriptionSource,
  unsubscribe: () => void,
  knownTo: KnownTo,
): Subscription<never> => ({
  pattern,
  ...knownTo,
  delivered,
  dropped,
  cursor,
  ...createRegistration(unsubscribe),
  [Symbol.asyncIterator]: () => iterate(unsubscribe) as AsyncIterator<never>,
})

export class Subscriptions {
  readonly #deps: SubscriptionDeps
  readonly #cursors: DurableCursors
  readonly #ends = new Set<() => void>()

  constructor(deps: SubscriptionDeps, cursors: DurableCursors) {
    this.#deps = deps
    this.#cursors = cursors
  }

  /** See Events.subscribe. @param chain interceptors of what it hears, where there are any */
  async subscribe(
    to: string | EventDefinition,
    given?: Listener<never>,
    options: SubscribeOptions = {},
    chain?: HearChain,
  ): Promise<Subscription<never>> {
    checkKeys(options, SUBSCRIBE_KEYS, 'the options of subscribe()')
    options.signal?.throwIfAborted()
    const definition = typeof to === 'string' ? undefined : defineEvent(to)
    const pattern = typeof to === 'string' ? to : to.topic
    const match = compilePattern(pattern)
    const word = isOpen(pattern) ? undefined : firstWord(pattern)
    // The schema has made the data what the listener expects; without one its type is unknown.
    const listener = given as Listener<unknown> | undefined
    checkFrom(options.from)
    const cursor = options.name === undefined ? undefined : await this.#cursors.open(options.name)
    const source = this.#createSource({ pattern, word, match, definition, listener, options }, cursor, chain)
    let channels: EventChannel[] | undefined
    let isActive = true
    let stopFollowing: Stop = () => {}
    const end = (): void => {
      if (!isActive) return
      isActive = false
      this.#ends.delete(end)
      stopFollowing()
      source.close()
      this.#deps.dispatch.remove(source.sub)
    }
    const unsubscribe = (): void => {
      if (!isActive) return
      end()
      if (channels !== undefined) this.#releaseChannels(word)
    }
    this.#ends.add(end)
    try {
      channels = this.#acquireChannels(word)
      stopFollowing = onAbort(options.signal, unsubscribe)
      await this.#deps.channels.serving
      const [knownTo] = await Promise.all([this.#makeKnown(channels), source.begin(channels.map(({ name }) => name))])
      return subscriptionOf(source, unsubscribe, knownTo)
    } catch (error) {
      unsubscribe()
      throw error
    }
  }

  /** See Events.cursor. */
  async cursor(topic: string): Promise<EventCursor> {
    const { channels, port } = this.#deps
    if (isOpen(topic))
      throw new ParleyError('MSG001', `the topic ${topic.slice(0, 80)} has no first word`, {
        hint: 'name its first word: a history is kept by that',
      })
    const word = firstWord(topic)
    const createdAt = port.clock.now()
    // The neighbours say how far they are.
    const listening = await this.subscribe(topic, () => {})
    const positions = channels.publishers(word).flatMap((publisher) => {
      const position = channels.position(publisher, word)
      return position === undefined ? [] : [{ publisher, word, ...position }]
    })
    await listening.stop()
    return { createdAt, positions }
  }

  closeAll(): void {
    for (const end of [...this.#ends]) end()
  }

  #createSource(
    target: SubscriptionTarget,
    cursor: DurableCursor | undefined,
    chain: HearChain | undefined,
  ): SubscriptionSource {
    return chain === undefined ? this.#openSource(target, cursor) : this.#throughChain(chain, target, cursor)
  }

  #throughChain(chain: HearChain, target: SubscriptionTarget, cursor: DurableCursor | undefined): SubscriptionSource {
    const { dispatch, counters } = this.#deps
    const deps: InterceptedHearDeps = {
      chain,
      pattern: target.pattern,
      definitionOf: (topic) => target.definition ?? dispatch.topics.get(topic).definition,
      dropped: counters.dropped,
    }
    const listener = target.listener && interceptListener(deps, target.listener)
    const source = this.#openSource({ ...target, listener }, cursor)
    return { ...source, iterate: (unsubscribe) => interceptIterator(deps, source.iterate(unsubscribe)) }
  }

  #openSource(target: SubscriptionTarget, cursor: DurableCursor | undefined): SubscriptionSource {
    try {
      return isCatchup(target.options)
        ? createCatchupSource(this.#deps, target, cursor)
        : createLiveSource(this.#deps, target)
    } catch (error) {
      void cursor?.close()
      throw error
    }
  }

  /** @param word undefined: all words that neighbours are subscribed to */
  #acquireChannels(word: string | undefined): EventChannel[] {
    const { channels } = this.#deps
    if (word === undefined) {
      channels.followNeighbours()
      return channels.all()
    }
    const channel = channels.acquire(word)
    channel.subscriptions += 1
    return [channel]
  }

  #releaseChannels(word: string | undefined): void {
    const { channels, dispatch } = this.#deps
    if (word === undefined) {
      if (dispatch.wildcards() === 0) for (const { name } of channels.all()) channels.release(name)
      return
    }
    const channel = channels.get(word)
    if (channel === undefined) return
    channel.subscriptions -= 1
    channels.release(word)
  }

  /** Tells the neighbours and says which of them know. */
  async #makeKnown(channels: readonly EventChannel[]): Promise<KnownTo> {
    const { port, settings } = this.#deps
    const { sync } = this.#deps.channels
    const topics = channels.map(({ syncedTopic }) => syncedTopic)
    void sync.announce(topics)
    await Promise.all(topics.map((topic) => sync.settled(topic, settings.syncMs)))
    const members = port.members().map(({ id }) => id)
    const unconfirmed = members.filter((id) => !topics.every(({ confirmed }) => confirmed.has(id)))
    return { confirmed: members.length - unconfirmed.length, unconfirmed }
  }
}
