/** A journal with tasks, as one member has it: changes in, answers out. */

import type { ChangeAnswer } from '../../protocols/journal/change-answers.ts'
import { agreePart, knownKinds } from '../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../protocols/journal/state/built-in-kinds.ts'
import { COLLECTIONS_LEVEL } from '../../protocols/journal/state/collection-rows.ts'
import { type AnyCommandKind, encodeLoggedCommand, type Json } from '../../protocols/journal/state/command-kind.ts'
import { createJournalMachine, type JournalMachine } from '../../protocols/journal/state/journal-machine.ts'
import { completeHistory, type TaskHappened } from '../../protocols/task/history-entry.ts'
import { keptEntries } from '../../protocols/task/journal/history-notes.ts'
import { levelOfChange, type SubmittedTask, type TaskChange } from '../../protocols/task/journal/task-changes.ts'
import {
  changeTasks,
  decideTasks,
  directTasks,
  lendTasks,
  spendTasks,
  taskJournal,
} from '../../protocols/task/journal/task-kinds.ts'
import {
  DONE,
  type DoneTask,
  HISTORY_ROWS,
  readTask,
  TASKS_PART,
  type TaskRecord,
  taskKey,
  workOf,
} from '../../protocols/task/task-record.ts'

export const LEADER = 'leader'

export const submitted = (id: string, more: Partial<SubmittedTask> = {}): SubmittedTask => ({
  ...{ id, type: 'sum', priority: 1, input: 1, digest: id },
  retry: { max: 2, delayMs: 100, maxDelayMs: 1_000 },
  ...more,
})

export class TaskJournal {
  readonly bugs: unknown[] = []
  readonly machine: JournalMachine
  /** Whether older nodes decide: by the command of level 1. */
  isOlder = false
  epoch = 1
  index = 0
  /** Milliseconds since 1970, by the journal. */
  at = 1_000

  /** @param level of the part, that all voters have @param more kinds of the part */
  constructor(level = taskJournal.level as number, more: readonly object[] = []) {
    const kinds = [...taskJournal.kinds, ...(more as AnyCommandKind[])]
    this.machine = createJournalMachine(knownKinds([], [{ ...taskJournal, kinds, name: TASKS_PART }]), (_kind, error) =>
      this.bugs.push(error),
    )
    this.#apply(raiseLevel.name, LEADER, { level: COLLECTIONS_LEVEL })
    this.agree(level)
    this.begin(LEADER)
  }

  /** All voters have this level of the part from now on. */
  agree(level: number): void {
    const { maxBytes, maxCollectionBytes } = taskJournal
    this.#apply(agreePart.name, LEADER, { part: TASKS_PART, level, maxBytes, maxCollectionBytes })
    this.isOlder = level < taskJournal.level
  }

  /** Another epoch, of this leader. */
  begin(leader: string, epoch = this.epoch): void {
    this.epoch = epoch
    this.#apply(beginEpoch.name, leader, { leader, name: leader })
  }

  /** One decision, with these changes. */
  decide(by: string, ...changes: TaskChange[]): ChangeAnswer[] {
    const level = Math.max(...changes.map(levelOfChange))
    const newer = level === 6 ? lendTasks : level === 5 ? spendTasks : level === 4 ? directTasks : decideTasks
    const kind = this.isOlder && level === 1 ? changeTasks : newer
    const answer = this.#apply(kind.name, by, { changes } as unknown as Json)
    if (!answer.ok) throw new Error(JSON.stringify(answer.fault))
    return answer.result as unknown as ChangeAnswer[]
  }

  /** One change. @returns what it was answered with, or the code of its refusal, with its reason */
  one(by: string, change: TaskChange): unknown {
    const [answer] = this.decide(by, change)
    if (answer === undefined) return undefined
    if ('ok' in answer) return answer.ok
    const { reason } = answer.fault.details ?? {}
    return typeof reason === 'string' ? `${answer.fault.code} ${reason}` : answer.fault.code
  }

  task(id: string): TaskRecord | undefined {
    return readTask(this.machine.records.get(taskKey(id))?.value)
  }

  /** What happened to it, as it is told. */
  async history(id: string): Promise<{ readonly dropped: number; readonly entries: readonly TaskHappened[] }> {
    const { collections } = this.machine.records
    const done = (await collections.read(DONE, id)) as DoneTask | undefined
    const record = done?.record ?? this.task(id)
    if (record === undefined) throw new Error(`there is no task ${id}`)
    const open = await Promise.all(HISTORY_ROWS.map((row) => collections.read(workOf(id), row)))
    const { dropped, entries } = keptEntries(done === undefined ? (open as (string | undefined)[]) : [done.history])
    return { dropped, entries: completeHistory(record, entries, done?.error) }
  }

  /** A command of another kind. */
  run(kind: string, input: Json) {
    return this.#apply(kind, LEADER, input)
  }

  /** A worker that takes `sum`. @returns its registration */
  worker(peer: string, incarnation = 1): number {
    const answer = this.one(peer, { do: 'register', offers: [{ type: 'sum', slots: 4 }], incarnation })
    return Number(Reflect.get(Object(answer), 'registration'))
  }

  /** Gives a task to a worker. @returns its fence */
  place(id: string, worker: string, registration: number): { term: number; index: number } {
    const answer = this.one(LEADER, { do: 'place', epoch: this.epoch, id, worker, registration })
    if (answer !== null) throw new Error(String(answer))
    return { term: this.epoch, index: this.index }
  }

  #apply(kind: string, by: string, input: Json) {
    this.index += 1
    const bytes = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: this.at, by, input })
    // Nothing of it is in a snapshot: there is nothing to read.
    void this.machine.prepare?.([{ kind: 'command', data: bytes }])
    return this.machine.apply(bytes, { term: this.epoch, index: this.index })
  }
}
