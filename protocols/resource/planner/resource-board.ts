/**
 * Nodes and allocations as the coordinator plans by them: a step from what the journal has, and the time, to the changes that
 * it wants. State: that, what it has asked for and not seen decided, and what was tried and did not fit.
 *
 * Who waits is granted in the order of priority, then of asking, programs and tasks alike. One that has waited long and does not
 * fit keeps nodes that could give it, so that what comes free there is not taken away in pieces. A gang is granted in one
 * decision or not at all, so that no two of them wait for each other.
 */
import type { ResourceChange, ResourceChangeOf } from '../journal/resource-changes.ts'
import { type Allocation, isOpen, type NodeRecord } from '../resource-record.ts'
import { NONE } from '../units.ts'
import { ALL_IN_USE, type Demand, NO_SUCH_CAPACITY, type WhyNot } from './demands.ts'
import { planGrant, RoomFor } from './placement.ts'
import { PlannedNodes } from './planned-nodes.ts'
import type { PlannedVictim } from './preemption.ts'
import { demandKey, TriedShapes, type Waiting, WaitingLine, waitingProgram, waitingTask } from './waiting-line.ts'

/** Milliseconds that a node may go on without being renewed; it renews each 10 s. */
export const LEASE_MS = 30_000
/** More, for clocks that run differently. */
export const LEASE_MARGIN_MS = 1_500
/** Milliseconds that one may be overtaken by others for. */
const PATIENCE_MS = 5_000
/** What ended is kept so long for its holder to read. Milliseconds. */
const KEPT_MS = 60_000
const FORGET_AT_ONCE = 256
/** Of one look: asks that nodes are looked for to keep. */
const MAX_KEEPS = 16

/** Milliseconds. */
export interface PlanTime {
  /** Since 1970. */
  readonly now: number
  readonly monotonic: number
}

export interface PlanCounts {
  readonly nodes: number
  readonly waiting: number
  readonly allocated: number
}

type Grant = ResourceChangeOf<'grant'>
type Want = (change: ResourceChange) => void
/** Of one look, by the shape of what tasks demand. */
type Rooms = Map<string, RoomFor>
type PlannedMap = ReturnType<PlannedNodes['giving']>

const keyOf = (change: ResourceChange): string =>
  'id' in change ? `a ${change.id}` : 'peer' in change ? `n ${change.peer}` : change.do

export class ResourceBoard {
  readonly #epoch: number
  readonly #newId: () => string
  readonly #nodes = new PlannedNodes()
  readonly #allocations = new Map<string, Allocation>()
  readonly #waiting = new WaitingLine()
  /** Ended ones, in the order in which they ended. */
  readonly #ended = new Map<string, number>()
  /** Allocations that rest on a node, as their holder or as who gives a part. */
  readonly #byPeer = new Map<string, Set<string>>()
  /** Asked for, not decided yet. */
  readonly #asked = new Map<string, ResourceChange>()
  /** Tasks whose allocations were asked for, by id of those. */
  readonly #chosen = new Map<string, Demand>()
  readonly #tried = new TriedShapes()
  #allocated = 0

  constructor(epoch: number, newId: () => string) {
    this.#epoch = epoch
    this.#newId = newId
  }

  counts(): PlanCounts {
    return { nodes: this.#nodes.size(), waiting: this.#waiting.size(), allocated: this.#allocated }
  }

  /** @param nowMs monotonic */
  setNode(peer: string, record: NodeRecord | undefined, nowMs: number): void {
    this.#tried.changed()
    this.#nodes.set(peer, record, nowMs)
  }

  setAllocation(id: string, record: Allocation | undefined): void {
    const before = this.#allocations.get(id)
    if (before !== undefined) this.#unlist(id, before)
    // Who still waits keeps its place.
    if (record?.status !== 'waiting') this.#waiting.delete(id)
    if (record === undefined) {
      this.#allocations.delete(id)
      return
    }
    this.#allocations.set(id, record)
    for (const peer of peersOf(record)) {
      const ids = this.#byPeer.get(peer) ?? new Set()
      this.#byPeer.set(peer, ids)
      ids.add(id)
    }
    if (record.status === 'waiting') this.#waiting.add(waitingProgram(id, record))
    else if (record.status === 'allocated') this.#allocated += 1
    else this.#ended.set(id, record.changedAt)
  }

  #unlist(id: string, before: Allocation): void {
    for (const peer of peersOf(before)) {
      const ids = this.#byPeer.get(peer)
      ids?.delete(id)
      if (ids?.size === 0) this.#byPeer.delete(peer)
    }
    if (before.status === 'allocated') this.#allocated -= 1
    this.#ended.delete(id)
  }

