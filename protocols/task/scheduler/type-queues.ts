/**
 * Tasks that wait for a worker, by type, version and what they require: in which order they are taken, and whether they say why
 * nobody takes them. State: their ids, and how often it was looked why.
 */
import { Fifo } from '../../async.ts'
import type { WhyNot } from '../../resource/planner/demands.ts'
import { PRIORITY_LEVELS, type TaskRecord } from '../task-record.ts'
import { needsOf, type TaskNeeds } from './board-task.ts'
import type { BoardWorker, WorkerTable } from './worker-table.ts'

/** Why nobody takes a task, as its record says. */
export const NO_WORKER = 'no-worker'
export const NO_WORKER_FOR_VERSION = 'no-worker-for-version'
/** Its plan has not said who gets it. */
export const HELD_BY_PLAN = 'held-by-plan'
const SAID = ['', NO_WORKER, NO_WORKER_FOR_VERSION, HELD_BY_PLAN, 'no-such-capacity', 'all-in-use'] as const
type Said = (typeof SAID)[number]
/** Milliseconds that a task waits before it says that nobody takes it. */
const EXPLAIN_AFTER_MS = 1_000
/** Milliseconds between two looks at why tasks of one queue lack what they require; and queues of one such time. */
const LOOK_EACH_MS = 500
const MOST_LOOKS = 64
/** Ids of tasks that left the queue otherwise are taken out once they are more than these, and than those that are there. */
const STALE = 64

/** Most urgent first, then in their order. */
class TaskQueue {
  /** Two of each priority: what comes back from a worker stands before what is new. */
  readonly #levels: readonly [Fifo<string>, Fifo<string>][]

  constructor() {
    this.#levels = Array.from({ length: PRIORITY_LEVELS }, () => [new Fifo<string>(), new Fifo<string>()])
  }

  add(id: string, priority: number, isReturned: boolean): void {
    this.#levels[priority]?.[isReturned ? 0 : 1].put(id)
  }

