/**
 * The envelope of a request that came on a link, put together from its frame and from what the link implies.
 * Keeps no state.
 */
import type { Envelope, MessageType } from '../envelope.ts'
import { type Frame, type Hello, WIRE_CONTENTS, WIRE_PRIORITIES } from '../frames/frame.ts'
import { exchangeId } from '../message-id.ts'
import { decodePayload } from '../payload/payload.ts'

const EMPTY = new Uint8Array(0)

const readMetadata = (bytes: Uint8Array | undefined): Record<string, unknown> => {
  if (bytes === undefined || bytes.length === 0) return {}
  const value = decodePayload('json', bytes)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

/** What a line of the log says of a request; nothing in it has to be read first. */
export const requestLogFields = (request: Frame, hello: Hello | undefined, messageType: MessageType) => ({
  correlationId: exchangeId(hello?.session ?? EMPTY, (hello?.startedAtMs ?? 0) + request.atMs, request.exchange),
  messageType,
})

/** @throws MSG003 when the metadata are no JSON */
export const requestEnvelope = (
  request: Frame,
  hello: Hello | undefined,
  about: { source: string; destination: string; type: MessageType },
): Envelope => {
  const atMs = (hello?.startedAtMs ?? 0) + request.atMs
  const extra = request.extra ?? {}
  return {
    id: exchangeId(hello?.session ?? EMPTY, atMs, request.exchange),
    timestamp: atMs,
    ...about,
    payload: request.payload,
    contentType:
      WIRE_CONTENTS[request.content] === 'bytes'
        ? 'application/octet-stream'
        : `application/${WIRE_CONTENTS[request.content] ?? 'json'}`,
    headers: extra.headers ?? {},
    priority: WIRE_PRIORITIES[request.priority] ?? 'normal',
    metadata: readMetadata(extra.metadata),
    ...(request.ttlMs > 0 ? { ttl: request.ttlMs } : {}),
    ...(request.timeoutMs > 0 ? { deadline: request.timeoutMs } : {}),
    ...(extra.replyTo === undefined ? {} : { replyTo: extra.replyTo }),
    ...(extra.correlationId === undefined ? {} : { correlationId: extra.correlationId }),
    ...(extra.conversationId === undefined ? {} : { conversationId: extra.conversationId }),
    ...(extra.traceparent === undefined ? {} : { traceparent: extra.traceparent }),
    ...(extra.chain === undefined ? {} : { chain: extra.chain }),
  }
}
