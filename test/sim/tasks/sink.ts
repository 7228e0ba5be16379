/**
 * What effects do outside of the mesh: a receiver that removes duplicates by their idempotency key, and refuses an attempt that
 * was replaced by its fence. An effect that was recorded must not run again. State: the runs, the highest fence of each task.
 */
import type { EffectFacts } from '../../../protocols/task/worker/task-context.ts'

export class Sink {
  readonly #runs = new Set<string>()
  readonly #recorded = new Set<string>()
  readonly #fences = new Map<string, number>()
  runs = 0
  /** Of an attempt whose worker died before it was recorded. */
  repeated = 0
  /** Of an attempt that was replaced: its worker was cut off, and went on. */
  refused = 0

  /** @returns what is wrong */
  run(id: string, { idempotencyKey: key, fence }: Pick<EffectFacts, 'idempotencyKey' | 'fence'>): string | undefined {
    if (!key.startsWith(`${id}/`)) return `an effect of ${id} has the key ${key}`
    if (fence.index < (this.#fences.get(id) ?? 0)) {
      this.refused += 1
      return undefined
    }
    this.#fences.set(id, fence.index)
    this.runs += 1
    if (this.#runs.has(key)) this.repeated += 1
    this.#runs.add(key)
    return this.#recorded.has(key) ? `${key} was recorded, and ran again` : undefined
  }

  recorded(key: string): void {
    this.#recorded.add(key)
  }
}
