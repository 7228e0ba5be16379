/**
 * What is in the outbox, for people: each message with whom it is for, since when, and what it waits for. Read when
 * somebody looks, a page at a time, in the order of destinations and numbers.
 */

import { decodeMessage, type Guarantee } from '../durable-message.ts'
import type { BreakerState } from '../recovery/circuit-breaker.ts'
import { CAPABILITY_PREFIX, decodeOutboxRow, OUTBOX, outboxKey, UNROUTED } from '../store/delivery-rows.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { Outbox } from './outbox.ts'
import type { PeerSenderState } from './peer/peer-sender-api.ts'
import type { SendStage } from './peer/send-lane.ts'
import type { UnroutedMessages } from './unrouted.ts'

/**
 * `no-taker`: nobody offers the capability. `not-connected`: its peer is not here, or is being greeted. `refused`: the peer
 * takes nothing of this node. `left-alone`: the peer failed too often, and has a pause. `retry`: it failed there, and is tried
 * again. `queued`: others go first. `sent`: it is there, or on its way, and was not processed yet.
 */
export const WAITS_FOR = ['no-taker', 'not-connected', 'refused', 'left-alone', 'retry', 'queued', 'sent'] as const
export type WaitsFor = (typeof WAITS_FOR)[number]

export interface OutboxEntry {
  /** Names it in a list: the next page begins behind it. */
  readonly key: string
  readonly messageId: string
  readonly type: string
  /** A peer id, or `capability:<name>`. */
  readonly destination: string
  readonly guarantee: Guarantee
  readonly conversationId: string | undefined
  /** Milliseconds since 1970, by this node's clock. */
  readonly sentAt: number
  readonly expiresAt: number | undefined
  readonly waitsFor: WaitsFor
  /** Attempts that failed, and what the last one failed with. */
  readonly attempts: number
  readonly code: string | undefined
  readonly reason: string | undefined
  readonly bytes: number
}

export interface OutboxPage {
  /** 1 to 1,000; 100 unless told. */
  readonly limit?: number
  /** Those behind this one. */
  readonly after?: string
}

export const MAX_OUTBOX_PAGE = 1_000
const PAGE = 100

export const waitsFor = (
  { state, breaker }: { readonly state: PeerSenderState; readonly breaker: BreakerState['kind'] },
  stage: SendStage,
): WaitsFor => {
  if (state === 'refused') return 'refused'
  if (breaker === 'open') return 'left-alone'
  if (stage === 'paused' || stage === 'failed') return 'retry'
  if (state !== 'up') return 'not-connected'
  return stage === 'sent' ? 'sent' : 'queued'
}

const factsOf = (message: Uint8Array) => {
  const { id, type, guarantee, conversationId, createdAt } = decodeMessage(message)
  return { messageId: id, type, guarantee, conversationId, sentAt: createdAt, bytes: message.length }
}

/** Of messages that nobody offers to take yet; they come before all others. */
const unroutedEntries = (unrouted: Pick<UnroutedMessages, 'waiting'>, after: string): OutboxEntry[] =>
  unrouted
    .waiting()
    .filter(({ key }) => key > after)
    .map(({ key, capability, draft }) => ({
      ...{ key, destination: CAPABILITY_PREFIX + capability, ...factsOf(draft.bytes), expiresAt: draft.expiresAt },
      waitsFor: 'no-taker' as const,
      ...{ attempts: 0, code: undefined, reason: undefined },
    }))

/** @param parts those of this moment @throws STA003 where the store cannot be read */
export const listOutbox = async (
  store: Pick<RowStore, 'rows'>,
  {
    outbox,
    unrouted,
  }: { readonly outbox: Pick<Outbox, 'destinations'>; readonly unrouted: Pick<UnroutedMessages, 'waiting'> },
  { limit = PAGE, after = '' }: OutboxPage = {},
): Promise<OutboxEntry[]> => {
  const most = Math.min(Math.max(1, limit), MAX_OUTBOX_PAGE)
  const isUnrouted = after.startsWith(UNROUTED)
  const found = after === '' || isUnrouted ? unroutedEntries(unrouted, after).slice(0, most) : []
  if (found.length >= most) return found
  const live = new Map(
    outbox
      .destinations()
      .flatMap((destination) =>
        destination
          .waiting()
          .map((entry) => [outboxKey(destination.peer, entry.lane, entry.sequence), { destination, entry }] as const),
      ),
  )
  if (live.size === 0) return found
  for await (const { key, value } of store.rows(OUTBOX, isUnrouted || after === '' ? {} : { after })) {
    const one = live.get(key)
    const message = value.length === 0 ? undefined : decodeOutboxRow(value).message
    // Processed meanwhile: its row goes with the next commit.
    if (one === undefined || message === undefined) continue
    const { destination, entry } = one
    found.push({
      ...{ key, destination: destination.peer, ...factsOf(message), expiresAt: entry.expiresAt },
      waitsFor: waitsFor({ state: destination.state(), breaker: destination.breaker() }, entry.stage),
      ...{ attempts: entry.attempts, code: entry.fault?.code, reason: entry.fault?.message },
    })
    if (found.length >= most) break
  }
  return found
}
