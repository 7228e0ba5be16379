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

export interface UnroutedMessages {
  /** Those that wait, oldest first. */
  waiting(): readonly Pick<UnroutedMessage, 'key' | 'capability' | 'draft'>[]
  stage(capability: string, draft: MessageDraft, onOutcome?: OutcomeListener): StagedChanges
  /** Binds those that somebody offers now, and makes dead letters of those that expired. */
  tick(): void
  /** A message of this conversation waits here. */
  holds(of: Pick<CapabilityTarget, 'capability' | 'conversationId'>): boolean
  size(): number
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

/** How many messages of each conversation have no peer yet. */
const createWaitingCounts = () => {
  const counts = new Map<string, number>()
  return {
    hold(one: Pick<UnroutedMessage, 'capability' | 'draft'>, by: 1 | -1): void {
      const name = conversationKey(conversationOf(one))
      if (name === undefined) return
      const count = (counts.get(name) ?? 0) + by
      if (count > 0) counts.set(name, count)
      else counts.delete(name)
    },
    holds: (of: Pick<CapabilityTarget, 'capability' | 'conversationId'>): boolean =>
      counts.size > 0 && counts.has(conversationKey(of) ?? ''),
  }
}

const deadLetterOf = ({ capability, draft, isUnknown }: UnroutedMessage, nowMs: number): NewDeadLetter => ({
  destination: CAPABILITY_PREFIX + capability,
  message: draft.bytes,
  policy: draft.policy,
  fault: isUnknown ? UNKNOWN : { code: 'MSG005', message: nobodyOffered(capability) },
  attempts: 0,
  firstFailureAt: nowMs,
  lastFailureAt: nowMs,
})

export const openUnrouted = async (deps: UnroutedDeps): Promise<UnroutedMessages> => {
  const { port, store, outbox } = deps
  const waiting = new Map<string, UnroutedMessage>()
  const { hold, holds } = createWaitingCounts()
  let turn = 0
  for await (const { key, value } of store.rows(UNROUTED)) {
    const one = waitingOf(key, value, store.id)
    waiting.set(key, one)
    hold(one, 1)
    turn = Math.max(turn, Number.parseInt(key.slice(UNROUTED.length), 36))
    outbox.count(1, one.draft.bytes.length)
  }

  const bind = async (one: UnroutedMessage, peer: string): Promise<void> => {
    let staged: StagedChanges | undefined
    try {
      while (outbox.isBusy([peer])) await outbox.ready([peer])
      staged = outbox.stage(peer, one.draft, one.onOutcome)
      hold(one, -1)
      outbox.count(-1, -one.draft.bytes.length)
      const binding = deps.bindings.bind(conversationOf(one), peer)
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

  const deadLetter = async (one: UnroutedMessage): Promise<void> => {
    const { capability, draft } = one
    deps.count(one.isUnknown ? 'dead' : 'expired')
    const { id, changes, done } = deps.addDeadLetter(deadLetterOf(one, port.clock.now()))
    hold(one, -1)
    outbox.count(-1, -draft.bytes.length)
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

  return {
    waiting: () => [...waiting.values()],
    stage(capability, draft, onOutcome) {
      turn += 1
      const key = UNROUTED + padded(turn, KEY_DIGITS)
      const value = encodePayload('cbor', {
        capability,
        message: draft.bytes,
        policy: draft.policy,
        epoch: store.id,
        ...(draft.expiresAt !== undefined && { expiresAt: draft.expiresAt }),
        ...(draft.bound?.mayRebind === true && { mayRebind: true }),
      })
      const one = { key, capability, draft, onOutcome, isUnknown: false }
      outbox.count(1, draft.bytes.length)
      hold(one, 1)
      return {
        changes: [{ key, value }],
        launch: () => void waiting.set(key, one),
        drop() {
          hold(one, -1)
          outbox.count(-1, -draft.bytes.length)
        },
      }
    },
    tick() {
      if (waiting.size === 0) return
      const now = port.clock.now()
      const chosen = new Map<string, string | undefined>()
      for (const one of [...waiting.values()]) {
        if (one.isUnknown || (one.draft.expiresAt !== undefined && one.draft.expiresAt <= now)) {
          waiting.delete(one.key)
          void deadLetter(one)
          continue
        }
        if (!chosen.has(one.capability)) chosen.set(one.capability, deps.choose(one.capability))
        const peer = deps.bindings.peerOf(conversationOf(one)) ?? chosen.get(one.capability)
        if (peer === undefined) continue
        waiting.delete(one.key)
        void bind(one, peer)
      }
    },
    holds,
    size: () => waiting.size,
  }
}
