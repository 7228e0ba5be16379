/**
 * Nodes and allocations as the coordinator plans by them: a step from what the journal has, and the time, to the changes that
 * it wants. State: that, what it has asked for and not seen decided, and what did not fit since something became free.
 *
 * Who waits is granted in the order of priority, then of asking. One that has waited long and does not fit holds up others that
 * want the same, so that what comes free for it is not taken away in pieces. A gang is granted in one decision or not at all, so
 * that no two of them wait for each other.
 */
import type { ResourceChange, ResourceChangeOf } from '../journal/resource-changes.ts'
import { type Allocation, isOpen, type NodeRecord, PRIORITY_LEVELS } from '../resource-record.ts'
import { NONE, plus, type Units } from '../units.ts'
import { type GivingNode, isGiving } from './feasibility.ts'
import { couldFit, type PlannedVictim, planGrant } from './placement.ts'

/** Milliseconds that a node may go on without being renewed; it renews each 10 s. */
export const LEASE_MS = 30_000
/** More, for clocks that run differently. */
export const LEASE_MARGIN_MS = 1_500
/** Milliseconds that one may be overtaken by others for. */
const PATIENCE_MS = 5_000
/** What ended is kept so long for its holder to read. Milliseconds. */
const KEPT_MS = 60_000
const FORGET_AT_ONCE = 256
/** Of one look; the next one goes on. */
const MAX_PLANS = 256
/** Why one was denied, for people and programs. */
export const NO_SUCH_CAPACITY = 'no-such-capacity'
export const ALL_IN_USE = 'all-in-use'

interface BoardNode {
  readonly record: NodeRecord
  /** By this node's monotonic clock, from when its renewal was applied here. */
  readonly renewedAt: number
}

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

const keyOf = (change: ResourceChange): string =>
  'id' in change ? `a ${change.id}` : 'peer' in change ? `n ${change.peer}` : change.do

/** What it takes to grant it: two of the same fit or do not fit alike. */
const shapeOf = ({ parts, spread, preempts, priority }: Allocation): string =>
  JSON.stringify([parts, spread === true, preempts === true ? priority : -1])

/** When it is denied; undefined: it waits for as long as it takes. */
const dueAt = ({ askedAt, waitMs }: Allocation): number | undefined =>
  waitMs === undefined ? undefined : askedAt + waitMs

const namesOf = ({ parts }: Pick<Allocation, 'parts'>): Set<string> =>
  new Set(parts.flatMap(({ units }) => Object.keys(units)))

export class ResourceBoard {
  readonly #epoch: number
  readonly #nodes = new Map<string, BoardNode>()
  readonly #allocations = new Map<string, Allocation>()
  /** By priority, in the order in which they were asked for, with what each asks for as text. */
  readonly #waiting: readonly Map<string, string>[] = Array.from({ length: PRIORITY_LEVELS }, () => new Map())
  /** Ended ones, in the order in which they ended. */
  readonly #ended = new Map<string, number>()
  /** Allocations that rest on a node, as their holder or as who gives a part. */
  readonly #byPeer = new Map<string, Set<string>>()
  /** Asked for, not decided yet. */
  readonly #asked = new Map<string, ResourceChange>()
  /** What grants that were asked for will take, by allocation and by node. */
  readonly #grants = new Map<string, readonly (readonly [owner: string, units: Units])[]>()
  readonly #taking = new Map<string, Units>()
  /** Shapes of asks that did not fit since something became free. */
  readonly #unfit = new Set<string>()
  #allocated = 0

  constructor(epoch: number) {
    this.#epoch = epoch
  }

  counts(): PlanCounts {
    const waiting = this.#waiting.reduce((sum, { size }) => sum + size, 0)
    return { nodes: this.#nodes.size, waiting, allocated: this.#allocated }
  }

  /** @param nowMs monotonic */
  setNode(peer: string, record: NodeRecord | undefined, nowMs: number): void {
    this.#unfit.clear()
    if (record === undefined) this.#nodes.delete(peer)
    else {
      const before = this.#nodes.get(peer)
      const isRenewed =
        before?.record.renewedAt !== record.renewedAt || before.record.registration !== record.registration
      this.#nodes.set(peer, { record, renewedAt: isRenewed ? nowMs : (before?.renewedAt ?? nowMs) })
    }
  }

  setAllocation(id: string, record: Allocation | undefined): void {
    const before = this.#allocations.get(id)
    if (before !== undefined) this.#unlist(id, before)
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
    if (record.status === 'waiting') this.#waiting[record.priority]?.set(id, shapeOf(record))
    else if (record.status === 'allocated') this.#allocated += 1
    else this.#ended.set(id, record.changedAt)
  }

  #unlist(id: string, before: Allocation): void {
    for (const peer of peersOf(before)) {
      const ids = this.#byPeer.get(peer)
      ids?.delete(id)
      if (ids?.size === 0) this.#byPeer.delete(peer)
    }
    this.#waiting[before.priority]?.delete(id)
    if (before.status === 'allocated') {
      this.#allocated -= 1
      this.#unfit.clear()
    }
    this.#ended.delete(id)
  }

