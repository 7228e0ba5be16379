/**
 * Who waits for resources, programs and tasks alike: by priority, in the order in which they asked. State: that.
 */
import { type Allocation, PRIORITY_LEVELS } from '../resource-record.ts'
import type { Demand } from './demands.ts'
import type { Wanted } from './placement.ts'

/** Somebody who waits: a program, or a task. */
export interface Waiting {
  readonly id: string
  /** Who asks; all tasks alike. */
  readonly holder: string
  readonly priority: number
  /** What it takes to grant it: two of the same fit or do not fit alike. */
  readonly shape: string
  /** Milliseconds since 1970. */
  readonly since: number
  /** When it is denied; undefined: it waits for as long as it takes. */
  readonly dueAt?: number
  readonly wanted: Wanted
  /** Of what it wants. */
  readonly names: ReadonlySet<string>
  /** Nodes that may give it; undefined: any. */
  readonly among?: () => readonly string[]
  /** Undefined: of a program. */
  readonly demand?: Demand
}

export const waitingProgram = (id: string, wanted: Allocation): Waiting => {
  const { parts, spread, preempts, holder, priority, askedAt, waitMs } = wanted
  return {
    ...{ id, holder, priority, wanted, since: askedAt, ...(waitMs !== undefined && { dueAt: askedAt + waitMs }) },
    shape: JSON.stringify([parts, spread === true, preempts === true ? priority : -1]),
    names: new Set(parts.flatMap(({ units }) => Object.keys(units))),
  }
}

/** No peer has this id. */
const TASKS = ''
/** No id has a space. */
export const demandKey = (task: string): string => `d ${task}`
export const waitingTask = (demand: Demand): Waiting => {
  const { task, priority, units, since, all, shape } = demand
  const wanted = { priority, parts: [{ units }] }
  return {
    ...{ id: demandKey(task), holder: TASKS, priority, since, demand, wanted, among: all },
    ...{ shape: `d ${shape}`, names: new Set(Object.keys(units)) },
  }
}

/** Of one priority, in the order of asking. */
class Level {
  readonly #all = new Map<string, Waiting>()
  #lastSince = 0
  /** One was added that asked before others that were there. */
  #isMixed = false

  get size(): number {
    return this.#all.size
  }

  add(waiting: Waiting): void {
    if (this.#all.size === 0) this.#lastSince = waiting.since
    if (waiting.since < this.#lastSince) this.#isMixed = true
    else this.#lastSince = waiting.since
    this.#all.set(waiting.id, waiting)
  }

  delete(id: string): void {
    this.#all.delete(id)
  }

  inOrder(): IterableIterator<Waiting> {
    if (this.#isMixed) {
      const sorted = [...this.#all.values()].sort((a, b) => a.since - b.since)
      this.#all.clear()
      for (const waiting of sorted) this.#all.set(waiting.id, waiting)
      this.#isMixed = false
    }
    return this.#all.values()
  }
}

export class WaitingLine {
  readonly #levels: readonly Level[] = Array.from({ length: PRIORITY_LEVELS }, () => new Level())

  size(): number {
    return this.#levels.reduce((sum, { size }) => sum + size, 0)
  }

  add(waiting: Waiting): void {
    this.#levels[waiting.priority]?.add(waiting)
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
    for (const level of this.#levels.toReversed()) yield* level.inOrder()
  }
}
