/**
 * Publish and subscribe from a worker thread: data is checked against its definition here, and passed on as JSON.
 *
 * State: what each open subscription has delivered. One event at a time goes to a listener, in order; the next ones wait
 * on the node's side.
 */
import type { ZodType } from 'zod'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Events, PublishOptions, Receipt, SubscribeOptions, Subscription } from '../../../protocols/events/api.ts'
import { checkEventData, defineEvent, type EventDefinition } from '../../../protocols/events/define-event.ts'
import type { Listener, MeshEvent } from '../../../protocols/events/event.ts'
import type { Log } from '../../../protocols/port.ts'
import { createRegistration } from '../../../protocols/registration.ts'
import { validate } from '../../../protocols/wire/payload/payload.ts'
import type { ThreadChannel } from '../channel/thread-channel.ts'
import {
  type RequestToNode,
  type SubscriptionItem,
  sharedNow,
  type ThreadPublishRequest,
} from '../channel/thread-requests.ts'

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

const publish = async (
  channel: ThreadChannel,
  target: EventDefinition | string,
  data: unknown,
  { signal, ...options }: PublishOptions = {},
): Promise<Receipt> => {
  const definition = typeof target === 'string' ? undefined : target
  const topic = definition?.topic ?? String(target)
  if (definition !== undefined) validate(definition.schema, data, `the data for ${topic}`)
  const request: ThreadPublishRequest = {
    what: 'publish',
    topic,
    version: definition?.version,
    data: toJson(topic, data),
    options,
  }
  // The node answers with what its own publish returned.
  return (await channel.request(request satisfies RequestToNode, { signal })) as Receipt
}

/** The events of one subscription, as they come from the node. */
class WorkerSubscription {
  readonly #pattern: string
  readonly #definition: EventDefinition | undefined
  readonly #options: SubscribeOptions
  readonly #end = new AbortController()
  readonly #signal: AbortSignal
  readonly #items: AsyncIterableIterator<unknown>
  readonly #confirmed = Promise.withResolvers<{ confirmed: number; unconfirmed: readonly string[] }>()
  #isConfirmed = false
  #delivered = 0
  #dropped = 0

  constructor(channel: ThreadChannel, target: EventDefinition | string, options: SubscribeOptions) {
    this.#definition = typeof target === 'string' ? undefined : defineEvent(target)
    this.#pattern = typeof target === 'string' ? target : target.topic
    this.#options = options
    this.#signal = options.signal === undefined ? this.#end.signal : AbortSignal.any([options.signal, this.#end.signal])
    const { queueEvents, from } = options
    const request: RequestToNode = {
      what: 'subscribe',
      pattern: this.#pattern,
      queueEvents,
      ...(from === undefined ? {} : { from }),
    }
    this.#items = channel.stream(request, { signal: this.#signal })
  }

  /** Which neighbours know of it; rejects when the node refuses it. */
  confirmed(): Promise<{ confirmed: number; unconfirmed: readonly string[] }> {
    return this.#confirmed.promise
  }

  delivered(): number {
    return this.#delivered
  }

  dropped(): number {
    return this.#dropped
  }

  unsubscribe(): void {
    this.#end.abort()
  }

  async *read(): AsyncGenerator<MeshEvent, void, undefined> {
    try {
      for await (const item of this.#items) {
        // relayEvents() writes nothing else.
        const event = this.#receive(item as SubscriptionItem)
        if (event === undefined) continue
        this.#delivered += 1
        yield event
      }
    } catch (error) {
      if (this.#isConfirmed && !this.#signal.aborted) throw error
      this.#confirmed.reject(error)
    }
  }

  async deliverTo(listener: Listener<unknown>, log: Log): Promise<void> {
    for await (const event of this.read()) {
      try {
        await listener(event)
      } catch (error) {
        log.error(`a listener of ${this.#pattern} failed`, { error })
      }
    }
  }

  #receive(item: SubscriptionItem): MeshEvent | undefined {
    if (item.kind === 'ready') {
      this.#isConfirmed = true
      this.#confirmed.resolve(item)
      return undefined
    }
    this.#dropped = item.dropped
    if (item.kind === 'event') return this.#admit(item.event)
    this.#options.onMissed?.(item.missed)
    return undefined
  }

  /** Runs the event through its definition; undefined for one that is not to be delivered. */
  #admit(event: MeshEvent): MeshEvent | undefined {
    const local = toLocal(event)
    if (local === undefined || this.#definition === undefined) return local
    const checked = checkEventData(this.#definition, local.data)
    if (checked.ok) return { ...local, data: checked.data }
    const { id, topic, source } = local
    this.#options.onInvalid?.({ id, topic, source, issues: checked.issues })
    return undefined
  }
}

const checkOptions = (pattern: string, { ack, name }: SubscribeOptions): void => {
  if (ack !== true && name === undefined) return
  throw new ParleyError('MSG001', `${pattern} cannot be acknowledged, or subscribed to by name, from a worker thread`, {
    hint: 'subscribe on the node itself, or let an agent on the main thread do it',
  })
}

/** For the program's own loop; the first item, which says who has confirmed, is read ahead of it. */
const readAhead = (subscription: WorkerSubscription): AsyncIterator<MeshEvent> => {
  const events = subscription.read()
  let first: Promise<IteratorResult<MeshEvent, void>> | undefined = events.next()
  first.catch(() => {})
  return {
    next() {
      const ahead = first
      first = undefined
      return (ahead ?? events.next()) as Promise<IteratorResult<MeshEvent>>
    },
    async return() {
      subscription.unsubscribe()
      return { done: true, value: undefined }
    },
  }
}

const subscribe = async (
  channel: ThreadChannel,
  log: Log,
  target: EventDefinition | string,
  listener?: Listener<never>,
  options: SubscribeOptions = {},
): Promise<Subscription<never>> => {
  const pattern = typeof target === 'string' ? target : target.topic
  checkOptions(pattern, options)
  const subscription = new WorkerSubscription(channel, target, options)
  let reader: AsyncIterator<MeshEvent> | undefined
  if (listener === undefined) reader = readAhead(subscription)
  else {
    // The definition's schema has made the data what the listener expects; without one its type is unknown.
    subscription
      .deliverTo(listener as Listener<unknown>, log)
      .catch((error: unknown) => log.warn(`${pattern} is not heard any more`, { error }))
  }
  const { confirmed, unconfirmed } = await subscription.confirmed()

  return {
    pattern,
    confirmed,
    unconfirmed,
    delivered: () => subscription.delivered(),
    dropped: () => subscription.dropped(),
    // The node's thread knows it.
    cursor: () => undefined,
    ...createRegistration(() => subscription.unsubscribe()),
    [Symbol.asyncIterator](): AsyncIterator<never> {
      if (reader === undefined) {
        throw new ParleyError('MSG001', `this subscription of ${pattern} has a reader already`, {
          hint: 'subscribe a second time without a listener',
        })
      }
      const iterator = reader
      reader = undefined
      return iterator as AsyncIterator<never>
    },
  }
}

export const createAgentEvents = (channel: ThreadChannel, log: Log): Pick<Events, 'publish' | 'subscribe'> => ({
  publish: (target: EventDefinition | string, data: unknown, options?: PublishOptions) =>
    publish(channel, target, data, options),
  subscribe: ((target: EventDefinition | string, listener?: Listener<never>, options?: SubscribeOptions) =>
    subscribe(channel, log, target, listener, options)) as <S extends ZodType>(
    event: EventDefinition<S> | string,
    listener?: Listener<never>,
    options?: SubscribeOptions,
  ) => Promise<never>,
})
