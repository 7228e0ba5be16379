/**
 * What every measured system implements: one file under systems/, both ends of each suite that it takes part in.
 *
 * The two ends run in two processes. An address is whatever text the second end needs to reach the first one.
 * A new suite adds one optional member to System and one file under suites/.
 */
import type { Body } from './body.ts'

export interface Running {
  stop(): Promise<void>
}

/** The end that is started first. */
export interface Listening extends Running {
  readonly address: string
}

export interface Caller extends Running {
  /** One request and its answer; rejects when it fails. */
  call(body: Body): Promise<Body>
  /**
   * Asks the responder for BULK_ITEM_BYTES items without end, over the same connection, consumed as fast as they come.
   * It flows until the process ends and only ever rejects: when the stream breaks.
   */
  bulk?(onBytes: (bytes: number) => void): Promise<never>
}

export interface RpcEnds {
  /** Answers each request with its own body, decoded and encoded again. */
  respond(): Promise<Listening>
  /** Resolves when calls can be made. */
  connect(address: string): Promise<Caller>
}

export interface Publisher extends Running {
  /** How many events the bench hands over at once. */
  readonly batch: number
  /** Resolves when the system is ready for the next batch: this is the backpressure. */
  publish(events: readonly Body[]): Promise<void>
}

export interface EventEnds {
  subscribe(onEvent: (body: Body) => void): Promise<Listening>
  connect(address: string): Promise<Publisher>
}

export interface System {
  readonly rpc?: RpcEnds
  readonly events?: EventEnds
}

export const BULK_ITEM_BYTES = 64 * 1024
