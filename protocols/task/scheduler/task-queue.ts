/** Tasks that wait for a worker of their type, most urgent first, then in their order. State: their ids. */
import { Fifo } from '../../async.ts'
import { PRIORITY_LEVELS } from '../task-record.ts'

export class TaskQueue {
  /** Two of each priority: what comes back from a worker stands before what is new. */
  readonly #levels: readonly [Fifo<string>, Fifo<string>][]

  constructor() {
    this.#levels = Array.from({ length: PRIORITY_LEVELS }, () => [new Fifo<string>(), new Fifo<string>()])
  }

  add(id: string, priority: number, isReturned: boolean): void {
    this.#levels[priority]?.[isReturned ? 0 : 1].put(id)
  }

  /** The next one that `isWanted`; those that are not are taken out. */
  take(isWanted: (id: string) => boolean): string | undefined {
    for (const level of this.#levels.toReversed())
      for (const fifo of level)
        for (let id = fifo.take(); id !== undefined; id = fifo.take()) if (isWanted(id)) return id
    return undefined
  }

  size(): number {
    return this.#levels.reduce((sum, [returned, fresh]) => sum + returned.size() + fresh.size(), 0)
  }
}
