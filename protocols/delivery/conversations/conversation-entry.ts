/** What is remembered of one message or call of a conversation, and how it is shown. Pure. */
import { decodePayload } from '../../wire/payload/payload.ts'
import type { DurableMessage } from '../durable-message.ts'

/**
 * Of what this node sent: `sent` (kept in the outbox), `delivered` (processed there), `moved` (that peer stayed away, and
 * another one gets it), `dead` (a dead letter), `failed` (it could not be kept). Of what it received: `received` (at work),
 * `processed` (by its handler, or it lies in the inbox), `failed` (its sender tries again, or gives up). Of a call: `sent` or
 * `received`, then `answered` or `failed`.
 */
export type ConversationStatus =
  | 'sent'
  | 'delivered'
  | 'moved'
  | 'dead'
  | 'received'
  | 'processed'
  | 'failed'
  | 'answered'

export interface ConversationMessage {
  /** Of a call: a number of this node's own. */
  readonly id: string
  readonly direction: 'sent' | 'received'
  /** Of a call: `call.<protocol>.<method>`. */
  readonly type: string
  readonly isCall: boolean
  /** The other side: a peer id, or `capability:<name>` for whoever offers it. */
  readonly peer: string
  readonly status: ConversationStatus
  /** Code of the last error; undefined where there was none. */
  readonly code: string | undefined
  /** How often it was begun: more than 1 where it failed before, or was sent again from the dead letters. */
  readonly attempts: number
  /** Milliseconds since 1970 by this node's clock: when it came up here, and when its status changed last. */
  readonly at: number
  readonly changedAt: number
  /** Of its data, as it travelled. */
  readonly bytes: number
  /** Its data where it is small, else the first characters of JSON; undefined for other data that is larger. */
  readonly data: unknown
  /** The data is not all there. */
  readonly isCut: boolean
}

/** A message, or a call as if it were one. */
export type ConversationContent = Pick<DurableMessage, 'id' | 'type' | 'content' | 'payload' | 'conversationId'>

/** What is remembered of one message. */
export interface ConversationEntry {
  readonly message: Pick<DurableMessage, 'id' | 'type' | 'content'>
  readonly isCall: boolean
  readonly direction: 'sent' | 'received'
  readonly peer: string
  readonly at: number
  readonly bytes: number
  /** The beginning of its data; of JSON as text, which costs the garbage collector a fraction of what bytes do. */
  readonly kept: string | Uint8Array
  changedAt: number
  status: ConversationStatus
  code: string | undefined
  attempts: number
}

/** Of the data of one message. */
export const MAX_KEPT_BYTES = 1_024
/** What a message takes beside its data, about. */
export const ENTRY_OVERHEAD_BYTES = 256

const decoder = new TextDecoder()

export const entrySizeOf = ({ bytes }: ConversationEntry): number =>
  Math.min(bytes, MAX_KEPT_BYTES) + ENTRY_OVERHEAD_BYTES

const isCut = ({ bytes }: ConversationEntry): boolean => bytes > MAX_KEPT_BYTES

export const entryKeyOf = (id: string, direction: 'sent' | 'received', peer: string): string =>
  direction === 'received' ? id : `${id}>${peer}`

const dataOf = (note: ConversationEntry): unknown => {
  const { message, kept } = note
  if (isCut(note)) return typeof kept === 'string' ? kept : undefined
  try {
    if (typeof kept !== 'string') return decodePayload(message.content, kept)
    return kept === '' ? undefined : JSON.parse(kept)
  } catch {
    return undefined
  }
}

export const entryViewOf = (note: ConversationEntry): ConversationMessage => ({
  id: note.message.id,
  direction: note.direction,
  type: note.message.type,
  isCall: note.isCall,
  peer: note.peer,
  status: note.status,
  code: note.code,
  attempts: note.attempts,
  at: note.at,
  changedAt: note.changedAt,
  bytes: note.bytes,
  data: dataOf(note),
  isCut: isCut(note),
})

export const newConversationEntry = (
  { id, type, content, payload }: ConversationContent,
  direction: 'sent' | 'received',
  peer: string,
  at: number,
  isCall: boolean,
): ConversationEntry => {
  // A copy: what it is part of is larger, and goes.
  const start = payload.length > MAX_KEPT_BYTES ? payload.subarray(0, MAX_KEPT_BYTES) : payload
  return {
    message: { id, type, content },
    isCall,
    direction,
    peer,
    at,
    bytes: payload.length,
    kept: content === 'json' ? decoder.decode(start) : new Uint8Array(start),
    changedAt: at,
    status: direction,
    code: undefined,
    attempts: 1,
  }
}
