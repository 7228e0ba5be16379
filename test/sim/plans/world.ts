/**
 * Plans on nodes of the simulated mesh, as node/parts/built-in.ts starts them: made, carried out and canceled, while coordinators,
 * agents and owners are killed, lose power, are frozen and cut off, and agents refuse. Everything follows from the seed.
 *
 * At each index of the journal states follow on each other, and tasks are at who their plan says (observer.ts). At the end all are
 * there and connected again: each plan is over, as its tasks say, and none of its tasks is left.
 */

import type { MakePlan } from '../../../protocols/coordination/api.ts'
import { isOver, PLAN_PREFIX, type PlanRecord, planKey, readPlan } from '../../../protocols/coordination/plan-record.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { readTask, TASK_PREFIX, type TaskRecord } from '../../../protocols/task/task-record.ts'
import { isFinal } from '../../../protocols/task/task-status.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { Scene, type SceneOptions } from '../scene.ts'
import { decidedParts, FIRST, type Part, PLAN_PARTS, type PlanNode, startPlans, wholePlan } from './nodes.ts'
import { PlanObserver } from './observer.ts'
import { PlanSpending } from './plan-spending.ts'

const STEP_MS = [50, 500] as const
const FOUND_MS = 60_000
const HEAL_MS = 600_000
const LOOK_MS = 500
const LEADER_MS = 60_000
const SNAPSHOT_EVERY = 60
const COUNTS = [3, 4, 5]
const MOST_OPEN = 12
const CUT_MS = [200, 6_000] as const
const FROZEN_MS = 4_000
const OUTAGE_SHARE = 0.3
const LATE_SHARE = 0.1
/** Until what an agent that is gone was to do is planned elsewhere, also where a plan waits after failures. */
const REPLANNED_MS = 40_000

