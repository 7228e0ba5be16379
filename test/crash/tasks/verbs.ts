/** What a process of a crash run of tasks is asked, and what it tells. */
import type { MeshOptionsInput } from '../../../node/index.ts'
import type { Started } from '../messages.ts'

/** How tasks depend on each other, and what they are to come to: both follow from the number. */
export interface Plan {
  readonly tasks: number
  readonly seed: number
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

export type TaskVerbs = {
  /** @param works whether it works on tasks */
  start(order: { options: MeshOptionsInput; logFile: string; works: boolean }): Promise<Started>
  /** Submits all of the plan; those that were submitted before are the same ones. Goes on until it is done. */
  submit(plan: Plan): Promise<void>
  status(): Promise<{ acting: boolean; epoch: number; quorum: boolean }>
  /** A task with a large input. @returns milliseconds until it was accepted */
  submitLarge(of: Large): Promise<number>
  /** Its result, from wherever it is. */
  readLarge(order: { id: string; timeoutMs: number }): Promise<{ hash: string; holders: string[]; ms: number }>
  /** What became of these tasks; waits for their ends. */
  ends(order: { ids: readonly string[]; timeoutMs: number }): Promise<TaskEnd[]>
  /** The outside answered. */
  ran(serial: number): Promise<void>
  figures(): Promise<Record<string, number>>
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
