/** One destination of messages, as the outbox and what moves messages see it; peer-sender.ts says what is promised. */
import type { Fields, Port } from '../../port.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import type { BreakerState } from '../recovery/circuit-breaker.ts'
import type { OutboxRow } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'
import type { DeadLetterPolicyDeps } from './dead-letter-policy.ts'
import type { OutgoingMessage } from './outgoing-message.ts'

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

export interface PeerSender {
  readonly peer: string
  state(): PeerSenderState
  breaker(): BreakerState['kind']
  /** Nothing may be numbered for now. */
  isBusy(): boolean
  ready(): Promise<void>
  reserveNumber(lane: number): number
  createEntry(
    lane: number,
    sequence: number,
    about: Pick<OutgoingMessage, 'size' | 'rank' | 'policy' | 'expiresAt' | 'bound' | 'onOutcome'> & {
      readonly body: Uint8Array
    },
  ): OutgoingMessage
  /** It is durable. */
  enqueue(entry: OutgoingMessage): void
  /** It was numbered, and is not kept; its place goes as one that is skipped. */
  discard(entry: OutgoingMessage): void
  /** The row of its numbers, as of now. */
  readonly row: () => Uint8Array
  /** From disk, in the order of the keys. */
  restore(
    lane: number,
    sequence: number,
    row: OutboxRow | undefined,
    about: Pick<OutgoingMessage, 'size' | 'rank' | 'bound'>,
  ): void
  /** Has all its numbers alone for a while: none is given, no message is judged or sent. @throws what `work` throws */
  exclusive<R>(work: () => Promise<R>): Promise<R>
  /** Messages to a capability, in the order of their numbers. */
  movable(): OutgoingMessage[]
  /** Their bytes are in memory afterwards, where their rows are there. */
  load(entries: readonly OutgoingMessage[]): Promise<void>
  /** The outbox was set back since it was sent first: what became of it is not known. */
  isUnknown(entry: OutgoingMessage): boolean
  /** Takes them out, in the turn in which the changes are handed over: their numbers stand for nothing any more. */
  withdraw(entries: readonly OutgoingMessage[]): RowChange[]
  peerJoined(): void
  peerLeft(): void
  handleAckFrame(frame: Uint8Array): void
  tick(): void
  size(): number
  inFlight(): number
  /** What is on its way or waits to be. */
  waiting(): readonly OutgoingMessage[]
  stop(): void
}