class PlansWorld {
  readonly #scene: Scene
  readonly #mesh: JournalMesh
  readonly #observer = new PlanObserver()
  readonly #spending: PlanSpending
  readonly #running = new Map<string, PlanNode>()
  readonly #names: readonly string[]
  readonly #made = new Map<string, string>()
  /** Those of which their makers heard that they are made. */
  readonly #submitted = new Set<string>()
  /** What tasks whose work is a plan consist of. */
  readonly #wholes = new Map<string, readonly Part[]>()
  /** Whether an agent refused a task when it was directed to do it last. */
  readonly #refuses = new Map<string, boolean>()
  readonly #counts = {
    kills: 0,
    powerCuts: 0,
    cuts: 0,
    freezes: 0,
    refused: 0,
    directed: 0,
    worked: 0,
    unmade: 0,
    late: 0,
    outages: 0,
    wholes: 0,
  }

  constructor(options: SceneOptions) {
    this.#scene = new Scene(options, SNAPSHOT_EVERY)
    this.#mesh = this.#scene.mesh
    this.#spending = new PlanSpending(this.#scene.random)
    this.#names = Array.from({ length: COUNTS[this.#scene.below(COUNTS.length)] ?? 3 }, (_, i) => `m${i}`)
  }

  async run(steps: number): Promise<Record<string, number>> {
    const { time } = this.#mesh
    for (const name of this.#names) await this.#start(name, this.#names.length)
    await this.#mesh.untilLeader(FOUND_MS)
    await time.until(() => decidedParts(this.#mesh).length === PLAN_PARTS.length, FOUND_MS)
    for (let step = 0; step < steps; step += 1) {
      this.#look()
      if (this.#scene.happens(0.4)) this.#make()
      if (this.#scene.happens(0.04)) this.#cancel()
      if (this.#scene.happens(0.08)) this.#submitWhole()
      if (this.#scene.happens(0.05)) this.#intrude()
      if (this.#scene.happens(0.2)) await this.#strike()
      await this.#scene.pass(STEP_MS)
      this.#look()
    }
    if (this.#scene.happens(OUTAGE_SHARE)) await this.#outage()
    await this.#conclude()
    for (const { node } of this.#running.values()) this.#mesh.kill(node)
    return { steps, ...this.#counts, ...this.#observer.counts, ...this.#spending.counts }
  }

  /** The last one is done by the first node alone: a plan of it waits in error while that is away. */
  #anyType(): string {
    const drawn = this.#scene.random()
    return drawn < 0.65 ? 'a' : drawn < 0.92 ? 'b' : 'c'
  }

  async #start(name: string, expect?: number): Promise<void> {
    const one = await startPlans(this.#mesh, name, {
      ...(expect !== undefined && { expect }),
      random: this.#scene.random,
      judged: (plan, task, agent) => this.#judged(plan, task, agent),
      worked: (task, agent) => this.#worked(task, agent),
      spend: (task, context) => this.#spending.spend(task, context),
    })
    this.#running.set(name, one)
    this.#scene.tell(`${name} starts`)
  }

  /** An agent is directed. @returns whether it refuses */
  #judged(plan: string, task: string, agent: string): boolean {
    this.#counts.directed += 1
    // A node that has just begun to coordinate may not be looked at yet.
    this.#watch()
    if (!this.#observer.saidBy(plan, task, agent) && !this.#isPlanned(plan, task, agent))
      this.#scene.problem(`${agent} is directed to ${task}: no plan says so`)
    const refuses = this.#scene.happens(0.1)
    if (refuses) this.#counts.refused += 1
    this.#refuses.set(`${task} ${agent}`, refuses)
    return refuses
  }

  /** An agent begins. */
  #worked(task: string, agent: string): void {
    this.#counts.worked += 1
    if (task.endsWith('-before')) return
    const refuses = this.#refuses.get(`${task} ${agent}`)
    if (refuses !== false)
      this.#scene.problem(`${agent} works on ${task}, which it ${refuses ? 'refused' : 'never agreed to'}`)
  }

  /** As any of them has it. */
  #isPlanned(plan: string, task: string, agent: string): boolean {
    const all = this.#mesh.up().map((node) => readPlan(node.value(planKey(plan))))
    return all.some((one) => one?.assignments.some((of) => of.task === task && of.agent === agent) === true)
  }

  #make(): void {
    const from = this.#scene.anyOf([...this.#running.values()])
    if (from === undefined || this.#open().length > MOST_OPEN) return
    const id = `p${this.#made.size}`
    this.#made.set(id, from.node.name)
    const before = this.#scene.happens(LATE_SHARE) ? `${id}-before` : undefined
    const tasks = Array.from({ length: 1 + this.#scene.below(5) }, (_, i) => ({
      ...{ id: `${id}-t${i}`, type: this.#anyType(), retry: { max: 2, delayMs: 100 } },
      ...(before !== undefined && { dependencies: [before] }),
      ...{ input: { ms: this.#scene.below(2_500), fails: this.#scene.happens(0.1) } },
      ...(this.#scene.happens(0.3) && { requirements: { resources: { cpu: 1 + this.#scene.below(2) } } }),
    }))
    this.#scene.tell(`${from.node.name} makes ${id} of ${tasks.length}`)
    const plan = { id, goal: 'simulated', tasks, timeoutMs: 40_000, ...this.#spending.give(id, from) }
    this.#makeBehind(from, plan, before).then(
      () => this.#submitted.add(id),
      (error: unknown) => {
        // Its maker may be gone, or cut off.
        this.#counts.unmade += 1
        this.#scene.tell(`${id} was not made: ${error}`)
      },
    )
  }

  /** What its tasks depend on is submitted only after they were refused; the same again is made then. */
  async #makeBehind({ plans, tasks }: PlanNode, plan: MakePlan, before: string | undefined): Promise<void> {
    if (before !== undefined) {
      await plans.make(plan).catch(() => {})
      await tasks.submit({ id: before, type: this.#anyType(), input: { ms: 100 } }, { timeoutMs: 60_000 })
      this.#counts.late += 1
    }
    await plans.make(plan)
  }

  /** A task whose work is a plan. */
  #submitWhole(): void {
    const from = this.#scene.anyOf([...this.#running.values()])
    if (from === undefined || this.#open().length > MOST_OPEN) return
    const id = `w${this.#wholes.size}`
    const parts = Array.from({ length: 1 + this.#scene.below(3) }, () => ({
      type: this.#anyType(),
      input: { ms: this.#scene.below(2_500), fails: this.#scene.happens(0.1) },
    }))
    this.#wholes.set(id, parts)
    this.#scene.tell(`${from.node.name} submits ${id} of ${parts.length}`)
    const retry = { max: 20, delayMs: 100, maxDelayMs: 1_000 }
    from.tasks
      .submit(
        { id, type: 'whole', input: parts.map(({ type, input }) => ({ type, input })), retry },
        { timeoutMs: 60_000 },
      )
      .catch((error: unknown) => this.#scene.tell(`${id} was not submitted: ${error}`))
  }

  /** Somebody makes the plan of a task, whoever works on that. */
  #intrude(): void {
    const [one, whole] = [this.#scene.anyOf([...this.#running.values()]), this.#scene.anyOf([...this.#wholes])]
    if (one === undefined || whole === undefined) return
    const [id, parts] = whole
    this.#scene.tell(`${one.node.name} makes the plan of ${id}`)
    one.plans.make({ ...wholePlan(id, parts), timeoutMs: 10_000 }).catch(() => {})
  }

  #cancel(): void {
    const open = this.#open().filter(([id]) => this.#running.has(this.#made.get(id) ?? ''))
    const one = this.#scene.anyOf(open)
    const owner = one && this.#running.get(this.#made.get(one[0]) ?? '')
    if (one === undefined || owner === undefined) return
    this.#scene.tell(`${one[0]} is canceled`)
    owner.plans
      .get(one[0], { timeoutMs: 10_000 })
      .then((plan) => plan.cancel('no need'))
      .catch(() => {})
  }

  async #strike(): Promise<void> {
    const away = this.#names.filter((name) => !this.#running.has(name))
    const [first] = away
    if (first !== undefined && (away.length > 1 || this.#scene.happens(0.6))) return this.#start(first)
    const all = [...this.#running.values()]
    const leader = all.find(({ node }) => node === this.#mesh.leader())
    const one = this.#scene.happens(0.5) && leader !== undefined ? leader : this.#scene.anyOf(all)
    if (one === undefined) return
    const { node } = one
    const { time } = this.#mesh
    const what = this.#scene.random()
    if (what < 0.25) {
      this.#counts.cuts += 1
      this.#scene.tell(`${node.name} is cut off`)
      const others = this.#mesh.up().filter((other) => other !== node)
      this.#mesh.cut([node], others)
      time.after(CUT_MS[0] + CUT_MS[1] * this.#scene.random(), this.#mesh.heal)
    } else if (what < 0.4) {
      this.#counts.freezes += 1
      this.#scene.tell(`${node.name} is frozen`)
      node.life.freeze()
      time.after(FROZEN_MS * this.#scene.random(), () => node.life.thaw())
    } else {
      const power = this.#scene.happens(0.4)
      this.#counts[power ? 'powerCuts' : 'kills'] += 1
      this.#scene.tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
      this.#mesh.kill(node, power)
      this.#running.delete(node.name)
    }
  }

  /** One is gone for long, while others who do the same are there: what it was to do is done by them. */
  async #outage(): Promise<void> {
    const { time } = this.#mesh
    for (const name of this.#names) if (!this.#running.has(name)) await this.#start(name)
    this.#mesh.heal()
    await this.#mesh.untilLeader(LEADER_MS)
    // The first one does whatever there is to do.
    const gone = this.#scene.anyOf([...this.#running.values()].filter(({ node }) => node.name !== FIRST))
    if (gone === undefined) return
    for (let i = 0; i < 3; i += 1) this.#make()
    await time.run(STEP_MS[1])
    this.#scene.tell(`${gone.node.name} is gone for long`)
    this.#mesh.kill(gone.node)
    this.#running.delete(gone.node.name)
    await time.run(REPLANNED_MS)
    this.#look()
    const left = this.#openTasks().filter(
      ([, { status, assignee }]) => status === 'queued' && assignee === gone.node.id,
    )
    if (left.length > 0) {
      this.#tellOpen()
      throw new Error(`${gone.node.name} is gone, and is to do ${left.map(([id]) => id).join(', ')}`)
    }
    this.#counts.outages += 1
  }

  #watch(): void {
    for (const node of this.#mesh.up()) {
      const machine = node.seat()?.machine
      if (machine !== undefined) this.#observer.watch(machine, this.#scene.problem)
    }
  }

  #look(): void {
    this.#watch()
    this.#scene.requireWell()
  }

  /** As the coordinator has them. */
  #records<T>(prefix: string, read: (value: unknown) => T | undefined): [string, T][] {
    const machine = this.#mesh.leader()?.seat()?.machine
    return [...(machine?.records.all() ?? [])].flatMap(({ key, value }): [string, T][] => {
      const record = key.startsWith(prefix) ? read(value) : undefined
      return record === undefined ? [] : [[key.slice(prefix.length), record]]
    })
  }

  #open(): [string, PlanRecord][] {
    return this.#records(PLAN_PREFIX, readPlan).filter(([, record]) => !isOver(record))
  }

  #openTasks(): [string, TaskRecord][] {
    return this.#records(TASK_PREFIX, readTask).filter(([, { status }]) => !isFinal(status))
  }

  #whatIsOpen(): string | undefined {
    if (this.#mesh.leader() === undefined) return 'nobody coordinates'
    const plans = this.#open().map(([id, { state, reason }]) => `${id} ${state} ${reason ?? ''}`)
    const tasks = this.#openTasks().map(([id, { status, reason }]) => `${id} ${status} ${reason ?? ''}`)
    return plans.length + tasks.length === 0 ? undefined : `open: ${[...plans, ...tasks].join(', ')}`
  }

  async #conclude(): Promise<void> {
    const { time } = this.#mesh
    this.#scene.tell('everything heals')
    for (const name of this.#names) if (!this.#running.has(name)) await this.#start(name)
    this.#mesh.heal()
    await this.#mesh.untilLeader(LEADER_MS)
    await this.#until(() => this.#whatIsOpen())
    await this.#checkWholes()
    do {
      // Who made one before may have it decided only now.
      await this.#until(() => this.#whatIsOpen())
      // Who made a plan hears of its end.
      await time.run(LOOK_MS)
    } while (this.#open().length > 0)
    for (const [id, plan] of this.#records(PLAN_PREFIX, readPlan)) await this.#checkEnd(id, plan)
  }

  async #checkEnd(id: string, plan: PlanRecord): Promise<void> {
    const { outcome, reason, tasks } = plan
    if (/were not submitted$/.test(reason ?? '') && this.#submitted.has(id))
      throw new Error(`${id} was made, and is given up`)
    const [reader] = [...this.#running.values()]
    const read = tasks.map(async (task) =>
      reader?.tasks
        .get(task)
        .state()
        .then(
          ({ record }) => record,
          () => undefined,
        ),
    )
    const records = await this.#mesh.time.settled(Promise.all(read), HEAL_MS)
    const statuses = records.map((record) => record?.status)
    if (outcome === 'completed' && !statuses.every((status) => status === 'completed'))
      throw new Error(`${id} is completed, and its tasks ${statuses.join(', ')}`)
    const isThere = (maker: PlanNode): boolean => this.#running.get(maker.node.name) === maker
    const wrong = this.#spending.wrong(id, plan, records, isThere)
    if (wrong !== undefined) throw new Error(wrong)
  }

  /** None failed since the plan of an attempt before was in its way. */
  async #checkWholes(): Promise<void> {
    const [reader] = [...this.#running.values()]
    if (reader === undefined) return
    for (const id of this.#wholes.keys()) {
      try {
        await this.#mesh.time.settled(reader.tasks.get(id).result({ timeoutMs: LEADER_MS }), HEAL_MS)
        this.#counts.wholes += 1
      } catch (error) {
        if (isParleyError(error, 'STA003') && error.details.reason === 'exists') throw new Error(`${id}: ${error}`)
        this.#scene.tell(`${id} failed: ${error}`)
      }
    }
  }

  #tellOpen(): void {
    for (const [id, record] of [...this.#open(), ...this.#openTasks()])
      this.#scene.tell(`${id} ${JSON.stringify(record)}`)
  }

  async #until(what: () => string | undefined): Promise<void> {
    try {
      await this.#scene.until(what, { everyMs: LOOK_MS, mostMs: HEAL_MS, look: () => this.#look() })
    } catch (error) {
      this.#tellOpen()
      throw error
    }
  }
}

export const runPlansWorld = (options: SceneOptions): Promise<Record<string, number>> =>
  new PlansWorld(options).run(options.steps)
