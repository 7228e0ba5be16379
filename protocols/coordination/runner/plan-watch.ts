/**
 * Looks at a plan that is being carried out: whether all of it is done, an agent is gone, or another one could do sooner what waits
 * at one that is busy (a move of work that shortens the longest queue). Keeps no state.
 */
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Liveness } from '../../task/scheduler/worker-presence.ts'
import type { TaskRecord, WorkerRecord } from '../../task/task-record.ts'
import type { TaskStatus } from '../../task/task-status.ts'
import type { Adjustment, OfflineAgent, PlanOutcome, PlanRecord } from '../plan-record.ts'
import { isHeld, openTaskOf, taskOf, workerOf } from './plan-facts.ts'

/** Milliseconds that a task waits at its agent before it is moved to another one. */
const WAITED_MS = 500
/** Milliseconds between two moves of work of one plan, doubled each time that none of its tasks ended in between. */
const FIRST_MOVE_MS = 1_000
const MAX_MOVE_MS = 30_000

export type PlanFinding =
  | { readonly do: 'complete'; readonly outcome: PlanOutcome; readonly reason?: string }
  | {
      readonly do: 'adjust'
      readonly adjustment: Adjustment
      readonly offline: readonly OfflineAgent[]
      readonly reason: string
    }
  /** @param dueMs when to look again, where that is sooner than usual */
  | { readonly do: 'wait'; readonly dueMs?: number }

export interface WatchDeps {
  readonly member: JournalMember
  presenceOf(peer: string): Liveness
  running(peer: string, type: string): number
  workers(): ReadonlyMap<string, WorkerRecord>
  statusOf(task: string, signal: AbortSignal): Promise<TaskStatus | undefined>
}

interface OpenTask {
  readonly id: string
  readonly record: TaskRecord
}

export class PlanWatch {
  readonly #deps: WatchDeps

  constructor(deps: WatchDeps) {
    this.#deps = deps
  }

  /** @throws the signal's reason; what reading a task throws */
  async look(id: string, plan: PlanRecord, signal: AbortSignal): Promise<PlanFinding> {
    const open = plan.tasks.flatMap((task): OpenTask[] => {
      const record = openTaskOf(this.#deps.member, id, task)
      return record === undefined ? [] : [{ id: task, record }]
    })
    if (open.length === 0) return this.#completed(plan, signal)
    const held = open.filter(({ record }) => isHeld(record))
    return this.#goneAgents(plan, held) ?? this.#moveOf(plan, held, open.length) ?? { do: 'wait' }
  }

  /** It does not wait for tasks that are not its own: what of those is open counts as not completed. */
  async #completed({ tasks }: PlanRecord, signal: AbortSignal): Promise<PlanFinding> {
    let others = 0
    for (const id of tasks) {
      const status = taskOf(this.#deps.member, id)?.status ?? (await this.#deps.statusOf(id, signal))
      if (status !== 'completed') others += 1
    }
    if (others === 0) return { do: 'complete', outcome: 'completed' }
    return { do: 'complete', outcome: 'failed', reason: `${others} of ${tasks.length} tasks were not completed` }
  }

  #goneAgents({ assignments }: PlanRecord, held: readonly OpenTask[]): PlanFinding | undefined {
    const waiting = new Set(held.map(({ id }) => id))
    const gone = new Set<string>()
    const offline: OfflineAgent[] = []
    for (const { task, agent } of assignments) {
      if (!waiting.has(task) || gone.has(agent)) continue
      const record = workerOf(this.#deps.member, agent)
      const isThere = record !== undefined && record.draining !== true && this.#deps.presenceOf(agent) !== 'gone'
      if (isThere) continue
      gone.add(agent)
      if (record !== undefined && record.draining !== true) offline.push({ agent, registration: record.registration })
    }
    const [first] = gone
    if (first === undefined) return undefined
    const reason = gone.size === 1 ? `${first} is gone` : `${first} and ${gone.size - 1} more are gone`
    return { do: 'adjust', adjustment: 'agent_unavailable', offline, reason }
  }

  /** Work that waits where there is no room, and could begin elsewhere at once. */
  #moveOf(plan: PlanRecord, held: readonly OpenTask[], open: number): PlanFinding | undefined {
    const now = this.#deps.member.clock.now()
    const waiting = held.filter(({ record }) => record.status === 'queued' && this.#isStuck(record))
    if (waiting.length === 0) return undefined
    const waitedMs = Math.max(...waiting.map(({ record }) => now - record.changedAt))
    const leftMs = Math.max(WAITED_MS - waitedMs, this.#sinceLastMove(plan, open, now))
    const types = new Map(waiting.map(({ record }) => [record.type, record]))
    const free = this.#freeAgent(types)
    if (free === undefined) return undefined
    if (leftMs > 0) return { do: 'wait', dueMs: leftMs }
    const { peer, type } = free
    return { do: 'adjust', adjustment: 'imbalance', offline: [], reason: `${peer} has room for a task of ${type}` }
  }

  /** Its agent has no room for it, or it has none. */
  #isStuck({ assignee, type }: TaskRecord): boolean {
    if (assignee === undefined) return true
    const slots = workerOf(this.#deps.member, assignee)?.offers.find((offer) => offer.type === type)?.slots ?? 0
    return this.#deps.running(assignee, type) >= slots
  }

  /** @param open tasks of it @returns milliseconds until another move may be made */
  #sinceLastMove({ moves, assignments, changedAt }: PlanRecord, open: number, now: number): number {
    const adjustments = moves.filter(({ trigger }) => trigger === 'adjustment_needed')
    let row = 0
    for (const { reason = '' } of adjustments.toReversed()) {
      if (!reason.startsWith('imbalance')) break
      row += 1
    }
    if (row === 0) return 0
    // Its newest assignments are of what was open then.
    const doubled = open < assignments.length ? 0 : row - 1
    return changedAt + Math.min(MAX_MOVE_MS, FIRST_MOVE_MS * 2 ** doubled) - now
  }

  #freeAgent(types: ReadonlyMap<string, TaskRecord>): { readonly peer: string; readonly type: string } | undefined {
    const { workers, presenceOf, running } = this.#deps
    const takes = ({ offers, draining }: WorkerRecord, peer: string): string | undefined =>
      draining === true
        ? undefined
        : offers.find(({ type, slots, versions }) => {
            const task = types.get(type)
            const isRight = task?.typeVersion === undefined || versions?.includes(task.typeVersion) === true
            return task !== undefined && isRight && running(peer, type) < slots
          })?.type
    for (const [peer, record] of workers()) {
      const type = takes(record, peer)
      if (type !== undefined && presenceOf(peer) === 'there') return { peer, type }
    }
    return undefined
  }
}
