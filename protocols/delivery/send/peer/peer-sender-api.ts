/** What the sender to one peer is given, counts, and may be in; peer-sender.ts says what is promised. */
import type { Fields, Port } from '../../../port.ts'
import type { ResolvedDeliveryOptions } from '../../options.ts'
import type { RowStore } from '../../store/row-storage.ts'
import type { OutgoingMessage } from '../outgoing-message.ts'
import type { DeadLetterPolicyDeps } from './dead-letter-policy.ts'

export interface PeerSenderDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'random' | 'to' | 'members'>
  readonly store: RowStore
  readonly settings: ResolvedDeliveryOptions
  /** Bytes of bodies in memory, over all destinations. */
  readonly memory: { bytes: number }
  readonly peer: string
  readonly epoch: string
  readonly next: ReadonlyMap<number, number>
  readonly frontier: ReadonlyMap<number, number> | undefined
  chance(): number
  count(what: OutboxCounter, by?: number): void
  /** It is no longer in the outbox. */
  removed(entry: OutgoingMessage): void
  recover: DeadLetterPolicyDeps['recover']
  /** A message, or a session (COM002), went on after such a failure, or did not. @param about which message, for the log */
  recovered(code: string, isWell: boolean, about?: Fields): void
  addDeadLetter: DeadLetterPolicyDeps['addDeadLetter']
}

export type OutboxCounter =
  | 'sent'
  | 'resent'
  | 'delivered'
  | 'expired'
  | 'dead'
  | 'failedAttempts'
  | 'late'
  | 'sessions'
  | 'recovered'
  | 'renumbered'
  | 'lostRows'
  | 'breakerOpened'

export type PeerSenderState = 'idle' | 'greeting' | 'up' | 'refused'
