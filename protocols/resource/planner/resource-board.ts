/**
 * Nodes and allocations as the coordinator plans by them: a step from what the journal has, and the time, to the changes that
 * it wants. State: that, what it has asked for and not seen decided, and what was tried and did not fit.
 *
 * Who waits is granted in the order of priority, then of asking, programs and tasks alike. One that has waited long and does not
 * fit keeps nodes that could give it, so that what comes free there is not taken away in pieces. A gang is granted in one
 * decision or not at all, so that no two of them wait for each other.
 */
import type { ResourceChange } from '../journal/resource-changes.ts'
import { type Allocation, type AllocationPlace, isOpen, type NodeRecord } from '../resource-record.ts'
import { NONE } from '../units.ts'
import { type Demand, type WhyNot, whyNot } from './demands.ts'
import { KeptNodes } from './kept-nodes.ts'
import { KnownAllocations } from './known-allocations.ts'
import { type Plan, planGrant, type RoomFor, Rooms } from './placement.ts'
import { PlannedNodes } from './planned-nodes.ts'
import { Steps } from './search.ts'
import { TriedShapes, Turns } from './turns.ts'
import { demandKey, type Waiting, WaitingLine, waitingProgram, waitingTask } from './waiting-line.ts'

/** Milliseconds that a node may go on without being renewed; it renews each 10 s. */
export const LEASE_MS = 30_000
/** More, for clocks that run differently. */
export const LEASE_MARGIN_MS = 1_500
/** Milliseconds that one may be overtaken by others for. */
const PATIENCE_MS = 5_000
/** What ended is kept so long for its holder to read. Milliseconds. */
const KEPT_MS = 60_000
const FORGET_AT_ONCE = 256

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

type Want = (change: ResourceChange) => void
type PlannedMap = ReturnType<PlannedNodes['giving']>

const keyOf = (change: ResourceChange): string =>
  'id' in change ? `a ${change.id}` : 'peer' in change ? `n ${change.peer}` : change.do

export class ResourceBoard {
  readonly #epoch: number
  readonly #newId: () => string
  readonly #nodes = new PlannedNodes()
  readonly #allocations = new KnownAllocations()
  readonly #waiting = new WaitingLine()
  /** Asked for, not decided yet. */
  readonly #asked = new Map<string, ResourceChange>()
  /** Tasks whose allocations were asked for, by id of those. */
  readonly #chosen = new Map<string, Demand>()
  readonly #tried = new TriedShapes()
  readonly #turns = new Turns()
  readonly #kept = new KeptNodes()

  constructor(epoch: number, newId: () => string) {
    this.#epoch = epoch
    this.#newId = newId
  }

