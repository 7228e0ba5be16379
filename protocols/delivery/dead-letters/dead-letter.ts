/** One dead letter: what is kept of a message or a call that was given up, and how that is shown. Pure. */
import * as z from 'zod'
import type { Content } from '../../define.ts'
import type { Fault } from '../../errors.ts'
import { decodePayload } from '../../wire/payload/payload.ts'
import { type DurableMessage, decodeMessage, type Guarantee } from '../durable-message.ts'
import { type RetryPolicy, RetryPolicySchema } from '../options.ts'

/** Row `d/<id>`. */
export const DeadLetterRow = z.object({
  destination: z.string(),
  /** What it was sent to, where that was no peer. */
  capability: z.string().optional(),
  code: z.string(),
  reason: z.string(),
  hint: z.string().optional(),
  attempts: z.int().nonnegative(),
  firstFailureAt: z.number(),
  lastFailureAt: z.number(),
  policy: RetryPolicySchema,
  message: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  isCall: z.boolean().default(false),
})
export type DeadLetterRow = z.output<typeof DeadLetterRow>

export interface DeadLetter {
  /** Of the letter; they are in the order in which they died. */
  readonly id: string
  readonly messageId: string
  /** Of a call: `call.<protocol>.<method>`. */
  readonly type: string
  /** A call that failed although its recovery was tried: it cannot be sent again from here. */
  readonly isCall: boolean
  /** A peer id, or `capability:<name>` for one that nobody was found for; empty for a call that was for anybody. */
  readonly destination: string
  /** What it was sent to, where that was no peer: a retry goes to whoever offers it. */
  readonly capability: string | undefined
  readonly guarantee: Guarantee
  readonly conversationId: string | undefined
  readonly code: string
  readonly reason: string
  readonly hint: string | undefined
  /** That reached the peer. */
  readonly attempts: number
  /** Milliseconds since 1970 by this node's clock. */
  readonly firstFailureAt: number
  readonly lastFailureAt: number
  readonly bytes: number
}

/** A message that is given up. */
export interface NewDeadLetter {
  readonly destination: string
  readonly capability?: string | undefined
  readonly message: Uint8Array
  readonly policy: RetryPolicy
  readonly fault: Fault
  readonly attempts: number
  readonly firstFailureAt: number
  readonly lastFailureAt: number
}

export interface DeadLetterDetails extends DeadLetter {
  readonly headers: Readonly<Record<string, string>>
  readonly sentAt: number
  /** The message's data; undefined where it cannot be read. */
  readonly data: unknown
}

/** A call that failed, as error-recovery.ts tells of it. */
export interface FailedCall {
  readonly to: string | undefined
  readonly label: string
  readonly error: Fault
  /** What went wrong with its recovery. */
  readonly recovery: Fault
  readonly payload: Uint8Array | undefined
  readonly content: Content
  readonly conversationId: string | undefined
  readonly at: number
}

const MAX_TEXT = 1_024
/** Says of a call how large its payload was, where it was too large to be kept. */
export const PAYLOAD_BYTES_HEADER = 'payload-bytes'

export const letterOf = (id: string, row: DeadLetterRow, message: DurableMessage): DeadLetter => ({
  id,
  messageId: message.id,
  type: message.type,
  isCall: row.isCall,
  destination: row.destination,
  capability: row.capability,
  guarantee: message.guarantee,
  conversationId: message.conversationId,
  code: row.code,
  reason: row.reason,
  hint: row.hint,
  attempts: row.attempts,
  firstFailureAt: row.firstFailureAt,
  lastFailureAt: row.lastFailureAt,
  bytes: row.message.length,
})

export const dataOf = ({ content, payload }: DurableMessage): unknown => {
  try {
    return decodePayload(content, payload)
  } catch {
    return undefined
  }
}

/** The call as a message that is never sent. */
export const callAsMessage = (call: FailedCall, id: string, maxBytes: number): DurableMessage => {
  const { payload } = call
  const isKept = payload !== undefined && payload.length <= maxBytes
  return {
    id,
    type: `call.${call.label}`.slice(0, MAX_TEXT),
    version: undefined,
    payload: isKept ? payload : new Uint8Array(0),
    content: call.content,
    conversationId: call.conversationId,
    correlationId: undefined,
    replyTo: undefined,
    headers: payload === undefined || isKept ? {} : { [PAYLOAD_BYTES_HEADER]: String(payload.length) },
    priority: 'normal',
    guarantee: 'AT_MOST_ONCE',
    createdAt: Math.floor(call.at),
    ttlMs: undefined,
    traceparent: undefined,
    destinations: [],
  }
}

export const readDeadLetter = (value: Uint8Array): { row: DeadLetterRow; message: DurableMessage } => {
  const row = DeadLetterRow.parse(decodePayload('cbor', value))
  return { row, message: decodeMessage(row.message) }
}

export const deadLetterRowOf = (death: NewDeadLetter): DeadLetterRow => ({
  destination: death.destination,
  ...(death.capability !== undefined && { capability: death.capability }),
  code: death.fault.code,
  reason: death.fault.message,
  ...(death.fault.hint !== undefined && { hint: death.fault.hint }),
  attempts: death.attempts,
  firstFailureAt: death.firstFailureAt,
  lastFailureAt: death.lastFailureAt,
  policy: death.policy,
  message: death.message,
  isCall: false,
})
