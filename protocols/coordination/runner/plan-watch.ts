/**
 * Looks at a plan that is being carried out: whether all of it is done, an agent is gone, or another one could do what waits at one
 * that is busy, lacks what the task requires, or failed at it (a move of work that shortens the longest queue). However many kinds
 * of tasks wait, one look compares a few of them with the agents; the next look goes on behind those. State: where each plan's next
 * look begins (bounded).
 */

import type { JournalMember } from '../../journal/journal-server.ts'
import { fits, isNone, type Units } from '../../resource/units.ts'
import type { Liveness } from '../../task/scheduler/worker-presence.ts'
import type { TaskRecord, WorkerRecord } from '../../task/task-record.ts'
import { isFinal, type TaskStatus } from '../../task/task-status.ts'
import type { Adjustment, OfflineAgent, PlanOutcome, PlanRecord } from '../plan-record.ts'
import { capacityOfNode, hasFree, isHeld, needsOf, taskOf, workerOf } from './plan-facts.ts'

/** Milliseconds that a task waits at its agent before it is moved to another one. */
const WAITED_MS = 100
/** Milliseconds between two moves of work of one plan, doubled each time that none of its tasks ended in between. */
const FIRST_MOVE_MS = 200
const MAX_MOVE_MS = 30_000
/** Kinds of waiting tasks that one look compares with the agents, which costs most of it. */
const MAX_COMPARED = 8
/** Plans of which it is known where the next look begins: more than are driven at once. */
const MOST_BEGINNINGS = 2_048

/** How tasks have ended, by their ids; undefined: that was forgotten. */
export type EndedTasks = Map<string, TaskStatus | undefined>

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
  /** Peer ids of agents that refused such a task of its plan lately, or failed at this one. */
  refusedBy(task: string): readonly string[]
  failedAt(task: string): readonly string[]
  /** It could not be directed lately. */
  isUnavailable(peer: string): boolean
  statusOf(task: string, signal: AbortSignal): Promise<TaskStatus | undefined>
}

interface OpenTask {
  readonly id: string
  readonly record: TaskRecord
}

/** It waits where it is not begun. */
interface StuckTask extends OpenTask {
  /** Milliseconds since 1970; 0 where there is nothing to wait for. */
  readonly since: number
  /** Its agent failed at it. */
  readonly isFailed: boolean
}

/** Of tasks of one shape the same agents are right; who refused one may take another one. */
const shapeOf = ({ id, record: { type, typeVersion = '', requirements = {} }, isFailed }: StuckTask): string =>
  isFailed ? id : `${type} ${typeVersion} ${JSON.stringify(requirements)}`

/** Of each shape the one that has waited longest, in the order in which they have waited. */
const longestOfEach = (stuck: readonly StuckTask[]): StuckTask[] => {
  const found = new Map<string, StuckTask>()
  for (const one of stuck.toSorted((a, b) => a.since - b.since)) {
    const shape = shapeOf(one)
    if (!found.has(shape)) found.set(shape, one)
  }
  return [...found.values()]
}

/** It does not wait for tasks that are not its own: what of those is open counts as not completed. */
const outcomeOf = ({ tasks }: PlanRecord, ended: EndedTasks): PlanFinding => {
  const others = tasks.filter((id) => ended.get(id) !== 'completed')
  if (others.length === 0) return { do: 'complete', outcome: 'completed' }
  const forgotten = others.filter((id) => ended.has(id) && ended.get(id) === undefined).length
  const why = forgotten === 0 ? '' : `, as far as is known: ${forgotten} ended longer ago than tasks.retainMs`
  return {
    do: 'complete',
    outcome: 'failed',
    reason: `${others.length} of ${tasks.length} tasks were not completed${why}`,
  }
}

export class PlanWatch {
  readonly #deps: WatchDeps
  /** By plan: how many shapes come before the first one that its next look compares. */
  readonly #beginnings = new Map<string, number>()

  constructor(deps: WatchDeps) {
    this.#deps = deps
  }

