/** A journal with plans, as one member has it: changes in, answers out. */

import type { PlanChange, PlanMoveChange } from '../../protocols/coordination/journal/plan-changes.ts'
import { decidePlans, planJournal } from '../../protocols/coordination/journal/plan-kinds.ts'
import {
  type Goal,
  PLANS_PART,
  type PlanRecord,
  planKey,
  planUsageKey,
  readPlan,
} from '../../protocols/coordination/plan-record.ts'
import type { ChangeAnswer } from '../../protocols/journal/change-answers.ts'
import { agreePart, knownKinds } from '../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../protocols/journal/state/built-in-kinds.ts'
import { COLLECTIONS_LEVEL } from '../../protocols/journal/state/collection-rows.ts'
import { encodeLoggedCommand, type Json } from '../../protocols/journal/state/command-kind.ts'
import { createJournalMachine } from '../../protocols/journal/state/journal-machine.ts'

import { decideTasks, taskJournal } from '../../protocols/task/journal/task-kinds.ts'
import { TASKS_PART } from '../../protocols/task/task-record.ts'
import { submitted } from './task-journal.ts'

export const LEADER = 'leader'

export const goalOf = (tasks: readonly string[], more: Partial<Goal> = {}): Goal => ({
  ...{ goal: 'index the corpus', tasks: [...tasks], maxFailures: 3 },
  ...more,
})

type MoveOf = PlanMoveChange extends infer C
  ? C extends PlanMoveChange
    ? Omit<C, 'epoch' | 'id' | 'as'>
    : never
  : never

export class PlanJournal {
  readonly bugs: unknown[] = []
  readonly #machine = createJournalMachine(
    knownKinds(
      [],
      [
        { ...planJournal, name: PLANS_PART },
        { ...taskJournal, name: TASKS_PART },
      ],
    ),
    (_kind, error) => this.bugs.push(error),
  )
  epoch = 1
  index = 0
  /** Milliseconds since 1970, by the journal. */
  at = 1_000

  /** @param level of the part, that all voters have */
  constructor(level = planJournal.level as number) {
    const { maxBytes } = planJournal
    this.#apply(raiseLevel.name, LEADER, { level: COLLECTIONS_LEVEL })
    this.#apply(agreePart.name, LEADER, { part: PLANS_PART, level, maxBytes })
    this.begin(LEADER)
  }

  /** There are tasks of which each is in work at this worker. */
  workOn(worker: string, ...ids: string[]): void {
    const { level, maxBytes, maxCollectionBytes } = taskJournal
    this.#apply(agreePart.name, LEADER, { part: TASKS_PART, level, maxBytes, maxCollectionBytes })
    const decide = (by: string, change: object) => this.#apply(decideTasks.name, by, { changes: [change] } as Json)
    decide(worker, { do: 'register', offers: [{ type: 'sum', slots: 4 }], incarnation: 1 })
    const registration = this.index
    decide(worker, { do: 'submit', tasks: ids.map((id) => submitted(id)) })
    for (const id of ids) decide(LEADER, { do: 'place', epoch: this.epoch, id, worker, registration })
  }

  /** Another epoch, of this leader. */
  begin(leader: string, epoch = this.epoch): void {
    this.epoch = epoch
    this.#apply(beginEpoch.name, leader, { leader, name: leader })
  }

  /** One change. @returns what it was answered with, or the code of its refusal, with its reason */
  one(by: string, change: PlanChange): unknown {
    const answer = this.#apply(decidePlans.name, by, { changes: [change] } as unknown as Json)
    if (!answer.ok) throw new Error(JSON.stringify(answer.fault))
    const [first] = answer.result as unknown as ChangeAnswer[]
    if (first === undefined || 'ok' in first) return first?.ok
    const { reason } = first.fault.details ?? {}
    return typeof reason === 'string' ? `${first.fault.code} ${reason}` : first.fault.code
  }

  propose(by: string, id: string, goal: Goal): unknown {
    return this.one(by, { do: 'propose', id, goal })
  }

  /** As the coordinator, with the plan as it is now. */
  move(id: string, move: MoveOf, by = LEADER): unknown {
    const as = this.get(id)?.fence.index ?? 0
    return this.one(by, { ...move, epoch: this.epoch, id, as } as PlanChange)
  }

  get(id: string): PlanRecord | undefined {
    return readPlan(this.#machine.records.get(planKey(id))?.value)
  }

  /** How many plans count for somebody. */
  share(peer: string): number {
    const usage = this.#machine.records.get(planUsageKey(peer))?.value as { plans?: number } | undefined
    return usage?.plans ?? 0
  }

  #apply(kind: string, by: string, input: Json) {
    this.index += 1
    const bytes = encodeLoggedCommand({ kind, session: 0, serial: 0, acked: 0, at: this.at, by, input })
    // Nothing of it is in a snapshot: there is nothing to read.
    void this.#machine.prepare?.([{ kind: 'command', data: bytes }])
    return this.#machine.apply(bytes, { term: this.epoch, index: this.index })
  }
}
