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
  dueChange,
  dueTimesOf,
  inWork,
  newBoardTask,
} from './board-task.ts'
import { DueTimes } from './due-times.ts'
import { addTo, removeFrom, TaskDependents } from './task-dependents.ts'
import { TypeQueues } from './type-queues.ts'
import type { Liveness } from './worker-presence.ts'
import { sameRegistration, WorkerTable } from './worker-table.ts'

/** Milliseconds that the record of a final task stays. */
const ARCHIVE_AFTER_MS = 2_000
const ARCHIVE_AT_ONCE = 128
/** Milliseconds until a task whose change is on its way is looked at again. */
const ASKED_MS = 50
/** Changes that one look asks for. */
const MAX_WANTED = 512

export class TaskBoard {
  readonly #epoch: number
  readonly #tasks = new Map<string, BoardTask>()
  readonly #workers = new WorkerTable()
  readonly #queues = new TypeQueues()
  /** Tasks that have a worker, by worker: in work, or held. */
  readonly #byWorker = new Map<string, Set<string>>()
  readonly #dependents = new TaskDependents()
  readonly #due = new DueTimes()
  /** To be looked at. */
  readonly #unowned = new Set<string>()
  readonly #finals = new Set<string>()
  #queued = 0
  #inWork = 0

  constructor(epoch: number) {
    this.#epoch = epoch
  }

  counts(): BoardCounts {
    return {
      open: this.#tasks.size - this.#finals.size,
      queued: this.#queued,
      inWork: this.#inWork,
      final: this.#finals.size,
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
    task.record = record
    // Anything that was asked for is answered by this, or void.
    task.isAsked = false
    this.#tasks.set(id, task)
    this.#list(task, wasQueued)
  }

  setWorker(peer: string, record: WorkerRecord | undefined, nowMs: number): void {
    if (this.#workers.set(peer, record, nowMs)) this.#lookAtTasksOf(peer)
  }

  setPresence(peer: string, presence: Liveness): void {
    this.#workers.setPresence(peer, presence)
    if (presence === 'gone') this.#lookAtTasksOf(peer)
  }

  /** What was wanted was answered: where that did not change a task, it is looked at again. */
  answered(change: TaskChange): void {
    const ids = change.do === 'archive' ? change.tasks.map(({ id }) => id) : 'id' in change ? [change.id] : []
    for (const id of ids) {
      const task = this.#tasks.get(id)
      if (task?.isAsked === true) this.setTask(id, task.record)
    }
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
    for (const id of this.#unowned) {
      if (wanted.length >= MAX_WANTED) return
      this.#unowned.delete(id)
      const task = this.#tasks.get(id)
      if (task === undefined || task.isAsked || !this.#isUnowned(task)) continue
      const { fence, worker = '' } = task.record
      if (fence === undefined) continue
      const reason = `worker-lost: ${worker}`
      this.#ask(task, { do: 'lose', epoch: this.#epoch, id, fence, reason }, wanted)
    }
  }

  /** Its worker is gone, or is another process by now. */
  #isUnowned({ record }: BoardTask): boolean {
    if (record.worker === undefined || isFinal(record.status)) return false
    const worker = this.#workers.get(record.worker)
    return worker === undefined || worker.presence === 'gone' || !sameRegistration(worker, record)
  }

  #lookAtTasksOf(peer: string): void {
    for (const id of this.#byWorker.get(peer) ?? []) this.#unowned.add(id)
  }

  #lookAtDue(wanted: TaskChange[], { now }: BoardTime): void {
    for (const id of this.#due.take(now)) {
      const task = this.#tasks.get(id)
      if (task === undefined || isFinal(task.record.status)) continue
      const due = dueChange(id, task.record, this.#epoch, now)
      if (due === 'place') this.#enqueue(task)
      // What is on its way may change it: it is looked at again then.
      else if (due !== undefined && task.isAsked) this.#due.add(now + ASKED_MS, id)
      else if (due !== undefined) this.#ask(task, due, wanted)
    }
  }

  #dismiss(wanted: TaskChange[], { monotonic }: BoardTime): void {
    for (const worker of this.#workers.expired(monotonic)) {
      // Asked for once in a lease.
      worker.renewedAt = monotonic
      const { registration } = worker.record
      wanted.push({ do: 'dismiss', epoch: this.#epoch, worker: worker.peer, registration })
    }
  }

  #place(wanted: TaskChange[], time: BoardTime): void {
    for (const { queue, type, version } of this.#queues.all()) {
      while (wanted.length < MAX_WANTED) {
        const worker = this.#workers.choose(type, version)
        if (worker === undefined) break
        const id = queue.take((one) => this.#isToBePlaced(one, time))
        const task = id === undefined ? undefined : this.#tasks.get(id)
        if (task === undefined) break
        task.isQueued = false
        this.#take(task, worker.peer, type)
        const { registration } = worker.record
        this.#ask(task, { do: 'place', epoch: this.#epoch, id: task.id, worker: worker.peer, registration }, wanted)
      }
    }
  }

  #isToBePlaced(id: string, { now }: BoardTime): boolean {
    const task = this.#tasks.get(id)
    if (task === undefined || !task.isQueued) return false
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
    for (const [id, reason] of this.#queues.toExplain(this.#workers, now, MAX_WANTED - wanted.length)) {
      const task = this.#tasks.get(id)
      if (task !== undefined && !task.isAsked)
        this.#ask(task, { do: 'explain', epoch: this.#epoch, id, reason }, wanted)
    }
  }

  #archive(wanted: TaskChange[], { now }: BoardTime): void {
    const ended: { id: string; endedAt: number }[] = []
    for (const id of this.#finals) {
      if (ended.length >= ARCHIVE_AT_ONCE) break
      const task = this.#tasks.get(id)
      if (task === undefined || task.isAsked || this.#dependents.hasAny(id, task.record)) continue
      const { changedAt } = task.record
      // They are in the order in which they ended.
      if (now - changedAt < ARCHIVE_AFTER_MS) break
      task.isAsked = true
      ended.push({ id, endedAt: changedAt })
    }
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
      addTo(this.#byWorker, worker, id)
      if (this.#isUnowned(task)) this.#unowned.add(id)
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
    task.taken = undefined
    if (inWork(record) && record.worker !== undefined) this.#inWork -= 1
    if (record.status === 'queued') {
      this.#queued -= 1
      this.#queues.unlist(id, record)
    }
    if (record.worker !== undefined) removeFrom(this.#byWorker, record.worker, id)
    this.#finals.delete(id)
    this.#dependents.unlist(id, record)
  }

  #enqueue(task: BoardTask): void {
    if (task.isQueued) return
    task.isQueued = true
    this.#queues.of(task.record).queue.add(task.id, task.record.priority, task.isReturned)
  }
}
