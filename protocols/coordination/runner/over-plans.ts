/**
 * Plans that are over: they are kept for an hour to be read, as far as there is room; then the oldest go. State: their ids, the
 * oldest first, and how many bytes they take.
 */
import { isOver, type PlanRecord } from '../plan-record.ts'

const RETAIN_MS = 3_600_000
const MOST_OVER = 2_048
const MOST_BYTES = 2 * 1024 * 1024
/** In one decision. */
export const FORGET_AT_ONCE = 256

interface Over {
  /** Milliseconds since 1970, by the journal's clock. */
  readonly at: number
  readonly bytes: number
}

export class OverPlans {
  readonly #over = new Map<string, Over>()
  #bytes = 0

  size(): number {
    return this.#over.size
  }

  /** The journal has it so. */
  set(id: string, record: PlanRecord | undefined): void {
    this.#bytes -= this.#over.get(id)?.bytes ?? 0
    this.#over.delete(id)
    if (record === undefined || !isOver(record)) return
    const bytes = JSON.stringify(record).length
    this.#over.set(id, { at: record.changedAt, bytes })
    this.#bytes += bytes
  }

  /** Those that are to go, the oldest first. @param now milliseconds since 1970 @param isInUse what is still being ended */
  toForget(now: number, isInUse: (id: string) => boolean): string[] {
    const ids: string[] = []
    let [count, bytes] = [this.#over.size, this.#bytes]
    for (const [id, over] of this.#over) {
      const isTooMuch = count > MOST_OVER || bytes > MOST_BYTES || now - over.at > RETAIN_MS
      if (!isTooMuch || ids.length >= FORGET_AT_ONCE) break
      if (isInUse(id)) continue
      ids.push(id)
      count -= 1
      bytes -= over.bytes
    }
    return ids
  }
}
