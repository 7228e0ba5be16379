/** The wire contract of events beside gossip: protocol `/parley/events/1`. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'

export const MAX_SYNC_TOPICS = 1024
/** Of the batches in one answer to `fetch`; a single larger one goes alone. */
export const MAX_FETCH_BYTES = 256 * 1024
export const MAX_FETCH_BATCHES = 4096

const Topics = z.array(z.string().min(1).max(128)).max(MAX_SYNC_TOPICS)
const sequence = z.int().min(1)

export const eventsProtocol = defineProtocol({
  name: 'events',
  version: '1.1.0',
  methods: {
    sync: {
      request: z.object({ topics: Topics }),
      response: z.object({ seen: Topics, hears: Topics.default([]) }),
      timeoutMs: 1000,
      idempotent: true,
      priority: 'high',
      description: 'Waits until the answering node sees the caller subscribed to these gossip topics',
    },
    fetch: {
      request: z.object({
        publisher: z.string().min(1).max(128),
        word: z.string().min(1).max(64),
        epoch: z.int().min(0),
        from: sequence,
        /** Inclusive. */
        to: sequence,
      }),
      response: z.object({
        batches: z
          .array(
            z.object({
              bytes: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
              /** Since the answering node had it; it counts against the events' ttl. */
              ageMs: z.number().min(0),
            }),
          )
          .max(MAX_FETCH_BATCHES),
        /** There are more than fit into one answer. */
        more: z.boolean(),
      }),
      content: 'cbor',
      timeoutMs: 2000,
      idempotent: true,
      description: 'Signed batches of the last seconds that hold events of this range, of any publisher',
    },
  },
})
