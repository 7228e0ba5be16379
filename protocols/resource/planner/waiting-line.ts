/**
 * Who waits for resources, programs and tasks alike: by priority, in the order in which they asked, and what was tried for them.
 * State: that.
 */
import { type Allocation, PRIORITY_LEVELS } from '../resource-record.ts'
import type { Demand } from './demands.ts'
import type { Wanted } from './placement.ts'

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
  readonly wanted: Wanted
  /** Of what it wants. */
  readonly names: ReadonlySet<string>
  /** Nodes that may give it; undefined: any. */
  readonly among?: () => readonly string[]
  /** Undefined: of a program. */
  readonly demand?: Demand
}

export const waitingProgram = (id: string, wanted: Allocation): Waiting => {
  const { parts, spread, preempts, priority, askedAt, waitMs } = wanted
  return {
    ...{ id, priority, wanted, since: askedAt, ...(waitMs !== undefined && { dueAt: askedAt + waitMs }) },
    shape: JSON.stringify([parts, spread === true, preempts === true ? priority : -1]),
    names: new Set(parts.flatMap(({ units }) => Object.keys(units))),
  }
}

/** No id has a space. */
export const demandKey = (task: string): string => `d ${task}`
export const waitingTask = (demand: Demand): Waiting => {
  const { task, priority, units, since, all, shape } = demand
  const wanted = { priority, parts: [{ units }] }
  return {
    ...{ id: demandKey(task), priority, since, demand, wanted, among: all },
    ...{ shape: `d ${shape}`, names: new Set(Object.keys(units)) },
  }
}

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

/** Of one look; the next one goes on. */
const MAX_PLANS = 256

/**
 * Shapes of asks that were tried and did not fit. Each one is tried once before any of them is tried again, so that many that fit
 * nowhere keep no other from being tried, however much becomes free meanwhile.
 */
export class TriedShapes {
  readonly #unfit = new Set<string>()
  /** Something became free since they were tried, or may have. */
  #hasChanged = false
  #isThrough = true
  #left = MAX_PLANS

  changed(): void {
    this.#hasChanged = true
  }

  /** Another look begins. */
  begin(): void {
    if (this.#isThrough && this.#hasChanged) {
      this.#unfit.clear()
      this.#hasChanged = false
    }
    this.#isThrough = true
    this.#left = MAX_PLANS
  }

  /** @returns whether it is to be tried now */
  take(shape: string): boolean {
    if (this.#unfit.has(shape)) return false
    if (this.#left === 0) this.#isThrough = false
    else this.#left -= 1
    return this.#isThrough
  }

  doesNotFit(shape: string): void {
    this.#unfit.add(shape)
  }
}
