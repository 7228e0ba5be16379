/**
 * Messages to a capability that nobody offers yet: kept until somebody does, or until they expire.
 *
 * Rows `u/<id>`. They count against the outbox's bounds. State: those that wait, oldest first.
 */
import * as z from 'zod'
import type { Fault } from '../errors.ts'
import type { Port } from '../port.ts'
import { decodePayload, encodePayload } from '../wire/payload.ts'
import { decodeMessage, marksOf } from './message.ts'
import { RetryPolicySchema } from './options.ts'
import { type Bound, boundOf, conversationKey, type Told } from './out-entry.ts'
import type { Draft, Outbox, Staged } from './outbox.ts'
import type { Bindings } from './rebind/bindings.ts'
import { padded, UNBOUND } from './rows.ts'
import type { RowChange, RowStore } from './storage.ts'

const Row = z.object({
  capability: z.string(),
  message: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  policy: RetryPolicySchema,
  expiresAt: z.number().optional(),
  /** Id of the outbox that it was kept in. */
  epoch: z.string().optional(),
  mayRebind: z.boolean().optional(),
})

interface Waiting {
  readonly key: string
  readonly capability: string
  readonly draft: Draft
  readonly told: Told | undefined
  /** The outbox was set back since: it may have been bound and delivered, to anybody, and must not count twice. */
  readonly isUnknown: boolean
}

const UNKNOWN: Fault = {
  code: 'STA003',
  message: 'the outbox was set back: whether the message was processed, and by whom, is not known',
  hint: 'see at those who may have received it, then retry or purge it',
}

export interface UnboundDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly store: RowStore
  readonly outbox: Outbox
  readonly bindings: Pick<Bindings, 'peerOf' | 'bind'>
  choose(capability: string): string | undefined
  /** It expired, or this is why: changes that make a dead letter of it, and what says so. */
  bury(capability: string, draft: Draft, fault?: Fault): { id: string; changes: RowChange[]; done: () => void }
  /** What is told to whoever waits for it. */
  expired(capability: string, id: string): Parameters<Told>[0]
}

export interface Unbound {
  /** Those that wait, oldest first. */
  waiting(): readonly Pick<Waiting, 'key' | 'capability' | 'draft'>[]
  stage(capability: string, draft: Draft, told?: Told): Staged
  /** Binds those that somebody offers now, and buries those that expired. */
  tick(): void
  /** A message of this conversation waits here. */
  holds(of: Pick<Bound, 'capability' | 'conversationId'>): boolean
  size(): number
}

const KEY_DIGITS = 11

const waitingOf = (key: string, value: Uint8Array, storeId: string): Waiting => {
  const { capability, message: bytes, policy, expiresAt, epoch, mayRebind } = Row.parse(decodePayload('cbor', value))
  const message = decodeMessage(bytes)
  const { conversationId, priority, guarantee } = message
  const bound = boundOf(message, capability, mayRebind === true)
  return {
    key,
    capability,
    draft: { bytes, conversationId, priority, policy, expiresAt, bound },
    told: undefined,
    isUnknown: guarantee === 'EXACTLY_ONCE' && epoch !== undefined && epoch !== storeId,
  }
}

const conversationOf = ({ capability, draft }: Pick<Waiting, 'capability' | 'draft'>) => ({
  capability,
  conversationId: draft.conversationId,
})

/** How many messages of each conversation have no peer yet. */
const createHeld = () => {
  const counts = new Map<string, number>()
  return {
    hold(one: Pick<Waiting, 'capability' | 'draft'>, by: 1 | -1): void {
      const name = conversationKey(conversationOf(one))
      if (name === undefined) return
      const count = (counts.get(name) ?? 0) + by
      if (count > 0) counts.set(name, count)
      else counts.delete(name)
    },
    holds: (of: Pick<Bound, 'capability' | 'conversationId'>): boolean =>
      counts.size > 0 && counts.has(conversationKey(of) ?? ''),
  }
}

export const openUnbound = async (deps: UnboundDeps): Promise<Unbound> => {
  const { port, store, outbox } = deps
  const waiting = new Map<string, Waiting>()
  const { hold, holds } = createHeld()
  let turn = 0
  for await (const { key, value } of store.rows(UNBOUND)) {
    const one = waitingOf(key, value, store.id)
    waiting.set(key, one)
    hold(one, 1)
    turn = Math.max(turn, Number.parseInt(key.slice(UNBOUND.length), 36))
    outbox.count(1, one.draft.bytes.length)
  }

  const bind = async (one: Waiting, peer: string): Promise<void> => {
    let staged: Staged | undefined
    try {
      while (outbox.isBusy([peer])) await outbox.ready([peer])
      staged = outbox.stage(peer, one.draft, one.told)
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
        ...marksOf(one.draft.bytes),
        error,
      })
      return
    }
    staged.launch()
  }

  const bury = async (one: Waiting): Promise<void> => {
    const { id, changes, done } = deps.bury(one.capability, one.draft, one.isUnknown ? UNKNOWN : undefined)
    hold(one, -1)
    outbox.count(-1, -one.draft.bytes.length)
    try {
      await store.commit([...changes, { key: one.key, value: undefined }])
    } catch (error) {
      port.log.info('an expired message could not be put with the dead letters', {
        capability: one.capability,
        ...marksOf(one.draft.bytes),
        error,
      })
      return
    }
    done()
    one.told?.(deps.expired(one.capability, id))
  }

  return {
    waiting: () => [...waiting.values()],
    stage(capability, draft, told) {
      turn += 1
      const key = UNBOUND + padded(turn, KEY_DIGITS)
      const value = encodePayload('cbor', {
        capability,
        message: draft.bytes,
        policy: draft.policy,
        epoch: store.id,
        ...(draft.expiresAt !== undefined && { expiresAt: draft.expiresAt }),
        ...(draft.bound?.mayRebind === true && { mayRebind: true }),
      })
      const one = { key, capability, draft, told, isUnknown: false }
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
          void bury(one)
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
