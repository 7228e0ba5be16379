/**
 * Runs one request against its endpoint and sends what comes of it: an answer, items as the caller takes them, or an
 * acknowledgement when the answer goes to a third party.
 *
 * Keeps no state beside the request's own (request.ts). What it throws or rejects with becomes the error that the caller is
 * told.
 */
import { type Fault, ParleyError, toFault } from '../../errors.ts'
import { hasNoBudgetLeft } from '../caller/retry-policy.ts'
import type { Envelope } from '../envelope.ts'
import { KIND } from '../frames/frame.ts'
import { creditUnitsOf } from '../link/link-limits.ts'
import type { Endpoint } from '../payload/contract.ts'
import { encodePayload } from '../payload/payload.ts'
import type { InboundRequest } from './inbound-request.ts'
import type { ResponseWriter } from './response-writer.ts'

export interface ForwardedReply {
  /** Peer id, or `topic:<name>`. */
  replyTo: string
  envelope: Envelope
  content: number
  payload?: Uint8Array
  fault?: Fault
}

export interface RunOptions {
  maxMessageBytes: number
  /** It goes on: an item of so many units is sent. */
  itemSent(units: number): void
  /** Its reader is slow: it gives its slot up. @throws COM003 when too many streams of this peer wait so */
  park(request: InboundRequest): void
  /** Wants a slot again; a promise where it has to wait for its turn. */
  resume(request: InboundRequest): Promise<void> | undefined
  /** Takes an answer that goes to a third party. */
  forward(reply: ForwardedReply): Promise<void>
}

const EMPTY = new Uint8Array(0)

/**
 * What a handler threw, for its caller. Callers send again, or elsewhere, by code: an error of another link that passed
 * through a handler must not look as if this request had never been handled.
 * @param hasBudget it may have been spent, so that COM003 of the handler itself says the same; one that says `sent: false` did
 *   not begin
 */
export const asHandled = (error: unknown, hasBudget = false): unknown => {
  if (!(error instanceof ParleyError)) return error
  const { code, message, details } = error
  const hint = error.hint === undefined ? {} : { hint: error.hint }
  if (code === 'COM002') return new ParleyError(code, message, { ...hint, details: { ...details, sent: true } })
  // Of the call that gave way it says that it may be made again; this request has run.
  if (error.remote && error.reason === 'deadlock')
    return new ParleyError(code, message, {
      hint: 'a call that the handler made gave way; make the request again only if it may run twice',
      details: { ...details, sent: true },
    })
  if ((code !== 'COM003' && code !== 'MSG004') || hasNoBudgetLeft(error)) return error
  if (!error.remote)
    return code === 'COM003' && hasBudget && details.sent !== false
      ? new ParleyError(code, message, { ...hint, details: { ...details, sent: true } })
      : error
  return new ParleyError('APP001', message, { ...hint, details: { ...details, code } })
}

const checkSize = (answer: Uint8Array, maxBytes: number): void => {
  if (answer.length <= maxBytes) return
  throw new ParleyError('APP001', `the answer has ${answer.length} bytes, at most ${maxBytes} are sent`, {
    hint: 'the agent that serves it has to stream large responses',
  })
}

/** A promise only where the handler, or the compression of its answer, takes time. */
const runUnary = (
  endpoint: Endpoint,
  payload: Uint8Array,
  request: InboundRequest,
  responses: ResponseWriter,
  maxBytes: number,
): Promise<void> | undefined => {
  const send = (answer: Uint8Array): Promise<void> | undefined => {
    if (request.hasEnded || endpoint.kind === 'one-way') return undefined
    checkSize(answer, maxBytes)
    request.reports?.flush()
    return responses.send(KIND.response, request, answer, endpoint.content, request.remainder())
  }
  const result = endpoint.run(payload, request) as Promise<Uint8Array> | Uint8Array
  return result instanceof Promise ? result.then(send) : send(result)
}

const creditOf = (request: InboundRequest): Promise<void> | undefined => {
  if (request.credit > 0 || request.hasEnded) return undefined
  return new Promise((resolve) => {
    request.onCredit = () => {
      if (request.credit <= 0 && !request.hasEnded) return
      request.onCredit = undefined
      resolve()
    }
  })
}

const runStream = async (
  endpoint: Endpoint,
  payload: Uint8Array,
  request: InboundRequest,
  responses: ResponseWriter,
  { maxMessageBytes, itemSent, park, resume }: RunOptions,
): Promise<void> => {
  /** The reader is slow, not the handler: it needs no slot meanwhile. */
  const forReader = async (wait: Promise<void> | undefined): Promise<void> => {
    if (wait === undefined) return
    park(request)
    await wait
    if (!request.hasEnded) await resume(request)
  }
  const items = (endpoint.run(payload, request) as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  try {
    for (;;) {
      await forReader(creditOf(request))
      await forReader(responses.room())
      if (request.hasEnded) return
      const result = await items.next()
      if (request.hasEnded) return
      if (result.done === true) break
      checkSize(result.value, maxMessageBytes)
      const units = creditUnitsOf(result.value.length)
      itemSent(units)
      request.credit -= units
      await responses.send(KIND.item, request, result.value, endpoint.content)
    }
    request.reports?.flush()
    responses.send(KIND.end, request, EMPTY, 0, request.remainder())
  } finally {
    await items.return?.()
  }
}

/** The answer goes elsewhere: the caller receives an acknowledgement once the handler runs. */
const runForwarded = async (
  endpoint: Endpoint,
  payload: Uint8Array,
  request: InboundRequest,
  responses: ResponseWriter,
  replyTo: string,
): Promise<ForwardedReply> => {
  if (endpoint.kind !== 'unary') {
    throw new ParleyError('MSG004', `${endpoint.name} is no unary method; it cannot answer to a third party`, {
      hint: 'leave out replyTo',
    })
  }
  const reply: ForwardedReply = { replyTo, envelope: request.envelope, content: endpoint.content }
  await responses.send(KIND.ack, request, encodePayload('json', request.envelope.id))
  request.isForwarded = true
  try {
    reply.payload = await (endpoint.run(payload, request) as Promise<Uint8Array> | Uint8Array)
  } catch (error) {
    reply.fault = toFault(error)
  }
  return reply
}

/** @param replyTo empty when the answer goes to the caller */
export const runRequest = (
  endpoint: Endpoint,
  payload: Uint8Array,
  request: InboundRequest,
  replyTo: string,
  responses: ResponseWriter,
  options: RunOptions,
): Promise<void> | undefined => {
  if (replyTo !== '') return runForwarded(endpoint, payload, request, responses, replyTo).then(options.forward)
  if (endpoint.kind === 'stream') return runStream(endpoint, payload, request, responses, options)
  return runUnary(endpoint, payload, request, responses, options.maxMessageBytes)
}
