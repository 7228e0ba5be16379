/** How durable messages travel. Wire id `/parley/delivery/1`; the frames are those of delivery.proto. */
import * as z from 'zod'
import { defineProtocol } from '../define.ts'
import { LANE_SPAN, MAX_REPLACED } from './ack-ranges.ts'
import { LANES } from './durable-message.ts'

const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes are needed')
const Epoch = z.string().regex(/^[0-9a-f]{32}$/)
const Lane = z
  .int()
  .min(0)
  .max(LANES - 1)
const Sequence = z.int().min(1)
const Positions = z
  .array(
    z.object({
      lane: Lane,
      /** All numbers up to it were processed. */
      upTo: z.int().nonnegative(),
      /** And these above it. */
      done: z.array(Sequence).max(LANE_SPAN),
    }),
  )
  .max(LANES)
export type WireAckRanges = z.output<typeof Positions>

export const deliveryProtocol = defineProtocol({
  name: 'delivery',
  version: '1.0.0',
  methods: {
    hello: {
      description:
        'A sender begins a session: what it is, and what it still has; the receiver says what it has processed',
      request: z.object({
        /** Id of the sender's outbox. */
        epoch: Epoch,
        /** Ids that it had before, newest first; this one takes their place. */
        former: z.array(Epoch).max(MAX_REPLACED).default([]),
        /** The sender has not numbered its messages anew yet. */
        isRenewing: z.boolean().default(false),
        session: z.int().min(1),
        /** By lane: there is nothing below this number any more. */
        bases: z.array(z.object({ lane: Lane, base: Sequence })).max(LANES),
      }),
      response: z.object({
        /** Messages that may be unacknowledged. */
        window: z.int().min(1),
        positions: Positions,
        /** What was processed of the outbox whose place this one takes. */
        former: z.object({ epoch: Epoch, positions: Positions }).optional(),
      }),
      content: 'cbor',
      timeoutMs: 15_000,
      priority: 'high',
    },
    messages: {
      description: 'Messages of the session, as delivery.proto has them; what is lost is sent again',
      request: Bytes,
      oneWay: true,
      content: 'bytes',
    },
    answers: {
      description: 'Acknowledgements, failures, what is held and what is missing, as delivery.proto has them',
      request: Bytes,
      oneWay: true,
      content: 'bytes',
      priority: 'high',
    },
    fire: {
      description: 'One message that is not kept: AT_MOST_ONCE',
      request: Bytes,
      oneWay: true,
      content: 'bytes',
    },
  },
})
