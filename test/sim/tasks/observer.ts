/**
 * What holds of every task at every step, read from the journal as it grows: only moves that there are, one end, fences that
 * only rise, no attempt without a registered worker. State: the last record of each task.
 */
import { compareFences } from '../../../protocols/journal/fencing/fence.ts'
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { TASK_PREFIX, type TaskRecord } from '../../../protocols/task/task-record.ts'
import { isFinal, movesBetween } from '../../../protocols/task/task-status.ts'

const HELD: readonly string[] = ['input_required', 'auth_required']

export class TaskObserver {
  readonly #seen = new Map<string, TaskRecord>()
  readonly ends = new Map<string, TaskRecord>()
  #version = 0
  /** Times that no member had all changes since it looked last. */
  missed = 0

  /** @param machines those of all members that are there @throws Error with what it found wrong */
  look(machines: readonly JournalMachine[]): void {
    let furthest: JournalMachine | undefined
    for (const machine of machines) {
      if (machine.version() > (furthest?.version() ?? this.#version)) furthest = machine
      this.#follow(machine)
    }
    // They all restored a snapshot: what is there now is seen, and not how it came about.
    if (furthest !== undefined && furthest.version() > this.#version) this.#begin(furthest)
  }

  #follow({ records, version }: JournalMachine): void {
    for (;;) {
      const changes = records.since(this.#version, 8_192, 16 * 1024 * 1024)
      if (changes === undefined) return
      const last = changes.at(-1)
      if (last === undefined) {
        this.#version = Math.max(this.#version, version())
        return
      }
      for (const { key, fence, value } of changes)
        if (key.startsWith(TASK_PREFIX))
          this.#check(key.slice(TASK_PREFIX.length), fence.index, value as TaskRecord | undefined)
      this.#version = last.fence.index
    }
  }

  #begin({ records, version }: JournalMachine): void {
    this.missed += 1
    const gone = new Set(this.#seen.keys())
    for (const { key, version: at, value } of records.all()) {
      if (!key.startsWith(TASK_PREFIX)) continue
      const id = key.slice(TASK_PREFIX.length)
      gone.delete(id)
      this.#check(id, at, value as TaskRecord)
    }
    for (const id of gone) this.#seen.delete(id)
    this.#version = version()
  }

  #check(id: string, version: number, record: TaskRecord | undefined): void {
    const before = this.#seen.get(id)
    const wrong = (what: string): Error => new Error(`${id} at ${version}: ${what}`)
    if (record === undefined) {
      if (before !== undefined && !isFinal(before.status)) throw wrong(`it went while it was ${before.status}`)
      this.#seen.delete(id)
      return
    }
    if (before === undefined && this.ends.has(id)) throw wrong('it ended, and is there again')
    const problem = (before && wrongChange(before, record)) ?? wrongRecord(record)
    if (problem !== undefined) throw wrong(problem)
    if (isFinal(record.status)) this.ends.set(id, record)
    this.#seen.set(id, record)
  }

  open(): [string, TaskRecord][] {
    return [...this.#seen].filter(([, { status }]) => !isFinal(status))
  }
}

const wrongChange = (before: TaskRecord, record: TaskRecord): string | undefined => {
  const [from, to] = [before.status, record.status]
  if (isFinal(from))
    return from === to && before.changedAt === record.changedAt ? undefined : `it was ${from}, and changed`
  if (from !== to && movesBetween(from, to).length === 0) return `it became ${to} from ${from}`
  const [one, other] = [before.fence, record.fence]
  if (one !== undefined && other !== undefined && compareFences(other, one) < 0) return 'its fence is lower than before'
  return record.attempts < before.attempts ? 'it forgot an attempt' : undefined
}

const wrongRecord = ({ status, worker, fence, wait, notBefore }: TaskRecord): string | undefined => {
  const isPlaced = status === 'assigned' || status === 'running'
  if (isPlaced && (worker === undefined || fence === undefined)) return `it is ${status}, and nobody has it`
  if (status === 'queued' && worker !== undefined) return 'it waits, and somebody has it'
  if (HELD.includes(status) !== (wait !== undefined)) return `it is ${status}, and waits for ${wait?.name}`
  return isPlaced && notBefore !== undefined ? `it is ${status}, and has to wait` : undefined
}
