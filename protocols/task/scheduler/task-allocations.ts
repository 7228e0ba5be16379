/**
 * What is allocated for tasks: each allocation is for the attempt that was placed with it, and is given back once that is over. An
 * attempt whose allocation has ended is lost.
 *
 * A worker that is gone keeps what it was given until its lease is over: it may be alive and cut off. State: allocations by task,
 * those with which tasks are being placed, those to be looked at.
 */
import { isParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import type { Assigned, TaskCapacity } from '../../resource/planner/demands.ts'
import type { TaskRecord } from '../task-record.ts'
import { inWork } from './board-task.ts'
import { addTo, removeFrom } from './task-dependents.ts'

const AGAIN_MS = 500

export interface AllocationsDeps {
  readonly port: Pick<Port, 'timers' | 'log'>
  readonly capacity: TaskCapacity
  /** As the journal has it. */
  recordOf(task: string): TaskRecord | undefined
  isGone(peer: string): boolean
  /** What its attempt was placed with may have ended. */
  lookAt(task: string): void
  wake(): void
}

export class TaskAllocations {
  readonly #deps: AllocationsDeps
  readonly #assigned = new Map<string, Assigned>()
  readonly #byTask = new Map<string, Set<string>>()
  readonly #placing = new Set<string>()
  /** By peer. */
  readonly #ofGone = new Map<string, Set<string>>()
  readonly #changed = new Set<string>()
  readonly #ending = new Set<string>()
  readonly #stop: Stop

  constructor(deps: AllocationsDeps) {
    this.#deps = deps
    this.#stop = deps.capacity.onAssigned((assigned, isThere) => this.#told(assigned, isThere))
    for (const assigned of deps.capacity.assigned()) this.#told(assigned, true)
  }

  stop(): void {
    this.#stop()
  }

  size(): number {
    return this.#assigned.size
  }

  #told(assigned: Assigned, isThere: boolean): void {
    const { id, task } = assigned
    if (isThere) {
      this.#assigned.set(id, assigned)
      addTo(this.#byTask, task, id)
    } else {
      this.#assigned.delete(id)
      removeFrom(this.#byTask, task, id)
      this.#deps.lookAt(task)
    }
    this.#changed.add(task)
    this.#deps.wake()
  }

  placing(id: string): void {
    this.#placing.add(id)
  }

  placed(id: string, task: string): void {
    this.#placing.delete(id)
    this.#changed.add(task)
  }

  taskChanged(task: string): void {
    if (this.#byTask.has(task)) this.#changed.add(task)
  }

  /** It is there again, or gone. */
  presenceChanged(peer: string): void {
    for (const task of this.#ofGone.get(peer) ?? []) this.#changed.add(task)
    this.#ofGone.delete(peer)
  }

  /** All of them, after all tasks were read anew. */
  lookAtAll(): void {
    for (const task of this.#byTask.keys()) this.#changed.add(task)
  }

  /** Gives back what is for no attempt. */
  look(): void {
    for (const task of this.#changed) {
      const record = this.#deps.recordOf(task)
      for (const id of this.#byTask.get(task) ?? []) {
        const isItsOwn = record !== undefined && inWork(record) && record.allocation === id
        if (isItsOwn || this.#placing.has(id) || this.#ending.has(id)) continue
        const { peer = '' } = this.#assigned.get(id) ?? {}
        if (this.#deps.isGone(peer)) addTo(this.#ofGone, peer, task)
        else void this.#giveBack(id, task)
      }
    }
    this.#changed.clear()
  }

  async #giveBack(id: string, task: string): Promise<void> {
    const { capacity, port, wake } = this.#deps
    this.#ending.add(id)
    try {
      await capacity.unassign(id)
    } catch (error) {
      if (!isParleyError(error, 'STA001', 'STA002', 'STA003'))
        port.log.info('what was allocated for a task is given back later', { task, error })
      await new Promise<void>((resolve) => port.timers.after(AGAIN_MS, resolve))
      // Where it is there still.
      this.#changed.add(task)
      wake()
    } finally {
      this.#ending.delete(id)
    }
  }
}
