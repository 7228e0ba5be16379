/** Allocations that others may be granted in the place of. State: those, and the ones whose end was asked for already. */
import type { ResourceChange } from '../journal/resource-changes.ts'
import type { Allocation } from '../resource-record.ts'
import type { PlannedVictim } from './preemption.ts'

const endedBy = (change: ResourceChange): readonly string[] => {
  if (change.do === 'expire') return [change.id]
  return change.do === 'grant' ? (change.victims ?? []).map(({ id }) => id) : []
}

export class Preemptible {
  readonly #all = new Map<string, PlannedVictim>()
  readonly #ending = new Set<string>()

  set(id: string, record: Allocation | undefined): void {
    if (record?.status === 'allocated' && record.preemptible === true && record.fence !== undefined)
      this.#all.set(id, { ...record, id, fence: record.fence })
    else this.#all.delete(id)
  }

  asked(change: ResourceChange): void {
    for (const id of endedBy(change)) this.#ending.add(id)
  }

  answered(change: ResourceChange): void {
    for (const id of endedBy(change)) this.#ending.delete(id)
  }

  *[Symbol.iterator](): Generator<PlannedVictim> {
    for (const [id, one] of this.#all) if (!this.#ending.has(id)) yield one
  }
}
