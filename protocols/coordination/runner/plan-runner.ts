/**
 * What the coordinator does about plans, for as long as it coordinates: each open plan has a driver, which the journal's changes
 * wake. State: the drivers, and what workers have in work; a new coordinator builds it from the journal.
 */
import { CoordinatorLoop } from '../../journal/feed/coordinator-loop.ts'
import { JournalView, type ReadChange } from '../../journal/feed/journal-view.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { Detected, Liveness } from '../../task/scheduler/worker-presence.ts'
import type { WorkerRecord } from '../../task/task-record.ts'
import { isFinal, type TaskStatus } from '../../task/task-status.ts'
import { type TaskView, viewOfTasks } from '../../task/task-view.ts'
import type { PlanMoveChange } from '../journal/plan-changes.ts'
import { isOver, PLAN_PREFIX, type PlanRecord, readPlan } from '../plan-record.ts'
import { AgentTable } from './agent-table.ts'
import { FairTurns, LookTurns } from './fair-turns.ts'
import { type CleanerDeps, PlanCleaner } from './plan-cleaner.ts'
import type { PlanDirector } from './plan-director.ts'
import { PlanDriver } from './plan-driver.ts'
import { planOf, taskOf } from './plan-facts.ts'
import type { PlanMaker } from './plan-maker.ts'
import { PlanWatch } from './plan-watch.ts'

/** Plans that are driven at once; others wait until one of these is over. */
const MAX_DRIVEN = 1_024
/** Milliseconds; it looks at the latest then. */
const LOOK_MS = 250
/** So long after the last plan was over tasks are not followed any more. */
const IDLE_MS = 60_000
/** What is over for longer was reported by the coordinator of then. */
const REPORT_MS = 10_000
/** Tasks that end with a plan: decisions on their way at once. */
const END_AT_ONCE = 32

export interface PlanRunnerDeps extends CleanerDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'members' | 'onMember'>
  presenceOf(peer: string): Detected
  onPresence(fn: (peer: string, presence: Detected) => void): () => void
  maker(facts: RunnerFacts): PlanMaker
  director(facts: Pick<RunnerFacts, 'member' | 'noteRefusal' | 'noteUnavailable'>): PlanDirector
  statusOf(task: string, signal: AbortSignal): Promise<TaskStatus | undefined>
  coordinated(isSuccess: boolean): void
  /** A plan is over, and was not before. */
  reported(id: string, plan: PlanRecord, signal: AbortSignal): void
}

export interface RunnerFacts {
  readonly member: JournalMember
  readonly epoch: number
  presenceOf(peer: string): Liveness
  running(peer: string, type: string): number
  workers(): ReadonlyMap<string, WorkerRecord>
  /** Peer ids of agents that refused such a task of its plan lately, or failed at this one. */
  refusedBy(task: string): readonly string[]
  failedAt(task: string): readonly string[]
  noteRefusal(task: string, agent: string): void
  /** Could not be directed lately. */
  isUnavailable(agent: string): boolean
  noteUnavailable(agent: string, forMs: number): void
}

interface PlanViewChange {
  readonly id: string
  readonly record: PlanRecord | undefined
}
const readChange: ReadChange<PlanViewChange> = (key, _version, value) =>
  key.startsWith(PLAN_PREFIX) ? { id: key.slice(PLAN_PREFIX.length), record: readPlan(value) } : undefined

export class PlanRunner {
  readonly #deps: PlanRunnerDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  readonly #agents: AgentTable
  readonly #drivers = new Map<string, PlanDriver>()
  /** A plan is driven for as long as it is open, also where it only waits. */
  readonly #plans = new FairTurns(MAX_DRIVEN)
  readonly #looks = new LookTurns()
  readonly #cleaner: PlanCleaner
  readonly #facts: RunnerFacts
  readonly #maker: PlanMaker
  readonly #director: PlanDirector
  readonly #watch: PlanWatch
  readonly #loop: CoordinatorLoop
  /** Undefined: there was no plan for a while. */
  #tasks: TaskView | undefined
  /** When there was a plan last, and when it was looked who is there: monotonic milliseconds. */
  #openAt = Number.NEGATIVE_INFINITY
  #lookedAt: number | undefined

