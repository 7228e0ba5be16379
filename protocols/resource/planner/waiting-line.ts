/**
 * Who waits for resources, programs and tasks alike: by priority, in the order in which they asked. State: that.
 */
import { type Allocation, PRIORITY_LEVELS } from '../resource-record.ts'
import type { Demand } from './demands.ts'

/** Somebody who waits: a program, or a task. */
export interface Waiting {
  readonly id: string
  readonly priority: number
  /** What it takes to grant it: two of the same fit or do not fit alike. */
  readonly shape: string
  /** Milliseconds since 1970. */
  readonly since: number
  /** When it is denied; undefined: it waits for as long as it takes. */
  readonly dueAt?: number
  /** Of what it wants. */
  readonly names: ReadonlySet<string>
  /** Undefined: of a program. */
  readonly demand?: Demand
}

export const waitingProgram = (
  id: string,
  { parts, spread, preempts, priority, askedAt, waitMs }: Allocation,
): Waiting => ({
  ...{ id, priority, since: askedAt, ...(waitMs !== undefined && { dueAt: askedAt + waitMs }) },
  shape: JSON.stringify([parts, spread === true, preempts === true ? priority : -1]),
  names: new Set(parts.flatMap(({ units }) => Object.keys(units))),
})

/** No id has a space. */
export const demandKey = (task: string): string => `d ${task}`
export const waitingTask = (demand: Demand): Waiting => ({
  ...{ id: demandKey(demand.task), priority: demand.priority, since: demand.since, demand },
  ...{ shape: `d ${demand.shape}`, names: new Set(Object.keys(demand.units)) },
})

export class WaitingLine {
  readonly #levels: readonly Map<string, Waiting>[] = Array.from({ length: PRIORITY_LEVELS }, () => new Map())

  size(): number {
    return this.#levels.reduce((sum, { size }) => sum + size, 0)
  }

  add(waiting: Waiting): void {
    this.#levels[waiting.priority]?.set(waiting.id, waiting)
  }

  delete(id: string): void {
    for (const level of this.#levels) level.delete(id)
  }

  /** When time alone will want something; milliseconds since 1970. */
  nextDueAt(): number | undefined {
    let next: number | undefined
    for (const { dueAt } of this.inOrder())
      if (dueAt !== undefined && (next === undefined || dueAt < next)) next = dueAt
    return next
  }

  /** The most urgent first. */
  *inOrder(): Generator<Waiting> {
    for (const level of this.#levels.toReversed()) yield* level.values()
  }
}
