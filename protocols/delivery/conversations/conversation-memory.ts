/**
 * Conversations with their last entries, in memory, the one that was used longest ago first.
 *
 * Bounds: `conversations`, of each the last `conversationMessages`, of all `conversationBytes`. Beyond them the conversation
 * that was used longest ago goes; of the one in use, its oldest entry. What goes is counted.
 */
import type { ResolvedDeliveryOptions } from '../options.ts'
import { type ConversationEntry, entryKeyOf, entrySizeOf } from './conversation-entry.ts'

export type ConversationLimits = Pick<
  ResolvedDeliveryOptions,
  'conversations' | 'conversationMessages' | 'conversationBytes'
>

/** One conversation: its entries, oldest first. */
export class RememberedConversation {
  readonly id: string
  /** Oldest first, from `#head` on. */
  #entries: ConversationEntry[] = []
  #head = 0
  /** By message, direction and peer. */
  readonly #byKey = new Map<string, ConversationEntry>()
  /** Of all its entries. */
  bytes = 0
  /** Entries that went. */
  forgotten = 0
  /** In the order in which they were used; a Map whose first entries go again and again becomes slow. */
  before: RememberedConversation | undefined
  behind: RememberedConversation | undefined

  constructor(id: string) {
    this.id = id
  }

  get size(): number {
    return this.#byKey.size
  }

  entries(): ConversationEntry[] {
    return this.#entries.slice(this.#head)
  }

  find(messageId: string, direction: 'sent' | 'received', peer: string): ConversationEntry | undefined {
    return this.#byKey.get(entryKeyOf(messageId, direction, peer))
  }

  add(entry: ConversationEntry): void {
    this.#entries.push(entry)
    this.#byKey.set(entryKeyOf(entry.message.id, entry.direction, entry.peer), entry)
    this.bytes += entrySizeOf(entry)
  }

  /** @returns its bytes */
  dropFirst(): number {
    const entry = this.#entries[this.#head]
    if (entry === undefined) return 0
    this.#head += 1
    if (this.#head * 2 > this.#entries.length) {
      this.#entries = this.entries()
      this.#head = 0
    }
    this.#byKey.delete(entryKeyOf(entry.message.id, entry.direction, entry.peer))
    this.bytes -= entrySizeOf(entry)
    this.forgotten += 1
    return entrySizeOf(entry)
  }
}

export class ConversationMemory {
  readonly #limits: ConversationLimits
  readonly #forgotten: (entries: number) => void
  readonly #all = new Map<string, RememberedConversation>()
  #oldest: RememberedConversation | undefined
  #latest: RememberedConversation | undefined
  #bytes = 0

  /** @param limits read at use. @param forgotten told of entries that went for want of room */
  constructor(limits: ConversationLimits, forgotten: (entries: number) => void) {
    this.#limits = limits
    this.#forgotten = forgotten
  }

  get size(): number {
    return this.#all.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(id: string): RememberedConversation | undefined {
    return this.#all.get(id)
  }

  /** As of now the one that was used last; it begins where there is none. */
  use(id: string): RememberedConversation {
    if (this.#latest?.id === id) return this.#latest
    let conversation = this.#all.get(id)
    if (conversation === undefined) {
      conversation = new RememberedConversation(id)
      this.#all.set(id, conversation)
    } else this.#unlink(conversation)
    conversation.before = this.#latest
    if (this.#latest === undefined) this.#oldest = conversation
    else this.#latest.behind = conversation
    this.#latest = conversation
    return conversation
  }

  /** @param conversation the one that was used last */
  add(conversation: RememberedConversation, entry: ConversationEntry): ConversationEntry {
    conversation.add(entry)
    this.#bytes += entrySizeOf(entry)
    this.#makeRoom(conversation)
    return entry
  }

  /** The one that was used last first. */
  *latestFirst(): Generator<RememberedConversation, void, undefined> {
    for (let one = this.#latest; one !== undefined; one = one.before) yield one
  }

  /** @returns how many entries it had */
  remove(conversation: RememberedConversation): number {
    this.#all.delete(conversation.id)
    this.#unlink(conversation)
    this.#bytes -= conversation.bytes
    return conversation.size
  }

  #unlink(conversation: RememberedConversation): void {
    const { before, behind } = conversation
    if (before === undefined) this.#oldest = behind
    else before.behind = behind
    if (behind === undefined) this.#latest = before
    else behind.before = before
    conversation.before = undefined
    conversation.behind = undefined
  }

  #dropFirst(conversation: RememberedConversation): void {
    this.#bytes -= conversation.dropFirst()
    this.#forgotten(1)
  }

  #isOver(): boolean {
    return this.#all.size > this.#limits.conversations || this.#bytes > this.#limits.conversationBytes
  }

  #makeRoom(used: RememberedConversation): void {
    while (used.size > this.#limits.conversationMessages) this.#dropFirst(used)
    while (this.#oldest !== undefined && this.#isOver()) {
      // The one that was just used is the last one.
      if (this.#oldest === used && used.size > 0) this.#dropFirst(used)
      else this.#forgotten(this.remove(this.#oldest))
    }
  }
}
