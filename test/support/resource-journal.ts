/** A journal with resources, as one member has it: changes in, answers out; what it has is checked by adding it up again. */

import assert from 'node:assert/strict'
import type { ChangeAnswer } from '../../protocols/journal/change-answers.ts'
import { agreePart, knownKinds } from '../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../protocols/journal/state/command-kind.ts'
import { createJournalMachine } from '../../protocols/journal/state/journal-machine.ts'
import { levelOfChange, type ResourceChange } from '../../protocols/resource/journal/resource-changes.ts'
import { assignResources, decideResources, resourceJournal } from '../../protocols/resource/journal/resource-kinds.ts'
import {
  ALLOCATION_PREFIX,
  type Allocation,
  type Ask,
  isOpen,
  NODE_PREFIX,
  type NodeRecord,
  RESOURCES_PART,
  usageKey,
} from '../../protocols/resource/resource-record.ts'
import { fits, NONE, plus, type Units } from '../../protocols/resource/units.ts'

export const LEADER = 'leader'
const PART_LEVEL = 4

export const asked = (parts: readonly Units[], more: Partial<Ask> = {}): Ask => ({
  priority: 1,
  parts: parts.map((units) => ({ units })),
  ...more,
})

export class ResourceJournal {
  readonly bugs: unknown[] = []
  readonly #machine = createJournalMachine(
    knownKinds([], [{ ...resourceJournal, name: RESOURCES_PART }]),
    (_kind, error) => this.bugs.push(error),
  )
  epoch = 1
  index = 0
  /** Milliseconds since 1970, by the journal. */
  at = 1_000

  constructor() {
    const { level, maxBytes } = resourceJournal
    this.#apply(raiseLevel.name, LEADER, { level: PART_LEVEL })
    this.#apply(agreePart.name, LEADER, { part: RESOURCES_PART, level, maxBytes })
    this.begin(LEADER)
  }

  /** Another epoch, of this leader. */
  begin(leader: string, epoch = this.epoch): void {
    this.epoch = epoch
    this.#apply(beginEpoch.name, leader, { leader, name: leader })
  }

  /** One change. @returns what it was answered with, or the code of its refusal, with its reason */
  one(by: string, change: ResourceChange): unknown {
    const kind = levelOfChange(change) === 1 ? decideResources : assignResources
    const answer = this.#apply(kind.name, by, { changes: [change] } as unknown as Json)
    if (!answer.ok) throw new Error(JSON.stringify(answer.fault))
    const [first] = answer.result as unknown as ChangeAnswer[]
    if (first === undefined || 'ok' in first) return first?.ok
    const { reason } = first.fault.details ?? {}
    return typeof reason === 'string' ? `${first.fault.code} ${reason}` : first.fault.code
  }

  /** @returns its registration; undefined: an earlier life has to end first */
  register(peer: string, capacity: Units = NONE, incarnation = 1): number | undefined {
    const answer = this.one(peer, { do: 'register', incarnation, capacity })
    if (typeof answer === 'string') throw new Error(answer)
    const { registration } = answer as { registration?: number }
    return registration
  }

  allocate(holder: string, id: string, ask: Ask): unknown {
    const { registration = 0 } = this.node(holder) ?? {}
    return this.one(holder, { do: 'allocate', registration, id, ask })
  }

  /** As the coordinator. @param owners one for each part */
  grant(id: string, owners: readonly string[], victims: readonly string[] = []): unknown {
    const places = owners.map((owner) => ({ owner, registration: this.node(owner)?.registration ?? 0 }))
    const ended = victims.map((victim) => ({ id: victim, fence: this.get(victim)?.fence ?? { term: 0, index: 0 } }))
    return this.one(LEADER, { do: 'grant', epoch: this.epoch, id, places, ...(ended.length > 0 && { victims: ended }) })
  }

  /** As the coordinator, for a task. */
  assign(id: string, task: string, peer: string, units: Units, by = LEADER): unknown {
    const { registration = 0 } = this.node(peer) ?? {}
    return this.one(by, { do: 'assign', epoch: this.epoch, id, task, peer, registration, priority: 1, units })
  }

  get(id: string): Allocation | undefined {
    return this.allocations().get(id)
  }

  node(peer: string): NodeRecord | undefined {
    return this.nodes().get(peer)
  }

  nodes(): Map<string, NodeRecord> {
    return this.#all<NodeRecord>(NODE_PREFIX)
  }

  allocations(): Map<string, Allocation> {
    return this.#all<Allocation>(ALLOCATION_PREFIX)
  }

  /** What nodes say that they gave is what allocations say that they have, and no more than there is. */
  check(): void {
    const used = new Map<string, Units>()
    const counts = new Map<string, { gives: number; holds: number; allocations: number }>()
    const count = (peer: string, more: Partial<{ gives: number; holds: number; allocations: number }>): void => {
      const { gives = 0, holds = 0, allocations = 0 } = counts.get(peer) ?? {}
      const { gives: g = 0, holds: h = 0, allocations: a = 0 } = more
      counts.set(peer, { gives: gives + g, holds: holds + h, allocations: allocations + a })
    }
    for (const [id, allocation] of this.allocations()) {
      const { holder, parts, places, status, fence } = allocation
      count(holder, { allocations: 1, holds: isOpen(allocation) ? 1 : 0 })
      if (status === 'allocated') assert.equal(places?.length, allocation.parts.length, `${id} has places`)
      assert.equal(fence !== undefined, status === 'allocated', `${id} has a fence`)
      for (const [i, { owner, registration }] of (fence === undefined ? [] : (places ?? [])).entries()) {
        assert.equal(this.node(owner)?.registration, registration, `${id} rests on a life of ${owner}`)
        used.set(owner, plus(used.get(owner) ?? NONE, parts[i]?.units ?? NONE))
        count(owner, { gives: 1 })
      }
    }
    for (const [peer, node] of this.nodes()) {
      assert.deepEqual(node.used, used.get(peer) ?? NONE, `used of ${peer}`)
      assert.ok(fits(node.capacity, NONE, node.used), `${peer} gave more than it has`)
      const { gives = 0, holds = 0 } = counts.get(peer) ?? {}
      assert.deepEqual({ gives: node.gives, holds: node.holds }, { gives, holds }, peer)
    }
    for (const [peer, { gives, holds, allocations }] of counts) {
      if (gives + holds > 0) assert.ok(this.node(peer) !== undefined, `${peer} is there`)
      const usage = this.#machine.records.get(usageKey(peer))?.value as { allocations?: number } | undefined
      assert.equal(usage?.allocations ?? 0, allocations, `share of ${peer}`)
    }
    assert.deepEqual(this.bugs, [])
  }

  #all<T>(prefix: string): Map<string, T> {
    const found = this.#machine.records.all().filter(({ key }) => key.startsWith(prefix))
    return new Map(found.map(({ key, value }) => [key.slice(prefix.length), value as T]))
  }

  #apply(kind: string, by: string, input: Json) {
    this.index += 1
    const bytes = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: this.at, by, input })
    return this.#machine.apply(bytes, { term: this.epoch, index: this.index })
  }
}
