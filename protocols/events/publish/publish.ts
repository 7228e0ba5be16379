/** The way of one event from publish() into its batch: check, serialize, append, tell listeners on this node. */

import { abortable } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import { INTERCEPTOR_TIME } from '../../interceptors/chain-run.ts'
import type { PublishChain } from '../../interceptors/chains.ts'
import type { Port } from '../../port.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import type { PublishOptions, Receipt } from '../api.ts'
import type { EventAttributes } from '../batch/event-attributes.ts'
import { checkEventAttributes } from '../batch/event-attributes.ts'
import { checkEventData, type EventDefinition } from '../define-event.ts'
import type { EventCounters } from '../event-counters.ts'
import type { EventsSettings } from '../options.ts'
import type { EventDispatch } from '../receive/event-dispatch.ts'
import { compilePattern, isPattern, type Matcher } from '../topic.ts'
import type { ChannelProducer } from './batch-producer.ts'

const serialize = (topic: string, data: unknown): string => {
  let cause: unknown
  try {
    const text: unknown = JSON.stringify(data)
    if (typeof text === 'string') return text
  } catch (error) {
    cause = error
  }
  throw new ParleyError('MSG002', `the data for ${topic} cannot be written as JSON`, {
    hint: 'publish plain objects, arrays, texts, finite numbers, booleans and null; no cycles, no BigInt',
    cause,
  })
}

/** A text has at most three bytes for each of its characters, so most need no counting. */
const checkSize = (topic: string, text: string, maxBytes: number): void => {
  if (text.length * 3 <= maxBytes) return
  const bytes = text.length > maxBytes ? text.length : new TextEncoder().encode(text).length
  if (bytes <= maxBytes) return
  throw new ParleyError('MSG001', `the data for ${topic} takes ${bytes} bytes or more, at most ${maxBytes}`, {
    hint: 'send large things by a stream or keep them in a file, and publish where they are; or raise maxEventBytes',
  })
}

const checkedData = (definition: EventDefinition, topic: string, data: unknown): void => {
  const checked = checkEventData(definition, data)
  if (checked.ok) return
  const [first] = checked.issues
  const where = first === undefined || first.path === '' ? 'it' : first.path
  throw new ParleyError(
    'MSG001',
    `the data for ${topic} is not what its definition says: ${where}: ${first?.message}`,
    {
      hint: `see the schema of ${definition.topic} ${definition.version}`,
      details: { topic, version: definition.version, issues: checked.issues },
    },
  )
}

const OPTION_KEYS = keysOf<PublishOptions>({
  topic: true,
  id: true,
  type: true,
  conversationId: true,
  correlationId: true,
  headers: true,
  priority: true,
  ttlMs: true,
  signal: true,
})

const attributesOf = (options: PublishOptions): EventAttributes => {
  checkKeys(options, OPTION_KEYS, 'the options of publish()')
  return checkEventAttributes(options)
}

/** The topic that a definition is published to. */
const createTopicOf = () => {
  const matchers = new WeakMap<EventDefinition, Matcher>()
  return (definition: EventDefinition, given: string | undefined): string => {
    if (given === undefined && !isPattern(definition.topic)) return definition.topic
    let match = matchers.get(definition)
    if (match === undefined) {
      match = compilePattern(definition.topic)
      matchers.set(definition, match)
    }
    if (given !== undefined && match(given)) return given
    throw new ParleyError('MSG001', `${JSON.stringify(given)} is not a topic of the event ${definition.topic}`, {
      hint: 'say which topic of the family to publish to: publish(event, data, { topic })',
    })
  }
}

export type Publish = (target: string | EventDefinition, data: unknown, options?: PublishOptions) => Promise<Receipt>

export const createPublish = (
  port: Pick<Port, 'self'>,
  settings: EventsSettings,
  producerOf: (word: string) => ChannelProducer,
  dispatch: EventDispatch,
  counters: EventCounters,
): Publish => {
  const epoch = port.self.incarnation
  const topicOf = createTopicOf()

  const put = (target: string | EventDefinition, data: unknown, options: PublishOptions | undefined) => {
    options?.signal?.throwIfAborted()
    const topic = dispatch.topics.get(typeof target === 'string' ? target : topicOf(target, options?.topic))
    const definition = typeof target === 'string' ? topic.definition : target
    if (definition !== undefined) checkedData(definition, topic.name, data)
    let attributes: EventAttributes | undefined = options === undefined ? undefined : attributesOf(options)
    if (definition !== undefined) attributes = { ...attributes, version: definition.version }
    const text = serialize(topic.name, data)
    checkSize(topic.name, text, settings.maxEventBytes)
    const { batches, idPrefix } = producerOf(topic.word)
    const sent = batches.append(topic.utf8, text, attributes)
    const sequence = batches.last()
    const id = attributes?.id ?? idPrefix + sequence
    topic.published += 1
    dispatch.deliverOwn(topic, id, sequence, text, attributes)
    return sent.then((recipients): Receipt => ({ id, topic: topic.name, epoch, sequence, recipients }))
  }

  return (target, data, options) => {
    try {
      const receipt = put(target, data, options)
      return abortable(receipt, options?.signal)
    } catch (error) {
      counters.rejectedFor(error)
      return Promise.reject(error)
    }
  }
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** The same through interceptors, which see an event before it is checked against its definition. */
export const interceptPublish =
  (publish: Publish, chain: PublishChain): Publish =>
  async (target, data, options = {}) => {
    const { headers = NO_HEADERS, type, conversationId, correlationId, signal } = options
    const topic = typeof target === 'string' ? target : (options.topic ?? target.topic)
    const version = typeof target === 'string' ? undefined : target.version
    const passed = await chain.run(
      { topic, version, type, data, headers, conversationId, correlationId },
      (event) =>
        publish(
          target,
          event.data,
          event.headers === NO_HEADERS ? options : { ...options, headers: { ...event.headers } },
        ),
      { ...INTERCEPTOR_TIME, signal },
    )
    // Of events, a hook passes on what came from publish(), and nothing else.
    return passed as Receipt
  }
