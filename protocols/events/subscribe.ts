/** subscribe(): a queue, its place in the dispatch, and the words it needs, made known to the neighbours. */
import { ParleyError } from '../errors.ts'
import type { Port } from '../port.ts'
import type { SubscribeOptions } from './api.ts'
import type { Counters } from './counters.ts'
import { defineEvent, type EventDefinition } from './define-event.ts'
import type { Dispatch, Sub } from './dispatch.ts'
import type { Listener } from './event.ts'
import type { Settings } from './options.ts'
import { createQueue, type Queue, type Subscription } from './subscription.ts'
import { compilePattern, firstWord, isOpen } from './topic.ts'
import type { Word, Words } from './words.ts'

const checkQueueEvents = (limit: number): number => {
  if (Number.isInteger(limit) && limit >= 1) return limit
  throw new ParleyError('MSG001', `queueEvents is ${limit}`, { hint: 'give a whole number of events, at least 1' })
}

/** What a program holds; the listener's type is what its definition's schema makes of the data. */
const subscriptionOf = (
  pattern: string,
  queue: Queue,
  unsubscribe: () => void,
  known: { confirmed: number; unconfirmed: string[] },
): Subscription<never> => ({
  pattern,
  ...known,
  delivered: queue.delivered,
  dropped: queue.dropped,
  unsubscribe,
  [Symbol.asyncIterator]: () => queue.iterate(unsubscribe) as AsyncIterator<never>,
})

export const createSubscribe = (
  port: Pick<Port, 'clock' | 'members'>,
  settings: Settings,
  words: Words,
  dispatch: Dispatch,
  counters: Counters,
) => {
  const open = (word: string | undefined): Word[] => {
    if (word === undefined) {
      words.follow()
      return words.all()
    }
    const held = words.hold(word)
    held.subscriptions += 1
    return [held]
  }

  const close = (word: string | undefined): void => {
    if (word === undefined) {
      if (dispatch.open() === 0) for (const held of words.all()) words.release(held.name)
      return
    }
    const held = words.all().find(({ name }) => name === word)
    if (held === undefined) return
    held.subscriptions -= 1
    words.release(word)
  }

  /** Tells the neighbours and says which of them know. */
  const makeKnown = async (held: readonly Word[]): Promise<{ confirmed: number; unconfirmed: string[] }> => {
    const audiences = held.map(({ audience }) => audience)
    void words.reach.announce(audiences)
    await Promise.all(audiences.map((audience) => words.reach.settled(audience, settings.syncMs)))
    const members = port.members().map(({ id }) => id)
    const unconfirmed = members.filter((id) => !audiences.every(({ confirmed }) => confirmed.has(id)))
    return { confirmed: members.length - unconfirmed.length, unconfirmed }
  }

  const subscribe = async (
    target: string | EventDefinition,
    listener?: Listener<never>,
    options: SubscribeOptions = {},
  ): Promise<Subscription<never>> => {
    options.signal?.throwIfAborted()
    const definition = typeof target === 'string' ? undefined : defineEvent(target)
    const pattern = typeof target === 'string' ? target : target.topic
    const match = compilePattern(pattern)
    const word = isOpen(pattern) ? undefined : firstWord(pattern)
    const label = word ?? '#'
    // The schema has made the data what the listener expects; without one its type is unknown.
    const queue = createQueue(
      listener as Listener<unknown> | undefined,
      checkQueueEvents(options.queueEvents ?? settings.queueEvents),
      {
        monotonic: () => port.clock.monotonic(),
        onMissed: options.onMissed,
        failed: (error) => dispatch.failed(label, error),
        expired: () => counters.dropped('expired'),
        overflowed: () => counters.dropped('overflow'),
      },
    )
    const sub: Sub = { word, match, definition, queue, onInvalid: options.onInvalid }
    dispatch.add(sub)
    let active = true
    let held: Word[] | undefined
    const unsubscribe = (): void => {
      if (!active) return
      active = false
      options.signal?.removeEventListener('abort', unsubscribe)
      queue.close()
      dispatch.remove(sub)
      if (held !== undefined) close(word)
    }
    try {
      held = open(word)
      options.signal?.addEventListener('abort', unsubscribe, { once: true })
      await words.reach.serving
      return subscriptionOf(pattern, queue, unsubscribe, await makeKnown(held))
    } catch (error) {
      unsubscribe()
      throw error
    }
  }

  return {
    subscribe,
    closeAll(): void {
      for (const sub of [...dispatch.all()]) {
        sub.queue.close()
        dispatch.remove(sub)
      }
    },
  }
}
