/** What the conductor and the processes of the soak say to each other. Plain data over IPC. */
import type { Failure } from './classify.ts'
import type { LoadCounts } from './load.ts'
import type { NodeOrder, WorkOrder } from './node.ts'
import type { Sample } from './sample.ts'

export interface NodeFacts {
  readonly id: string
  readonly addresses: string[]
  readonly debugUrl: string | undefined
}

export interface Totals extends LoadCounts {
  readonly published: number
  /** Of these, those that every node hears. */
  readonly publishedToAll: number
  readonly heard: number
  /** Events that were reported as missed and never came; those that came after that. */
  readonly lost: number
  readonly late: number
  /** As `lost`, of the publishers that are counted. */
  readonly lostOfCounted: number
  readonly heardFrom: [string, number][]
  /** Of each publisher that is counted the last number that was heard, or reported as missed. */
  readonly lastOf: [string, number][]
}

/** A process that lives as long as the run. */
export interface CoreVerbs {
  start(order: NodeOrder): Promise<NodeFacts>
  /** Resolves once all of them are in its directory. */
  known(peers: readonly string[]): Promise<void>
  work(order: WorkOrder): Promise<void>
  pause(): Promise<void>
  weigh(): Promise<Sample>
  resume(): Promise<void>
  totals(): Promise<Totals>
  /** No more calls and events. */
  rest(): Promise<void>
  stop(): Promise<void>
}

/** A process in which short-lived nodes come and go. */
export interface HostVerbs {
  /** Some nodes join, work and stop; resolves when none of them is left. */
  wave(order: WaveOrder): Promise<void>
  weigh(): Promise<Sample>
}

export interface WaveOrder extends NodeOrder {
  readonly work: WorkOrder
  readonly nodes: number
}

/** A process with one node, which is killed. */
export interface VictimVerbs {
  live(order: NodeOrder & { work: WorkOrder }): Promise<NodeFacts>
}

/** What a process tells without being asked. */
export type Note =
  | { readonly type: 'failure'; readonly failure: Failure }
  | { readonly type: 'wrong'; readonly what: string }
  | { readonly type: 'joined'; readonly peer: string }
  | { readonly type: 'leaving'; readonly peer: string; readonly at: number }
  | { readonly type: 'left'; readonly counts: LoadCounts }

export interface Question {
  readonly id: number
  readonly verb: string
  readonly input: unknown
}
export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string }
export type Said = Answer | { readonly note: Note }
