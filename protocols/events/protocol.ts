/** The wire contract of events beside gossip: protocol `/parley/events/1`. */
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import * as z from 'zod'
import { defineProtocol } from '../define.ts'

export const MAX_SYNC_TOPICS = 1024
/** Of the batches in one answer to `fetch`; a single larger one goes alone. */
export const MAX_FETCH_BYTES = 256 * 1024
export const MAX_FETCH_BATCHES = 4096
/** In one message. */
export const MAX_HEADS = 256
/** Series in one answer to `catalog`; the newest epochs are named first. */
export const MAX_CATALOG = 1024

const Topics = z.array(z.string().min(1).max(128)).max(MAX_SYNC_TOPICS)
const sequence = z.int().min(1)
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const series = {
  publisher: z.string().min(1).max(128),
  word: z.string().min(1).max(64),
  epoch: z.int().min(0),
}

/** How far the answering node is with a topic that it publishes. */
const OwnHead = z.object({
  word: series.word,
  epoch: series.epoch,
  /** Number of its last event; 0: none in this epoch. */
  last: z.int().min(0),
  /** Its last one when it first saw the caller subscribed: all that came later is for the caller. */
  since: z.int().min(0),
})

export type OwnHead = z.output<typeof OwnHead>

/** How far a publisher is, signed by it. */
const WireHead = z.object({ ...series, last: sequence, circle: Bytes.optional(), signature: Bytes })
export type WireHead = z.output<typeof WireHead>

/** The bytes that it signs: how far it is, and those whom it tells itself (direct-recipients.ts). */
export const signedHead = (mesh: string, { publisher, word, epoch, last, circle }: Omit<WireHead, 'signature'>) => {
  const text = fromString(`parley/events/head/1\n${mesh}\n${publisher}\n${word}\n${epoch}\n${last}\n`)
  return circle === undefined ? text : concat([text, circle])
}

const WireHeld = z.object({ ...series, from: sequence, to: sequence, since: sequence.optional() })

export const eventsProtocol = defineProtocol({
  name: 'events',
  version: '1.2.0',
  methods: {
    sync: {
      request: z.object({ topics: Topics }),
      response: z.object({
        seen: Topics,
        hears: Topics.default([]),
        /** Where the answering node stands with what it publishes itself; left out by 1.1. */
        own: z.array(OwnHead).max(MAX_SYNC_TOPICS).optional(),
      }),
      timeoutMs: 1000,
      idempotent: true,
      priority: 'high',
      description: 'Waits until the answering node sees the caller subscribed to these gossip topics',
    },
    fetch: {
      request: z.object({
        ...series,
        from: sequence,
        /** Inclusive. */
        to: sequence,
      }),
      response: z.object({
        batches: z
          .array(
            z.object({
              bytes: Bytes,
              /** Since the answering node had it; it counts against the events' ttl. */
              ageMs: z.number().min(0),
            }),
          )
          .max(MAX_FETCH_BATCHES),
        /** There are more than fit into one answer. */
        more: z.boolean(),
        /**
         * What is not in the answer is gone, up to this number: the answering node published it, or gave it up. Since 1.2.
         */
        goneTo: sequence.optional(),
      }),
      content: 'cbor',
      timeoutMs: 2000,
      idempotent: true,
      description: 'Signed batches that hold events of this range, out of the history, of any publisher',
    },
    heads: {
      request: z.object({ heads: z.array(WireHead).max(MAX_HEADS) }),
      oneWay: true,
      content: 'cbor',
      description: 'How far publishers are, so that the loss of a last batch is noticed; since 1.2',
    },
    catalog: {
      request: z.object({ word: z.string().min(1).max(64), since: z.number().optional() }),
      response: z.object({ held: z.array(WireHeld).max(MAX_CATALOG) }),
      content: 'cbor',
      timeoutMs: 2000,
      idempotent: true,
      description: 'What the history holds of a first word; since 1.2',
    },
  },
})
