/** What the driver of a crash run of messages and the processes of its nodes say to each other. Plain data over IPC. */
import type { DeliveryFigures, MeshOptionsInput } from '../../../node/index.ts'
import type { Started } from '../messages.ts'
import type { LoadFigures, LoadOrder } from './load.ts'

export interface PartyOrder {
  readonly options: Omit<MeshOptionsInput, 'log'>
  readonly logFile: string
  /** Of the files that stand for the outside. */
  readonly folder: string
}

export interface DeadItem {
  readonly stream: string
  readonly n: number
  readonly code: string
  readonly reason: string
}

export interface Row {
  readonly key: string
  readonly value: unknown
}

export interface Memory {
  readonly rssMib: number
  /** After a collection. */
  readonly heapMib: number
}

export interface PartyVerbs {
  start(order: PartyOrder): Promise<Started>
  /** Resolves once all of it was sent. */
  send(order: LoadOrder): Promise<LoadFigures>
  load(): Promise<LoadFigures>
  halt(): Promise<void>
  slowDown(ms: number): Promise<void>
  figures(): Promise<DeliveryFigures>
  /** What its program keeps, a page of it. */
  rows(from: { prefix: string; after: string | undefined }): Promise<Row[]>
  deadItems(after: string | undefined): Promise<{ items: DeadItem[]; next: string | undefined }>
  look(path: string): Promise<{ status: number; body: string }>
  memory(): Promise<Memory>
}
