/**
 * What the coordinator does about tasks, for as long as it coordinates: it reads the journal's changes, looks at its board, and
 * has decided what that wants. State: the board, of one epoch.
 */

import { waitFor } from '../../async.ts'
import { CoordinatorLoop } from '../../journal/feed/coordinator-loop.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port, Stop } from '../../port.ts'
import type { TaskCapacity } from '../../resource/planner/demands.ts'
import type { TaskBatcher } from '../client/task-decisions.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import { ENDED, readEndedRow, TASKS_PART } from '../task-record.ts'
import { type TaskView, type ViewChange, viewOfTasks } from '../task-view.ts'
import type { BoardCounts } from './board-task.ts'
import { TaskAllocations } from './task-allocations.ts'
import type { TaskAnnouncer } from './task-announcer.ts'
import { TaskBoard } from './task-board.ts'
import { type Detected, type Liveness, WorkerPresence } from './worker-presence.ts'

/** Milliseconds; it looks at the latest then. */
const LOOK_MS = 250
const FORGET_EACH_MS = 5_000
const FORGET_AT_ONCE = 256
const FORGET_BYTES = 262_144

export interface SchedulerDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'members' | 'onMember'>
  readonly batcher: Pick<TaskBatcher, 'decide'>
  readonly announcer: Pick<TaskAnnouncer, 'tell'>
  member(): JournalMember | undefined
  /** Told of whom the failure detector suspects, finds dead, or there again. */
  onPresence(fn: (peer: string, presence: Detected) => void): Stop
  /** What it believes of a peer now. */
  presenceOf(peer: string): Detected
  /** Milliseconds that what final tasks left is kept. */
  retainMs(): number
  /** What gives tasks what they require; undefined: nothing does. */
  readonly capacity: TaskCapacity | undefined
}

export interface SchedulerCounts extends BoardCounts {
  readonly placed: number
  /** Changes that did not fit any more when they were decided. */
  readonly refused: number
  /** Allocations that were made for tasks. */
  readonly allocations: number
}

/** From this level of the part on tasks are placed with what they require. */
const NEEDS_LEVEL = 3
/** After that voters count as older ones that do not know of it. Milliseconds. */
const UNKNOWN_MS = 5_000
type Needs = 'none' | 'unknown' | 'allocated'

export class TaskScheduler {
  readonly #deps: SchedulerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  readonly #presence = new WorkerPresence()
  /** As the board was told. */
  readonly #workers = new Map<string, Liveness>()
  #board: TaskBoard
  #placed = 0
  readonly #allocations: TaskAllocations | undefined
  #needs: Needs = 'none'
  #begunAt = 0
  readonly #loop: CoordinatorLoop

  constructor(deps: SchedulerDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
    this.#board = new TaskBoard(epoch)
    const { capacity, port } = deps
    this.#loop = new CoordinatorLoop({ port, signal, of: 'tasks' })
    this.#allocations =
      capacity &&
      new TaskAllocations({
        ...{ port, capacity },
        recordOf: (task) => this.#board.get(task),
        isGone: (peer) => this.#isGone(peer),
        lookAt: (task) => this.#board.lookAt(task),
        wake: this.#loop.wake,
      })
  }

  counts(): SchedulerCounts {
    return {
      ...this.#board.counts(),
      placed: this.#placed,
      refused: this.#loop.refused(),
      allocations: this.#allocations?.size() ?? 0,
    }
  }

