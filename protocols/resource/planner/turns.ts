/**
 * Whose turn it is to have nodes looked at. One look takes a bounded number of steps, and goes on in the next one. Who asks
 * shares them: asks that take many steps hold back others of the same holder, and nobody else's for long.
 *
 * State: holders that something is tried for, with the steps that they may take. They go once all that they ask for was tried; while
 * something of others is left for the next look, only once they have made up for what they took. And what did not fit.
 */
import type { Waiting } from './waiting-line.ts'

/** Of one look. It begins nothing more after these; what it has begun it brings to an end. */
const STEPS = 80_000
/** Holders that have to make up for what they took, though all that they ask for was tried. Of more it is forgotten. */
const MOST_OWING = 4_096

interface Turn {
  /** It may begin something while it has some left; less than none is made up for in later looks. */
  steps: number
  /** What was tried in this state or a later one is tried again only after all others of this holder. Undefined: any may be. */
  since: number | undefined
  /** Something was left for the next look. */
  isCut: boolean
}

export class Turns {
  readonly #turns = new Map<string, Turn>()
  #left = STEPS
  #share = STEPS / 2
  #isBehind = false

  /** Another look begins. */
  begin(): void {
    this.#endTurns()
    this.#left = STEPS
    this.#share = STEPS / Math.max(2, this.#turns.size)
    this.#isBehind = false
    for (const turn of this.#turns.values()) {
      // What was not used is not saved up.
      turn.steps = Math.min(0, turn.steps) + this.#share
      turn.isCut = false
    }
  }

  /** Of those whose asks were all tried. Who begins anew has a share at once: not who took one while others still wait for theirs. */
  #endTurns(): void {
    let owing = 0
    const isAnyCut = [...this.#turns.values()].some(({ isCut }) => isCut)
    for (const [holder, turn] of this.#turns) {
      if (turn.isCut) continue
      const isOwing = isAnyCut && turn.steps < this.#share
      owing += isOwing ? 1 : 0
      if (!isOwing || owing > MOST_OWING) this.#turns.delete(holder)
      turn.since = undefined
    }
  }

  /** Something is to be tried in another look, and soon. */
  isBehind(): boolean {
    return this.#isBehind
  }

  /**
   * @param state numbers what there is: it grows where something may fit that did not
   * @param triedIn in which state it did not fit; undefined: it was not tried
   * @param isKnown nodes for it were looked for in this look already
   * @returns whether it is to be tried now; false: in another look
   */
  may(holder: string, state: number, triedIn?: number, isKnown = false): boolean {
    const turn = this.#turns.get(holder) ?? { steps: this.#share, since: undefined, isCut: false }
    this.#turns.set(holder, turn)
    turn.since ??= state
    const isAgain = !isKnown && triedIn !== undefined && triedIn >= turn.since
    if (!isAgain && (isKnown || turn.steps > 0) && this.#left > 0) return true
    if (!isAgain) turn.isCut = true
    this.#isBehind = true
    return false
  }

  took(holder: string, steps: number): void {
    this.#left -= steps
    const turn = this.#turns.get(holder)
    if (turn !== undefined) turn.steps -= steps
  }
}

/** More than there are shapes of those who wait, before those of others are forgotten. */
const SLACK = 1_024

/** Shapes of asks that did not fit, and in which state of things: about as many as there are of those who wait. */
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
