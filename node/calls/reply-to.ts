/**
 * Answers that go to a third party: a peer or a topic named by `replyTo`.
 *
 * The peer that handled the request calls `deliver` on the third party, which hands the answer to whoever listens; on a
 * topic it becomes an event. Wire id: `/parley/reply/1`. State: the listeners.
 */
import * as z from 'zod'
import { defineProtocol } from '../../protocols/define.ts'
import { type Fault, fromFault, ParleyError } from '../../protocols/errors.ts'
import type { Events } from '../../protocols/events/api.ts'
import type { Log, Port } from '../../protocols/port.ts'
import { createRegistration, type Registration } from '../../protocols/registration.ts'
import { WIRE_CONTENTS } from '../../protocols/wire/frames/frame.ts'
import { decodePayload } from '../../protocols/wire/payload/payload.ts'
import type { ForwardedReply } from '../../protocols/wire/responder/responder.ts'

const FaultShape = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
})

const Delivery = z.object({
  /** Id of the request that is answered. */
  correlationId: z.string().max(128),
  conversationId: z.string().max(128).optional(),
  /** Who asked. */
  requester: z.string().max(128),
  content: z.enum(WIRE_CONTENTS),
  payload: z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes are needed').optional(),
  fault: FaultShape.optional(),
})
type Delivery = z.output<typeof Delivery>

export const replyProtocol = defineProtocol({
  name: 'reply',
  version: '1.0.0',
  methods: {
    deliver: { request: Delivery, response: z.boolean(), content: 'cbor', timeoutMs: 10_000, idempotent: true },
  },
})

/** An answer to a request that somebody else made. */
export interface ThirdPartyReply {
  /** Who handled the request. */
  from: string
  requester: string
  correlationId: string
  conversationId: string | undefined
  value: unknown
  error: ParleyError | undefined
}

export interface Replies {
  /** Hears the answers that were sent to this node by `replyTo`. */
  subscribe(fn: (reply: ThirdPartyReply) => void): Registration
  counts(): { delivered: number; unheard: number; lost: number }
}

const TOPIC = 'topic:'

const withoutUndefined = (fault: z.output<typeof FaultShape>): Fault => ({
  code: fault.code,
  message: fault.message,
  ...(fault.hint === undefined ? {} : { hint: fault.hint }),
  ...(fault.details === undefined ? {} : { details: fault.details }),
})

export const createReplies = async (
  port: Pick<Port, 'serve' | 'to'>,
  events: () => Pick<Events, 'publish'>,
  log: Log,
): Promise<Replies & { send(reply: ForwardedReply): Promise<void>; stop(): Promise<void> }> => {
  const listeners = new Set<(reply: ThirdPartyReply) => void>()
  const counts = { delivered: 0, unheard: 0, lost: 0 }

  const read = (delivery: Delivery, from: string): ThirdPartyReply => ({
    from,
    requester: delivery.requester,
    correlationId: delivery.correlationId,
    conversationId: delivery.conversationId,
    value: delivery.payload === undefined ? undefined : decodePayload(delivery.content, delivery.payload),
    error: delivery.fault === undefined ? undefined : fromFault(withoutUndefined(delivery.fault)),
  })

  const unserve = await port.serve(replyProtocol, {
    deliver(delivery, { peer }) {
      const reply = read(delivery, peer)
      if (listeners.size === 0) counts.unheard += 1
      else counts.delivered += 1
      for (const fn of listeners) fn(reply)
      return listeners.size > 0
    },
  })

  const deliver = async (reply: ForwardedReply): Promise<void> => {
    const { envelope, replyTo } = reply
    const content = WIRE_CONTENTS[reply.content] ?? 'json'
    const common = {
      correlationId: envelope.id,
      requester: envelope.source,
      ...(envelope.conversationId === undefined ? {} : { conversationId: envelope.conversationId }),
      ...(reply.fault === undefined ? {} : { fault: reply.fault }),
    }
    if (!replyTo.startsWith(TOPIC)) {
      const payload = reply.payload === undefined ? {} : { payload: reply.payload }
      await port.to(replyTo, replyProtocol).deliver({ ...common, content, ...payload })
      return
    }
    if (content === 'bytes') {
      throw new ParleyError('MSG002', 'an answer of content bytes cannot be published on a topic', { hint: 'use json' })
    }
    const value = reply.payload === undefined ? undefined : decodePayload(content, reply.payload)
    const options = {
      correlationId: envelope.id,
      ...(envelope.conversationId === undefined ? {} : { conversationId: envelope.conversationId }),
    }
    await events().publish(replyTo.slice(TOPIC.length), { ...common, value }, options)
  }

  return {
    subscribe(fn) {
      listeners.add(fn)
      return createRegistration(() => listeners.delete(fn))
    },
    counts: () => counts,
    async send(reply) {
      try {
        await deliver(reply)
      } catch (error) {
        counts.lost += 1
        log.warn('an answer could not be delivered to its third party', {
          destination: reply.replyTo,
          correlationId: reply.envelope.id,
          messageType: 'RESPONSE',
          error,
        })
      }
    },
    async stop() {
      listeners.clear()
      await unserve()
    },
  }
}