  #isGone(peer: string): boolean {
    const presence = this.#deps.presenceOf(peer)
    return presence === 'gone' || presence === 'left' || this.#workers.get(peer) === 'gone'
  }

  /** Whether what tasks require is allocated: in a mesh that has just begun that is not known at once. */
  #needsNow(member: JournalMember): Needs {
    const { capacity, port } = this.#deps
    if (capacity === undefined) return 'none'
    const level = member.machine.records.parts.agreed(TASKS_PART)?.level ?? 0
    const state = capacity.state()
    if (state === 'ready' && level >= NEEDS_LEVEL) return 'allocated'
    const isOlder = state === 'older' || (level > 0 && level < NEEDS_LEVEL)
    return isOlder || port.clock.monotonic() - this.#begunAt > UNKNOWN_MS ? 'none' : 'unknown'
  }

  #newBoard(): TaskBoard {
    const { capacity } = this.#deps
    const allocations = this.#allocations
    if (capacity === undefined || allocations === undefined || this.#needs !== 'allocated')
      return new TaskBoard(this.#epoch, this.#needs === 'unknown' ? 'unknown' : undefined)
    return new TaskBoard(this.#epoch, {
      add: (demand) => capacity.add(demand),
      delete: (task) => capacity.delete(task),
      lookAgain: () => capacity.lookAgain(),
      whyNot: (demand) => capacity.whyNot(demand),
      isAssigned: (id) => capacity.isAssigned(id),
      placing: (id) => allocations.placing(id),
      placed: (id, task) => allocations.placed(id, task),
      wake: this.#loop.wake,
    })
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const { port, onPresence } = this.#deps
    const member = this.#deps.member()
    if (member === undefined) return
    const view = viewOfTasks(member)
    this.#begunAt = port.clock.monotonic()
    this.#needs = this.#needsNow(member)
    this.#load(view)
    const stopHearing = member.machine.onApplied(this.#loop.wake)
    const stopPresence = onPresence(this.#loop.wake)
    const stopMembers = port.onMember(this.#loop.wake)
    const forgetting = this.#forgetForever()
    try {
      while (!this.#signal.aborted) {
        this.#read(view)
        const needs = this.#needsNow(member)
        if (needs !== this.#needs) {
          this.#needs = needs
          this.#load(view)
        }
        const { clock } = member
        const absentMs = this.#lookForWorkers()
        for (const change of this.#board.wanted({ now: clock.now(), monotonic: clock.monotonic() }))
          void this.#decide(change, view)
        this.#allocations?.look()
        await this.#untilNews(member, absentMs)
      }
    } finally {
      stopHearing()
      stopPresence()
      stopMembers()
      this.#board.end()
      this.#allocations?.stop()
      this.#deps.capacity?.clear()
      await forgetting
    }
  }

  #load(view: TaskView): void {
    this.#board.end()
    this.#deps.capacity?.clear()
    this.#board = this.#newBoard()
    this.#workers.clear()
    const all = view.all()
    // Workers first: tasks are looked at by who is there.
    for (const change of all) if (change.type === 'worker') this.#set(change)
    for (const change of all) if (change.type === 'task') this.#set(change)
    this.#allocations?.lookAtAll()
  }

  #read(view: TaskView): void {
    const changes = view.changes()
    if (changes === undefined) this.#load(view)
    else for (const change of changes) this.#news(change)
  }

  #news(change: ViewChange): void {
    if (change.type === 'task')
      this.#deps.announcer.tell(change.id, change.version, this.#board.get(change.id), change.record)
    this.#set(change)
  }

  #set(change: ViewChange): void {
    if (change.type === 'task') {
      this.#board.setTask(change.id, change.record)
      this.#allocations?.taskChanged(change.id)
      return
    }
    const { peer, record } = change
    this.#board.setWorker(peer, record, this.#deps.port.clock.monotonic())
    if (record === undefined) {
      this.#workers.delete(peer)
      this.#presence.forget(peer)
      this.#allocations?.presenceChanged(peer)
    } else this.#workers.set(peer, this.#workers.get(peer) ?? 'there')
  }

  /** @returns milliseconds until one that is not connected is taken for gone; undefined: all are there, or gone */
  #lookForWorkers(): number | undefined {
    const { port, presenceOf } = this.#deps
    const connected = new Set(port.members().map(({ id }) => id)).add(port.self.id)
    let nextMs: number | undefined
    for (const [peer, before] of this.#workers) {
      const { presence, dueMs } = this.#presence.of(peer, connected.has(peer), presenceOf(peer), port.clock.monotonic())
      if (dueMs !== undefined) nextMs = Math.min(nextMs ?? dueMs, dueMs)
      if (presence === before) continue
      this.#workers.set(peer, presence)
      this.#board.setPresence(peer, presence)
      this.#allocations?.presenceChanged(peer)
    }
    return nextMs
  }

  async #decide(change: TaskChange, view: TaskView): Promise<void> {
    const { batcher } = this.#deps
    if ((await this.#loop.decide(change, (ending) => batcher.decide(change, ending))) && change.do === 'place')
      this.#placed += 1
    if (this.#signal.aborted) return
    this.#read(view)
    this.#board.answered(change)
    this.#loop.wake()
  }

  #untilNews({ clock }: JournalMember, absentMs = LOOK_MS): Promise<void> {
    const due = this.#board.nextDueAt()
    const dueMs = Math.min(LOOK_MS, absentMs, due === undefined ? LOOK_MS : Math.max(0, due - clock.now()))
    return this.#loop.untilNews(dueMs)
  }

  /** What final tasks left goes after a while, oldest first. */
  async #forgetForever(): Promise<void> {
    const { timers } = this.#deps.port
    while (!this.#signal.aborted) {
      await waitFor(this.#signal, (resolve) => timers.after(FORGET_EACH_MS, resolve)).catch(() => {})
      try {
        while (!this.#signal.aborted && (await this.#forgetSome()));
      } catch (error) {
        if (!this.#signal.aborted) this.#deps.port.log.warn('old tasks were not forgotten', { error })
      }
    }
  }

  /** @returns whether there may be more */
  async #forgetSome(): Promise<boolean> {
    const { port, retainMs, batcher } = this.#deps
    const member = this.#deps.member()
    const { collections } = member?.machine.records ?? {}
    const rows = (await collections?.list(ENDED, '', FORGET_AT_ONCE, FORGET_BYTES)) ?? []
    const until = (member ?? port).clock.now() - retainMs()
    const tasks = rows.map(({ key }) => readEndedRow(key)).filter(({ endedAt }) => endedAt < until)
    if (tasks.length === 0) return false
    await batcher.decide({ do: 'forget', epoch: this.#epoch, tasks }, { signal: this.#signal })
    return tasks.length === FORGET_AT_ONCE
  }
}
