/**
 * What effects reach outside of the mesh, and what the run is judged by: it counts runs, removes duplicates by their key, and
 * finds an effect that ran after it was recorded. State: the runs, and when something got on.
 */
import type { TaskNote } from './verbs.ts'

export class Outside {
  readonly #seen = new Set<string>()
  readonly #recorded = new Set<string>()
  readonly wrong: string[] = []
  readonly completed = new Set<string>()
  runs = 0
  /** Milliseconds, as `performance.now` counts. */
  lastProgressAt = 0
  readonly #waiting = new Set<() => void>()
  /** The node that told of each task last. */
  readonly #doneBy = new Map<string, string>()
  readonly #takeovers = new Set<(task: string) => void>()

  /** While it is held nobody's effect ends. */
  readonly #held: (() => void)[] = []
  #isHeld = false
  /** What tasks say that they heard, by task. */
  readonly heard = new Map<string, string>()

  /** Without duplicates. @param of what their keys begin with */
  distinct(of = ''): number {
    return [...this.#seen].filter((key) => key.startsWith(of)).length
  }

  /** Calls it once the outside is not held. */
  whenFree(answer: () => void): void {
    if (this.#isHeld) this.#held.push(answer)
    else answer()
  }

  /** Nothing in work gets on meanwhile. */
  async hold<T>(run: () => Promise<T>): Promise<T> {
    this.#isHeld = true
    try {
      return await run()
    } finally {
      this.#isHeld = false
      for (const answer of this.#held.splice(0)) answer()
    }
  }

  /** Whether an effect of a task whose id begins so has run. */
  has(task: string): boolean {
    return this.distinct(task) > 0
  }

  isRecorded(key: string): boolean {
    return this.#recorded.has(key)
  }

  /** Tasks that this node has begun and that are not done, as far as effects tell. */
  tasksOf(node: string): ReadonlySet<string> {
    return new Set(
      [...this.#doneBy].filter(([task, by]) => by === node && !this.completed.has(task)).map(([task]) => task),
    )
  }

  /** Resolves with the milliseconds until one of these tasks gets on at another node; undefined where none did in time. */
  takenOver(tasks: ReadonlySet<string>, withinMs: number): Promise<number | undefined> {
    const at = performance.now()
    return new Promise((resolve) => {
      const end = (ms: number | undefined): void => {
        clearTimeout(timer)
        this.#takeovers.delete(look)
        resolve(ms)
      }
      const look = (task: string): void => {
        if (tasks.has(task)) end(performance.now() - at)
      }
      const timer = setTimeout(() => end(undefined), withinMs)
      this.#takeovers.add(look)
    })
  }

  /** @param node that told it */
  hear(note: TaskNote, node: string): void {
    const task =
      note.type === 'run'
        ? note.run.task
        : note.type === 'recorded'
          ? note.key.slice(0, note.key.lastIndexOf('/'))
          : note.task
    this.#doneBy.set(task, node)
    for (const look of this.#takeovers) look(task)
    if (note.type === 'wrong') {
      this.wrong.push(`${node}, ${note.task}: ${note.what}`)
      return
    }
    if (note.type === 'completed') this.completed.add(note.task)
    if (note.type === 'heard') this.#hearEvent(note)
    if (note.type === 'run') {
      const { key } = note.run
      this.runs += 1
      if (this.#recorded.has(key)) this.wrong.push(`${key} ran again after it was recorded`)
      this.#seen.add(key)
      return
    }
    if (note.type === 'recorded') this.#recorded.add(note.key)
    // A result, or an effect that was recorded: the journal got on.
    this.lastProgressAt = performance.now()
    for (const go of this.#waiting) go()
    this.#waiting.clear()
  }

  /** Each attempt after the first that was given an event is given the same one. */
  #hearEvent({ task, heard }: TaskNote & { type: 'heard' }): void {
    const before = this.heard.get(task) ?? heard
    if (before !== heard) this.wrong.push(`${task} heard ${before}, and then ${heard}`)
    this.heard.set(task, before)
  }

  /** Resolves with the milliseconds until the next progress; undefined where there was none in time. */
  progress(withinMs: number): Promise<number | undefined> {
    const at = performance.now()
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(go)
        resolve(undefined)
      }, withinMs)
      const go = (): void => {
        clearTimeout(timer)
        resolve(performance.now() - at)
      }
      this.#waiting.add(go)
    })
  }
}