  counts(): PlanCounts {
    return { nodes: this.#nodes.size(), waiting: this.#waiting.size(), allocated: this.#allocations.granted() }
  }

  /** @param nowMs monotonic */
  setNode(peer: string, record: NodeRecord | undefined, nowMs: number): void {
    if (this.#nodes.set(peer, record, nowMs)) this.#tried.changed()
  }

  setAllocation(id: string, record: Allocation | undefined): void {
    this.#allocations.set(id, record)
    // Who still waits keeps its place.
    if (record?.status === 'waiting') this.#waiting.add(waitingProgram(id, record))
    else this.#waiting.delete(id)
  }

  addDemand(demand: Demand): void {
    this.#waiting.add(waitingTask(demand))
  }

  deleteDemand(task: string): void {
    this.#waiting.delete(demandKey(task))
  }

  /** Tasks could be worked on by others than before. */
  lookAgain(): void {
    this.#tried.tasksChanged()
  }

  /** It was decided, or refused: what came of it has been read. */
  answered(change: ResourceChange): void {
    if (this.#asked.get(keyOf(change)) !== change) return
    this.#asked.delete(keyOf(change))
    if (change.do === 'grant' || change.do === 'assign') this.#nodes.takeBack(change.id)
    this.#allocations.preemptible.answered(change)
    // What was asked for may be had by others after all.
    if (change.do === 'grant' || change.do === 'assign' || change.do === 'expire') this.#tried.changed()
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
      this.#allocations.preemptible.asked(change)
      wanted.push(change)
    }
    this.#endLives(time, want)
    this.#grantSome(time, want)
    this.#forgetSome(time, want)
    return wanted
  }

  /** It has not tried all that it is to try: another look is to follow soon, and others are to have their turn before it. */
  isBehind(): boolean {
    return this.#turns.isBehind()
  }

  /** When time alone will want something; milliseconds since 1970. */
  nextDueAt(): number | undefined {
    return this.#waiting.nextDueAt()
  }

  /** Why a task is not given what it needs. */
  whyNot(demand: Demand): WhyNot {
    return whyNot(this.#nodes.placesWhenIdle(waitingTask(demand)))
  }

  /** Where it could be granted if nothing else were. */
  #placesWhenIdle(waiting: Waiting): readonly AllocationPlace[] | 'nowhere' | 'later' {
    if (this.#nodes.knownIdle(waiting) === undefined && !this.#may(waiting)) return 'later'
    return this.#counted(waiting, (steps) => this.#nodes.placesWhenIdle(waiting, steps)) ?? 'nowhere'
  }

  /** @param triedIn in which state it did not fit */
  #may(waiting: Waiting, triedIn?: number, isKnown = false): boolean {
    return this.#turns.may(waiting.holder, this.#tried.stateFor(waiting), triedIn, isKnown)
  }

  #counted<T>({ holder }: Waiting, look: (steps: Steps) => T): T {
    const steps = new Steps()
    const found = look(steps)
    this.#turns.took(holder, steps.taken)
    return found
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
      for (const id of this.#allocations.restingOn(peer)) {
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
    const waits = this.#waiting.size()
    this.#nodes.begin(monotonic, waits)
    this.#tried.begin(waits, this.#waiting.inOrder())
    this.#turns.begin()
    let isKept = false
    const rooms = new Rooms()
    for (const waiting of this.#waiting.inOrder()) {
      if (!this.#isOpen(waiting)) continue
      const { since, dueAt } = waiting
      const tried = this.#try(waiting, rooms, want)
      if (tried === 'fits') continue
      if (dueAt !== undefined && dueAt <= now) {
        if (tried === 'unfit') this.#deny(waiting, want)
      } else if (!isKept && now - since > PATIENCE_MS && this.#keepFor(waiting, monotonic)) {
        isKept = true
        rooms.clear()
      }
    }
  }

  /** @returns `unfit` also where that was found before, and nothing has changed; `later`: not known yet */
  #try(waiting: Waiting, rooms: Rooms, want: Want): 'fits' | 'unfit' | 'later' {
    const isKept = this.#nodes.isKeptFrom(waiting.names)
    const triedIn = this.#tried.triedIn(waiting, isKept)
    if (triedIn === this.#tried.stateFor(waiting)) return 'unfit'
    // Room for others of the same shape was found already.
    const isKnown = rooms.has(waiting.shape) && waiting.wanted.preempts !== true
    if (!this.#may(waiting, triedIn, isKnown)) return 'later'
    if (this.#counted(waiting, (steps) => this.#give(waiting, rooms, want, steps))) return 'fits'
    this.#tried.doesNotFit(waiting, isKept)
    return 'unfit'
  }

  #deny(waiting: Waiting, want: Want): void {
    const places = this.#placesWhenIdle(waiting)
    if (places === 'later') return
    const reason = whyNot(places === 'nowhere' ? undefined : places)
    want({ do: 'deny', epoch: this.#epoch, id: waiting.id, reason })
  }

  /**
   * Of those that have waited long for the first one alone that could be granted at all, so that nobody holds up more than what one
   * ask may take.
   */
  #keepFor(waiting: Waiting, nowMs: number): boolean {
    const places = this.#placesWhenIdle(waiting)
    if (typeof places === 'string') return false
    const nodes = this.#nodes
    const to = { waiting, places, nodes: nodes.among(waiting), capacities: nodes.capacities(), nowMs }
    const peers = this.#counted(waiting, (steps) => this.#kept.choose(to, () => this.#may(waiting), steps))
    if (nodes.keep(peers, waiting.names)) this.#tried.keptChanged()
    return true
  }

  /** @returns whether it fits: it is on its way then */
  #give(waiting: Waiting, rooms: Rooms, want: Want, steps: Steps): boolean {
    const { id, demand, names } = waiting
    const nodes = this.#nodes.openFor(names)
    if (demand !== undefined) return this.#assign(waiting, demand, rooms.of(waiting, nodes, steps), want, steps)
    const wanted = this.#allocations.get(id)
    const plan = wanted && this.#planFor(waiting, nodes, rooms, steps)
    if (wanted === undefined || plan === undefined) return false
    steps.give(wanted.parts.length)
    const { places } = plan
    const victims = plan.victims.map((victim) => ({ id: victim.id, fence: victim.fence }))
    want({ do: 'grant', epoch: this.#epoch, id, places, ...(victims.length > 0 && { victims }) })
    this.#nodes.take(
      id,
      places.map(({ owner }, i) => [owner, wanted.parts[i]?.units ?? NONE]),
    )
    return true
  }

  /** Parts of the same units are looked for together. */
  #planFor(waiting: Waiting, nodes: PlannedMap, rooms: Rooms, steps: Steps): Plan | undefined {
    const { wanted } = waiting
    if (wanted.parts.length === 1 && wanted.parts[0]?.owner === undefined) {
      const place = rooms.of(waiting, nodes, steps).next()
      if (place !== undefined) return { places: [place], victims: [] }
      if (wanted.preempts !== true) return undefined
    }
    return planGrant(wanted, nodes, this.#allocations.preemptible.below(wanted.priority), steps)
  }

  #assign({ id: key }: Waiting, demand: Demand, room: RoomFor, want: Want, steps: Steps): boolean {
    const { task, units, priority } = demand
    const place = room.next((peer) => demand.isFree(peer))
    if (place === undefined) return false
    steps.give(1)
    const { owner: peer, registration } = place
    const id = this.#newId()
    this.#waiting.delete(key)
    this.#chosen.set(id, demand)
    this.#nodes.take(id, [[peer, units]])
    demand.chosen(peer, id)
    want({ do: 'assign', epoch: this.#epoch, id, task, peer, registration, priority, units })
    return true
  }

  #forgetSome({ now }: PlanTime, want: Want): void {
    const ids = this.#allocations.endedUntil(now - KEPT_MS, FORGET_AT_ONCE)
    if (ids.length > 0) want({ do: 'forget', epoch: this.#epoch, ids })
  }
}
