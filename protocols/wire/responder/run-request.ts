/**
 * Runs one request against its endpoint and sends what comes of it: an answer, items as the caller takes them, or an
 * acknowledgement when the answer goes to a third party.
 *
 * Keeps no state beside the request's own (work.ts). What it throws or rejects with becomes the error that the caller is
 * told.
 */
import { type Fault, ParleyError, toFault } from '../../errors.ts'
import type { Envelope } from '../envelope.ts'
import { KIND } from '../frames/frame.ts'
import { creditUnitsOf } from '../link/link.ts'
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

interface RunOptions {
  maxMessageBytes: number
  /** The work goes on: it gave an item of so many units. */
  gave(units: number): void
  /** Its reader is slow: it gives its slot up. @throws COM003 when too many streams of this peer wait so */
  park(work: InboundRequest): void
  /** Wants a slot again; a promise where it has to wait for its turn. */
  resume(work: InboundRequest): Promise<void> | undefined
  /** Takes an answer that goes to a third party. */
  reply(reply: ForwardedReply): Promise<void>
}

const EMPTY = new Uint8Array(0)

const checkSize = (answer: Uint8Array, maxBytes: number): void => {
  if (answer.length <= maxBytes) return
  throw new ParleyError('APP001', `the answer has ${answer.length} bytes, at most ${maxBytes} are sent`, {
    hint: 'the agent that serves it has to stream large answers',
  })
}

/** A promise only where the handler, or the compression of its answer, takes time. */
const runUnary = (
  endpoint: Endpoint,
  payload: Uint8Array,
  work: InboundRequest,
  answers: ResponseWriter,
  maxBytes: number,
): Promise<void> | undefined => {
  const send = (answer: Uint8Array): Promise<void> | undefined => {
    if (work.hasEnded || endpoint.kind === 'one-way') return undefined
    checkSize(answer, maxBytes)
    work.reports?.flush()
    return answers.send(KIND.response, work, answer, endpoint.content)
  }
  const result = endpoint.run(payload, work) as Promise<Uint8Array> | Uint8Array
  return result instanceof Promise ? result.then(send) : send(result)
}

const creditOf = (work: InboundRequest): Promise<void> | undefined => {
  if (work.credit > 0 || work.hasEnded) return undefined
  return new Promise((resolve) => {
    work.onCredit = () => {
      if (work.credit <= 0 && !work.hasEnded) return
      work.onCredit = undefined
      resolve()
    }
  })
}

const runStream = async (
  endpoint: Endpoint,
  payload: Uint8Array,
  work: InboundRequest,
  answers: ResponseWriter,
  { maxMessageBytes, gave, park, resume }: RunOptions,
): Promise<void> => {
  /** The reader is slow, not the handler: it needs no slot meanwhile. */
  const forReader = async (wait: Promise<void> | undefined): Promise<void> => {
    if (wait === undefined) return
    park(work)
    await wait
    if (!work.hasEnded) await resume(work)
  }
  const items = (endpoint.run(payload, work) as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  try {
    for (;;) {
      await forReader(creditOf(work))
      await forReader(answers.room())
      if (work.hasEnded) return
      const result = await items.next()
      if (work.hasEnded) return
      if (result.done === true) break
      checkSize(result.value, maxMessageBytes)
      const units = creditUnitsOf(result.value.length)
      gave(units)
      work.credit -= units
      await answers.send(KIND.item, work, result.value, endpoint.content)
    }
    work.reports?.flush()
    answers.send(KIND.end, work, EMPTY)
  } finally {
    await items.return?.()
  }
}

/** The answer goes elsewhere: the caller is told that the request was taken on, once its handler runs. */
const runForwarded = async (
  endpoint: Endpoint,
  payload: Uint8Array,
  work: InboundRequest,
  answers: ResponseWriter,
  replyTo: string,
): Promise<ForwardedReply> => {
  if (endpoint.kind !== 'unary') {
    throw new ParleyError('MSG004', `${endpoint.name} is no unary method; it cannot answer to a third party`, {
      hint: 'leave out replyTo',
    })
  }
  const reply: ForwardedReply = { replyTo, envelope: work.envelope, content: endpoint.content }
  await answers.send(KIND.ack, work, encodePayload('json', work.envelope.id))
  work.isForwarded = true
  try {
    reply.payload = await (endpoint.run(payload, work) as Promise<Uint8Array> | Uint8Array)
  } catch (error) {
    reply.fault = toFault(error)
  }
  return reply
}

/** @param replyTo empty when the answer goes to the caller */
export const runRequest = (
  endpoint: Endpoint,
  payload: Uint8Array,
  work: InboundRequest,
  replyTo: string,
  answers: ResponseWriter,
  options: RunOptions,
): Promise<void> | undefined => {
  if (replyTo !== '') return runForwarded(endpoint, payload, work, answers, replyTo).then(options.reply)
  if (endpoint.kind === 'stream') return runStream(endpoint, payload, work, answers, options)
  return runUnary(endpoint, payload, work, answers, options.maxMessageBytes)
}
