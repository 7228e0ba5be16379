/**
 * Settings of the events feature. The schema is the type, the defaults and the check; an unknown field is refused.
 */
import * as z from 'zod'
import { ParleyError } from '../errors.ts'
import { MAX_BATCH_EVENTS } from './batch/batch-encoder.ts'
import type { EventDefinition } from './define-event.ts'
import { checkTopic, isFirstWord } from './topic.ts'

const KIB = 1024

const RULES = {
  memory: { maxBytes: 16 * KIB * KIB, maxEvents: 100_000, maxAgeMs: 600_000 },
  disk: { maxBytes: 256 * KIB * KIB, maxEvents: 1_000_000, maxAgeMs: 7 * 24 * 3_600_000 },
}

/** What is kept of the topics of one first word, so that who missed events or comes late can have them. */
export const HistoryRule = z
  .strictObject({
    topic: z
      .string()
      .refine((topic) => {
        const word = topic.replace(/\.#$/, '')
        return word === '#' || word === '*' || isFirstWord(word)
      }, 'a history is kept for a first word (tasks or tasks.#) or for all others (#)')
      .describe('A first word (`tasks`, or `tasks.#`); `#` for all words without a rule of their own.'),
    store: z
      .enum(['memory', 'disk'])
      .default('memory')
      .describe(
        '`disk`: in files of the data directory, so that it outlives the node; where there is none, in memory.',
      ),
    maxBytes: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe('Bytes of batches, the oldest go first; 16 MiB in memory, 256 MiB on disk.'),
    maxEvents: z
      .number()
      .int()
      .min(0)
      .max(100_000_000)
      .optional()
      .describe('100,000 in memory; 1,000,000 on disk, where each batch takes about 100 bytes of memory.'),
    maxAgeMs: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe('Milliseconds, looked at when something is kept or read; 10 minutes in memory, 7 days on disk.'),
  })
  .transform(({ topic, store, maxBytes, maxEvents, maxAgeMs }) => ({
    topic,
    store,
    maxBytes: maxBytes ?? RULES[store].maxBytes,
    maxEvents: maxEvents ?? RULES[store].maxEvents,
    maxAgeMs: maxAgeMs ?? RULES[store].maxAgeMs,
  }))
export type HistoryRule = z.output<typeof HistoryRule>

export const EventsOptionsSchema = z.strictObject({
  batchEvents: z
    .number()
    .int()
    .min(1)
    .max(MAX_BATCH_EVENTS)
    .default(256)
    .describe('Events after which a batch closes. More: fewer signatures, and longer pauses while a batch is decoded.'),
  batchBytes: z
    .number()
    .int()
    .min(KIB)
    .max(900 * KIB)
    .default(64 * KIB)
    .describe('Bytes after which a batch closes; a single larger event travels alone.'),
  batchMs: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(10)
    .describe(
      'Milliseconds after which a batch closes, while others are on their way; an idle topic does not wait at all.',
    ),
  pipeline: z
    .number()
    .int()
    .min(1)
    .max(32)
    .default(4)
    .describe(
      'Batches of one first word that are signed at the same time. More uses more cores; they are sent in order.',
    ),
  maxEventBytes: z
    .number()
    .int()
    .min(1)
    .max(900 * KIB)
    .default(256 * KIB)
    .describe("Bytes of one event's JSON. Larger things go by a stream, with an event that tells of them."),
  maxQueuedBytes: z
    .number()
    .int()
    .min(KIB)
    .default(16 * KIB * KIB)
    .describe('Bytes of events that wait to be sent, all topics together; beyond it publish() rejects with COM003.'),
  history: z
    .array(HistoryRule)
    .max(1024)
    .default([])
    .describe('What is kept of which topics; other words have a history in memory with the defaults of a rule.'),
  maxHeldBytes: z
    .number()
    .int()
    .min(0)
    .default(64 * KIB * KIB)
    .describe(
      'Bytes of signed batches kept in memory, all words together. More: longer gaps can be filled, later comers served.',
    ),
  maxWaitingBytes: z
    .number()
    .int()
    .min(0)
    .default(16 * KIB * KIB)
    .describe(
      'Bytes of batches that came and wait behind a gap, all publishers together; what is too much is fetched again.',
    ),
  gapMs: z
    .number()
    .int()
    .min(0)
    .max(3_600_000)
    .default(30_000)
    .describe(
      'Milliseconds that the events behind a gap wait at most. Shorter, about two seconds, where the publisher says itself that it does not have them any more and nobody else has them either.',
    ),
  queueEvents: z
    .number()
    .int()
    .min(1)
    .max(10_000_000)
    .default(10_000)
    .describe(
      'Events that wait in one subscription while its listener works; beyond it the newest is dropped and reported.',
    ),
  syncMs: z
    .number()
    .int()
    .min(10)
    .max(60_000)
    .default(1000)
    .describe(
      "Milliseconds that subscribe() and publish() wait at most for neighbours to know of each other's topics.",
    ),
  recentEvents: z.number().int().min(0).max(10_000).default(200).describe('Events kept for the debug page.'),
  maxWords: z
    .number()
    .int()
    .min(1)
    .max(1024)
    .default(256)
    .describe(
      'First words that this node publishes or hears, together: each is a gossip topic with a mesh of its own.',
    ),
  maxPublishers: z
    .number()
    .int()
    .min(1)
    .default(1024)
    .describe('Publishers whose sequence numbers are remembered; the one heard longest ago is forgotten first.'),
  maxUnverifiedBytes: z
    .number()
    .int()
    .min(1)
    .default(32 * KIB * KIB)
    .describe('Bytes of batches whose signatures are being checked; beyond it a batch is refused.'),
  topics: z
    .record(z.string(), z.string())
    .default({})
    .describe('Topic of each type that emit() may be given; every other type goes to `task.events.default`.'),
  events: z
    .array(z.custom<EventDefinition>((value) => typeof value === 'object' && value !== null))
    .default([])
    .describe('Definitions that hold for whatever is published or received under their topics.'),
})

export type EventsOptions = z.input<typeof EventsOptionsSchema>
export type EventsSettings = z.output<typeof EventsOptionsSchema>

/**
 * Fills in the defaults.
 * @throws MSG001 for options that are not usable
 */
export const checkEventsOptions = (options: EventsOptions): EventsSettings => {
  const result = EventsOptionsSchema.safeParse(options)
  if (result.success) {
    for (const topic of Object.values(result.data.topics)) checkTopic(topic)
    return result.data
  }
  const what = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
  throw new ParleyError('MSG001', `the settings of events are not usable: ${what}`, { hint: 'see EventsSettings' })
}
