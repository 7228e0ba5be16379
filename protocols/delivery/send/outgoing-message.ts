/** One message of the outbox, on its way to its peer. */
import type { ParleyError } from '../../errors.ts'
import type { DurableMessage } from '../durable-message.ts'
import type { WindowEntry } from './peer/send-lane.ts'

/** Who waits for what became of a message. `movedTo`: nothing yet, but it goes to this peer from now on. */
export type OutcomeListener = (error: ParleyError | undefined, movedTo?: string) => void

/** Of a message that was sent to a capability: what decides whether another peer may get it. */
export interface CapabilityTarget {
  readonly capability: string
  readonly conversationId: string | undefined
  readonly isExactlyOnce: boolean
  /** EXACTLY_ONCE: another peer may get it where its own stays away. */
  readonly mayRebind: boolean
}

/** A conversation with a capability, as a key; undefined for what has none. */
export const conversationKey = ({
  capability,
  conversationId,
}: Pick<CapabilityTarget, 'capability' | 'conversationId'>): string | undefined =>
  conversationId === undefined ? undefined : `${capability.length}:${capability}${conversationId}`

export interface OutgoingMessage extends WindowEntry {
  /** Undefined for one that was sent to a peer by name. */
  readonly bound: CapabilityTarget | undefined
  /** The message's bytes, where they are in memory. */
  body: Uint8Array | undefined
  /** Hears what became of it. */
  readonly onOutcome: OutcomeListener | undefined
  /** A recovery was tried. */
  isRecovered: boolean
}

/** @returns undefined for one to a peer by name */
export const capabilityTargetOf = (
  { conversationId, guarantee }: Pick<DurableMessage, 'conversationId' | 'guarantee'>,
  capability: string | undefined,
  mayRebind: boolean,
): CapabilityTarget | undefined =>
  capability === undefined
    ? undefined
    : { capability, conversationId, isExactlyOnce: guarantee === 'EXACTLY_ONCE', mayRebind }

export const newOutgoingMessage = (
  about: Pick<
    OutgoingMessage,
    'lane' | 'sequence' | 'size' | 'rank' | 'policy' | 'expiresAt' | 'isSkip' | 'bound' | 'onOutcome'
  >,
): OutgoingMessage => ({
  lane: about.lane,
  sequence: about.sequence,
  size: about.size,
  rank: about.rank,
  policy: about.policy,
  expiresAt: about.expiresAt,
  isSkip: about.isSkip,
  stage: 'queued',
  attempts: 0,
  dueAt: 0,
  fault: undefined,
  firstFailureAt: undefined,
  lastFailureAt: undefined,
  bound: about.bound,
  body: undefined,
  onOutcome: about.onOutcome,
  isRecovered: false,
})
