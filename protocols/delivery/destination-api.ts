/** One destination of messages, as the outbox and what moves messages see it; destination.ts says what is promised. */
import type { Fields, Port } from '../port.ts'
import type { BreakerState } from './breaker.ts'
import type { JudgingDeps } from './judging.ts'
import type { Settings } from './options.ts'
import type { Out } from './out-entry.ts'
import type { OutboxRow } from './rows.ts'
import type { RowChange, RowStore } from './storage.ts'

export interface DestinationDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'random' | 'to' | 'members'>
  readonly store: RowStore
  readonly settings: Settings
  /** Bytes of bodies in memory, over all destinations. */
  readonly memory: { bytes: number }
  readonly peer: string
  readonly epoch: string
  readonly next: ReadonlyMap<number, number>
  readonly frontier: ReadonlyMap<number, number> | undefined
  chance(): number
  count(what: OutboxCount, by?: number): void
  /** It is no longer in the outbox. */
  gone(entry: Out): void
  recover: JudgingDeps['recover']
  /** A message, or a session (COM002), went on after such a failure, or did not. @param about which message, for the log */
  recovered(code: string, isWell: boolean, about?: Fields): void
  bury: JudgingDeps['bury']
}

export type OutboxCount =
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

export type DestinationState = 'idle' | 'greeting' | 'up' | 'refused'

export interface Destination {
  readonly peer: string
  state(): DestinationState
  breaker(): BreakerState['kind']
  /** Nothing may be numbered for now. */
  isBusy(): boolean
  ready(): Promise<void>
  number(lane: number): number
  entry(
    lane: number,
    sequence: number,
    about: Pick<Out, 'size' | 'rank' | 'policy' | 'expiresAt' | 'bound' | 'told'> & { readonly body: Uint8Array },
  ): Out
  /** It is durable. */
  take(entry: Out): void
  /** It was numbered, and is not kept; its place goes as one that is skipped. */
  drop(entry: Out): void
  /** The row of its numbers, as of now. */
  readonly row: () => Uint8Array
  /** From disk, in the order of the keys. */
  restore(lane: number, sequence: number, row: OutboxRow | undefined, about: Pick<Out, 'size' | 'rank' | 'bound'>): void
  /** Has all its numbers alone for a while: none is given, no message is judged or sent. @throws what `work` throws */
  alone<R>(work: () => Promise<R>): Promise<R>
  /** Messages to a capability, in the order of their numbers. */
  movable(): Out[]
  /** Their bytes are in memory afterwards, where their rows are there. */
  load(entries: readonly Out[]): Promise<void>
  /** The outbox was set back since it was sent first: what became of it is not known. */
  isUnknown(entry: Out): boolean
  /** Takes them out, in the turn in which the changes are handed over: their numbers stand for nothing any more. */
  withdraw(entries: readonly Out[]): RowChange[]
  joined(): void
  left(): void
  answers(frame: Uint8Array): void
  tick(): void
  size(): number
  inFlight(): number
  /** What is on its way or waits to be. */
  waiting(): readonly Out[]
  stop(): void
}