  addDemand(demand: Demand): void {
    this.#waiting.add(waitingTask(demand))
  }

  deleteDemand(task: string): void {
    this.#waiting.delete(demandKey(task))
    this.#tried.changed()
  }

  /** Tasks could be worked on by others than before. */
  lookAgain(): void {
    this.#tried.changed()
  }

  /** It was decided, or refused: what came of it has been read. */
  answered(change: ResourceChange): void {
    if (this.#asked.get(keyOf(change)) !== change) return
    this.#asked.delete(keyOf(change))
    if (change.do === 'grant' || change.do === 'assign') this.#nodes.takeBack(change.id)
    this.#tried.changed()
    if (change.do !== 'assign') return
    const demand = this.#chosen.get(change.id)
    this.#chosen.delete(change.id)
    demand?.answered(change.id, this.#allocations.get(change.id)?.status === 'allocated')
  }

  /** What was on its way is not followed any more: another board comes in the place of this one. */
  end(): void {
    for (const [id, demand] of this.#chosen) demand.answered(id, false)
    this.#chosen.clear()
  }

  wanted(time: PlanTime): ResourceChange[] {
    const wanted: ResourceChange[] = []
    const want = (change: ResourceChange): void => {
      if (this.#asked.has(keyOf(change))) return
      this.#asked.set(keyOf(change), change)
      wanted.push(change)
    }
    this.#endLives(time, want)
    this.#grantSome(time, want)
    this.#forgetSome(time, want)
    return wanted
  }

  /** When time alone will want something; milliseconds since 1970. */
  nextDueAt(): number | undefined {
    return this.#waiting.nextDueAt()
  }

  /** Why a task is not given what it needs. */
  whyNot(demand: Demand): WhyNot {
    return this.#whyNot(waitingTask(demand))
  }

  #whyNot(waiting: Waiting): WhyNot {
    return this.#nodes.placesWhenIdle(waiting) === undefined ? NO_SUCH_CAPACITY : ALL_IN_USE
  }

  #endLives({ monotonic }: PlanTime, want: Want): void {
    const epoch = this.#epoch
    for (const [peer, { record, renewedAt }] of this.#nodes.all()) {
      const { registration, holds, gives } = record
      const dismiss = { do: 'dismiss', epoch, peer, registration } as const
      if (record.isOver !== true) {
        if (monotonic - renewedAt > LEASE_MS + LEASE_MARGIN_MS) want(dismiss)
        continue
      }
      for (const id of this.#byPeer.get(peer) ?? []) {
        const allocation = this.#allocations.get(id)
        if (allocation === undefined || !isOpen(allocation)) continue
        const isHolder = allocation.holder === peer
        want({ do: 'expire', epoch, id, reason: `${isHolder ? 'holder' : 'owner'}-lost: ${peer}` })
      }
      if (holds === 0 && gives === 0) want(dismiss)
    }
  }

  #isLive({ holder, registration }: Allocation): boolean {
    const record = this.#nodes.get(holder)
    return record?.registration === registration && record.isOver !== true
  }

  /** Whether it is still to be granted, and nothing about it is on its way. */
  #isOpen({ id, demand }: Waiting): boolean {
    if (demand !== undefined) return true
    const wanted = this.#allocations.get(id)
    return wanted !== undefined && !this.#asked.has(`a ${id}`) && this.#isLive(wanted)
  }

