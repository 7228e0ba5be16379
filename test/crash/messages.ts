/** What the driver of a crash run and the processes of its nodes say to each other. Plain data over IPC. */
import type { Mesh, MeshOptionsInput } from '../../node/index.ts'
import type { Acted } from './acting.ts'

export interface StartOrder {
  readonly options: Omit<MeshOptionsInput, 'log'>
  /** What the node says goes there, also when it is killed. */
  readonly logFile: string
  /** Peer id of who takes directives. */
  readonly receiver: string
  /** Milliseconds between two directives. */
  readonly directEveryMs: number
}

/** Why a node would not start. */
export interface Refusal {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly reason: string
}

export type Started = { readonly id: string } | { readonly refusal: Refusal }

export interface NodeVerbs {
  start(order: StartOrder): Promise<Started>
  status(): Promise<ReturnType<Mesh['coordinator']['status']>>
  /** All records that this node has, as one text. */
  digest(): Promise<string>
  /** The counter, as a linearizable read of this node finds it. */
  counter(): Promise<{ value: string; version: number } | 'absent'>
  /** A page of the node's own debug endpoint. */
  look(path: string): Promise<{ status: number; body: string }>
  /** The event loop does nothing else for this long. */
  block(ms: number): Promise<void>
  acted(): Promise<Acted>
  pauseActing(paused: boolean): Promise<void>
}
