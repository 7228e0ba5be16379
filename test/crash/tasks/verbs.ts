/** What a process of a crash run of tasks is asked, and what it tells. */
import type { MeshOptionsInput, Requirements, ScheduleOptions, ScheduleState } from '../../../node/index.ts'
import type { SpendCounts, SpendOrder } from '../budgets/spending.ts'
import type { Refusal, Started } from '../messages.ts'

/** How tasks depend on each other, and what they are to come to: both follow from the number. */
export interface Plan {
  readonly tasks: number
  readonly seed: number
  /** Number of the first one; 0 unless told. */
  readonly from?: number
}

/** Bytes that follow from a number. */
export interface Large {
  readonly id: string
  readonly bytes: number
  readonly seed: number
}

export interface TaskEnd {
  readonly id: string
  readonly status: string
  readonly result?: unknown
  readonly attempts: number
  readonly losses: number
  readonly reason?: string
}

/** What became of a plan. */
export interface PlanEnd {
  readonly id: string
  readonly outcome: string
  readonly reason: string
  readonly revision: number
  readonly adjusted: number
  /** By so many coordinators it was moved. */
  readonly epochs: number
  /** Those that are kept; `before`: the state that it was in, where that is known. */
  readonly moves: readonly { readonly trigger: string; readonly before?: string; readonly state: string }[]
  /** Who each task was steered to last, and who did it: one that has begun is done although a newer plan gives it to another. */
  readonly done: readonly { readonly task: string; readonly agent?: string; readonly by?: string }[]
}

/** An event that a task waits for. */
export type WaitInput = {
  readonly topic: string
  /** Peer id of its publisher; absent: whoever. */
  readonly source?: string
}

/** What a voter has of the journal. */
export interface JournalState {
  readonly version: number
  /** SHA-256 of all records, and of what tasks that have ended left. */
  readonly digest: string
}

export type TaskVerbs = {
  /** @param types of tasks that it works on */
  start(order: { options: MeshOptionsInput; logFile: string; types: readonly string[] }): Promise<Started>
  /** Submits all of the plan; those that were submitted before are the same ones. Goes on until it is done. */
  submit(plan: Plan): Promise<void>
  /** One task; an id that is taken by the same one is that. */
  submitOne(task: { id: string; type: string; input: WaitInput | number; requirements?: Requirements }): Promise<void>
  /** Not retried. @returns why it was refused; undefined where it was not */
  schedule(options: ScheduleOptions): Promise<Refusal | undefined>
  /** A task of so many bytes that nobody works on. @returns as `schedule` */
  submitBytes(order: { id: string; bytes: number }): Promise<Refusal | undefined>
  schedules(): Promise<ScheduleState[]>
  pauseSchedules(): Promise<void>
  publish(event: { topic: string; order: string; serial: number }): Promise<void>
  /** Whether it waits for an event. */
  isWaiting(id: string): Promise<boolean>
  status(): Promise<{ acting: boolean; epoch: number; quorum: boolean; role: string }>
  /** As this node has it. */
  journal(): Promise<JournalState>
  /** A task with a large input. @returns milliseconds until it was accepted */
  submitLarge(of: Large): Promise<number>
  /** Its result, from wherever it is. */
  readLarge(order: { id: string; timeoutMs: number }): Promise<{ hash: string; holders: string[]; ms: number }>
  /** What became of these tasks; waits for their ends. */
  ends(order: { ids: readonly string[]; timeoutMs: number }): Promise<TaskEnd[]>
  /** The outside answered. */
  ran(serial: number): Promise<void>
  figures(): Promise<Record<string, number>>
  /** Allocates, and gives back, until it is told to end; what others are given of it is looked at. */
  hold(): Promise<void>
  /** @returns how often it had what it asked for, and not */
  endHolding(): Promise<{ had: number; denied: number }>
  /** Ids of those that wait or are granted. */
  openAllocations(): Promise<string[]>
  /** Opens, lends, draws and spends budgets until it is told to end. */
  beginSpending(order: SpendOrder): Promise<void>
  /** All that it held is closed. */
  endSpending(): Promise<SpendCounts>
  /** Ids of those that are not closed. */
  openBudgets(): Promise<string[]>
  /** A plan; one that was made before is the same one. */
  makePlan(plan: { id: string; type: string; tasks: readonly { id: string; input: number }[] }): Promise<void>
  /** What became of these; waits for their ends. */
  planEnds(order: { ids: readonly string[]; timeoutMs: number }): Promise<PlanEnd[]>
}

/** What an effect does outside of the mesh, as its worker asks for it. */
export interface Run {
  readonly serial: number
  readonly task: string
  readonly key: string
  readonly fence: number
}
export type TaskNote =
  | { readonly type: 'run'; readonly run: Run }
  | { readonly type: 'recorded'; readonly key: string }
  | { readonly type: 'completed'; readonly task: string }
  /** The serial of the event that it was given, or `missed`. */
  /** What a worker or an owner finds wrong. */
  | { readonly type: 'wrong'; readonly task: string; readonly what: string }
  | { readonly type: 'heard'; readonly task: string; readonly heard: string }