  #grantSome({ now, monotonic }: PlanTime, want: Want): void {
    const epoch = this.#epoch
    this.#nodes.begin(monotonic)
    this.#tried.begin()
    /** Of those that have waited long: until one is found that could be granted at all. */
    let keeps = MAX_KEEPS
    const rooms: Rooms = new Map()
    for (const waiting of this.#waiting.inOrder()) {
      if (!this.#isOpen(waiting)) continue
      const { id, shape, since, dueAt } = waiting
      if (this.#tried.take(shape)) {
        if (this.#give(waiting, rooms, want)) continue
        this.#tried.doesNotFit(shape)
      }
      if (dueAt !== undefined && dueAt <= now) want({ do: 'deny', epoch, id, reason: this.#whyNot(waiting) })
      else if (keeps > 0 && now - since > PATIENCE_MS) {
        keeps = this.#keepFor(waiting) ? 0 : keeps - 1
        rooms.clear()
      }
    }
  }

  /** Of those that have waited long the first one alone, so that nobody holds up more than what one ask may take. */
  #keepFor(waiting: Waiting): boolean {
    const owners = (this.#nodes.placesWhenIdle(waiting) ?? []).map(({ owner }) => owner)
    this.#nodes.keep(owners, waiting.names)
    return owners.length > 0
  }

  /** @returns whether it fits: it is on its way then */
  #give({ id, demand, names }: Waiting, rooms: Rooms, want: Want): boolean {
    const nodes = this.#nodes.openFor(names)
    if (demand !== undefined) return this.#assign(demand, nodes, rooms, want)
    const wanted = this.#allocations.get(id)
    const grant = wanted && this.#planFor(id, wanted, nodes)
    if (wanted === undefined || grant === undefined) return false
    want(grant)
    this.#nodes.take(
      id,
      grant.places.map(({ owner }, i) => [owner, wanted.parts[i]?.units ?? NONE]),
    )
    return true
  }

  #planFor(id: string, wanted: Allocation, nodes: PlannedMap): Grant | undefined {
    const plan = planGrant(wanted, nodes, wanted.preempts === true ? this.#mayEnd() : [])
    if (plan === undefined) return undefined
    const victims = plan.victims.map((victim) => ({ id: victim.id, fence: victim.fence }))
    return { do: 'grant', epoch: this.#epoch, id, places: plan.places, ...(victims.length > 0 && { victims }) }
  }

  #assign(demand: Demand, nodes: PlannedMap, rooms: Rooms, want: Want): boolean {
    const { task, units, priority } = demand
    const room = rooms.get(demand.shape) ?? new RoomFor(units, demand.free(), nodes)
    rooms.set(demand.shape, room)
    const place = room.next((peer) => demand.isFree(peer))
    if (place === undefined) return false
    const { owner: peer, registration } = place
    const id = this.#newId()
    this.#waiting.delete(demandKey(task))
    this.#chosen.set(id, demand)
    this.#nodes.take(id, [[peer, units]])
    demand.chosen(peer, id)
    want({ do: 'assign', epoch: this.#epoch, id, task, peer, registration, priority, units })
    return true
  }

  /** Granted ones that nobody has asked to end. */
  *#mayEnd(): Generator<PlannedVictim> {
    const ending = new Set(
      [...this.#asked.values()].flatMap((one) => (one.do === 'grant' ? (one.victims ?? []) : [])).map(({ id }) => id),
    )
    for (const [id, one] of this.#allocations)
      if (one.status === 'allocated' && one.fence !== undefined && !ending.has(id) && !this.#asked.has(`a ${id}`))
        yield { ...one, id, fence: one.fence }
  }

  #forgetSome({ now }: PlanTime, want: Want): void {
    const ids: string[] = []
    for (const [id, endedAt] of this.#ended) {
      if (now - endedAt < KEPT_MS || ids.length >= FORGET_AT_ONCE) break
      ids.push(id)
    }
    if (ids.length > 0) want({ do: 'forget', epoch: this.#epoch, ids })
  }
}

const peersOf = ({ holder, places = [] }: Allocation): Set<string> =>
  new Set([holder, ...places.map(({ owner }) => owner)])
