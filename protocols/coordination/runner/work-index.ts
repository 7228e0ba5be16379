/**
 * What each worker has in work, by type, and which plans the tasks that changed are of. Told of each change of the journal.
 * State: the tasks of plans and those in work.
 */
import { inWork } from '../../task/scheduler/board-task.ts'
import type { TaskRecord } from '../../task/task-record.ts'

interface KnownTask {
  /** What of its worker it takes; undefined: it is not in work. */
  readonly at: string | undefined
  readonly plan: string | undefined
}

const placeOf = (peer: string, type: string): string => `${peer} ${type}`

export class WorkIndex {
  readonly #tasks = new Map<string, KnownTask>()
  readonly #running = new Map<string, number>()

  clear(): void {
    this.#tasks.clear()
    this.#running.clear()
  }

  /** @returns the plan that the task is, or was, of */
  set(id: string, record: TaskRecord | undefined): string | undefined {
    const before = this.#tasks.get(id)
    if (before?.at !== undefined) this.#count(before.at, -1)
    const { worker, type, plan } = record ?? {}
    const isInWork = record !== undefined && inWork(record) && worker !== undefined
    const at = isInWork ? placeOf(worker, type ?? '') : undefined
    if (at !== undefined) this.#count(at, 1)
    if (at === undefined && plan === undefined) this.#tasks.delete(id)
    else this.#tasks.set(id, { at, plan })
    return plan ?? before?.plan
  }

  running(peer: string, type: string): number {
    return this.#running.get(placeOf(peer, type)) ?? 0
  }

  /** Tasks that name a plan. */
  *ofPlans(): Generator<readonly [id: string, plan: string]> {
    for (const [id, { plan }] of this.#tasks) if (plan !== undefined) yield [id, plan]
  }

  #count(at: string, by: 1 | -1): void {
    const now = (this.#running.get(at) ?? 0) + by
    if (now > 0) this.#running.set(at, now)
    else this.#running.delete(at)
  }
}
