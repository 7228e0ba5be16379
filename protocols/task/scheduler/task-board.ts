/**
 * All open tasks and workers, as the coordinator sees them, and what it wants decided next. Pure: it is told of each change of
 * the journal and of time, and says which changes it wants; what it wants is asked for once, until it was answered.
 *
 * State: the open tasks, the workers, and what is on its way. A new coordinator builds it from the journal.
 */
import type { TaskChange } from '../journal/task-changes.ts'
import type { TaskRecord, WorkerRecord } from '../task-record.ts'
import { isFinal } from '../task-status.ts'
import {
  type BoardCounts,
  type BoardTask,
  type BoardTime,
  childrenFirst,
  dueChange,
  dueTimesOf,
  FinalTasks,
  inWork,
  newBoardTask,
} from './board-task.ts'
import { DueTimes } from './due-times.ts'
import { type NeedsOfTasks, NeedyTasks } from './needy-tasks.ts'
import { TaskDependents } from './task-dependents.ts'
import { TasksOfWorkers } from './tasks-of-workers.ts'
import { isHeldByPlan, isSteered, leavesQueue, type TypeQueue, TypeQueues, workerFor } from './type-queues.ts'
import type { Liveness } from './worker-presence.ts'
import { WorkerTable } from './worker-table.ts'

/** Milliseconds until a task whose change is on its way is looked at again. */
const ASKED_MS = 50
/** Changes that one look asks for. */
const MAX_WANTED = 512

export class TaskBoard {
  readonly #epoch: number
  readonly #tasks = new Map<string, BoardTask>()
  readonly #workers = new WorkerTable()
  readonly #queues = new TypeQueues()
  readonly #ofWorkers = new TasksOfWorkers(this.#workers, (task) => this.#needy.hasLost(task))
  readonly #dependents = new TaskDependents()
  readonly #due = new DueTimes()
  readonly #finals = new FinalTasks()
  readonly #needy: NeedyTasks
  #queued = 0
  #inWork = 0

