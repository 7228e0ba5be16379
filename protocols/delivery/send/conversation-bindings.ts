/**
 * Which peer each conversation to a capability goes to: bound with its first message, durably, so that its messages are
 * processed in their order, by one agent. rebinding.ts binds it to another one where that one stays away.
 *
 * Rows `c/<number>`, in the order in which they were bound. State: the bindings, those used longest ago first, with how
 * many messages of each are in the outbox. At most MAX_BINDINGS of those without one are remembered; who is forgotten is
 * counted, and bound anew with its next message.
 */
import * as z from 'zod'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import { BINDINGS, padded } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import { type CapabilityTarget, conversationKey } from './outgoing-message.ts'

export const MAX_BINDINGS = 10_000
const KEY_DIGITS = 11
/** Bindings that are looked at for one that may go. */
const MAX_LOOKS = 16

const Row = z.object({
  capability: z.string(),
  conversation: z.string(),
  peer: z.string(),
  /** Milliseconds since 1970: when it was moved to this peer. */
  movedAt: z.number().optional(),
})

interface Binding {
  /** Undefined where no row tells of it: it was found in the outbox alone. */
  key: string | undefined
  peer: string
  movedAt: number | undefined
  /** Messages in the outbox. */
  waiting: number
}

type Conversation = Pick<CapabilityTarget, 'capability' | 'conversationId'>

export interface ConversationBindings {
  /** Undefined for what has no conversation. */
  peerOf(of: Conversation): string | undefined
  /** Messages of it that are in the outbox. */
  waiting(of: Conversation): number
  /** When it was moved last, milliseconds since 1970. */
  movedAt(of: Conversation): number | undefined
  /**
   * From now on, in the turn in which the changes are handed over.
   * @param movedAt where another peer had it before
   */
  bind(of: Conversation, peer: string, movedAt?: number): RowChange[]
  /** A message of it is in the outbox, for this peer; it is not any more. */
  messageAdded(of: Conversation, peer: string): void
  messageRemoved(of: Conversation): void
  size(): number
}

export const openConversationBindings = async (
  store: Pick<RowStore, 'rows'>,
  forgotten: (count: number) => void,
): Promise<ConversationBindings> => {
  const all = new Map<string, Binding>()
  let turn = 0
  for await (const { key, value } of store.rows(BINDINGS)) {
    const { capability, conversation, peer, movedAt } = Row.parse(decodePayload('cbor', value))
    const name = conversationKey({ capability, conversationId: conversation })
    if (name !== undefined) all.set(name, { key, peer, movedAt, waiting: 0 })
    turn = Math.max(turn, Number.parseInt(key.slice(BINDINGS.length), 36))
  }

  const find = (of: Conversation): Binding | undefined => {
    const name = conversationKey(of)
    return name === undefined ? undefined : all.get(name)
  }

  const makeRoom = (): RowChange[] => {
    const changes: RowChange[] = []
    for (let looks = 0; all.size > MAX_BINDINGS && looks < MAX_LOOKS; looks += 1) {
      const [oldest] = all
      if (oldest === undefined) break
      const [name, binding] = oldest
      all.delete(name)
      // Another peer must not get its next message before this one has processed those.
      if (binding.waiting > 0) all.set(name, binding)
      else if (binding.key !== undefined) changes.push({ key: binding.key, value: undefined })
    }
    forgotten(changes.length)
    return changes
  }

  return {
    peerOf: (of) => find(of)?.peer,
    waiting: (of) => find(of)?.waiting ?? 0,
    movedAt: (of) => find(of)?.movedAt,
    bind(of, peer, movedAt) {
      const name = conversationKey(of)
      const { capability, conversationId } = of
      if (name === undefined || conversationId === undefined) return []
      const known = all.get(name)
      all.delete(name)
      const binding = known ?? { key: undefined, peer, movedAt: undefined, waiting: 0 }
      all.set(name, binding)
      if (binding.key !== undefined && binding.peer === peer) return []
      if (binding.key === undefined) {
        turn += 1
        binding.key = BINDINGS + padded(turn, KEY_DIGITS)
      }
      binding.peer = peer
      binding.movedAt = movedAt
      const row = { capability, conversation: conversationId, peer, ...(movedAt !== undefined && { movedAt }) }
      return [{ key: binding.key, value: encodePayload('cbor', row) }, ...makeRoom()]
    },
    messageAdded(of, peer) {
      const name = conversationKey(of)
      if (name === undefined) return
      const known = all.get(name)
      if (known === undefined) all.set(name, { key: undefined, peer, movedAt: undefined, waiting: 1 })
      else known.waiting += 1
    },
    messageRemoved(of) {
      const binding = find(of)
      if (binding !== undefined) binding.waiting -= 1
    },
    size: () => all.size,
  }
}
