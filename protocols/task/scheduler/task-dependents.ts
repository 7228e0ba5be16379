/** Which open tasks wait for which, and which of them are to be looked at. State: their ids. */
import type { TaskRecord } from '../task-record.ts'

export class TaskDependents {
  /** Those that wait for one, by that one. */
  readonly #waiting = new Map<string, Set<string>>()
  readonly #unsettled = new Set<string>()

  /** It waits. */
  list(id: string, { dependencies = [] }: Pick<TaskRecord, 'dependencies'>): void {
    for (const { task_id: on } of dependencies) {
      const waiting = this.#waiting.get(on) ?? new Set()
      this.#waiting.set(on, waiting)
      waiting.add(id)
    }
    this.#unsettled.add(id)
  }

  unlist(id: string, { dependencies = [] }: Pick<TaskRecord, 'dependencies'>): void {
    for (const { task_id: on } of dependencies) {
      const waiting = this.#waiting.get(on)
      waiting?.delete(id)
      if (waiting?.size === 0) this.#waiting.delete(on)
    }
  }

  hasAny(id: string): boolean {
    return this.#waiting.has(id)
  }

  /** Those that wait for it are to be looked at. */
  ended(id: string): void {
    for (const waiting of this.#waiting.get(id) ?? []) this.#unsettled.add(waiting)
  }

  /** Each is told once, until something of it changes again. */
  takeUnsettled(most: number): string[] {
    const taken: string[] = []
    for (const id of this.#unsettled) {
      if (taken.length >= most) break
      this.#unsettled.delete(id)
      taken.push(id)
    }
    return taken
  }
}
