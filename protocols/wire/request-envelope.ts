/**
 * The envelope of a request that came on a link, put together from its frame and from what the link implies.
 * Keeps no state.
 */
import { type Envelope, MESSAGE_TYPES, type MessageType } from './envelope.ts'
import { type Frame, type Hello, WIRE_CONTENTS, WIRE_PRIORITIES } from './frame.ts'
import { exchangeId } from './message-id.ts'
import { decodePayload } from './payload.ts'

const EMPTY = new Uint8Array(0)

const readMetadata = (bytes: Uint8Array | undefined): Record<string, unknown> => {
  if (bytes === undefined || bytes.length === 0) return {}
  const value = decodePayload('json', bytes)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

/** A request, unless its sender says what else it is: a command, for one. */
const typeOf = (headers: Readonly<Record<string, string>> | undefined): MessageType => {
  const told = headers?.['message-type']
  return told === undefined ? 'REQUEST' : (MESSAGE_TYPES.find((type) => type === told) ?? 'REQUEST')
}

/** What a line of the log says of a request; nothing in it has to be read first. */
export const requestMarks = (request: Frame, hello: Hello | undefined) => ({
  correlationId: exchangeId(hello?.session ?? EMPTY, (hello?.startedAtMs ?? 0) + request.atMs, request.exchange),
  messageType: typeOf(request.extra?.headers),
})

/** @throws MSG003 when the metadata are no JSON */
export const requestEnvelope = (
  request: Frame,
  hello: Hello | undefined,
  parties: { source: string; destination: string },
): Envelope => {
  const atMs = (hello?.startedAtMs ?? 0) + request.atMs
  const extra = request.extra ?? {}
  return {
    id: exchangeId(hello?.session ?? EMPTY, atMs, request.exchange),
    timestamp: atMs,
    ...parties,
    type: typeOf(extra.headers),
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
