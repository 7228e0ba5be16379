/**
 * Tasks that require resources, as the board has them: each demands what it needs, is given it at a worker that has room, and is
 * placed there. State: those that are to demand it, and those that were given it.
 */
import type { Demand, TaskCapacity } from '../../resource/planner/demands.ts'
import type { BoardTask } from './board-task.ts'
import type { NeedyFacts } from './type-queues.ts'
import type { WorkerTable } from './worker-table.ts'

/** What the coordinator's plan of resources does for tasks. */
export interface NeedsOfTasks extends Pick<TaskCapacity, 'add' | 'delete' | 'lookAgain' | 'whyNot' | 'isAssigned'> {
  /** It is being given to a task that is to be placed. */
  placing(allocation: string): void
  /** The task was placed with it, or will not be. */
  placed(allocation: string, task: string): void
  /** The board is to be looked at. */
  wake(): void
}

export interface NeedyDeps {
  /** `unknown`: whether what tasks require can be allocated is not known yet; undefined: it cannot. */
  readonly needs: NeedsOfTasks | 'unknown' | undefined
  readonly workers: Pick<WorkerTable, 'free' | 'hasRoom' | 'takers' | 'get'>
  /** It is to be placed there: that counts as taken. */
  chosen(task: BoardTask, peer: string): void
  /** It has not got what it needs, and waits again. */
  missed(task: BoardTask): void
}

export interface Given {
  readonly id: string
  readonly worker: string
  readonly registration: number
  readonly allocation: string
}

export class NeedyTasks {
  readonly #deps: NeedyDeps
  readonly #needs: NeedsOfTasks | undefined
  readonly #new = new Map<string, BoardTask>()
  #given: Given[] = []
  #isOver = false

  constructor(deps: NeedyDeps) {
    this.#deps = deps
    this.#needs = typeof deps.needs === 'object' ? deps.needs : undefined
  }

  /** It is queued. @returns whether it waits here for what it requires, and not for a worker alone */
  takes(task: BoardTask): boolean {
    if (task.needs === undefined || this.#deps.needs === undefined) return false
    // Until that is known.
    if (this.#needs === undefined) return true
    task.isQueued = true
    this.#new.set(task.id, task)
    return true
  }

  /** It is queued no more. */
  delete(task: BoardTask): void {
    if (this.#new.delete(task.id) || task.isDemanded) task.isQueued = false
    this.#withdraw(task)
    task.choice = undefined
  }

  #withdraw(task: BoardTask): void {
    if (task.isDemanded) this.#needs?.delete(task.id)
    task.isDemanded = false
  }

  /** What was chosen is placed by nobody: another board comes in the place of this one. */
  end(): void {
    this.#isOver = true
  }

  /** @param isToBePlaced whether it is time for it @param now milliseconds since 1970 */
  demand(isToBePlaced: (id: string) => boolean, now: number): void {
    for (const [id, task] of this.#new) {
      if (!isToBePlaced(id)) continue
      task.isDemanded = true
      task.demandedAt = now
      this.#needs?.add(this.#demandOf(task))
    }
    this.#new.clear()
  }

  /** Those that have what they need, and may be placed. */
  takeGiven(): Given[] {
    const given = this.#given
    this.#given = []
    return given
  }

  lookAgain(): void {
    this.#needs?.lookAgain()
  }

  /** Undefined: what tasks require is not allocated. */
  facts(get: (id: string) => BoardTask | undefined): NeedyFacts | undefined {
    const needs = this.#needs
    if (needs === undefined) return undefined
    return {
      since: (id) => get(id)?.demandedAt,
      whyNot: (id) => {
        const task = get(id)
        return task === undefined ? 'all-in-use' : needs.whyNot(this.#demandOf(task))
      },
    }
  }

  /** What it was placed with is not its any more. */
  hasLost({ record }: BoardTask): boolean {
    return record.allocation !== undefined && this.#needs?.isAssigned(record.allocation) === false
  }

  /** It was decided whether it is placed with it. */
  placed(allocation: string | undefined, task: string): void {
    if (allocation !== undefined) this.#needs?.placed(allocation, task)
  }

  #demandOf(task: BoardTask): Demand {
    const { workers } = this.#deps
    const { id, record, needs } = task
    const { type, typeVersion: version, priority, changedAt, assignee } = record
    const isFree = (peer: string): boolean =>
      (assignee === undefined || peer === assignee) && workers.hasRoom(peer, type, version)
    const takers = (): string[] => workers.takers(type, version).map(({ peer }) => peer)
    return {
      ...{ task: id, priority, since: changedAt, units: needs?.units ?? {} },
      shape: `${type} ${version ?? ''} ${needs?.text} ${assignee ?? ''}`,
      free: () => (assignee === undefined ? workers.free(type, version) : [assignee].filter(isFree)),
      isFree,
      all: () => takers().filter((peer) => assignee === undefined || peer === assignee),
      chosen: (peer, allocation) => {
        this.#withdraw(task)
        task.choice = { peer, allocation }
        task.isQueued = false
        task.isAsked = true
        this.#needs?.placing(allocation)
        this.#deps.chosen(task, peer)
      },
      answered: (allocation, isAssigned) => this.#answered(task, allocation, isAssigned),
    }
  }

  #answered(task: BoardTask, allocation: string, isAssigned: boolean): void {
    const { workers, missed } = this.#deps
    const { id, choice } = task
    const isIts = choice?.allocation === allocation && !this.#isOver
    const worker = choice?.peer ?? ''
    const registration = workers.get(worker)?.record.registration
    if (isIts && isAssigned && registration !== undefined) {
      this.#given.push({ id, worker, registration, allocation })
      this.#needs?.wake()
      return
    }
    this.#needs?.placed(allocation, id)
    if (isIts) missed(task)
    this.#needs?.wake()
  }
}
