/**
 * A task that waits for an event, as the journal has it: which one, and from where on in the history of its topic. Pure.
 *
 * Where it begins and what came are rows among the task's signals, so they outlive checkpoints.
 */
import * as z from 'zod'
import type { MeshEvent } from '../../events/event.ts'
import { compilePattern, isOpen } from '../../events/topic.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import { PeerId, Value } from '../task-record.ts'

/** Of all tasks together: the coordinator follows each of them. */
export const MAX_EVENT_WAITS = 256

/** Where it begins: ListenRow. */
export const listenRow = (name: string): string => `listen/${name}`
/** What came: Heard. */
export const eventRow = (name: string): string => `event/${name}`

const Count = z.int().nonnegative()
const Millis = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER)
/** Its first word is none of the wildcards: a history is kept by that. */
const isTopic = (topic: string): boolean => {
  try {
    compilePattern(topic)
    return !isOpen(topic)
  } catch {
    return false
  }
}
const Topic = z
  .string()
  .max(256)
  .refine(isTopic, 'use words with dots between them; * and # stand for words behind the first one')
  // As far as a pattern says it, for the document of the protocol.
  .meta({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\\.(\\*|[^\\s.*#]{1,128}))*(\\.#)?$' })
/** Publishers of which a cursor names the position; others count by time. */
export const MAX_POSITIONS = 128

export const CursorSchema = z.object({
  /** Milliseconds since 1970: of publishers that are not named, events from then on. */
  createdAt: Millis,
  /** Number of the next event. */
  positions: z.array(z.object({ publisher: PeerId, epoch: Count, next: Count })).max(MAX_POSITIONS),
})

const Scalar = z.union([z.string().max(256), z.number(), z.boolean(), z.null()])
export const EventFilterSchema = z.strictObject({
  /** Peer id of its publisher. */
  source: PeerId.optional(),
  /** As it was published with. */
  type: z.string().min(1).max(128).optional(),
  /** Fields of its data, by their names with dots between them, and what each of them is; at most 16. */
  data: z
    .record(z.string().min(1).max(128), Scalar)
    .refine((fields) => Object.keys(fields).length <= 16, 'name at most 16 fields')
    .meta({ maxProperties: 16 })
    .optional(),
})
export type EventFilter = z.output<typeof EventFilterSchema>

export const ListenSchema = z.object({
  topic: Topic,
  filter: EventFilterSchema.optional(),
  cursor: CursorSchema,
  /** Not longer than until then. */
  until: Millis.optional(),
})
export type ListenRow = z.output<typeof ListenSchema>

export const HeardEventSchema = z.object({
  id: z.string().max(256),
  topic: Topic,
  source: PeerId,
  /** Milliseconds since 1970 by the publisher's clock. */
  timestamp: z.number(),
  type: z.string().max(128).optional(),
  /** Absent where it takes more than 16 KiB of JSON. */
  data: Value.optional(),
})
export type HeardEvent = z.output<typeof HeardEventSchema>

/** Events that are gone for good: the one that is waited for may have been among them. */
export const MissedEventsSchema = z.object({ publisher: PeerId, epoch: Count, from: Count, to: Count })

export const HeardSchema = z.union([z.object({ event: HeardEventSchema }), z.object({ missed: MissedEventsSchema })])
export type Heard = z.output<typeof HeardSchema>

const fieldOf = (data: unknown, path: string): unknown => {
  let value = data
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = Reflect.get(value, name)
  }
  return value
}

export const matches = (
  { source, type, data = {} }: EventFilter,
  event: Pick<MeshEvent, 'source' | 'type' | 'data'>,
): boolean =>
  (source === undefined || event.source === source) &&
  (type === undefined || event.type === type) &&
  Object.entries(data).every(([path, wanted]) => fieldOf(event.data, path) === wanted)

const fits = (data: unknown): data is Json => Value.safeParse(data).success

/** As it is recorded. */
export const heardEvent = ({ id, topic, source, timestamp, type, data }: MeshEvent): HeardEvent => ({
  ...{ id: id.slice(0, 256), topic, source, timestamp },
  ...(type !== undefined && { type: type.slice(0, 128) }),
  ...(fits(data) && { data }),
})
