/**
 * Messages to a capability that nobody offers yet: kept until somebody does, or until they expire.
 *
 * Rows `u/<id>`. They count against the outbox's bounds. State: those that wait, oldest first.
 */
import * as z from 'zod'
import { type Fault, ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import type { NewDeadLetter } from '../dead-letters/dead-letter.ts'
import { decodeMessage, logFieldsOf } from '../durable-message.ts'
import { RetryPolicySchema } from '../options.ts'
import { CAPABILITY_PREFIX, padded, UNROUTED } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import type { ConversationBindings } from './conversation-bindings.ts'
import type { MessageDraft, Outbox, StagedChanges } from './outbox.ts'
import { type CapabilityTarget, capabilityTargetOf, conversationKey, type OutcomeListener } from './outgoing-message.ts'

const Row = z.object({
  capability: z.string(),
  message: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  policy: RetryPolicySchema,
  expiresAt: z.number().optional(),
  /** Id of the outbox that it was kept in. */
  epoch: z.string().optional(),
  mayRebind: z.boolean().optional(),
})

interface UnroutedMessage {
  readonly key: string
  readonly capability: string
  readonly draft: MessageDraft
  readonly onOutcome: OutcomeListener | undefined
  /** The outbox was set back since: it may have been bound and delivered, to anybody, and must not count twice. */
  readonly isUnknown: boolean
}

const UNKNOWN: Fault = {
  code: 'STA003',
  message: 'the outbox was set back: whether the message was processed, and by whom, is not known',
  hint: 'see at those who may have received it, then retry or purge it',
}

const nobodyOffered = (capability: string): string => `nobody offered ${capability} before the message expired`

/** What is told to whoever waits for it. */
const expired = (capability: string, id: string): ParleyError =>
  new ParleyError('MSG005', nobodyOffered(capability), {
    hint: `see parley dlq show ${id}`,
    details: { deadLetter: id, code: 'MSG005', attempts: 0 },
  })

export interface UnroutedDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly store: RowStore
  readonly outbox: Pick<Outbox, 'count' | 'isBusy' | 'ready' | 'stage'>
  readonly bindings: Pick<ConversationBindings, 'peerOf' | 'bind'>
  choose(capability: string): string | undefined
  addDeadLetter(death: NewDeadLetter): { id: string; changes: RowChange[]; done: () => void }
  count(what: 'expired' | 'dead'): void
}

const KEY_DIGITS = 11

const waitingOf = (key: string, value: Uint8Array, storeId: string): UnroutedMessage => {
  const { capability, message: bytes, policy, expiresAt, epoch, mayRebind } = Row.parse(decodePayload('cbor', value))
  const message = decodeMessage(bytes)
  const { conversationId, priority, guarantee } = message
  const bound = capabilityTargetOf(message, capability, mayRebind === true)
  return {
    key,
    capability,
    draft: { bytes, conversationId, priority, policy, expiresAt, bound },
    onOutcome: undefined,
    isUnknown: guarantee === 'EXACTLY_ONCE' && epoch !== undefined && epoch !== storeId,
  }
}

const conversationOf = ({ capability, draft }: Pick<UnroutedMessage, 'capability' | 'draft'>) => ({
  capability,
  conversationId: draft.conversationId,
})

const deadLetterOf = ({ capability, draft, isUnknown }: UnroutedMessage, nowMs: number): NewDeadLetter => ({
  destination: CAPABILITY_PREFIX + capability,
  message: draft.bytes,
  policy: draft.policy,
  fault: isUnknown ? UNKNOWN : { code: 'MSG005', message: nobodyOffered(capability) },
  attempts: 0,
  firstFailureAt: nowMs,
  lastFailureAt: nowMs,
})

export class UnroutedMessages {
  readonly #deps: UnroutedDeps
  readonly #waiting = new Map<string, UnroutedMessage>()
  /** How many messages of each conversation have no peer yet. */
  readonly #conversations = new Map<string, number>()
  #turn = 0

  /** With what is on disk. @throws what the store throws */
  static async open(deps: UnroutedDeps): Promise<UnroutedMessages> {
    const unrouted = new UnroutedMessages(deps)
    for await (const { key, value } of deps.store.rows(UNROUTED)) {
      const one = waitingOf(key, value, deps.store.id)
      unrouted.#waiting.set(key, one)
      unrouted.#add(one)
      unrouted.#turn = Math.max(unrouted.#turn, Number.parseInt(key.slice(UNROUTED.length), 36))
    }
    return unrouted
  }

