/**
 * Publish and subscribe from a worker thread: data is checked against its definition here, and passed on as JSON.
 *
 * State: what each open subscription has delivered. One event at a time goes to a listener, in order; the next ones wait
 * on the node's side.
 */
import type { ZodType } from 'zod'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Events, PublishOptions, Receipt, SubscribeOptions } from '../../../protocols/events/api.ts'
import { checkEventData, defineEvent, type EventDefinition } from '../../../protocols/events/define-event.ts'
import type { Listener, MeshEvent } from '../../../protocols/events/event.ts'
import type { Subscription } from '../../../protocols/events/receive/subscription-queue.ts'
import type { Log } from '../../../protocols/port.ts'
import { validate } from '../../../protocols/wire/payload/payload.ts'
import { sharedNow } from '../channel/shared-clock.ts'
import type { ThreadChannel } from '../channel/thread-channel.ts'
import type { RequestToNode, SubscriptionItem, ThreadPublishRequest } from '../channel/thread-requests.ts'

const toJson = (topic: string, data: unknown): string => {
  try {
    const text: unknown = JSON.stringify(data)
    if (typeof text === 'string') return text
  } catch (cause) {
    throw new ParleyError('MSG002', `the data for ${topic} cannot be written as JSON`, {
      hint: 'publish plain objects, arrays, texts, finite numbers, booleans and null; no cycles, no BigInt',
      cause,
    })
  }
  throw new ParleyError('MSG002', `the data for ${topic} cannot be written as JSON: it is ${typeof data}`, {
    hint: 'publish plain objects, arrays, texts, finite numbers, booleans and null',
  })
}

/** The event on this thread's clock; undefined when its time is over. */
const toLocal = (event: MeshEvent): MeshEvent | undefined => {
  if (event.expiresAt === undefined) return event
  const leftMs = event.expiresAt - sharedNow()
  return leftMs <= 0 ? undefined : { ...event, expiresAt: performance.now() + leftMs }
}

export const createAgentEvents = (channel: ThreadChannel, log: Log): Pick<Events, 'publish' | 'subscribe'> => {
  const publish = async (
    target: EventDefinition | string,
    data: unknown,
    { signal, ...options }: PublishOptions = {},
  ): Promise<Receipt> => {
    const definition = typeof target === 'string' ? undefined : target
    const topic = definition?.topic ?? String(target)
    if (definition !== undefined) validate(definition.schema, data, `the data for ${topic}`)
    const ask: ThreadPublishRequest = {
      what: 'publish',
      topic,
      version: definition?.version,
      data: toJson(topic, data),
      options,
    }
    // The node answers with what its own publish returned.
    return (await channel.ask(ask satisfies RequestToNode, { signal })) as Receipt
  }

  /** Runs the event through its definition; undefined for one that is not to be delivered. */
  const admit = (event: MeshEvent, definition: EventDefinition | undefined, options: SubscribeOptions) => {
    const local = toLocal(event)
    if (local === undefined || definition === undefined) return local
    const checked = checkEventData(definition, local.data)
    if (checked.ok) return { ...local, data: checked.data }
    const { id, topic, source } = local
    options.onInvalid?.({ id, topic, source, issues: checked.issues })
    return undefined
  }

  const subscribe = async (
    target: EventDefinition | string,
    listener?: Listener<never>,
    options: SubscribeOptions = {},
  ): Promise<Subscription<never>> => {
    const definition = typeof target === 'string' ? undefined : defineEvent(target)
    const pattern = typeof target === 'string' ? target : target.topic
    if (options.ack === true || options.name !== undefined) {
      throw new ParleyError(
        'MSG001',
        `${pattern} cannot be acknowledged, or subscribed to by name, from a worker thread`,
        {
          hint: 'subscribe on the node itself, or let an agent on the main thread do it',
        },
      )
    }
    const end = new AbortController()
    const known = Promise.withResolvers<{ confirmed: number; unconfirmed: readonly string[] }>()
    let settled = false
    let delivered = 0
    let dropped = 0
    let read = false

    const signal = options.signal === undefined ? end.signal : AbortSignal.any([options.signal, end.signal])
    const { queueEvents, from } = options
    const ask: RequestToNode = { what: 'subscribe', pattern, queueEvents, ...(from === undefined ? {} : { from }) }
    const items = channel.stream(ask, { signal })

    const take = (item: SubscriptionItem): MeshEvent | undefined => {
      if (item.kind === 'ready') {
        settled = true
        known.resolve(item)
        return undefined
      }
      dropped = item.dropped
      if (item.kind === 'event') return admit(item.event, definition, options)
      options.onMissed?.(item.missed)
      return undefined
    }

    async function* incoming(): AsyncGenerator<MeshEvent, void, undefined> {
      try {
        for await (const item of items) {
          // relayEvents() writes nothing else.
          const event = take(item as SubscriptionItem)
          if (event === undefined) continue
          delivered += 1
          yield event
        }
      } catch (error) {
        if (settled && !signal.aborted) throw error
        known.reject(error)
      }
    }

    const hear = async (heard: Listener<unknown>): Promise<void> => {
      for await (const event of incoming()) {
        try {
          await heard(event)
        } catch (error) {
          log.error(`a listener of ${pattern} failed`, { error })
        }
      }
    }

    const events = incoming()
    // Without a listener the program's own loop reads; the first item, which says who knows, is read ahead of it.
    let first: Promise<IteratorResult<MeshEvent, void>> | undefined
    if (listener === undefined) {
      first = events.next()
      first.catch(() => {})
    } else {
      // The definition's schema has made the data what the listener expects; without one its type is unknown.
      hear(listener as Listener<unknown>).catch((error: unknown) =>
        log.warn(`${pattern} is not heard any more`, { error }),
      )
    }
    const { confirmed, unconfirmed } = await known.promise

    return {
      pattern,
      confirmed,
      unconfirmed,
      delivered: () => delivered,
      dropped: () => dropped,
      unsubscribe: () => end.abort(),
      [Symbol.asyncIterator](): AsyncIterator<never> {
        if (listener !== undefined || read) {
          throw new ParleyError('MSG001', `this subscription of ${pattern} has a reader already`, {
            hint: 'subscribe a second time without a listener',
          })
        }
        read = true
        const iterator: AsyncIterator<MeshEvent> = {
          next() {
            const ahead = first
            first = undefined
            return (ahead ?? events.next()) as Promise<IteratorResult<MeshEvent>>
          },
          async return() {
            end.abort()
            return { done: true, value: undefined }
          },
        }
        return iterator as AsyncIterator<never>
      },
    }
  }

  return {
    publish: publish as Events['publish'],
    subscribe: subscribe as <S extends ZodType>(
      event: EventDefinition<S> | string,
      listener?: Listener<never>,
      options?: SubscribeOptions,
    ) => Promise<never>,
  }
}