  /** It was decided, or refused: what came of it has been read. */
  answered(change: ResourceChange): void {
    if (this.#asked.get(keyOf(change)) !== change) return
    this.#asked.delete(keyOf(change))
    if (change.do === 'grant') this.#takeBack(change.id)
    this.#unfit.clear()
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
    let next: number | undefined
    for (const [id] of this.#inOrder()) {
      const waiting = this.#allocations.get(id)
      const until = waiting && dueAt(waiting)
      if (until !== undefined && (next === undefined || until < next)) next = until
    }
    return next
  }

  #endLives({ monotonic }: PlanTime, want: (change: ResourceChange) => void): void {
    const epoch = this.#epoch
    for (const [peer, { record, renewedAt }] of this.#nodes) {
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
    const record = this.#nodes.get(holder)?.record
    return record?.registration === registration && record.isOver !== true
  }

  /** The most urgent first. */
  *#inOrder(): Generator<[id: string, shape: string]> {
    for (const level of this.#waiting.toReversed()) yield* level
  }

  #grantSome({ now }: PlanTime, want: (change: ResourceChange) => void): void {
    const epoch = this.#epoch
    const nodes = this.#planned()
    /** Names that one who has waited long waits for. */
    const kept = new Set<string>()
    const could = new Map<string, boolean>()
    const couldEver = (wanted: Allocation, shape: string): boolean => {
      const known = could.get(shape) ?? couldFit(wanted, nodes)
      could.set(shape, known)
      return known
    }
    let plans = 0
    for (const [id, shape] of this.#inOrder()) {
      const wanted = this.#allocations.get(id)
      if (wanted === undefined || this.#asked.has(`a ${id}`) || !this.#isLive(wanted)) continue
      const names = kept.size > 0 ? namesOf(wanted) : []
      const isFree = !this.#unfit.has(shape) && ![...names].some((name) => kept.has(name))
      if (isFree && plans < MAX_PLANS) {
        plans += 1
        const grant = this.#planFor(id, wanted, nodes)
        if (grant !== undefined) {
          want(grant)
          this.#take(grant, wanted, nodes)
          continue
        }
        this.#unfit.add(shape)
      }
      const isLate = (dueAt(wanted) ?? now + 1) <= now
      if (isLate) want({ do: 'deny', epoch, id, reason: couldEver(wanted, shape) ? ALL_IN_USE : NO_SUCH_CAPACITY })
      else if (now - wanted.askedAt > PATIENCE_MS && couldEver(wanted, shape))
        for (const name of namesOf(wanted)) kept.add(name)
    }
  }

  #planFor(id: string, wanted: Allocation, nodes: ReadonlyMap<string, GivingNode>): Grant | undefined {
    const plan = planGrant(wanted, nodes, wanted.preempts === true ? this.#mayEnd() : [])
    if (plan === undefined) return undefined
    const victims = plan.victims.map((victim) => ({ id: victim.id, fence: victim.fence }))
    return { do: 'grant', epoch: this.#epoch, id, places: plan.places, ...(victims.length > 0 && { victims }) }
  }

  /** With what was asked for already. */
  #planned(): Map<string, GivingNode> {
    const nodes = new Map<string, GivingNode>()
    for (const peer of this.#nodes.keys()) {
      const node = this.#planOf(peer)
      if (node !== undefined) nodes.set(peer, node)
    }
    return nodes
  }

  #planOf(peer: string): GivingNode | undefined {
    const record = this.#nodes.get(peer)?.record
    if (!isGiving(record)) return undefined
    const taking = this.#taking.get(peer)
    return taking === undefined ? record : { ...record, used: plus(record.used, taking) }
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

  #take({ id, places }: Grant, { parts }: Allocation, nodes: Map<string, GivingNode>): void {
    const taken = places.map(({ owner }, i) => [owner, parts[i]?.units ?? NONE] as const)
    this.#grants.set(id, taken)
    for (const [owner, units] of taken) {
      this.#taking.set(owner, plus(this.#taking.get(owner) ?? NONE, units))
      const node = this.#planOf(owner)
      if (node !== undefined) nodes.set(owner, node)
    }
  }

  #takeBack(id: string): void {
    for (const [owner, units] of this.#grants.get(id) ?? []) {
      const taking = plus(this.#taking.get(owner) ?? NONE, units, -1)
      if (Object.keys(taking).length > 0) this.#taking.set(owner, taking)
      else this.#taking.delete(owner)
    }
    this.#grants.delete(id)
  }

  #forgetSome({ now }: PlanTime, want: (change: ResourceChange) => void): void {
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