  /** @param needs `unknown`: whether what tasks require can be allocated is not known yet; undefined: it cannot */
  constructor(epoch: number, needs?: NeedsOfTasks | 'unknown') {
    this.#epoch = epoch
    this.#needy = new NeedyTasks({
      ...{ needs, workers: this.#workers },
      chosen: (task, peer) => this.#take(task, peer, task.record.type),
      missed: (task) => this.setTask(task.id, task.record),
    })
  }

  /** Another board comes in the place of this one. */
  end(): void {
    this.#needy.end()
  }

  /** What it was placed with may have ended. */
  lookAt(id: string): void {
    this.#ofWorkers.lookAt(id)
  }

  counts(): BoardCounts {
    return {
      open: this.#tasks.size - this.#finals.size(),
      queued: this.#queued,
      inWork: this.#inWork,
      final: this.#finals.size(),
      workers: [...this.#workers.all()].length,
      dueTimes: this.#due.size(),
      queuedIds: this.#queues.size(),
    }
  }

  /** As it is here. */
  get(id: string): TaskRecord | undefined {
    return this.#tasks.get(id)?.record
  }

  /** The journal has it so; undefined: it is gone from there. */
  setTask(id: string, record: TaskRecord | undefined): void {
    const before = this.#tasks.get(id)
    if (before !== undefined) this.#unlist(before, record)
    if (record === undefined) {
      this.#tasks.delete(id)
      return
    }
    const task = before ?? newBoardTask(id, record)
    const wasQueued = before?.record.status === 'queued' && record.status === 'queued'
    if (before !== undefined && isSteered(before.record, record)) task.isQueued = false
    task.record = record
    // Anything that was asked for is answered by this, or void.
    task.isAsked = false
    this.#tasks.set(id, task)
    this.#list(task, wasQueued)
  }

  setWorker(peer: string, record: WorkerRecord | undefined, nowMs: number): void {
    if (this.#workers.set(peer, record, nowMs)) this.#ofWorkers.lookAtAllOf(peer)
    this.#needy.lookAgain()
  }

  setPresence(peer: string, presence: Liveness): void {
    this.#workers.setPresence(peer, presence)
    if (presence === 'gone') this.#ofWorkers.lookAtAllOf(peer)
    this.#needy.lookAgain()
  }

  /** What was wanted was answered: where that did not change a task, it is looked at again. */
  answered(change: TaskChange): void {
    const ids = change.do === 'archive' ? change.tasks.map(({ id }) => id) : 'id' in change ? [change.id] : []
    for (const id of ids) {
      const task = this.#tasks.get(id)
      if (task?.isAsked === true) this.setTask(id, task.record)
    }
    if (change.do === 'place') this.#needy.placed(change.allocation, change.id)
  }

  /** When to look again at the latest; milliseconds since 1970. */
  nextDueAt(): number | undefined {
    return this.#due.next()
  }

  /** What is wanted now; each is on its way from here on. */
  wanted(time: BoardTime): TaskChange[] {
    const wanted: TaskChange[] = []
    this.#workers.setTime(time.monotonic)
    this.#settle(wanted)
    this.#endOrphans(wanted)
    this.#lose(wanted)
    this.#lookAtDue(wanted, time)
    this.#dismiss(wanted, time)
    this.#place(wanted, time)
    this.#explain(wanted, time)
    this.#archive(wanted, time)
    return wanted
  }

  #ask(task: BoardTask, change: TaskChange, wanted: TaskChange[]): void {
    task.isAsked = true
    wanted.push(change)
  }

  #settle(wanted: TaskChange[]): void {
    for (const id of this.#dependents.takeUnsettled(MAX_WANTED - wanted.length)) {
      const task = this.#tasks.get(id)
      if (task?.record.status !== 'submitted' || task.isAsked) continue
      const of = (task.record.dependencies ?? []).map(({ task_id: on }) => this.#tasks.get(on)?.record)
      if (of.some((one) => one === undefined || isFinal(one.status)))
        this.#ask(task, { do: 'settle', epoch: this.#epoch, id }, wanted)
    }
  }

  /** Children of what failed or was canceled end with it. */
  #endOrphans(wanted: TaskChange[]): void {
    for (const id of this.#dependents.takeOrphans(MAX_WANTED - wanted.length)) {
      const task = this.#tasks.get(id)
      if (task !== undefined && !task.isAsked && !isFinal(task.record.status))
        this.#ask(task, { do: 'cancel', epoch: this.#epoch, id, reason: 'parent-ended' }, wanted)
    }
  }

  #lose(wanted: TaskChange[]): void {
    const found = this.#ofWorkers.takeLost((id) => this.#tasks.get(id), MAX_WANTED - wanted.length)
    for (const { task, reason } of found) {
      const { fence } = task.record
      if (fence !== undefined) this.#ask(task, { do: 'lose', epoch: this.#epoch, id: task.id, fence, reason }, wanted)
    }
  }

  #lookAtDue(wanted: TaskChange[], { now }: BoardTime): void {
    const tasks = this.#due.take(now).flatMap((id) => this.#tasks.get(id) ?? [])
    for (const task of childrenFirst(tasks, now)) {
      const due = dueChange(task.id, task.record, this.#epoch, now)
      if (due === 'place') this.#enqueue(task)
      // What is on its way may change it: it is looked at again then.
      else if (due !== undefined && task.isAsked) this.#due.add(now + ASKED_MS, task.id)
      else if (due !== undefined) this.#ask(task, due, wanted)
    }
  }

  #dismiss(wanted: TaskChange[], { monotonic }: BoardTime): void {
    for (const worker of this.#workers.expired(monotonic)) {
      worker.renewedAt = monotonic // asked for once in a lease
      const { peer, record } = worker
      wanted.push({ do: 'dismiss', epoch: this.#epoch, worker: peer, registration: record.registration })
    }
  }

  #place(wanted: TaskChange[], time: BoardTime): void {
    const epoch = this.#epoch
    this.#needy.demand((id) => this.#isToBePlaced(id, time), time.now)
    for (const given of this.#needy.takeGiven()) wanted.push({ do: 'place', epoch, ...given })
    for (const waiting of this.#queues.all()) {
      const { queue, type } = waiting
      while (wanted.length < MAX_WANTED && queue.size() > 0) {
        const worker = workerFor(this.#workers, waiting)
        if (worker === undefined) break
        const id = queue.take((one) => this.#isToBePlaced(one, time, waiting))
        const task = id === undefined ? undefined : this.#tasks.get(id)
        if (task === undefined) break
        task.isQueued = false
        const { peer, record: of } = worker
        this.#take(task, peer, type)
        this.#ask(task, { do: 'place', epoch, id: task.id, worker: peer, registration: of.registration }, wanted)
      }
    }
  }

  #isToBePlaced(id: string, { now }: BoardTime, waiting?: TypeQueue): boolean {
    const task = this.#tasks.get(id)
    if (task === undefined || !task.isQueued || !this.#queues.isIn(waiting, task.record)) return false
    if (task.record.status !== 'queued' || task.isAsked) {
      task.isQueued = false
      return false
    }
    const { notBefore = 0, deadline = Number.POSITIVE_INFINITY } = task.record
    if (notBefore <= now && deadline > now) return true
    task.isQueued = false
    this.#due.add(Math.min(Math.max(notBefore, now), deadline), id)
    return false
  }

  /** Says of what waits for long that nobody takes it, and takes that back. */
  #explain(wanted: TaskChange[], { now }: BoardTime): void {
    const needy = this.#needy.facts((id) => this.#tasks.get(id))
    for (const [id, reason] of this.#queues.toExplain(this.#workers, now, MAX_WANTED - wanted.length, needy)) {
      const task = this.#tasks.get(id)
      if (task !== undefined && !task.isAsked)
        this.#ask(task, { do: 'explain', epoch: this.#epoch, id, reason }, wanted)
    }
  }

  #archive(wanted: TaskChange[], { now }: BoardTime): void {
    const isNeeded = ({ id, record }: BoardTask): boolean => this.#dependents.hasAny(id, record)
    const ended = this.#finals.takeOld(now, (id) => this.#tasks.get(id), isNeeded)
    if (ended.length > 0) wanted.push({ do: 'archive', epoch: this.#epoch, tasks: ended })
  }

  #take(task: BoardTask, peer: string, type: string): void {
    task.taken = { peer, type }
    this.#workers.count(peer, type, 1)
  }

  #list(task: BoardTask, wasQueued: boolean): void {
    const { id, record } = task
    const { status, worker, notBefore } = record
    if (isFinal(status)) {
      this.#finals.add(id)
      this.#dependents.ended(id, record)
      return
    }
    if (inWork(record) && worker !== undefined) {
      this.#inWork += 1
      this.#take(task, worker, record.type)
    }
    if (worker !== undefined) {
      task.isReturned = true
      this.#ofWorkers.list(task, worker)
    }
    for (const at of dueTimesOf(record)) this.#due.add(at, id)
    this.#due.trim(this.#tasks)
    if (status === 'queued') {
      this.#queued += 1
      if (notBefore === undefined || wasQueued) this.#enqueue(task)
      this.#queues.list(id, record)
    }
    const parent = record.parent === undefined ? undefined : this.#tasks.get(record.parent)?.record.status
    this.#dependents.list(id, record, parent)
  }

  #unlist(task: BoardTask, after: TaskRecord | undefined): void {
    const { id, record, taken } = task
    this.#workers.noteChange(record, after)
    if (taken !== undefined) this.#workers.count(taken.peer, taken.type, -1)
    if (taken !== undefined) this.#needy.lookAgain()
    task.taken = undefined
    // What it demands stays where it was in the order.
    if (leavesQueue(record, after) || task.choice !== undefined) this.#needy.delete(task)
    if (inWork(record) && record.worker !== undefined) this.#inWork -= 1
    if (record.status === 'queued') {
      this.#queued -= 1
      this.#queues.unlist(id, record)
    }
    if (record.worker !== undefined) this.#ofWorkers.unlist(id, record.worker)
    this.#finals.delete(id)
    this.#dependents.unlist(id, record)
  }

  #enqueue(task: BoardTask): void {
    if (task.isQueued) return
    if (!isHeldByPlan(task.record) && this.#needy.takes(task)) return
    task.isQueued = true
    this.#queues.of(task.record).queue.add(task.id, task.record.priority, task.isReturned)
  }
}
