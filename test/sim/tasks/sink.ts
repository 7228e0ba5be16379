/**
 * What effects do outside of the mesh: it counts runs, and removes duplicates by their idempotency key. An effect that was
 * recorded must not run again. State: the runs.
 */
import type { EffectFacts } from '../../../protocols/task/worker/task-context.ts'

export class Sink {
  readonly #runs = new Map<string, number>()
  readonly #recorded = new Set<string>()
  /** The highest fence that came with each task. */
  readonly #fences = new Map<string, number>()
  runs = 0
  repeated = 0
  refused = 0

  /** @throws Error for one that was recorded */
  run(task: string, { idempotencyKey, fence }: Pick<EffectFacts, 'idempotencyKey' | 'fence'>): void {
    if (this.#recorded.has(idempotencyKey)) throw new Error(`${idempotencyKey} was recorded, and ran again`)
    // As a receiver does that keeps fences.
    if (fence.index < (this.#fences.get(task) ?? 0)) this.refused += 1
    else this.#fences.set(task, fence.index)
    this.runs += 1
    const before = this.#runs.get(idempotencyKey) ?? 0
    if (before > 0) this.repeated += 1
    this.#runs.set(idempotencyKey, before + 1)
  }

  recorded(idempotencyKey: string): void {
    this.#recorded.add(idempotencyKey)
  }

  /** A checkpoint stands behind it. */
  forget(idempotencyKey: string): void {
    this.#recorded.delete(idempotencyKey)
  }

  distinct(): number {
    return this.#runs.size
  }
}