  /**
   * @param ended how tasks of it have ended, which this adds to: they may be forgotten before it ends
   * @throws the signal's reason; what reading a task throws
   */
  async look(id: string, plan: PlanRecord, ended: EndedTasks, signal: AbortSignal): Promise<PlanFinding> {
    const open: OpenTask[] = []
    for (const task of plan.tasks) {
      if (ended.has(task)) continue
      const record = taskOf(this.#deps.member, task)
      if (record === undefined) ended.set(task, await this.#deps.statusOf(task, signal))
      else if (isFinal(record.status)) ended.set(task, record.status)
      else if (record.plan === id) open.push({ id: task, record })
    }
    if (open.length === 0) return outcomeOf(plan, ended)
    const held = open.filter(({ record }) => isHeld(record))
    return this.#goneAgents(plan, held) ?? this.#moveOf(id, plan, held, open.length) ?? { do: 'wait' }
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

  /** Work that is not begun where it is, and could be elsewhere. */
  #moveOf(id: string, plan: PlanRecord, held: readonly OpenTask[], open: number): PlanFinding | undefined {
    const now = this.#deps.member.clock.now()
    const waiting = longestOfEach(held.flatMap((one) => this.#stuck(plan, one)))
    const begin = waiting.length > MAX_COMPARED ? (this.#beginnings.get(id) ?? 0) % waiting.length : 0
    const inTurn = [...waiting.slice(begin), ...waiting.slice(0, begin)]
    for (const one of inTurn.slice(0, MAX_COMPARED)) {
      const taker = this.#takerOf(plan, one)
      if (taker === undefined) continue
      const leftMs = Math.max(one.since + WAITED_MS - now, this.#sinceLastMove(plan, open, now))
      if (leftMs > 0) return { do: 'wait', dueMs: leftMs }
      const { type, assignee } = one.record
      const reason = one.isFailed
        ? `${assignee} failed at a task of ${type}`
        : `${taker} has room for a task of ${type}`
      return { do: 'adjust', adjustment: 'imbalance', offline: [], reason }
    }
    // Where one was found the next look begins with the same ones: its move may only have to wait.
    this.#beginAt(id, waiting.length > MAX_COMPARED ? begin + MAX_COMPARED : 0)
    return undefined
  }

  #beginAt(id: string, begin: number): void {
    this.#beginnings.delete(id)
    if (begin > 0) this.#beginnings.set(id, begin)
    const [oldest] = this.#beginnings.keys()
    if (this.#beginnings.size > MOST_BEGINNINGS && oldest !== undefined) this.#beginnings.delete(oldest)
  }

  /** Its agent has no room for it, lacks what it requires, or did not do it; or it has none. */
  #stuck({ changedAt }: PlanRecord, { id, record }: OpenTask): StuckTask[] {
    const { assignee, type } = record
    if (record.status !== 'queued') return []
    const one = { id, record, since: record.changedAt, isFailed: false }
    if (assignee === undefined) return [one]
    if (this.#deps.failedAt(id).includes(assignee)) return [{ ...one, since: 0, isFailed: true }]
    const slots = workerOf(this.#deps.member, assignee)?.offers.find((offer) => offer.type === type)?.slots ?? 0
    if (this.#deps.running(assignee, type) >= slots) return [one]
    // What it requires may have been allocated to itself just now.
    return this.#hasFree(assignee, needsOf(record)) ? [] : [{ ...one, since: Math.max(one.since, changedAt) }]
  }

  #hasFree(peer: string, needs: Units): boolean {
    return isNone(needs) || hasFree(this.#deps.member, peer, needs)
  }

  /** @param open tasks of it @returns milliseconds until another move may be made */
  #sinceLastMove({ moves, assignments, changedAt }: PlanRecord, open: number, now: number): number {
    const adjustments = moves.filter(({ trigger }) => trigger === 'adjustment_needed')
    const firstOther = adjustments.findLastIndex(({ reason = '' }) => !reason.startsWith('imbalance'))
    const row = adjustments.slice(firstOther + 1)
    const [first] = row
    if (first === undefined) return 0
    // Its newest assignments are of what was open then.
    const hasEnded = open < assignments.length
    // Those before the first one that is kept are not counted: it goes on to double by how long the row took.
    const pauseMs = hasEnded ? FIRST_MOVE_MS : Math.max(FIRST_MOVE_MS * 2 ** (row.length - 1), changedAt - first.at)
    return changedAt + Math.min(MAX_MOVE_MS, pauseMs) - now
  }

  /** Who else takes it, and could begin at once; where its agent failed at it, whoever can do it at all. */
  #takerOf(plan: PlanRecord, one: StuckTask): string | undefined {
    const { presenceOf, workers } = this.#deps
    // What nobody has is better asked for again of anybody than left.
    const needs = needsOf(one.record)
    const isUnwilling = this.#isLost(one) ? () => false : this.#unwilling(plan, one.id)
    for (const [peer, record] of workers()) {
      if (record.draining === true || presenceOf(peer) !== 'there' || isUnwilling(peer)) continue
      if (this.#canTake(peer, record, one, needs)) return peer
    }
    return undefined
  }

  /** Nobody has it, or one that does not take such tasks any more: a node that was started again may offer something else. */
  #isLost({ record: { assignee, type } }: StuckTask): boolean {
    const offers = assignee === undefined ? undefined : workerOf(this.#deps.member, assignee)?.offers
    return offers?.some((offer) => offer.type === type) !== true
  }

  #canTake(peer: string, { offers }: WorkerRecord, { record: task, isFailed }: StuckTask, needs: Units): boolean {
    const { member, running } = this.#deps
    const offer = offers.find(({ type }) => type === task.type)
    if (offer === undefined) return false
    if (task.typeVersion !== undefined && offer.versions?.includes(task.typeVersion) !== true) return false
    if (isFailed) return offer.slots > 0 && fits(capacityOfNode(member, peer), {}, needs)
    return running(peer, task.type) < offer.slots && this.#hasFree(peer, needs)
  }

  /** Which agents are not to be directed to it: those that could not be directed lately, or refused it. */
  #unwilling({ offline }: PlanRecord, task: string): (peer: string) => boolean {
    const { workers, refusedBy, isUnavailable } = this.#deps
    const marked = offline.filter(({ agent, registration }) => workers().get(agent)?.registration === registration)
    const known = new Set([...refusedBy(task), ...marked.map(({ agent }) => agent)])
    return (peer) => known.has(peer) || isUnavailable(peer)
  }
}
