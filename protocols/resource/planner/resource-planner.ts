/**
 * What the coordinator does about resources, for as long as it coordinates: it reads the journal's changes, looks at its board,
 * and has decided what that wants. State: the board, of one epoch.
 */
import { waitFor } from '../../async.ts'
import type { Events } from '../../events/api.ts'
import type { EventTeller } from '../../events/event-teller.ts'
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import { CoordinatorLoop } from '../../journal/feed/coordinator-loop.ts'
import { JournalView, type ReadChange } from '../../journal/feed/journal-view.ts'
import type { JournalClock } from '../../journal/journal-clock.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { ResourceChange } from '../journal/resource-changes.ts'
import {
  ALLOCATION_PREFIX,
  type Allocation,
  allocationKey,
  NODE_PREFIX,
  type NodeRecord,
  newAllocationId,
  RESOURCES_PART,
} from '../resource-record.ts'
import type { Assigned, Demand, DemandPlanner, Demands, WhyNot } from './demands.ts'
import { ResourceAnnouncer } from './resource-announcer.ts'
import { type PlanCounts, ResourceBoard } from './resource-board.ts'

/** Milliseconds; it looks at the latest then. */
const LOOK_MS = 250
/** Milliseconds that others have before it goes on with what it has not tried yet. */
const REST_MS = 2

export interface PlannerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log' | 'random'>
  readonly batcher: Pick<ChangeBatcher<ResourceChange>, 'decide'>
  /** Of tasks, which are planned with what programs ask for. */
  readonly demands: Demands
  readonly events: Pick<Events, 'publish' | 'hasAudience'>
  readonly teller: EventTeller
  member(): JournalMember | undefined
}

export interface PlannerCounts extends PlanCounts {
  readonly granted: number
  readonly denied: number
  /** Changes that did not fit any more when they were decided. */
  readonly refused: number
}

type ViewChange =
  | { readonly type: 'node'; readonly peer: string; readonly record: NodeRecord | undefined }
  | { readonly type: 'allocation'; readonly id: string; readonly record: Allocation | undefined }

const readChange: ReadChange<ViewChange> = (key, _version, value) => {
  if (key.startsWith(NODE_PREFIX))
    return { type: 'node', peer: key.slice(NODE_PREFIX.length), record: value as NodeRecord | undefined }
  if (key.startsWith(ALLOCATION_PREFIX))
    return { type: 'allocation', id: key.slice(ALLOCATION_PREFIX.length), record: value as Allocation | undefined }
  return undefined
}

const askedAt = (change: ViewChange): number => (change.type === 'allocation' ? (change.record?.askedAt ?? 0) : 0)

/** From this level of the part on tasks are given what they need. */
const TASKS_LEVEL = 2

const assignedOf = (id: string, record: Allocation | undefined): Assigned | undefined =>
  record?.isAssigned === true && record.status === 'allocated' && record.task !== undefined
    ? { id, task: record.task, peer: record.holder }
    : undefined

export class ResourcePlanner implements DemandPlanner {
  readonly #deps: PlannerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  #board: ResourceBoard
  #announcer: ResourceAnnouncer | undefined
  /** By id. */
  readonly #assigned = new Map<string, Assigned>()
  #granted = 0
  #denied = 0
  readonly #loop: CoordinatorLoop

  constructor(deps: PlannerDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
    this.#loop = new CoordinatorLoop({ port: deps.port, signal, of: 'resources' })
    this.#board = this.#newBoard()
  }

  #newBoard(): ResourceBoard {
    const { random } = this.#deps.port
    return new ResourceBoard(this.#epoch, () => newAllocationId({ random }))
  }

