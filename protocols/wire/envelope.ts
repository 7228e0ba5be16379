/**
 * The envelope: every field of a message, as handlers, stores and relays see it.
 *
 * On a link most of it is implied by the stream and left out of the frames (frame.ts); here it is whole.
 * Performatives are those of FIPA SC00037 and some of this mesh; their list and that of message types are closed.
 */
import { fromString } from 'uint8arrays/from-string'
import * as z from 'zod'
import { EnvelopeBudget } from '../budget/carried/carried-budget.ts'
import { MAX_HOP_CHARS, MAX_HOPS } from './delegation-chain.ts'

export const PRIORITIES = ['low', 'normal', 'high', 'critical'] as const
export type Priority = (typeof PRIORITIES)[number]

export const MESSAGE_TYPES = ['REQUEST', 'RESPONSE', 'EVENT', 'COMMAND', 'NOTIFICATION', 'HEARTBEAT', 'BATCH'] as const
export type MessageType = (typeof MESSAGE_TYPES)[number]

/** Of protocols that carry a command; see command/define.ts. */
export const COMMAND_PREFIX = 'command-'

/**
 * The type of what a protocol's requests are. The mesh says it, by what it runs them as: a header `message-type`, which
 * commands have for nodes of earlier versions, is a header like all others.
 */
export const messageTypeOf = (protocol: string): MessageType =>
  protocol.startsWith(COMMAND_PREFIX) ? 'COMMAND' : 'REQUEST'

/** Which message type carries a performative (FIPA SC00037, seed 004). */
export const PERFORMATIVES = {
  request: ['REQUEST', 'COMMAND'],
  query: ['REQUEST'],
  response: ['RESPONSE'],
  'inform-result': ['RESPONSE'],
  'inform-done': ['RESPONSE'],
  agree: ['RESPONSE'],
  refuse: ['RESPONSE'],
  failure: ['RESPONSE'],
  inform: ['EVENT', 'NOTIFICATION'],
  cfp: ['COMMAND'],
  propose: ['COMMAND'],
  accept: ['COMMAND'],
  reject: ['COMMAND'],
  cancel: ['COMMAND'],
  'not-understood': ['COMMAND'],
  open: ['COMMAND'],
  offer: ['COMMAND'],
  confirm: ['COMMAND'],
  end: ['COMMAND'],
} as const satisfies Record<string, readonly MessageType[]>
export type Performative = keyof typeof PERFORMATIVES

export const MAX_HEADERS = 32
export const MAX_HEADER_BYTES = 4096

const headerBytes = (headers: Record<string, string>): number =>
  Object.entries(headers).reduce((sum, [key, value]) => sum + fromString(key).length + fromString(value).length, 0)

export const Headers = z
  .record(z.string(), z.string())
  .refine((headers) => Object.keys(headers).length <= MAX_HEADERS, `at most ${MAX_HEADERS} headers`)
  .refine((headers) => headerBytes(headers) <= MAX_HEADER_BYTES, `at most ${MAX_HEADER_BYTES} bytes of headers`)

const Id = z.string().min(1).max(128)

export const EnvelopeSchema = z.object({
  id: z.uuid(),
  /** Milliseconds since 1970 by the sender's clock: for people, never trusted for safety. */
  timestamp: z.number().nonnegative(),
  source: Id,
  destination: z.union([Id, z.array(Id).min(1).max(1024)]),
  type: z.enum(MESSAGE_TYPES),
  payload: z.unknown(),
  contentType: z.string().max(128).default('application/json'),
  headers: Headers.default({}),
  priority: z.enum(PRIORITIES).default('normal'),
  /** Milliseconds left when the message was written. */
  ttl: z.number().int().positive().optional(),
  replyTo: Id.optional(),
  correlationId: Id.optional(),
  conversationId: Id.optional(),
  metadata: z.record(z.string(), z.unknown()).default({}),
  traceparent: z.string().max(64).optional(),
  /** Milliseconds left for the whole request. */
  deadline: z.number().int().positive().optional(),
  /** What of a budget came with it; each hop gives a part of what it has. */
  budget: EnvelopeBudget.optional(),
  /** Through whom this request came, first the one that asked (delegation-chain.ts); none where it began with its caller. */
  chain: z.array(z.string().min(1).max(MAX_HOP_CHARS)).max(MAX_HOPS).optional(),
  /** On no wire yet, and so never there; nor is sequence. */
  epoch: z.number().int().nonnegative().optional(),
  sequence: z.number().int().nonnegative().optional(),
})
export type Envelope = z.output<typeof EnvelopeSchema>
