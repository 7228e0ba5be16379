/** What is due when, the earliest first: a binary heap. State: times and ids. */
import type { TaskRecord } from '../task-record.ts'
import { isFinal } from '../task-status.ts'
import { dueTimesOf } from './board-task.ts'

/** Times that are kept for each task, and beside these. */
const EACH = 4
const MORE = 1_024

interface Due {
  readonly at: number
  readonly id: string
}

export class DueTimes {
  #heap: Due[] = []

  add(at: number, id: string): void {
    const heap = this.#heap
    let child = heap.push({ at, id }) - 1
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (this.#at(parent) <= this.#at(child)) return
      this.#swap(parent, child)
      child = parent
    }
  }

  next(): number | undefined {
    return this.#heap[0]?.at
  }

  /** All that is due by then. */
  take(now: number): string[] {
    const due: string[] = []
    for (let [first] = this.#heap; first !== undefined && first.at <= now; [first] = this.#heap) {
      due.push(first.id)
      this.#removeFirst()
    }
    return due
  }

  /** Times of before are not looked for when a task changes: once there are too many, those of all tasks are listed anew. */
  trim(tasks: ReadonlyMap<string, { readonly record: TaskRecord }>): void {
    if (this.#heap.length <= EACH * tasks.size + MORE) return
    this.#heap = []
    for (const [id, { record }] of tasks)
      if (!isFinal(record.status)) for (const at of dueTimesOf(record)) this.add(at, id)
  }

  size(): number {
    return this.#heap.length
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    for (let parent = 0; ; ) {
      const left = 2 * parent + 1
      if (left >= heap.length) return
      const child = left + 1 < heap.length && this.#at(left + 1) < this.#at(left) ? left + 1 : left
      if (this.#at(parent) <= this.#at(child)) return
      this.#swap(parent, child)
      parent = child
    }
  }

  #at(place: number): number {
    return this.#heap[place]?.at ?? Number.POSITIVE_INFINITY
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a], this.#heap[b]]
    if (one === undefined || other === undefined) return
    this.#heap[a] = other
    this.#heap[b] = one
  }
}
