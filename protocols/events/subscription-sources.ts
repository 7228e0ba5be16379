/**
 * Where the events of one subscription come from: a queue of what comes from now on, or a subscription that catches up.
 * Both are made from the same options and used in the same way.
 */
import type { Port } from '../port.ts'
import type { EventCursor, SubscribeOptions } from './api.ts'
import type { EventChannels } from './channels/channels.ts'
import type { Listener, MeshEvent, Missed } from './event.ts'
import type { EventCounters } from './event-counters.ts'
import type { EventsSettings } from './options.ts'
import type { EventDispatch, LocalSubscription } from './receive/event-dispatch.ts'
import { SubscriptionQueue } from './receive/subscription-queue.ts'
import type { CatchupRegistry } from './replay/catchup-registry.ts'
import { CatchupSubscription } from './replay/catchup-subscription.ts'
import type { DurableCursor } from './replay/durable-cursors.ts'
import type { CatalogQuery } from './replay/history-catalog.ts'
import { sinceMs } from './replay/start-position.ts'
import { checkCount, checkFrom, cursorOf } from './subscribe-options.ts'

const ATTEMPTS = 5
const RETRY_MS = 100

/** What all subscriptions of this node share. */
export interface SubscriptionDeps {
  readonly port: Pick<Port, 'clock' | 'members' | 'timers' | 'log'>
  readonly settings: EventsSettings
  readonly channels: EventChannels
  readonly dispatch: EventDispatch
  readonly counters: EventCounters
  readonly readers: CatchupRegistry
  readonly catalogs: CatalogQuery
}

/** What is subscribed to, and by whom. */
export interface SubscriptionTarget extends Pick<LocalSubscription, 'pattern' | 'word' | 'match' | 'definition'> {
  readonly listener: Listener<unknown> | undefined
  readonly options: SubscribeOptions
}

export interface SubscriptionSource {
  /** As the dispatch sees it. */
  readonly sub: LocalSubscription
  /** Where it starts in the past: resolves once it is known what there is of these words. */
  begin(words: readonly string[]): Promise<unknown>
  iterate(unsubscribe: () => void): AsyncIterator<MeshEvent>
  delivered(): number
  dropped(): number
  cursor(): EventCursor | undefined
  close(): void
}

/** In metrics and the log. */
const labelOf = ({ word }: SubscriptionTarget): string => word ?? '#'

const subOf = (
  { pattern, word, match, definition, options }: SubscriptionTarget,
  queue: SubscriptionQueue | undefined,
): LocalSubscription => ({ pattern, word, match, definition, queue, onInvalid: options.onInvalid })

/** A queue of what comes from now on. @throws MSG001 */
export const createLiveSource = (
  { port, settings, dispatch, counters }: SubscriptionDeps,
  target: SubscriptionTarget,
): SubscriptionSource => {
  const { listener, options } = target
  const limit = checkCount('queueEvents', options.queueEvents ?? settings.queueEvents)
  const queue = new SubscriptionQueue(listener, limit, {
    monotonic: () => port.clock.monotonic(),
    onMissed: options.onMissed,
    failed: (error) => dispatch.listenerFailed(labelOf(target), error),
    expired: () => counters.dropped('expired'),
    overflowed: () => counters.dropped('overflow'),
  })
  const sub = subOf(target, queue)
  dispatch.add(sub)
  return {
    sub,
    begin: () => Promise.resolve(),
    iterate: (unsubscribe) => queue.iterate(unsubscribe),
    delivered: () => queue.delivered(),
    dropped: () => queue.dropped(),
    cursor: () => undefined,
    close: () => queue.close(),
  }
}

/**
 * A subscription that starts in the past, is acknowledged or has a name.
 * @param cursor of one with a name
 * @throws MSG001
 */
export const createCatchupSource = (
  { port, settings, channels, dispatch, counters, readers, catalogs }: SubscriptionDeps,
  target: SubscriptionTarget,
  cursor: DurableCursor | undefined,
): SubscriptionSource => {
  const { word, listener, options } = target
  const sub = subOf(target, undefined)
  const failed = (error: unknown): void => dispatch.listenerFailed(labelOf(target), error)
  const guarded = (fn: () => void): void => {
    try {
      fn()
    } catch (error) {
      failed(error)
    }
  }
  const settingsOfOne = {
    from: checkFrom(options.from),
    cursor: cursor?.saved ?? cursorOf(options.from),
    ack: options.ack === true,
    attempts: checkCount('attempts', options.attempts ?? ATTEMPTS),
    retryMs: checkCount('retryMs', options.retryMs ?? RETRY_MS),
    maxPublishers: settings.maxPublishers,
  }
  const reader = new CatchupSubscription(port, listener, settingsOfOne, {
    retrieval: channels.retrieval,
    catalogs,
    position: (publisher, of) => channels.position(publisher, of),
    publishers: (of) => channels.publishers(of),
    eventFor({ batch, index, wire, arrivedAt }) {
      if (wire !== undefined) return dispatch.eventFor(sub, batch, index, wire, arrivedAt)
      counters.dropped('malformed')
      return undefined
    },
    missed(missed: Missed) {
      counters.unread(missed.word, missed.to - missed.from + 1)
      guarded(() => options.onMissed?.(missed))
    },
    failed,
    redelivered: counters.redelivered,
    givenUp(event, error) {
      counters.givenUp()
      failed(error)
      guarded(() => options.onFailed?.(event, error))
    },
    delivered: counters.replayed,
    moved: () => cursor?.moved(),
  })
  cursor?.follow(() => reader.positions())
  const createdAt = sinceMs(settingsOfOne.from, settingsOfOne.cursor) ?? port.clock.now()
  dispatch.add(sub)
  readers.add(word, reader)
  return {
    sub,
    begin: (words) => Promise.all(words.map((name) => reader.begin(name))),
    iterate: (unsubscribe) => reader.iterate(unsubscribe),
    delivered: () => reader.delivered(),
    dropped: () => 0,
    cursor: () => ({ createdAt, positions: reader.positions() }),
    close() {
      readers.remove(word, reader)
      reader.close()
      void cursor?.close()
    },
  }
}
