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
import type { Draft, Outbox, Staged, Told } from './outbox.ts'
import { padded, UNBOUND } from './rows.ts'
import type { RowChange, RowStore } from './storage.ts'

const Row = z.object({
  capability: z.string(),
  message: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  policy: RetryPolicySchema,
  expiresAt: z.number().optional(),
  /** Id of the outbox that it was kept in. */
  epoch: z.string().optional(),
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
  size(): number
}

const KEY_DIGITS = 11

export const openUnbound = async (deps: UnboundDeps): Promise<Unbound> => {
  const { port, store, outbox } = deps
  const waiting = new Map<string, Waiting>()
  let turn = 0
  for await (const { key, value } of store.rows(UNBOUND)) {
    const { capability, message, policy, expiresAt, epoch } = Row.parse(decodePayload('cbor', value))
    const { conversationId, priority, guarantee } = decodeMessage(message)
    waiting.set(key, {
      key,
      capability,
      draft: { bytes: message, conversationId, priority, policy, expiresAt },
      told: undefined,
      isUnknown: guarantee === 'EXACTLY_ONCE' && epoch !== undefined && epoch !== store.id,
    })
    turn = Math.max(turn, Number.parseInt(key.slice(UNBOUND.length), 36))
    outbox.count(1, message.length)
  }

  const bind = async (one: Waiting, peer: string): Promise<void> => {
    let staged: Staged | undefined
    try {
      while (outbox.isBusy([peer])) await outbox.ready([peer])
      staged = outbox.stage(peer, one.draft, one.told)
      outbox.count(-1, -one.draft.bytes.length)
      await store.commit([...staged.changes, { key: one.key, value: undefined }])
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
      })
      outbox.count(1, draft.bytes.length)
      return {
        changes: [{ key, value }],
        launch: () => void waiting.set(key, { key, capability, draft, told, isUnknown: false }),
        drop: () => outbox.count(-1, -draft.bytes.length),
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
        const peer = chosen.get(one.capability)
        if (peer === undefined) continue
        waiting.delete(one.key)
        void bind(one, peer)
      }
    },
    size: () => waiting.size,
  }
}
