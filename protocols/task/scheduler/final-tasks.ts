/** Tasks that have ended, and whose records go after a while. State: their ids, in the order in which they ended. */
import type { EndedRef } from '../journal/task-changes.ts'
import type { BoardTask } from './board-task.ts'

/** Milliseconds that the record of a final task stays. */
const ARCHIVE_AFTER_MS = 2_000
const ARCHIVE_AT_ONCE = 128

export class FinalTasks {
  readonly #ids = new Set<string>()

  size(): number {
    return this.#ids.size
  }

  add(id: string): void {
    this.#ids.add(id)
  }

  delete(id: string): void {
    this.#ids.delete(id)
  }

  /** Those that may go now, and nobody needs: each is on its way from here on. */
  takeOld(now: number, get: (id: string) => BoardTask | undefined, isNeeded: (task: BoardTask) => boolean): EndedRef[] {
    const ended: EndedRef[] = []
    for (const id of this.#ids) {
      if (ended.length >= ARCHIVE_AT_ONCE) break
      const task = get(id)
      if (task === undefined || task.isAsked || isNeeded(task)) continue
      const { changedAt } = task.record
      if (now - changedAt < ARCHIVE_AFTER_MS) break
      task.isAsked = true
      ended.push({ id, endedAt: changedAt })
    }
    return ended
  }
}