  counts(): PlannerCounts {
    return { ...this.#board.counts(), granted: this.#granted, denied: this.#denied, refused: this.#loop.refused() }
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const member = this.#deps.member()
    if (member === undefined) return
    const { clock } = member
    const view = new JournalView(member, readChange)
    this.#load(view)
    const stop = member.machine.onApplied(this.#loop.wake)
    this.#deps.demands.setPlanner(this)
    try {
      while (!this.#signal.aborted) {
        this.#read(view)
        const time = { now: clock.now(), monotonic: clock.monotonic() }
        for (const change of this.#board.wanted(time)) void this.#decide(change, view)
        await this.#untilNews(clock)
      }
    } finally {
      this.#deps.demands.setPlanner(undefined)
      this.#announcer?.stop()
      stop()
    }
  }

  state(): 'ready' | 'older' | 'unknown' {
    const level = this.#deps.member()?.machine.records.parts.agreed(RESOURCES_PART)?.level ?? 0
    return level >= TASKS_LEVEL ? 'ready' : level > 0 ? 'older' : 'unknown'
  }

  addDemand(demand: Demand): void {
    this.#board.addDemand(demand)
    this.#loop.wake()
  }

  deleteDemand(task: string): void {
    this.#board.deleteDemand(task)
  }

  lookAgain(): void {
    this.#board.lookAgain()
    this.#loop.wake()
  }

  whyNot(demand: Demand): WhyNot {
    return this.#board.whyNot(demand)
  }

  isAssigned(id: string): boolean {
    const found = this.#deps.member()?.machine.records.get(allocationKey(id))
    // This part wrote it.
    return assignedOf(id, found?.value as Allocation | undefined) !== undefined
  }

  assigned(): readonly Assigned[] {
    return [...this.#assigned.values()]
  }

  async unassign(id: string): Promise<void> {
    await this.#deps.batcher.decide({ do: 'unassign', epoch: this.#epoch, id }, { signal: this.#signal })
  }

  #load(view: JournalView<ViewChange>): void {
    this.#board.end()
    this.#board = this.#newBoard()
    const gone = new Set(this.#assigned.keys())
    const nodes = new Map<string, NodeRecord>()
    // In the order in which they were asked for, as they are told otherwise.
    for (const change of view.all().sort((a, b) => askedAt(a) - askedAt(b))) {
      this.#set(change)
      if (change.type === 'allocation') gone.delete(change.id)
      else if (change.record !== undefined) nodes.set(change.peer, change.record)
    }
    for (const id of gone) this.#noteAssigned(id, undefined)
    // What there was before this node coordinated is no news.
    if (this.#announcer === undefined) this.#announcer = new ResourceAnnouncer(this.#deps, nodes)
    else this.#announcer.tellAll(nodes)
    for (const demand of this.#deps.demands.all()) this.#board.addDemand(demand)
  }

  #read(view: JournalView<ViewChange>): void {
    const changes = view.changes()
    if (changes === undefined) this.#load(view)
    else
      for (const change of changes) {
        this.#announce(change)
        this.#set(change)
      }
  }

  #set(change: ViewChange): void {
    if (change.type === 'node') this.#board.setNode(change.peer, change.record, this.#deps.port.clock.monotonic())
    else {
      this.#board.setAllocation(change.id, change.record)
      this.#noteAssigned(change.id, change.record)
    }
  }

  #announce(change: ViewChange): void {
    if (change.type === 'node') this.#announcer?.tellNode(change.peer, change.record)
    else if (change.record?.status === 'waiting') this.#announcer?.tellAsked(change.id, change.record)
  }

  #noteAssigned(id: string, record: Allocation | undefined): void {
    const before = this.#assigned.get(id)
    const now = assignedOf(id, record)
    if (now === undefined) this.#assigned.delete(id)
    else this.#assigned.set(id, now)
    const told = now ?? before
    if (told !== undefined && (now === undefined || before === undefined))
      this.#deps.demands.tell(told, now !== undefined)
  }

  async #decide(change: ResourceChange, view: JournalView<ViewChange>): Promise<void> {
    const { batcher } = this.#deps
    const isDecided = await this.#loop.decide(change, (ending) => batcher.decide(change, ending))
    if (isDecided && change.do === 'grant') this.#granted += 1
    if (isDecided && change.do === 'deny') this.#denied += 1
    if (this.#signal.aborted) return
    this.#read(view)
    this.#board.answered(change)
    this.#loop.wake()
  }

  #untilNews(clock: JournalClock): Promise<void> {
    const { timers } = this.#deps.port
    // Whatever there is to be read by then: others that run here have their turn.
    if (this.#board.isBehind())
      return waitFor(this.#signal, (resolve) => timers.after(REST_MS, resolve)).catch(() => {})
    const due = this.#board.nextDueAt()
    const dueMs = due === undefined ? LOOK_MS : Math.min(LOOK_MS, Math.max(1, due - clock.now()))
    return this.#loop.untilNews(dueMs)
  }
}
