/**
 * Plans that are over and kept to be read: for an hour, as far as there is room. Where there is not, the oldest one of the owner with
 * the most goes first, so that nobody drives out what others want to read. State: those plans, and what each owner has of them.
 */
import { isOver, type PlanRecord } from '../plan-record.ts'

const RETAIN_MS = 3_600_000
export const MOST_OVER = 2_048
const MOST_BYTES = 2 * 1024 * 1024
/** In one decision. */
const FORGET_AT_ONCE = 256

interface Over {
  readonly owner: string
  /** Milliseconds since 1970, by the journal's clock. */
  readonly at: number
  readonly bytes: number
}

interface Owned {
  /** The oldest first. */
  readonly ids: Set<string>
  bytes: number
}

export class OverPlans {
  /** The oldest first. */
  readonly #over = new Map<string, Over>()
  readonly #owners = new Map<string, Owned>()
  #bytes = 0

  size(): number {
    return this.#over.size
  }

  ids(): string[] {
    return [...this.#over.keys()]
  }

  /** The journal has it so. It is told of plans in the order in which they changed. */
  set(id: string, record: PlanRecord | undefined): void {
    this.#delete(id)
    if (record === undefined || !isOver(record)) return
    const { owner, changedAt: at } = record
    const bytes = JSON.stringify(record).length
    this.#over.set(id, { owner, at, bytes })
    this.#bytes += bytes
    const owned = this.#owners.get(owner) ?? { ids: new Set(), bytes: 0 }
    this.#owners.set(owner, owned)
    owned.ids.add(id)
    owned.bytes += bytes
  }

  /** Those that are to go. @param now milliseconds since 1970 @param isInUse what is still being ended */
  toForget(now: number, isInUse: (id: string) => boolean): string[] {
    const chosen = new Set<string>()
    for (const [id, { at }] of this.#over) {
      if (now - at <= RETAIN_MS || chosen.size >= FORGET_AT_ONCE) break
      if (!isInUse(id)) chosen.add(id)
    }
    this.#chooseMore(chosen, isInUse)
    return [...chosen]
  }

  /** As many more as there are too many. */
  #chooseMore(chosen: Set<string>, isInUse: (id: string) => boolean): void {
    const bytesOf = (id: string): number => this.#over.get(id)?.bytes ?? 0
    const chosenBytes = [...chosen].reduce((sum, id) => sum + bytesOf(id), 0)
    let [count, bytes] = [this.#over.size - chosen.size, this.#bytes - chosenBytes]
    if (count <= MOST_OVER && bytes <= MOST_BYTES) return
    const left = [...this.#owners.values()].map((owned) => {
      const ids = [...owned.ids].filter((id) => !chosen.has(id) && !isInUse(id)).reverse()
      return { ids, bytes: ids.length === 0 ? 0 : owned.bytes }
    })
    while ((count > MOST_OVER || bytes > MOST_BYTES) && chosen.size < FORGET_AT_ONCE) {
      let most = left[0]
      for (const one of left) if (one.bytes > (most?.bytes ?? 0)) most = one
      const id = most?.ids.pop()
      if (most === undefined || id === undefined) return
      chosen.add(id)
      count -= 1
      bytes -= bytesOf(id)
      // What is in use is not chosen, and does not count.
      most.bytes = most.ids.length === 0 ? 0 : most.bytes - bytesOf(id)
    }
  }

  #delete(id: string): void {
    const before = this.#over.get(id)
    if (before === undefined) return
    this.#over.delete(id)
    this.#bytes -= before.bytes
    const owned = this.#owners.get(before.owner)
    owned?.ids.delete(id)
    if (owned !== undefined) owned.bytes -= before.bytes
    if (owned?.ids.size === 0) this.#owners.delete(before.owner)
  }
}
