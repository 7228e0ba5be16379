/**
 * Resources as one change of the journal sees and changes them: nodes, allocations, and what each holder answers for.
 *
 * A change that is refused has written nothing: it checks first. What fails once something was written (the journal is full)
 * fails the whole command. State: whether anything was written.
 */
import { ParleyError, stateError } from '../../errors.ts'
import { requireCoordinator } from '../../journal/fencing/require-coordinator.ts'
import { OwnerShares } from '../../journal/owner-shares.ts'
import type { EntryFacts, JournalTx, Json } from '../../journal/state/command-kind.ts'
import {
  type Allocation,
  type AllocationPlace,
  allocationKey,
  isOpen,
  type NodeRecord,
  nodeKey,
  usageKey,
} from '../resource-record.ts'
import { plus, type Units } from '../units.ts'

/** Of all holders, with those that ended and are kept to be read. */
export const MAX_ALLOCATIONS = 20_000
export const MAX_ALLOCATION_BYTES = 10 * 1024 * 1024
/** Another status, for good: it gives back what it has. */
interface Ending {
  readonly status: 'denied' | 'expired' | 'preempted'
  readonly reason: string
}

export class ResourceLedger {
  readonly tx: JournalTx
  readonly facts: EntryFacts
  readonly #shares: OwnerShares
  hasWritten = false

  constructor(tx: JournalTx, facts: EntryFacts) {
    this.tx = tx
    this.facts = facts
    const [most, mostBytes] = [MAX_ALLOCATIONS, MAX_ALLOCATION_BYTES]
    this.#shares = new OwnerShares(tx, { counted: 'allocations', most, mostBytes, keyOf: usageKey })
  }

  node(peer: string): NodeRecord | undefined {
    // This part wrote it.
    return this.tx.get(nodeKey(peer)) as unknown as NodeRecord | undefined
  }

  allocation(id: string): Allocation | undefined {
    return this.tx.get(allocationKey(id)) as unknown as Allocation | undefined
  }

  /** A life of a node that counts. @throws STA002 */
  live(peer: string, registration: number): NodeRecord {
    const record = this.node(peer)
    if (record !== undefined && record.registration === registration && record.isOver !== true) return record
    throw new ParleyError('STA002', `the registration ${registration} of ${peer} is over`, {
      hint: 'end all work on what it had, and register again',
      details: { registration },
    })
  }

  /** @throws STA001; STA003 `allocation-status` where it is in another state than that */
  inStatus(id: string, status: 'waiting' | 'allocated'): Allocation {
    const found = this.find(id)
    if (found.status === status) return found
    throw stateError('allocation-status', `the allocation ${id} is ${found.status}`, 'look at it again', {
      allocation: id,
      status: found.status,
    })
  }

  /** @throws STA001 */
  find(id: string): Allocation {
    const found = this.allocation(id)
    if (found !== undefined) return found
    throw new ParleyError('STA001', `there is no allocation ${id}`, {
      hint: 'it was released, or has ended a while ago: ask for another one',
      details: { allocation: id },
    })
  }

  /** @throws SEC002, STA002 */
  requireCoordinator(epoch: number): void {
    requireCoordinator(this.tx, this.facts, epoch, 'allocates')
  }

  putNode(peer: string, record: NodeRecord): void {
    this.hasWritten = true
    this.tx.put(nodeKey(peer), record as unknown as Json)
  }

  deleteNode(peer: string): void {
    this.hasWritten = true
    this.tx.delete(nodeKey(peer))
  }

  /** @throws COM003 where its holder may have no more */
  add(id: string, allocation: Allocation): void {
    const { holder, size } = allocation
    if (!this.#shares.hasRoom(holder, size))
      throw new ParleyError(
        'COM003',
        `${holder} has ${this.#shares.of(holder).count} allocations, of ${this.#shares.all().count}`,
        {
          hint: 'release some of them, then ask again',
          details: { reason: 'resource-share', retryAfterMs: 1_000 },
        },
      )
    this.#put(id, allocation)
    this.#shares.add(holder, 1, size)
    this.#holds(allocation, 1)
  }

  grant(id: string, before: Allocation, places: readonly AllocationPlace[]): void {
    const { at, fence } = this.facts
    for (const [i, { owner }] of places.entries()) this.#give(owner, before.parts[i]?.units ?? {}, 1)
    const { reason: _reason, ...rest } = before
    this.#put(id, { ...rest, status: 'allocated', places: [...places], fence, changedAt: at })
  }

  /** It is kept for its holder to read, and counts for nothing any more. */
  end(id: string, before: Allocation, { status, reason }: Ending): void {
    this.#giveBack(before)
    // Who gave it is told of its end by that.
    const { fence: _fence, ...rest } = before
    this.#put(id, { ...rest, status, reason: reason.slice(0, 256), changedAt: this.facts.at })
  }

  /** Nothing of it is kept. */
  delete(id: string, before: Allocation): void {
    if (isOpen(before)) this.#giveBack(before)
    this.hasWritten = true
    this.tx.delete(allocationKey(id))
    this.#shares.add(before.holder, -1, -before.size)
  }

  #giveBack(before: Allocation): void {
    for (const [i, { owner }] of (before.places ?? []).entries()) this.#give(owner, before.parts[i]?.units ?? {}, -1)
    this.#holds(before, -1)
  }

  #give(owner: string, units: Units, sign: 1 | -1): void {
    const record = this.node(owner)
    if (record === undefined) throw new Error(`the node ${owner} went while something was granted at it`)
    this.putNode(owner, { ...record, used: plus(record.used, units, sign), gives: record.gives + sign })
  }

  #holds({ holder }: Allocation, by: 1 | -1): void {
    const record = this.node(holder)
    if (record === undefined) throw new Error(`the node ${holder} went while it held something`)
    this.putNode(holder, { ...record, holds: record.holds + by })
  }

  #put(id: string, allocation: Allocation): void {
    this.hasWritten = true
    this.tx.put(allocationKey(id), allocation as unknown as Json)
  }
}
