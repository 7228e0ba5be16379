/**
 * What was said in each conversation: durable messages that this node sent and received, by conversationId, for people and
 * programs that look back. In memory: it is gone when the node stops, and what lasts is in the outbox and the inbox.
 *
 * State: the conversations, the one that was used longest ago first. Bounds: `conversations`, of each the last
 * `conversationMessages`, of all `conversationBytes`; what was used longest ago goes first, and is counted. Messages without
 * a conversationId are not looked at.
 */
import type { Port } from '../port.ts'
import { decodePayload } from '../wire/payload.ts'
import type { Message } from './message.ts'
import type { Settings } from './options.ts'

/**
 * Of what this node sent: `sent` (kept in the outbox), `delivered` (processed there), `dead` (a dead letter), `failed` (it
 * could not be kept). Of what it received: `received` (at work), `processed` (by its handler, or it lies in the inbox),
 * `failed` (its sender tries again, or gives up).
 */
export type ConversationStatus = 'sent' | 'delivered' | 'dead' | 'received' | 'processed' | 'failed'

export interface ConversationMessage {
  readonly id: string
  readonly direction: 'sent' | 'received'
  readonly type: string
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

export interface ConversationFacts {
  readonly id: string
  /** That are remembered, and that are not any more. */
  readonly messages: number
  readonly forgotten: number
  /** The other sides, at most 16. */
  readonly peers: readonly string[]
  readonly firstAt: number
  readonly lastAt: number
}

export interface Conversations {
  /** Oldest first; empty where nothing is remembered. */
  get(id: string): ConversationMessage[]
  /** The one that was used last first. @param options.limit 1 to 1000, 100 unless told */
  list(options?: { limit?: number }): ConversationFacts[]
  /** Forgets one, or all. @returns how many messages */
  clear(id?: string): number
  /** Conversations, and bytes of all. */
  size(): number
  bytes(): number
}

/** What is remembered of one message. */
export interface Note {
  readonly message: Pick<Message, 'id' | 'type' | 'content'>
  readonly direction: 'sent' | 'received'
  readonly peer: string
  readonly at: number
  readonly bytes: number
  /** The beginning of its data. */
  readonly kept: Uint8Array
  changedAt: number
  status: ConversationStatus
  code: string | undefined
  attempts: number
}

export interface NodeConversations extends Conversations {
  /** Undefined where it is not remembered. */
  sent(message: Message, peer: string): Note | undefined
  received(message: Message, peer: string): Note | undefined
  /** @param error undefined: it was processed */
  ended(note: Note, error: { readonly code: string; readonly isDead?: boolean } | undefined): void
}

export interface ConversationsDeps {
  readonly port: Pick<Port, 'clock'>
  readonly settings: Pick<Settings, 'conversations' | 'conversationMessages' | 'conversationBytes'>
  forgotten(messages: number): void
}

/** Of the data of one message. */
export const MAX_KEPT_BYTES = 1_024
/** What a message takes beside its data, about. */
export const NOTE_BYTES = 256
const MAX_LIST = 1_000
const MAX_PEERS = 16

interface Conversation {
  readonly id: string
  /** By direction, message and, of what was sent, peer; oldest first. */
  readonly notes: Map<string, Note>
  bytes: number
  forgotten: number
}

const decoder = new TextDecoder()

const sizeOf = ({ kept }: Note): number => kept.length + NOTE_BYTES

const dataOf = ({ message: { content }, kept, bytes }: Note): unknown => {
  if (kept.length < bytes) return content === 'json' ? decoder.decode(kept) : undefined
  try {
    return decodePayload(content, kept)
  } catch {
    return undefined
  }
}

const viewOf = (note: Note): ConversationMessage => ({
  id: note.message.id,
  direction: note.direction,
  type: note.message.type,
  peer: note.peer,
  status: note.status,
  code: note.code,
  attempts: note.attempts,
  at: note.at,
  changedAt: note.changedAt,
  bytes: note.bytes,
  data: dataOf(note),
  isCut: note.kept.length < note.bytes,
})

const noteOf = (message: Message, direction: 'sent' | 'received', peer: string, at: number): Note => {
  const { id, type, content, payload } = message
  return {
    message: { id, type, content },
    direction,
    peer,
    at,
    bytes: payload.length,
    // A copy: what it is part of is larger, and goes.
    kept: new Uint8Array(payload.subarray(0, MAX_KEPT_BYTES)),
    changedAt: at,
    status: direction,
    code: undefined,
    attempts: 1,
  }
}

const factsOf = ({ id, notes, forgotten }: Conversation): ConversationFacts => {
  const peers = new Set<string>()
  let firstAt = Number.POSITIVE_INFINITY
  let lastAt = 0
  for (const { peer, at, changedAt } of notes.values()) {
    if (peers.size < MAX_PEERS) peers.add(peer)
    firstAt = Math.min(firstAt, at)
    lastAt = Math.max(lastAt, changedAt)
  }
  return { id, messages: notes.size, forgotten, peers: [...peers], firstAt: Math.min(firstAt, lastAt), lastAt }
}

export const createConversations = ({ port, settings, forgotten }: ConversationsDeps): NodeConversations => {
  const all = new Map<string, Conversation>()
  /** The last one that was used. */
  let latest: Conversation | undefined
  let bytes = 0

  const drop = (conversation: Conversation): void => {
    all.delete(conversation.id)
    bytes -= conversation.bytes
    if (latest === conversation) latest = undefined
  }

  const dropFirstNote = (conversation: Conversation): void => {
    for (const [key, note] of conversation.notes) {
      conversation.notes.delete(key)
      conversation.bytes -= sizeOf(note)
      conversation.forgotten += 1
      bytes -= sizeOf(note)
      forgotten(1)
      return
    }
  }

  const use = (id: string): Conversation => {
    if (latest?.id === id) return latest
    const known = all.get(id)
    const conversation = known ?? { id, notes: new Map<string, Note>(), bytes: 0, forgotten: 0 }
    if (known !== undefined) all.delete(id)
    all.set(id, conversation)
    latest = conversation
    return conversation
  }

  const makeRoom = (conversation: Conversation): void => {
    while (conversation.notes.size > settings.conversationMessages) dropFirstNote(conversation)
    while (all.size > settings.conversations || bytes > settings.conversationBytes) {
      const [oldest] = all.values()
      if (oldest === undefined) return
      if (oldest !== conversation) {
        forgotten(oldest.notes.size)
        drop(oldest)
      } else if (oldest.notes.size > 0) dropFirstNote(oldest)
      else {
        drop(oldest)
        return
      }
    }
  }

  const note = (message: Message, direction: 'sent' | 'received', peer: string): Note | undefined => {
    const { conversationId } = message
    if (conversationId === undefined || settings.conversations === 0) return undefined
    const conversation = use(conversationId)
    const key = direction === 'received' ? message.id : `${message.id}>${peer}`
    const known = conversation.notes.get(key)
    if (known !== undefined) {
      known.status = direction
      known.attempts += 1
      known.changedAt = port.clock.now()
      return known
    }
    const made = noteOf(message, direction, peer, port.clock.now())
    conversation.notes.set(key, made)
    conversation.bytes += sizeOf(made)
    bytes += sizeOf(made)
    if (
      conversation.notes.size > settings.conversationMessages ||
      all.size > settings.conversations ||
      bytes > settings.conversationBytes
    )
      makeRoom(conversation)
    return made
  }

  return {
    sent: (message, peer) => note(message, 'sent', peer),
    received: (message, peer) => note(message, 'received', peer),
    ended(note, error) {
      note.changedAt = port.clock.now()
      note.code = error?.code
      if (error === undefined) note.status = note.direction === 'sent' ? 'delivered' : 'processed'
      else note.status = error.isDead === true ? 'dead' : 'failed'
    },
    get: (id) => [...(all.get(id)?.notes.values() ?? [])].map(viewOf),
    list({ limit = 100 } = {}) {
      const most = Math.max(1, Math.min(MAX_LIST, limit))
      return [...all.values()].slice(-most).reverse().map(factsOf)
    },
    clear(id) {
      let count = 0
      for (const conversation of id === undefined ? [...all.values()] : [all.get(id)]) {
        if (conversation === undefined) continue
        count += conversation.notes.size
        drop(conversation)
      }
      return count
    },
    size: () => all.size,
    bytes: () => bytes,
  }
}
