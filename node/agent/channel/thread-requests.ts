/**
 * The requests that a node and its worker thread make of each other. Plain data: it is cloned on its way.
 *
 * Their order: the worker loads its module and sends `offered`, runs the agent's start() and sends `started`, or sends
 * `failed` instead; the node then sends `run` for each request, and `stop` once.
 */
import type { ProtocolRecord } from '../../../discovery/directory/record/agent-record.ts'
import type { Amounts } from '../../../protocols/budget/amounts.ts'
import type { CarriedBudget } from '../../../protocols/budget/carried/carried-budget.ts'
import type { Progress } from '../../../protocols/define.ts'
import type { PublishOptions, SubscribeOptions } from '../../../protocols/events/api.ts'
import type { MeshEvent, Missed } from '../../../protocols/events/event.ts'
import type { Envelope } from '../../../protocols/wire/envelope.ts'
import type { MethodFacts } from '../../../protocols/wire/payload/contract.ts'
import type { ByteCallOptions, CallAddress } from '../../calls/clients.ts'
import type { TransferableError } from './transferable.ts'

/** Monotonic milliseconds on a clock that all threads of a process share; performance.now() starts anew in each. */
export const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6

/** What the worker starts with. */
export interface WorkerStartData {
  readonly file: string
  readonly self: { readonly id: string; readonly name: string; readonly mesh: string }
  /** One number that grows while the event loop of the worker turns; the node reads it without asking. */
  readonly beats: SharedArrayBuffer
}

export interface OfferFacts {
  readonly name: string
  readonly version: string
  readonly methods: readonly MethodFacts[]
  readonly record: ProtocolRecord
}

/** A method to call, without its schemas. */
export interface TargetFacts extends MethodFacts {
  readonly protocol: string
  readonly version: string
  readonly major: number
  readonly protocolId: string
  readonly label: string
}

/**
 * What of a call's options can travel; a signal becomes a cancel, onFailover and onProgress become notices, and what a parent
 * gives stands in the others.
 */
export type TransferableCallOptions = Omit<
  ByteCallOptions,
  'signal' | 'onFailover' | 'onProgress' | 'parent' | 'budget' | 'share' | 'attemptObserver' | 'childCalls'
> & {
  /** What of a budget goes with it. */
  readonly carried?: CarriedBudget | undefined
  /** The worker wants notices. */
  readonly reports?: boolean | undefined
  /** The run on whose behalf it is made. */
  readonly run?: number | undefined
}

export interface ThreadCallRequest {
  readonly what: 'one' | 'stream' | 'all'
  readonly address: CallAddress
  readonly target: TargetFacts
  readonly options: TransferableCallOptions
}

/** An answer of `all`. */
export type TransferableReply =
  | { readonly peer: string; readonly name: string; readonly value: Uint8Array }
  | { readonly peer: string; readonly name: string; readonly failure: TransferableError }

/** Beside a call: a peer failed and the next one is called. */
export interface FailoverNotice {
  readonly peer: string
  readonly failure: TransferableError
}

/** Beside a call: what the handler reports. */
export interface ProgressNotice {
  readonly peer: string
  readonly progress: Progress
}

/** Beside a call or a run, before its end: what is left of its budget. */
export interface RemainderNotice {
  readonly remaining: Amounts
  /** Nobody began it: all of it is left. */
  readonly isUnused?: boolean
}

export interface ThreadPublishRequest {
  readonly what: 'publish'
  /** A topic, or with a version the pattern of its definition. */
  readonly topic: string
  readonly version: string | undefined
  /** JSON. */
  readonly data: string
  readonly options: Omit<PublishOptions, 'signal'>
}

export interface ThreadSubscribeRequest {
  readonly what: 'subscribe'
  readonly pattern: string
  readonly queueEvents: number | undefined
  readonly from?: SubscribeOptions['from']
}

/** `expiresAt` on the clock that both threads share (sharedNow). */
export type SubscriptionItem =
  | { readonly kind: 'ready'; readonly confirmed: number; readonly unconfirmed: readonly string[] }
  | { readonly kind: 'event'; readonly event: MeshEvent; readonly dropped: number }
  | { readonly kind: 'missed'; readonly missed: Missed; readonly dropped: number }

/** What the worker requests of its node. */
export type RequestToNode =
  | ThreadCallRequest
  | ThreadPublishRequest
  | ThreadSubscribeRequest
  | { readonly what: 'members' }
  | { readonly what: 'agents' }
  | {
      readonly what: 'log'
      readonly level: 'error' | 'warn' | 'info'
      readonly message: string
      readonly fields: Record<string, unknown>
    }
  | { readonly what: 'offered'; readonly offers: readonly OfferFacts[] }
  | { readonly what: 'started' }
  | { readonly what: 'failed'; readonly failure: TransferableError }

export interface ThreadRunRequest {
  readonly what: 'run'
  /** Counts up: calls on its behalf name it. */
  readonly run: number
  /** Index of the offer. */
  readonly offer: number
  readonly method: string
  readonly peer: string
  /** Its payload is posted beside it. */
  readonly envelope: Omit<Envelope, 'payload'>
  /** On the clock that both threads share. */
  readonly deadlineAt: number
  /** By how many milliseconds progress puts the deadline off, and the time beyond which it does not. */
  readonly extendMs: number
  readonly limitAt: number
  /** What came with it of a budget. */
  readonly budget: CarriedBudget | undefined
}

/** What the node requests of its worker. */
export type RequestToAgent = ThreadRunRequest | { readonly what: 'stop' }
