/**
 * What was said in each conversation: durable messages that this node sent and received, calls that it made and handled,
 * by conversationId, for people and programs that look back. In memory: it is gone when the node stops, and what lasts is
 * in the outbox and the inbox.
 *
 * State: the conversations, the one that was used longest ago first. Bounds: `conversations`, of each the last
 * `conversationMessages`, of all `conversationBytes`; what was used longest ago goes first, and is counted. What has no
 * conversationId is not looked at.
 */
import type { Port } from '../../port.ts'
import type { DurableMessage } from '../durable-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import {
  type ConversationContent,
  type ConversationEntry,
  type ConversationMessage,
  entryKeyOf,
  entrySizeOf,
  entryViewOf,
  newConversationEntry,
} from './conversation-entry.ts'

export interface ConversationFacts {
  readonly id: string
  /** Messages and calls that are remembered, and that are not any more. */
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

/** A call of a conversation. */
export interface ConversationCall extends Pick<ConversationContent, 'content' | 'payload' | 'conversationId'> {
  /** `<protocol>.<method>` */
  readonly label: string
  readonly direction: 'sent' | 'received'
  readonly peer: string
}

/** Tells how a call ended. @param code undefined: it was answered */
export type CallEndListener = (code?: string) => void

export interface ConversationLog extends Conversations {
  /** Undefined where it is not remembered. */
  recordSent(message: DurableMessage, peer: string): ConversationEntry | undefined
  recordReceived(message: DurableMessage, peer: string): ConversationEntry | undefined
  /** What was sent goes to another peer. @returns the note of that */
  recordMoved(conversationId: string, note: ConversationEntry, peer: string): ConversationEntry
  /** Undefined where it is not remembered. */
  recordCall(call: ConversationCall): CallEndListener | undefined
  /** @param error undefined: it was processed */
  recordEnd(note: ConversationEntry, error: { readonly code: string; readonly isDead?: boolean } | undefined): void
}

export interface ConversationLogDeps {
  readonly port: Pick<Port, 'clock'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'conversations' | 'conversationMessages' | 'conversationBytes'>
  forgotten(messages: number): void
}

const MAX_LIST = 1_000
const MAX_PEERS = 16

interface Conversation {
  readonly id: string
  /** Oldest first, from `head` on. */
  notes: ConversationEntry[]
  head: number
  /** By message and, of what was sent, peer. */
  readonly byKey: Map<string, ConversationEntry>
  bytes: number
  forgotten: number
  /** In the order in which they were used; a Map whose first entries go again and again becomes slow. */
  before: Conversation | undefined
  behind: Conversation | undefined
}

const notesOf = ({ notes, head }: Conversation): ConversationEntry[] => notes.slice(head)

const factsOf = (conversation: Conversation): ConversationFacts => {
  const { id, forgotten, byKey } = conversation
  const peers = new Set<string>()
  let firstAt = Number.POSITIVE_INFINITY
  let lastAt = 0
  for (const { peer, at, changedAt } of notesOf(conversation)) {
    if (peers.size < MAX_PEERS) peers.add(peer)
    firstAt = Math.min(firstAt, at)
    lastAt = Math.max(lastAt, changedAt)
  }
  return { id, messages: byKey.size, forgotten, peers: [...peers], firstAt: Math.min(firstAt, lastAt), lastAt }
}

export const createConversationLog = ({ port, settings, forgotten }: ConversationLogDeps): ConversationLog => {
  const all = new Map<string, Conversation>()
  let oldest: Conversation | undefined
  let latest: Conversation | undefined
  let bytes = 0
  let calls = 0

  const unlink = (conversation: Conversation): void => {
    const { before, behind } = conversation
    if (before === undefined) oldest = behind
    else before.behind = behind
    if (behind === undefined) latest = before
    else behind.before = before
    conversation.before = undefined
    conversation.behind = undefined
  }

  const append = (conversation: Conversation): void => {
    conversation.before = latest
    if (latest === undefined) oldest = conversation
    else latest.behind = conversation
    latest = conversation
  }

  const use = (id: string): Conversation => {
    if (latest?.id === id) return latest
    let conversation = all.get(id)
    if (conversation === undefined) {
      const byKey = new Map<string, ConversationEntry>()
      conversation = { id, notes: [], head: 0, byKey, bytes: 0, forgotten: 0, before: undefined, behind: undefined }
      all.set(id, conversation)
    } else unlink(conversation)
    append(conversation)
    return conversation
  }

  const drop = (conversation: Conversation): void => {
    all.delete(conversation.id)
    unlink(conversation)
    bytes -= conversation.bytes
  }

  const dropFirstNote = (conversation: Conversation): void => {
    const note = conversation.notes[conversation.head]
    if (note === undefined) return
    conversation.head += 1
    if (conversation.head * 2 > conversation.notes.length) {
      conversation.notes = conversation.notes.slice(conversation.head)
      conversation.head = 0
    }
    conversation.byKey.delete(entryKeyOf(note.message.id, note.direction, note.peer))
    conversation.bytes -= entrySizeOf(note)
    conversation.forgotten += 1
    bytes -= entrySizeOf(note)
    forgotten(1)
  }

  const makeRoom = (conversation: Conversation): void => {
    while (conversation.byKey.size > settings.conversationMessages) dropFirstNote(conversation)
    while (oldest !== undefined && (all.size > settings.conversations || bytes > settings.conversationBytes)) {
      // The one that was just used is the last one.
      if (oldest === conversation && conversation.byKey.size > 0) dropFirstNote(conversation)
      else {
        forgotten(oldest.byKey.size)
        drop(oldest)
      }
    }
  }

  const add = (conversation: Conversation, made: ConversationEntry): ConversationEntry => {
    conversation.notes.push(made)
    conversation.byKey.set(entryKeyOf(made.message.id, made.direction, made.peer), made)
    conversation.bytes += entrySizeOf(made)
    bytes += entrySizeOf(made)
    makeRoom(conversation)
    return made
  }

  const note = (
    message: ConversationContent,
    direction: 'sent' | 'received',
    peer: string,
    isCall = false,
  ): ConversationEntry | undefined => {
    const { conversationId } = message
    if (conversationId === undefined || settings.conversations === 0) return undefined
    const conversation = use(conversationId)
    const key = entryKeyOf(message.id, direction, peer)
    const known = conversation.byKey.get(key)
    if (known !== undefined) {
      known.status = direction
      known.attempts += 1
      known.changedAt = port.clock.now()
      return known
    }
    return add(conversation, newConversationEntry(message, direction, peer, port.clock.now(), isCall))
  }

  return {
    recordSent: (message, peer) => note(message, 'sent', peer),
    recordReceived: (message, peer) => note(message, 'received', peer),
    recordMoved(conversationId, note, peer) {
      const now = port.clock.now()
      note.changedAt = now
      note.status = 'moved'
      const conversation = use(conversationId)
      const known = conversation.byKey.get(entryKeyOf(note.message.id, note.direction, peer))
      if (known === undefined)
        return add(conversation, { ...note, peer, at: now, status: 'sent', code: undefined, attempts: 1 })
      known.status = 'sent'
      known.attempts += 1
      known.changedAt = now
      return known
    },
    recordCall({ label, direction, peer, ...said }) {
      calls += 1
      const made = note({ ...said, id: `call-${calls}`, type: `call.${label}` }, direction, peer, true)
      if (made === undefined) return undefined
      return (code) => {
        made.changedAt = port.clock.now()
        made.code = code
        made.status = code === undefined ? 'answered' : 'failed'
      }
    },
    recordEnd(note, error) {
      note.changedAt = port.clock.now()
      note.code = error?.code
      if (error === undefined) note.status = note.direction === 'sent' ? 'delivered' : 'processed'
      else note.status = error.isDead === true ? 'dead' : 'failed'
    },
    get(id) {
      const conversation = all.get(id)
      return conversation === undefined ? [] : notesOf(conversation).map(entryViewOf)
    },
    list({ limit = 100 } = {}) {
      const most = Math.max(1, Math.min(MAX_LIST, limit))
      const found: ConversationFacts[] = []
      for (let one = latest; one !== undefined && found.length < most; one = one.before) found.push(factsOf(one))
      return found
    },
    clear(id) {
      let count = 0
      for (const conversation of id === undefined ? [...all.values()] : [all.get(id)]) {
        if (conversation === undefined) continue
        count += conversation.byKey.size
        drop(conversation)
      }
      return count
    },
    size: () => all.size,
    bytes: () => bytes,
  }
}
