/** Which open tasks each worker has, and which of them may have lost it, or what they were placed with. State: their ids. */
import { isFinal } from '../task-status.ts'
import { type BoardTask, inWork } from './board-task.ts'
import { addTo, removeFrom } from './task-dependents.ts'
import { sameRegistration, type WorkerTable } from './worker-table.ts'

export interface LostTask {
  readonly task: BoardTask
  readonly reason: string
}

export class TasksOfWorkers {
  readonly #workers: Pick<WorkerTable, 'get'>
  readonly #hasLostResources: (task: BoardTask) => boolean
  /** In work, or held. */
  readonly #byWorker = new Map<string, Set<string>>()
  /** To be looked at. */
  readonly #changed = new Set<string>()

  constructor(workers: Pick<WorkerTable, 'get'>, hasLostResources: (task: BoardTask) => boolean) {
    this.#workers = workers
    this.#hasLostResources = hasLostResources
  }

  list(task: BoardTask, worker: string): void {
    addTo(this.#byWorker, worker, task.id)
    this.#changed.add(task.id)
  }

  unlist(id: string, worker: string): void {
    removeFrom(this.#byWorker, worker, id)
  }

  lookAt(id: string): void {
    this.#changed.add(id)
  }

  lookAtAllOf(worker: string): void {
    for (const id of this.#byWorker.get(worker) ?? []) this.#changed.add(id)
  }

  /** @param most of them; the others come next time */
  *takeLost(get: (id: string) => BoardTask | undefined, most: number): Generator<LostTask> {
    let found = 0
    for (const id of this.#changed) {
      if (found >= most) return
      this.#changed.delete(id)
      const task = get(id)
      if (task === undefined || task.isAsked || task.record.fence === undefined) continue
      const reason = this.#whyLost(task)
      if (reason === undefined) continue
      found += 1
      yield { task, reason }
    }
  }

  #whyLost(task: BoardTask): string | undefined {
    const { worker, status, allocation, takeover } = task.record
    if (worker === undefined || isFinal(status)) return undefined
    const found = this.#workers.get(worker)
    // While its lease lasts one that cannot be reached may go on; another process of it cannot beside it.
    const isAway = found?.presence === 'gone' && takeover !== 'after-lease'
    const isGone = found === undefined || isAway || !sameRegistration(found, task.record)
    if (isGone) return `worker-lost: ${worker}`
    return inWork(task.record) && this.#hasLostResources(task) ? `resources-ended: ${allocation}` : undefined
  }
}