  /** The next one that `isWanted`; those that are not are taken out. */
  take(isWanted: (id: string) => boolean): string | undefined {
    for (const level of this.#levels.toReversed())
      for (const fifo of level)
        for (let id = fifo.take(); id !== undefined; id = fifo.take()) if (isWanted(id)) return id
    return undefined
  }

  /** Only these, each once, in their order. */
  keep(ids: { has(id: string): boolean }): void {
    const seen = new Set<string>()
    for (const level of this.#levels.toReversed())
      for (const fifo of level) {
        const kept: string[] = []
        for (let id = fifo.take(); id !== undefined; id = fifo.take())
          if (ids.has(id) && !seen.has(id)) {
            seen.add(id)
            kept.push(id)
          }
        for (const id of kept) fifo.put(id)
      }
  }

  size(): number {
    return this.#levels.reduce((sum, [returned, fresh]) => sum + returned.size() + fresh.size(), 0)
  }
}

export interface TypeQueue {
  readonly type: string
  readonly version: string | undefined
  /** What each of them requires. */
  readonly needs: TaskNeeds | undefined
  /** Who alone gets them; undefined: whoever is free. */
  readonly assignee: string | undefined
  /** Nobody gets them for now. */
  readonly isHeld: boolean
  readonly queue: TaskQueue
  /** Queued tasks by what they say of who takes them. */
  readonly saying: Readonly<Record<Said, Set<string>>>
  /** Since when nobody takes them; milliseconds by the coordinator's clock. */
  untakenSince: number | undefined
  /** When it was looked at last why its tasks lack what they require. */
  lookedAt: number | undefined
}

type Named = Pick<TaskRecord, 'type' | 'typeVersion' | 'reason' | 'requirements' | 'plan' | 'assignee'>

export const isHeldByPlan = ({ plan, assignee }: Pick<TaskRecord, 'plan' | 'assignee'>): boolean =>
  plan !== undefined && assignee === undefined

/** What is known of tasks whose requirements are allocated. */
export interface NeedyFacts {
  /** Since when it demands what it requires: milliseconds since 1970; undefined: it does not yet. */
  since(id: string): number | undefined
  whyNot(id: string): WhyNot
}

/** Empty: it says nothing of that. */
const saidBy = ({ reason }: Named): Said => SAID.find((one) => one === reason) ?? ''

/** Those that have waited a while for what they require. */
const lacking = ({ saying }: TypeQueue, now: number, most: number, needy: NeedyFacts): [string, string][] => {
  const found: [string, string][] = []
  let reason: WhyNot | undefined
  for (const other of SAID)
    for (const id of saying[other]) {
      if (found.length >= most || (other === '' && now - (needy.since(id) ?? now) < EXPLAIN_AFTER_MS)) break
      // They all require the same.
      reason ??= needy.whyNot(id)
      if (other === reason) break
      found.push([id, reason])
    }
  return found
}

/** Another one gets it than before. */
export const isSteered = (before: Pick<TaskRecord, 'plan' | 'assignee'>, after: typeof before): boolean =>
  before.plan !== after.plan || before.assignee !== after.assignee

/** It is queued no more, or elsewhere. */
export const leavesQueue = (before: TaskRecord, after: TaskRecord | undefined): boolean =>
  after?.status !== 'queued' || isSteered(before, after)

/** Who gets the next one; undefined: nobody has room, or is to get it. */
export const workerFor = (workers: WorkerTable, waiting: TypeQueue): BoardWorker | undefined => {
  const { type, version, assignee, isHeld } = waiting
  if (isHeld) return undefined
  if (assignee === undefined) return workers.choose(type, version)
  return workers.hasRoom(assignee, type, version) ? workers.get(assignee) : undefined
}

type Offering = Pick<WorkerTable, 'offers' | 'offersType' | 'offersAt'>

/** Whether anybody takes them, busy or not. */
const isTakenBy = (workers: Offering, { type, version, assignee, isHeld }: TypeQueue): boolean => {
  if (isHeld) return false
  return assignee === undefined ? workers.offers(type, version) : workers.offersAt(assignee, type, version)
}

const untakenReason = (workers: Offering, { type, assignee, isHeld }: TypeQueue): Said => {
  if (isHeld) return HELD_BY_PLAN
  return assignee === undefined && workers.offersType(type) ? NO_WORKER_FOR_VERSION : NO_WORKER
}

export class TypeQueues {
  readonly #queues = new Map<string, TypeQueue>()
  #lookedSince = 0
  #looks = 0

  all(): IterableIterator<TypeQueue> {
    return this.#queues.values()
  }

  of(record: Named): TypeQueue {
    const { type, typeVersion: version, assignee } = record
    const needs = needsOf(record)
    const isHeld = isHeldByPlan(record)
    const key = `${type} ${version ?? ''} ${needs?.text ?? ''} ${isHeld ? HELD_BY_PLAN : (assignee ?? '')}`
    const waiting = this.#queues.get(key) ?? {
      ...{
        type,
        version,
        needs,
        assignee,
        isHeld,
        queue: new TaskQueue(),
        untakenSince: undefined,
        lookedAt: undefined,
      },
      // Each of them has its own.
      saying: Object.fromEntries(SAID.map((one) => [one, new Set<string>()])) as Record<Said, Set<string>>,
    }
    this.#queues.set(key, waiting)
    return waiting
  }

  /** One that was steered elsewhere has left its id behind. */
  isIn(waiting: TypeQueue | undefined, record: TaskRecord): boolean {
    const isSteerable = waiting !== undefined && (waiting.assignee !== undefined || record.plan !== undefined)
    return !isSteerable || this.of(record) === waiting
  }

  /** It is queued. */
  list(id: string, record: Named): void {
    this.of(record).saying[saidBy(record)].add(id)
  }

  unlist(id: string, record: Named): void {
    const { saying, queue } = this.of(record)
    saying[saidBy(record)].delete(id)
    const queued = SAID.reduce((sum, one) => sum + saying[one].size, 0)
    if (queue.size() > 2 * queued + STALE) queue.keep({ has: (one) => SAID.some((said) => saying[said].has(one)) })
  }

  /** Why tasks lack what they require takes a look at all nodes: each queue has its turn, and each second some of them. */
  #mayLook(waiting: TypeQueue, now: number): boolean {
    if (now - this.#lookedSince >= LOOK_EACH_MS) {
      this.#lookedSince = now
      this.#looks = 0
    }
    const isSoon = now - (waiting.lookedAt ?? Number.NEGATIVE_INFINITY) < this.#lookEachMs()
    if (isSoon || this.#looks >= MOST_LOOKS) return false
    waiting.lookedAt = now
    this.#looks += 1
    return true
  }

  /** Longer the more of them there are, so that the last ones have their turn too. */
  #lookEachMs(): number {
    return LOOK_EACH_MS * Math.ceil(this.#queues.size / MOST_LOOKS)
  }

  /** Ids in all queues. */
  size(): number {
    return [...this.#queues.values()].reduce((sum, { queue }) => sum + queue.size(), 0)
  }

  /**
   * Tasks whose reason is another one by now; empty: they have none. Queues of nothing go.
   * @param needy undefined: what they require is not allocated
   */
  toExplain(workers: Offering, now: number, most: number, needy?: NeedyFacts): [string, string][] {
    const found: [string, string][] = []
    for (const [key, waiting] of this.#queues) {
      const { saying, queue, needs } = waiting
      if (SAID.every((one) => saying[one].size === 0) && queue.size() === 0) {
        this.#queues.delete(key)
        continue
      }
      const isTaken = isTakenBy(workers, waiting)
      waiting.untakenSince = isTaken ? undefined : (waiting.untakenSince ?? now)
      if (isTaken && needs !== undefined && needy !== undefined) {
        if (!this.#mayLook(waiting, now)) continue
        found.push(...lacking(waiting, now, most - found.length, needy))
        if (found.length >= most) return found
        continue
      }
      if (!isTaken && now - (waiting.untakenSince ?? now) < EXPLAIN_AFTER_MS) continue
      const reason = isTaken ? '' : untakenReason(workers, waiting)
      for (const other of SAID) {
        if (other === reason) continue
        for (const id of saying[other]) {
          if (found.length >= most) return found
          found.push([id, reason])
        }
      }
    }
    return found
  }
}
