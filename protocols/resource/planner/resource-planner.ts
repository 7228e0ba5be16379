/**
 * What the coordinator does about resources, for as long as it coordinates: it reads the journal's changes, looks at its board,
 * and has decided what that wants. State: the board, of one epoch.
 */
import { waitFor } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { ChangeBatcher } from '../../journal/client/change-batcher.ts'
import { JournalView, type ReadChange } from '../../journal/feed/journal-view.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { ResourceChange } from '../journal/resource-changes.ts'
import { ALLOCATION_PREFIX, type Allocation, NODE_PREFIX, type NodeRecord } from '../resource-record.ts'
import { type PlanCounts, ResourceBoard } from './resource-board.ts'

/** Milliseconds; it looks at the latest then. */
const LOOK_MS = 250
const AGAIN_MS = 500

export interface PlannerDeps {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log'>
  readonly batcher: Pick<ChangeBatcher<ResourceChange>, 'decide'>
  member(): JournalMember | undefined
}

export interface PlannerCounts extends PlanCounts {
  readonly granted: number
  readonly denied: number
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

export class ResourcePlanner {
  readonly #deps: PlannerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  #board: ResourceBoard
  #granted = 0
  #denied = 0
  #wake: (() => void) | undefined

  constructor(deps: PlannerDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
    this.#board = new ResourceBoard(epoch)
  }

  counts(): PlannerCounts {
    return { ...this.#board.counts(), granted: this.#granted, denied: this.#denied }
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const member = this.#deps.member()
    if (member === undefined) return
    const { clock } = this.#deps.port
    const view = new JournalView(member, readChange)
    this.#load(view)
    const stop = member.machine.onApplied(() => this.#wake?.())
    try {
      while (!this.#signal.aborted) {
        this.#read(view)
        const time = { now: clock.now(), monotonic: clock.monotonic() }
        for (const change of this.#board.wanted(time)) void this.#decide(change, view)
        await this.#untilNews()
      }
    } finally {
      stop()
    }
  }

  #load(view: JournalView<ViewChange>): void {
    this.#board = new ResourceBoard(this.#epoch)
    // In the order in which they were asked for, as they are told otherwise.
    for (const change of view.all().sort((a, b) => askedAt(a) - askedAt(b))) this.#set(change)
  }

  #read(view: JournalView<ViewChange>): void {
    const changes = view.changes()
    if (changes === undefined) this.#load(view)
    else for (const change of changes) this.#set(change)
  }

  #set(change: ViewChange): void {
    if (change.type === 'node') this.#board.setNode(change.peer, change.record, this.#deps.port.clock.monotonic())
    else this.#board.setAllocation(change.id, change.record)
  }

  async #decide(change: ResourceChange, view: JournalView<ViewChange>): Promise<void> {
    const { batcher, port } = this.#deps
    try {
      await batcher.decide(change, { signal: this.#signal })
      if (change.do === 'grant') this.#granted += 1
      if (change.do === 'deny') this.#denied += 1
    } catch (error) {
      if (this.#signal.aborted) return
      // It changed meanwhile, which is seen by reading; anything else is tried again after a while.
      if (!isParleyError(error, 'STA001', 'STA002', 'STA003')) {
        port.log.warn('a change of resources was not decided; it is tried again', { change: change.do, error })
        await waitFor(this.#signal, (resolve) => port.timers.after(AGAIN_MS, resolve)).catch(() => {})
      }
    }
    if (this.#signal.aborted) return
    this.#read(view)
    this.#board.answered(change)
    this.#wake?.()
  }

  #untilNews(): Promise<void> {
    const { timers, clock } = this.#deps.port
    const due = this.#board.nextDueAt()
    const dueMs = due === undefined ? LOOK_MS : Math.min(LOOK_MS, Math.max(1, due - clock.now()))
    return waitFor(this.#signal, (resolve) => {
      // One look for all that is applied together.
      this.#wake = () => queueMicrotask(resolve)
      const stop = timers.after(dueMs, resolve)
      return () => {
        this.#wake = undefined
        stop()
      }
    }).catch(() => {})
  }
}
