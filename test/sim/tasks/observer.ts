/**
 * What holds of every task at every step, read from the journal as it grows: only moves that there are, one end, fences that
 * only rise, no attempt without a registered worker. State: the last record of each task.
 */
import { compareFences } from '../../../protocols/journal/fencing/fence.ts'
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { TASK_PREFIX, type TaskRecord } from '../../../protocols/task/task-record.ts'
import { isFinal, movesBetween } from '../../../protocols/task/task-status.ts'

interface Seen {
  readonly version: number
  readonly record: TaskRecord
}

export class TaskObserver {
  readonly #seen = new Map<string, Seen>()
  readonly ends = new Map<string, TaskRecord>()
  #version = 0
  changes = 0

  /** @throws Error with what it found wrong */
  look(machine: JournalMachine): void {
    for (;;) {
      const changes = machine.records.since(this.#version, 8_192, 16 * 1024 * 1024)
      // It restored a snapshot: another member tells.
      if (changes === undefined) return
      const last = changes.at(-1)
      if (last === undefined) return
      for (const { key, fence, value } of changes)
        if (key.startsWith(TASK_PREFIX))
          this.#check(key.slice(TASK_PREFIX.length), fence.index, value as TaskRecord | undefined)
      this.#version = last.fence.index
    }
  }

  #check(id: string, version: number, record: TaskRecord | undefined): void {
    this.changes += 1
    const before = this.#seen.get(id)
    if (record === undefined) {
      if (before !== undefined && !isFinal(before.record.status))
        throw new Error(`${id} went while it was ${before.record.status}`)
      this.#seen.delete(id)
      return
    }
    const wrong = (what: string): Error => new Error(`${id} at ${version}: ${what}`)
    const end = this.ends.get(id)
    if (end !== undefined && before === undefined) throw wrong('it ended, and is there again')
    if (before !== undefined) {
      const [from, to] = [before.record.status, record.status]
      if (isFinal(from)) throw wrong(`it was ${from}, and changed`)
      if (from !== to && movesBetween(from, to).length === 0) throw wrong(`it became ${to} from ${from}`)
      if (
        before.record.fence !== undefined &&
        record.fence !== undefined &&
        compareFences(record.fence, before.record.fence) < 0
      )
        throw wrong('its fence is lower than before')
      if (record.attempts < before.record.attempts) throw wrong('it forgot an attempt')
    }
    const isPlaced = record.status === 'assigned' || record.status === 'running'
    if (isPlaced && (record.worker === undefined || record.fence === undefined))
      throw wrong(`it is ${record.status}, and nobody has it`)
    if (record.status === 'queued' && record.worker !== undefined) throw wrong('it waits, and somebody has it')
    if (isFinal(record.status)) this.ends.set(id, record)
    this.#seen.set(id, { version, record })
  }

  open(): string[] {
    return [...this.#seen]
      .filter(([, { record }]) => !isFinal(record.status))
      .map(([id, { record }]) => `${id} ${record.status}`)
  }
}
