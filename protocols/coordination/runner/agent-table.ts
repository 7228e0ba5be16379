/**
 * Agents as a plan's coordinator sees them: whether each is there, and what it has in work, by type; and which plans the tasks that
 * changed are of. Told of each change of the journal. State: the workers that are registered, tasks of plans, tasks
 * in work, who refused which task lately or failed at it, and who could not be directed lately (both bounded).
 */
import type { Clock, Port } from '../../port.ts'
import { inWork } from '../../task/scheduler/board-task.ts'
import { type Detected, type Liveness, WorkerPresence } from '../../task/scheduler/worker-presence.ts'
import type { TaskRecord, WorkerRecord } from '../../task/task-record.ts'

/** Milliseconds that others are preferred to who refused a task, or failed at it. */
const REFUSED_MS = 60_000
const MOST_REFUSALS = 4_096
const MOST_UNAVAILABLE = 4_096

interface KnownTask {
  /** What of its worker it takes; undefined: it is not in work. */
  readonly at: string | undefined
  readonly plan: string | undefined
  readonly type: string | undefined
  /** Attempts that failed. */
  readonly failures: number
}

interface Unavailable {
  /** Of the worker, in that life of it: another one may be there. */
  readonly registration: number
  readonly until: number
}

const placeOf = (peer: string, type: string): string => `${peer} ${type}`

/** Agents that did not do something, for a minute. State: of the newest of what was to be done, who and until when. */
class RecentAgents {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #known = new Map<string, Map<string, number>>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  note(what: string, agent: string): void {
    const of = this.#known.get(what) ?? new Map<string, number>()
    of.set(agent, this.#clock.monotonic() + REFUSED_MS)
    this.#known.delete(what)
    this.#known.set(what, of)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MOST_REFUSALS && oldest !== undefined) this.#known.delete(oldest)
  }

  /** Peer ids. */
  of(what: string): string[] {
    const now = this.#clock.monotonic()
    return [...(this.#known.get(what) ?? [])].flatMap(([agent, until]) => (until > now ? [agent] : []))
  }
}

export class AgentTable {
  readonly #port: Pick<Port, 'self' | 'clock' | 'members'>
  readonly #detected: (peer: string) => Detected
  readonly #presence = new WorkerPresence()
  readonly #workers = new Map<string, WorkerRecord>()
  readonly #liveness = new Map<string, Liveness>()
  /** Workers came or went since it was looked who is there. */
  #isChanged = false
  readonly #tasks = new Map<string, KnownTask>()
  readonly #running = new Map<string, number>()
  readonly #refusals: RecentAgents
  readonly #failures: RecentAgents
  readonly #unavailable = new Map<string, Unavailable>()

  /** @param detected what the failure detector believes of a peer */
  constructor(port: Pick<Port, 'self' | 'clock' | 'members'>, detected: (peer: string) => Detected) {
    this.#port = port
    this.#detected = detected
    this.#refusals = new RecentAgents(port.clock)
    this.#failures = new RecentAgents(port.clock)
  }

  /** All of it is told anew. */
  clear(): void {
    this.#tasks.clear()
    this.#running.clear()
    this.#workers.clear()
    this.#isChanged = true
  }

  /** Undefined: it is registered no more. */
  setWorker(peer: string, record: WorkerRecord | undefined): void {
    if (record === undefined) this.#workers.delete(peer)
    else this.#workers.set(peer, record)
    this.#isChanged = true
  }

  workers(): ReadonlyMap<string, WorkerRecord> {
    return this.#workers
  }

  /** @returns the plan that the task is, or was, of */
  setTask(id: string, record: TaskRecord | undefined): string | undefined {
    const before = this.#tasks.get(id)
    if (before?.at !== undefined) this.#count(before.at, -1)
    const { worker, type, plan, assignee, failures = 0 } = record ?? {}
    const isInWork = record !== undefined && inWork(record) && worker !== undefined
    const at = isInWork ? placeOf(worker, type ?? '') : undefined
    if (at !== undefined) this.#count(at, 1)
    if (at === undefined && plan === undefined) this.#tasks.delete(id)
    else this.#tasks.set(id, { at, plan, type, failures })
    // Nobody else has tried it: a task of a plan stays at its agent until the plan is made anew.
    if (before !== undefined && failures > before.failures && assignee !== undefined) this.#failures.note(id, assignee)
    return plan ?? before?.plan
  }

  running(peer: string, type: string): number {
    return this.#running.get(placeOf(peer, type)) ?? 0
  }

  /** The agent does not do that task: it is not asked for others of the type of the same plan either, where others do them. */
  noteRefusal(task: string, agent: string): void {
    this.#refusals.note(this.#kindOf(task), agent)
  }

  /** Peer ids of agents that refused such a task of its plan lately, or failed at this one. */
  refusedBy(task: string): string[] {
    return [...new Set([...this.failedAt(task), ...this.#refusals.of(this.#kindOf(task))])]
  }

  /** Peer ids of agents that failed at this one lately. */
  failedAt(task: string): string[] {
    return this.#failures.of(task)
  }

  #kindOf(task: string): string {
    const { plan, type } = this.#tasks.get(task) ?? {}
    return plan === undefined ? task : `${plan} ${type}`
  }

  /** The agent could not be directed, in this life of it. @param forMs others are preferred for so long */
  noteUnavailable(peer: string, forMs: number): void {
    const registration = this.#workers.get(peer)?.registration
    if (registration === undefined) return
    const known = this.isUnavailable(peer) ? (this.#unavailable.get(peer)?.until ?? 0) : 0
    this.#unavailable.delete(peer)
    this.#unavailable.set(peer, { registration, until: Math.max(known, this.#port.clock.monotonic() + forMs) })
    const [oldest] = this.#unavailable.keys()
    if (this.#unavailable.size > MOST_UNAVAILABLE && oldest !== undefined) this.#unavailable.delete(oldest)
  }

  isUnavailable(peer: string): boolean {
    const { registration, until = 0 } = this.#unavailable.get(peer) ?? {}
    return until > this.#port.clock.monotonic() && this.#workers.get(peer)?.registration === registration
  }

  presenceOf(peer: string): Liveness {
    return this.#liveness.get(peer) ?? 'gone'
  }

  /** Ids of tasks that name a plan. It goes on with what changed meanwhile. */
  *tasksOfPlans(): Generator<string> {
    for (const [id, { plan }] of this.#tasks) if (plan !== undefined) yield id
  }

  hasNews(): boolean {
    return this.#isChanged
  }

  /** Looks who is there. @returns whether anything is otherwise than before */
  look(): boolean {
    const { members, self, clock } = this.#port
    const connected = new Set(members().map(({ id }) => id)).add(self.id)
    let isChanged = this.#isChanged
    this.#isChanged = false
    for (const peer of this.#workers.keys()) {
      const { presence } = this.#presence.of(peer, connected.has(peer), this.#detected(peer), clock.monotonic())
      if (this.#liveness.get(peer) === presence) continue
      this.#liveness.set(peer, presence)
      isChanged = true
    }
    for (const peer of this.#liveness.keys()) {
      if (this.#workers.has(peer)) continue
      this.#liveness.delete(peer)
      this.#presence.forget(peer)
      isChanged = true
    }
    return isChanged
  }

  #count(at: string, by: 1 | -1): void {
    const now = (this.#running.get(at) ?? 0) + by
    if (now > 0) this.#running.set(at, now)
    else this.#running.delete(at)
  }
}
