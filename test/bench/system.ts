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

export interface FanoutEnds {
  /** The one publisher; its address is where subscribers go. */
  publish(): Promise<Publisher & Listening>
  subscribe(address: string, onEvent: (body: Body) => void): Promise<Running>
}

export interface Fetcher extends Running {
  /** One stream from the first end to this one. The pieces come in order and may be cut anywhere; resolves at the end. */
  fetch(onBytes: (piece: Uint8Array) => void): Promise<void>
}

export interface BulkEnds {
  /**
   * Sends the chunks of `open()` in order to whoever fetches, each one asked for only when there is room for it.
   * A chunk's memory is used again BULK_CHUNKS_KEPT chunks later.
   */
  offer(open: () => Iterable<Uint8Array<ArrayBuffer>>): Promise<Listening>
  connect(address: string): Promise<Fetcher>
}

export interface Member extends Listening {
  /** Connects with those that it does not find by itself. */
  meet(addresses: readonly string[]): Promise<void>
  /** Other members that this one is connected with. */
  peers(): number
  /** Resolves when the subscription has been told to the peers of this moment. */
  subscribe(onEvent: (body: Body) => void): Promise<void>
  publish(body: Body): Promise<void>
}

export interface MemberEnds {
  /**
   * A node of a mesh without a centre.
   * @param seeds addresses of members; none for the first
   * @param neighbours about how many others it connects with by itself, where it does; with all unless told
   */
  member(name: string, seeds: readonly string[], neighbours?: number): Promise<Member>
}

/** One that keeps decisions; several of them keep the same ones. */
export interface Seat extends Listening {
  /** This one decides on the order now. */
  leads(): boolean
}

export interface Decider extends Running {
  /** Resolves once the decision is on as many disks as the system promises. */
  decide(key: string, body: Body): Promise<void>
  /** What was decided on last. */
  read(key: string): Promise<Body | undefined>
}

export interface JournalEnds {
  /**
   * @param count of seats that are started together
   * @param seeds addresses of those that were started before
   * @param directory where it keeps what was decided; the same one again after it was killed
   * @param port where it is found again
   */
  seat(at: { name: string; count: number; seeds: readonly string[]; directory: string; port: number }): Promise<Seat>
  /** Resolves when decisions are made. */
  connect(addresses: readonly string[]): Promise<Decider>
}

/** What a durable message is promised. At least once: counted in memory. Exactly once: its effect is durable, and is there once. */
export type Guarantee = 'at-least-once' | 'exactly-once'

export interface DurableSender extends Running {
  /**
   * Resolves once this end knows that the message was processed and that all the acknowledgements which the system gives
   * have been given: until then it is in flight.
   * @param onConfirmed told when the system has taken the message over, so that this end may forget it
   */
  send(body: Body, onConfirmed: () => void): Promise<void>
}

export interface DurableEnds {
  /** The only consumer. @param onMessage told of each effect: of every copy where the guarantee is at least once */
  receive(guarantee: Guarantee, onMessage: (body: Body) => void): Promise<Listening>
  connect(address: string, guarantee: Guarantee): Promise<DurableSender>
}

/** One that submits tasks, each of which has TASK_STEPS recorded steps, and waits for their results. */
export interface TaskSubmitter extends Running {
  /** Resolves with what it came to: its number, and that of each step. */
  run(n: number): Promise<number>
  /** Decisions so far, where the system counts them. */
  decisions?(): number
}

export interface TaskEnds {
  /** What only keeps, besides worker and submitter; started first. None unless told. */
  keep?(): Promise<Listening>
  /** The only worker. @param seeds addresses of what was started before */
  work(seeds: readonly string[]): Promise<Listening>
  connect(addresses: readonly string[]): Promise<TaskSubmitter>
}

/** Rows on disk by key. */
export interface KeptRows {
  /** Resolves once they are all on the disk, and survive a power cut; `undefined` removes a row. Not called again before. */
  write(rows: ReadonlyMap<string, Uint8Array | undefined>): Promise<void>
  get(key: string): Promise<Uint8Array | undefined>
  close(): Promise<void>
}

export interface StoreEnd {
  /** What there is in this folder, or something new. */
  open(folder: string): Promise<KeptRows>
}

export interface System {
  readonly store?: StoreEnd
  readonly durable?: DurableEnds
  readonly tasks?: TaskEnds
  readonly journal?: JournalEnds
  readonly rpc?: RpcEnds
  readonly events?: EventEnds
  readonly fanout?: FanoutEnds
  readonly bulk?: BulkEnds
  readonly members?: MemberEnds
}

/** Of the bulk stream beside calls, in suite rpc. */
export const BULK_ITEM_BYTES = 64 * 1024

/** Of suite bulk. */
export const BULK_CHUNK_BYTES = 1024 * 1024
export const BULK_CHUNKS_KEPT = 32

/** Of suite tasks: each step is recorded, and comes to its number and this much text. */
export const TASK_STEPS = 3
export const TASK_STEP_CHARS = 64
