/** Makes the event that a listener gets out of what the wire, or this node's own publish(), says of it. Pure. */
import { readJsonText } from '../../wire/payload/payload-bounds.ts'
import type { DecodedBatch, WireEvent } from '../batch/batch-decoder.ts'
import type { EventAttributes } from '../batch/event-attributes.ts'
import type { MeshEvent } from '../event.ts'
import type { TopicEntry, TopicTable } from './topic-table.ts'

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

export const eventId = (source: string, word: string, epoch: number, sequence: number | ''): string =>
  `${source}/${word}/${epoch}/${sequence}`

export const buildEvent = (
  topic: Pick<TopicEntry<unknown>, 'name'>,
  from: Pick<MeshEvent, 'id' | 'source' | 'timestamp' | 'epoch' | 'sequence'>,
  data: unknown,
  attributes: EventAttributes | undefined,
  expiresAt: number | undefined,
): MeshEvent => ({
  id: from.id,
  topic: topic.name,
  data,
  source: from.source,
  timestamp: from.timestamp,
  epoch: from.epoch,
  sequence: from.sequence,
  type: attributes?.type,
  version: attributes?.version,
  conversationId: attributes?.conversationId,
  correlationId: attributes?.correlationId,
  headers: attributes?.headers ?? NO_HEADERS,
  priority: attributes?.priority ?? 'normal',
  expiresAt,
})

/**
 * An event off the wire, and its topic.
 * @returns undefined for one that cannot be read: a topic that is none, or not of the batch's first word, or a payload that
 *   is not JSON, or too much of it
 */
export const readWireEvent = <L>(
  topics: TopicTable<L>,
  batch: DecodedBatch,
  index: number,
  wire: WireEvent,
  arrivedAt: number,
): { topic: TopicEntry<L>; event: MeshEvent } | undefined => {
  let topic: TopicEntry<L>
  let data: unknown
  try {
    topic = topics.get(wire.topic)
    if (topic.word !== batch.word) return undefined
    data = readJsonText(wire.text)
  } catch {
    return undefined
  }
  const { publisher: source, epoch, sentAt: timestamp } = batch
  const sequence = batch.first + index
  const id = wire.id ?? eventId(source, batch.word, epoch, sequence)
  const expiresAt = wire.ttlMs !== undefined && wire.ttlMs > 0 ? arrivedAt + wire.ttlMs - batch.waitedMs : undefined
  return { topic, event: buildEvent(topic, { id, source, timestamp, epoch, sequence }, data, wire, expiresAt) }
}
