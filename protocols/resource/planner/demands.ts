/**
 * What tasks demand of the nodes that could work on them: the coordinator's tasks say it here, and its plan of resources takes it
 * in the same order as what programs ask for. What is assigned so stands in the journal before the task is placed.
 *
 * State: demands that are open, who is told, and the planner while this node coordinates.
 */
import type { Stop } from '../../port.ts'
import type { AllocationPlace } from '../resource-record.ts'
import type { Units } from '../units.ts'

/** What one task needs to be worked on. */
export interface Demand {
  readonly task: string
  readonly priority: number
  /** Each more than nothing. */
  readonly units: Units
  /** Since when it waits: milliseconds since 1970 by the journal's clock. */
  readonly since: number
  /** Demands of the same shape fit or do not fit alike. */
  readonly shape: string
  /** Nodes that would work on it now. */
  free(): Iterable<string>
  /** Whether that is so of this node. */
  isFree(peer: string): boolean
  /** Nodes that would work on it once they have time. */
  all(): readonly string[]
  /** From here on it is no demand any more. @param id of the allocation that is asked for at this node */
  chosen(peer: string, id: string): void
  /** Whether it is assigned, after it was chosen. */
  answered(id: string, isAssigned: boolean): void
}

/** Of the coordinator, for a task. */
export interface Assigned {
  readonly id: string
  readonly task: string
  /** Who gives it and has it. */
  readonly peer: string
}

/** Why one is not given what it asks for, for people and programs. */
export const NO_SUCH_CAPACITY = 'no-such-capacity'
export const ALL_IN_USE = 'all-in-use'
export type WhyNot = typeof NO_SUCH_CAPACITY | typeof ALL_IN_USE
/** @param placesWhenIdle where it could be granted if nothing else were; undefined: nowhere */
export const whyNot = (placesWhenIdle: readonly AllocationPlace[] | undefined): WhyNot =>
  placesWhenIdle === undefined ? NO_SUCH_CAPACITY : ALL_IN_USE

/** What the coordinator's tasks ask of resources. */
export interface TaskCapacity {
  /** `older`: a voter knows nothing of it; `unknown`: that was not decided yet. */
  state(): 'ready' | 'older' | 'unknown'
  add(demand: Demand): void
  delete(task: string): void
  /** All of them. */
  clear(): void
  /** Some of them could be worked on by now. */
  lookAgain(): void
  whyNot(demand: Demand): WhyNot
  /** As the journal of this node has it. */
  isAssigned(id: string): boolean
  /** Those there are. */
  assigned(): readonly Assigned[]
  /** Told of each that is assigned, and of its end. */
  onAssigned(fn: (assigned: Assigned, isThere: boolean) => void): Stop
  /** It is for no attempt any more. @throws what the journal throws */
  unassign(id: string): Promise<void>
}

/** What a planner does with them. */
export interface DemandPlanner extends Pick<TaskCapacity, 'state' | 'whyNot' | 'isAssigned' | 'assigned' | 'unassign'> {
  addDemand(demand: Demand): void
  deleteDemand(task: string): void
  lookAgain(): void
}

export class Demands implements TaskCapacity {
  readonly #open = new Map<string, Demand>()
  readonly #listeners = new Set<(assigned: Assigned, isThere: boolean) => void>()
  #planner: DemandPlanner | undefined

  /** @param planner undefined: this node coordinates no more */
  setPlanner(planner: DemandPlanner | undefined): void {
    this.#planner = planner
  }

  all(): IterableIterator<Demand> {
    return this.#open.values()
  }

  tell(assigned: Assigned, isThere: boolean): void {
    for (const fn of this.#listeners) fn(assigned, isThere)
  }

  state(): 'ready' | 'older' | 'unknown' {
    return this.#planner?.state() ?? 'unknown'
  }

  add(demand: Demand): void {
    this.#open.set(demand.task, demand)
    this.#planner?.addDemand(demand)
  }

  delete(task: string): void {
    if (this.#open.delete(task)) this.#planner?.deleteDemand(task)
  }

  clear(): void {
    for (const task of [...this.#open.keys()]) this.delete(task)
  }

  lookAgain(): void {
    if (this.#open.size > 0) this.#planner?.lookAgain()
  }

  whyNot(demand: Demand): WhyNot {
    return this.#planner?.whyNot(demand) ?? ALL_IN_USE
  }

  isAssigned(id: string): boolean {
    // Nobody knows that it has ended.
    return this.#planner?.isAssigned(id) ?? true
  }

  assigned(): readonly Assigned[] {
    return this.#planner?.assigned() ?? []
  }

  onAssigned(fn: (assigned: Assigned, isThere: boolean) => void): Stop {
    this.#listeners.add(fn)
    return () => void this.#listeners.delete(fn)
  }

  async unassign(id: string): Promise<void> {
    await this.#planner?.unassign(id)
  }
}
