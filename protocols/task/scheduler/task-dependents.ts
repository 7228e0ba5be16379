/** Which open tasks wait for which, and which of them are to be looked at. State: their ids. */
import type { TaskRecord } from '../task-record.ts'

type Related = Pick<TaskRecord, 'dependencies' | 'parent' | 'status'>

export const addTo = (to: Map<string, Set<string>>, key: string, id: string): void => {
  const ids = to.get(key) ?? new Set()
  to.set(key, ids)
  ids.add(id)
}
export const removeFrom = (from: Map<string, Set<string>>, key: string, id: string): void => {
  const ids = from.get(key)
  ids?.delete(id)
  if (ids?.size === 0) from.delete(key)
}
const take = (from: Set<string>, most: number): string[] => {
  const taken = [...from].slice(0, Math.max(0, most))
  for (const id of taken) from.delete(id)
  return taken
}

export class TaskDependents {
  /** Those that wait for one, by that one. */
  readonly #waiting = new Map<string, Set<string>>()
  /** Open children, by their parent. */
  readonly #children = new Map<string, Set<string>>()
  readonly #unsettled = new Set<string>()
  readonly #orphans = new Set<string>()

  /** It is open. @param parentStatus of its parent, where that has a record */
  list(
    id: string,
    { dependencies = [], parent, status }: Related,
    parentStatus: TaskRecord['status'] | undefined,
  ): void {
    if (parent !== undefined) addTo(this.#children, parent, id)
    if (parentStatus !== undefined && endsChildren(parentStatus)) this.#orphans.add(id)
    if (status !== 'submitted') return
    for (const { task_id: on } of dependencies) addTo(this.#waiting, on, id)
    this.#unsettled.add(id)
  }

  unlist(id: string, { dependencies = [], parent }: Related): void {
    if (parent !== undefined) removeFrom(this.#children, parent, id)
    for (const { task_id: on } of dependencies) removeFrom(this.#waiting, on, id)
  }

  /** Others have still to be looked at for how this one ended. */
  hasAny(id: string, { status }: Related): boolean {
    return this.#waiting.has(id) || (endsChildren(status) && this.#children.has(id))
  }

  /** Those that wait for it are to be looked at, and its children end with it where it was not completed. */
  ended(id: string, { status }: Related): void {
    for (const waiting of this.#waiting.get(id) ?? []) this.#unsettled.add(waiting)
    if (endsChildren(status)) for (const child of this.#children.get(id) ?? []) this.#orphans.add(child)
  }

  /** Each is told once, until something of it changes again. */
  takeUnsettled(most: number): string[] {
    return take(this.#unsettled, most)
  }

  /** Children of what failed or was canceled; as `takeUnsettled`. */
  takeOrphans(most: number): string[] {
    return take(this.#orphans, most)
  }
}

const endsChildren = (status: TaskRecord['status']): boolean =>
  status === 'failed' || status === 'canceled' || status === 'rejected'
