/**
 * Shapes of asks that were tried and did not fit, and in which state of things. State: that; as many as there are shapes of those
 * who wait, give or take.
 */
import type { Waiting } from './waiting-line.ts'

/** More than there are shapes of those who wait, before those of others are forgotten. */
const SLACK = 1_024

export class TriedShapes {
  /** At all nodes, and where some were kept for another one. */
  readonly #inAll = new Map<string, number>()
  readonly #inOpen = new Map<string, number>()
  #state = 1
  #ofTasks = 0

  /** There is more to be had, or may be. */
  changed(): void {
    this.#state += 1
  }

  /** Tasks could be worked on by others than before. */
  tasksChanged(): void {
    this.#ofTasks += 1
  }

  /** Other nodes are kept than before. */
  keptChanged(): void {
    this.#inOpen.clear()
  }

  /** What there is for it, as a number that grows. */
  stateFor({ demand }: Waiting): number {
    return demand === undefined ? this.#state : this.#state + this.#ofTasks
  }

  /** @param isKept some nodes are kept from it @returns in which state it did not fit */
  triedIn({ shape }: Waiting, isKept: boolean): number | undefined {
    const inAll = this.#inAll.get(shape)
    const inOpen = isKept ? this.#inOpen.get(shape) : undefined
    return inOpen === undefined || (inAll ?? 0) > inOpen ? inAll : inOpen
  }

  doesNotFit(waiting: Waiting, isKept: boolean): void {
    const tried = isKept ? this.#inOpen : this.#inAll
    tried.set(waiting.shape, this.stateFor(waiting))
  }

  /** Another look begins. @param waiting all who wait */
  begin(count: number, waiting: Iterable<Waiting>): void {
    if (this.#inAll.size + this.#inOpen.size <= 2 * (count + SLACK)) return
    const shapes = new Set<string>()
    for (const { shape } of waiting) shapes.add(shape)
    for (const tried of [this.#inAll, this.#inOpen])
      for (const shape of tried.keys()) if (!shapes.has(shape)) tried.delete(shape)
  }
}