  constructor(deps: PlanRunnerDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
    const { member, port, statusOf, presenceOf } = deps
    this.#loop = new CoordinatorLoop({ port, signal, of: 'plans' })
    this.#agents = new AgentTable(port, presenceOf)
    this.#cleaner = new PlanCleaner(deps, epoch, signal, (id) => this.#drivers.has(id))
    this.#facts = {
      ...{ member, epoch },
      presenceOf: (peer) => this.#agents.presenceOf(peer),
      running: (peer, type) => this.#agents.running(peer, type),
      workers: () => this.#agents.workers(),
      refusedBy: (task) => this.#agents.refusedBy(task),
      failedAt: (task) => this.#agents.failedAt(task),
      noteRefusal: (task, agent) => this.#agents.noteRefusal(task, agent),
      isUnavailable: (agent) => this.#agents.isUnavailable(agent),
      noteUnavailable: (agent, forMs) => this.#agents.noteUnavailable(agent, forMs),
    }
    this.#maker = deps.maker(this.#facts)
    this.#director = deps.director(this.#facts)
    this.#watch = new PlanWatch({ ...this.#facts, statusOf })
  }

  counts(): { readonly open: number; readonly over: number } {
    return { open: this.#plans.size(), over: this.#cleaner.size() }
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const { port, member, onPresence } = this.#deps
    const plans = new JournalView(member, readChange)
    const { wake } = this.#loop
    const lookAgain = (): void => {
      this.#lookedAt = undefined
      wake()
    }
    const stops = [member.machine.onApplied(wake), onPresence(lookAgain), port.onMember(lookAgain)]
    this.#load(plans)
    try {
      while (!this.#signal.aborted) {
        const changes = plans.changes()
        if (changes === undefined) this.#load(plans)
        else for (const one of changes) this.#setPlan(one)
        this.#readTasks()
        this.#lookForAgents()
        this.#drive()
        this.#cleaner.look(this.#tasks && this.#agents.tasksOfPlans())
        await this.#loop.untilNews(LOOK_MS)
      }
    } finally {
      for (const stop of stops) stop()
      for (const driver of this.#drivers.values()) driver.wake()
    }
  }

  /** In the order in which they changed, as if it had read each change. */
  #load(plans: JournalView<PlanViewChange>): void {
    const changedAt = ({ record }: PlanViewChange): number => record?.changedAt ?? 0
    const gone = new Set(this.#cleaner.ids())
    for (const one of plans.all().sort((a, b) => changedAt(a) - changedAt(b))) {
      this.#setPlan(one)
      gone.delete(one.id)
    }
    for (const id of gone) this.#setPlan({ id, record: undefined })
  }

  /** Tasks and workers are of interest while there are plans: a mesh without them pays nothing for that. */
  #readTasks(): void {
    const now = this.#deps.port.clock.monotonic()
    if (this.#plans.size() > 0) this.#openAt = now
    else if (now - this.#openAt > IDLE_MS) this.#tasks = undefined
    if (this.#tasks === undefined && this.#openAt < now) return
    const known = this.#tasks?.changes()
    const view = this.#tasks ?? viewOfTasks(this.#deps.member)
    this.#tasks = view
    if (known === undefined) this.#agents.clear()
    for (const change of known ?? view.all()) {
      if (change.type === 'worker') this.#agents.setWorker(change.peer, change.record)
      else {
        const plan = this.#agents.setTask(change.id, change.record)
        if (plan !== undefined) this.#drivers.get(plan)?.wake()
      }
    }
  }

  #lookForAgents(): void {
    const now = this.#deps.port.clock.monotonic()
    const isDue = this.#lookedAt === undefined || now - this.#lookedAt >= LOOK_MS || this.#agents.hasNews()
    if (this.#tasks !== undefined && isDue) {
      this.#lookedAt = now
      if (this.#agents.look()) this.#looks.add(this.#drivers.keys())
    }
    for (const id of this.#looks.next(now)) this.#drivers.get(id)?.wake()
  }

  #setPlan({ id, record }: PlanViewChange): void {
    this.#cleaner.set(id, record)
    if (record === undefined) this.#plans.delete(id)
    else this.#plans.add(id, record.owner)
    this.#drivers.get(id)?.wake()
  }

  #drive(): void {
    for (let id = this.#plans.next(); id !== undefined; id = this.#plans.next()) {
      const driven = id
      const driver = this.#driverOf(driven)
      this.#drivers.set(driven, driver)
      void driver.run().finally(() => {
        this.#drivers.delete(driven)
        this.#plans.done(driven)
        this.#looks.delete(driven)
        // It may have been made anew while the one before it was ended.
        const plan = planOf(this.#deps.member, driven)
        if (plan !== undefined && !isOver(plan)) this.#plans.add(driven, plan.owner)
        this.#loop.wake()
      })
    }
  }

  #driverOf(id: string): PlanDriver {
    const { port, member, decide, statusOf, coordinated } = this.#deps
    const deps = {
      ...{ port, member, epoch: this.#epoch, maker: this.#maker, director: this.#director, watch: this.#watch },
      ...{ statusOf, coordinated },
      decide: (change: PlanMoveChange) => decide(change, this.#signal),
      ended: (one: string, plan: PlanRecord) => this.#ended(one, plan),
    }
    return new PlanDriver(deps, id, this.#signal)
  }

  /** What is still open of it ends with it. */
  async #ended(id: string, plan: PlanRecord): Promise<void> {
    const { member, cancelTask, reported } = this.#deps
    const open = plan.tasks.filter((task) => {
      const record = taskOf(member, task)
      return record !== undefined && record.plan === id && !isFinal(record.status)
    })
    // One that is made anew has tasks of its own.
    const isStill = (): boolean => planOf(member, id)?.fence.index === plan.fence.index
    const next = async (): Promise<void> => {
      for (let task = open.shift(); task !== undefined && isStill(); task = open.shift())
        await this.#cleaner.quietly(cancelTask(task, `plan-${plan.outcome}`, this.#epoch, this.#signal))
    }
    await Promise.all(Array.from({ length: Math.min(END_AT_ONCE, open.length) }, next))
    if (member.clock.now() - plan.changedAt < REPORT_MS) reported(id, plan, this.#signal)
  }
}
