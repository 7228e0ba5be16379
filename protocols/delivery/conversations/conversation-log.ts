/**
 * What was said in each conversation: durable messages that this node sent and received, calls that it made and handled,
 * by conversationId, for people and programs that look back. What has no conversationId is not looked at.
 *
 * State: in memory, within the bounds of conversation-memory.ts. It is gone when the node stops; what lasts is in the
 * outbox and the inbox.
 */
import type { Port } from '../../port.ts'
import type { DurableMessage } from '../durable-message.ts'
import {
  type ConversationContent,
  type ConversationEntry,
  type ConversationMessage,
  entryViewOf,
  newConversationEntry,
} from './conversation-entry.ts'
import { type ConversationLimits, ConversationMemory, type RememberedConversation } from './conversation-memory.ts'

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
  readonly settings: ConversationLimits
  forgotten(messages: number): void
}

const MAX_LIST = 1_000
const MAX_PEERS = 16

const factsOf = (conversation: RememberedConversation): ConversationFacts => {
  const { id, forgotten, size } = conversation
  const peers = new Set<string>()
  let firstAt = Number.POSITIVE_INFINITY
  let lastAt = 0
  for (const { peer, at, changedAt } of conversation.entries()) {
    if (peers.size < MAX_PEERS) peers.add(peer)
    firstAt = Math.min(firstAt, at)
    lastAt = Math.max(lastAt, changedAt)
  }
  return { id, messages: size, forgotten, peers: [...peers], firstAt: Math.min(firstAt, lastAt), lastAt }
}

export const createConversationLog = ({ port, settings, forgotten }: ConversationLogDeps): ConversationLog => {
  const memory = new ConversationMemory(settings, forgotten)
  let calls = 0

  const note = (
    message: ConversationContent,
    direction: 'sent' | 'received',
    peer: string,
    isCall = false,
  ): ConversationEntry | undefined => {
    const { conversationId } = message
    if (conversationId === undefined || settings.conversations === 0) return undefined
    const conversation = memory.use(conversationId)
    const known = conversation.find(message.id, direction, peer)
    if (known !== undefined) {
      known.status = direction
      known.attempts += 1
      known.changedAt = port.clock.now()
      return known
    }
    return memory.add(conversation, newConversationEntry(message, direction, peer, port.clock.now(), isCall))
  }

  return {
    recordSent: (message, peer) => note(message, 'sent', peer),
    recordReceived: (message, peer) => note(message, 'received', peer),
    recordMoved(conversationId, note, peer) {
      const now = port.clock.now()
      note.changedAt = now
      note.status = 'moved'
      const conversation = memory.use(conversationId)
      const known = conversation.find(note.message.id, note.direction, peer)
      if (known === undefined)
        return memory.add(conversation, { ...note, peer, at: now, status: 'sent', code: undefined, attempts: 1 })
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
    get: (id) => memory.get(id)?.entries().map(entryViewOf) ?? [],
    list({ limit = 100 } = {}) {
      const most = Math.max(1, Math.min(MAX_LIST, limit))
      const found: ConversationFacts[] = []
      for (const conversation of memory.latestFirst()) {
        if (found.length >= most) break
        found.push(factsOf(conversation))
      }
      return found
    },
    clear(id) {
      let count = 0
      for (const conversation of id === undefined ? [...memory.latestFirst()] : [memory.get(id)])
        if (conversation !== undefined) count += memory.remove(conversation)
      return count
    },
    size: () => memory.size,
    bytes: () => memory.bytes,
  }
}