  private constructor(deps: UnroutedDeps) {
    this.#deps = deps
  }

  /** Those that wait, oldest first. */
  waiting(): readonly Pick<UnroutedMessage, 'key' | 'capability' | 'draft'>[] {
    return [...this.#waiting.values()]
  }

  stage(capability: string, draft: MessageDraft, onOutcome?: OutcomeListener): StagedChanges {
    this.#turn += 1
    const key = UNROUTED + padded(this.#turn, KEY_DIGITS)
    const value = encodePayload('cbor', {
      capability,
      message: draft.bytes,
      policy: draft.policy,
      epoch: this.#deps.store.id,
      ...(draft.expiresAt !== undefined && { expiresAt: draft.expiresAt }),
      ...(draft.bound?.mayRebind === true && { mayRebind: true }),
    })
    const one = { key, capability, draft, onOutcome, isUnknown: false }
    this.#add(one)
    return {
      changes: [{ key, value }],
      launch: () => void this.#waiting.set(key, one),
      drop: () => this.#remove(one),
    }
  }

  /** Binds those that somebody offers now, and makes dead letters of those that expired. */
  tick(): void {
    if (this.#waiting.size === 0) return
    const { port, bindings, choose } = this.#deps
    const now = port.clock.now()
    const chosen = new Map<string, string | undefined>()
    for (const one of [...this.#waiting.values()]) {
      if (one.isUnknown || (one.draft.expiresAt !== undefined && one.draft.expiresAt <= now)) {
        this.#waiting.delete(one.key)
        void this.#giveUp(one)
        continue
      }
      if (!chosen.has(one.capability)) chosen.set(one.capability, choose(one.capability))
      const peer = bindings.peerOf(conversationOf(one)) ?? chosen.get(one.capability)
      if (peer === undefined) continue
      this.#waiting.delete(one.key)
      void this.#bind(one, peer)
    }
  }

  /** A message of this conversation waits here. */
  holds(of: Pick<CapabilityTarget, 'capability' | 'conversationId'>): boolean {
    return this.#conversations.size > 0 && this.#conversations.has(conversationKey(of) ?? '')
  }

  size(): number {
    return this.#waiting.size
  }

  #add(one: UnroutedMessage): void {
    this.#deps.outbox.count(1, one.draft.bytes.length)
    const name = conversationKey(conversationOf(one))
    if (name !== undefined) this.#conversations.set(name, (this.#conversations.get(name) ?? 0) + 1)
  }

  #remove(one: UnroutedMessage): void {
    this.#deps.outbox.count(-1, -one.draft.bytes.length)
    const name = conversationKey(conversationOf(one))
    if (name === undefined) return
    const left = (this.#conversations.get(name) ?? 0) - 1
    if (left > 0) this.#conversations.set(name, left)
    else this.#conversations.delete(name)
  }

  async #bind(one: UnroutedMessage, peer: string): Promise<void> {
    const { port, store, outbox, bindings } = this.#deps
    let staged: StagedChanges | undefined
    try {
      while (outbox.isBusy([peer])) await outbox.ready([peer])
      staged = outbox.stage(peer, one.draft, one.onOutcome)
      this.#remove(one)
      const binding = bindings.bind(conversationOf(one), peer)
      await store.commit([...staged.changes, ...binding, { key: one.key, value: undefined }])
    } catch (error) {
      // It is still there where the rows are read anew.
      staged?.drop()
      port.log.info('a message to a capability could not be bound', {
        capability: one.capability,
        destination: peer,
        ...logFieldsOf(one.draft.bytes),
        error,
      })
      return
    }
    staged.launch()
  }

  /** Makes a dead letter of it. */
  async #giveUp(one: UnroutedMessage): Promise<void> {
    const { port, store, count, addDeadLetter } = this.#deps
    const { capability, draft } = one
    count(one.isUnknown ? 'dead' : 'expired')
    const { id, changes, done } = addDeadLetter(deadLetterOf(one, port.clock.now()))
    this.#remove(one)
    try {
      await store.commit([...changes, { key: one.key, value: undefined }])
    } catch (error) {
      port.log.info('an expired message could not be put with the dead letters', {
        capability,
        ...logFieldsOf(draft.bytes),
        error,
      })
      return
    }
    done()
    one.onOutcome?.(expired(capability, id))
  }
}
