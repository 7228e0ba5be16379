/**
 * Tasks on nodes of the simulated mesh, as node/parts/built-in.ts starts them: submitted, done, paused, canceled, given what they
 * wait for, while nodes are killed, lose power, are frozen, leave and are cut off, requester, worker and coordinator alike.
 * Everything follows from the seed. Some have large values, whose copies are lost and damaged.
 *
 * At every step the journal is looked at (observer.ts), and attempts get what they are promised (toil.ts). At the end all are
 * there and connected again: every task that was accepted ends once, as it may (plan.ts), and nothing is stranded.
 */

import { isParleyError } from '../../../protocols/errors.ts'
import type { SubmitTask, TaskState } from '../../../protocols/task/client/task-api.ts'
import type { TaskRecord } from '../../../protocols/task/task-record.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { openOnes, ResourceObserver, readAll } from '../resources/observer.ts'
import { Scene, type SceneOptions } from '../scene.ts'
import { HeldCopies } from './bytes/held-copies.ts'
import { LargeValues } from './bytes/large-world.ts'
import { checkClock, startClock } from './clock.ts'
import { DrawObserver } from './draw-observer.ts'
import { type TaskNode, TaskNodes } from './nodes.ts'
import { TaskObserver } from './observer.ts'
import { childOf, drawPlan, drawTask, isInputLost, type KnownTask, TICK, WORD, wrongEnd } from './plan.ts'
import { Toil } from './toil.ts'
import { ToldEnds } from './told-ends.ts'
import type { TasksTotals } from './totals.ts'

const STEP_MS = [30, 350] as const
const FOUND_MS = 30_000
const HEAL_MS = 240_000
/**
 * Milliseconds that a wait may be shorter: by what clocks show of one time. Where they differ, by what one worker hears the journal's
 * time late, and the next one's own clock is ahead of it and counts (journal/feed/heard-time.ts).
 */
const CLOCK_MS = 0.001
const HEARD_MS = 5_500
/** Milliseconds between two looks at what is still open. */
const LOOK_MS = 200
/** Of runs. */
const OUTAGE_SHARE = 0.15
const ROLL_SHARE = 0.15
const ROLL_STEP = 4
/** Who coordinates then puts away what ended before. */
const ROLLED_MS = 2_000
/** Entries between two snapshots: who was away for long is told everything anew. */
const SNAPSHOT_EVERY = 40
const CLOCK_OWNER = 'm0'
/** Of submissions, that are given up after so many milliseconds: nobody knows what came of them. */
const HASTY_SHARE = 0.1
const HASTY_MS = 300

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

class TasksWorld {
  readonly #scene: Scene
  readonly #mesh: JournalMesh
  readonly #toil: Toil
  readonly #nodes: TaskNodes
  readonly #values: LargeValues
  readonly #observer = new TaskObserver()
  readonly #resources = new ResourceObserver()
  readonly #draws = new DrawObserver()
  readonly #known = new Map<string, KnownTask>()
  readonly #told = new ToldEnds()
  readonly #counts = { submitted: 0, completed: 0, failed: 0, canceled: 0, expired: 0, inputLost: 0 }
  readonly #asked = { pauses: 0, watched: 0 }

  constructor(options: SceneOptions) {
    this.#scene = new Scene(options, SNAPSHOT_EVERY)
    this.#mesh = this.#scene.mesh
    this.#toil = new Toil(this.#scene.random, this.#scene.clocksDiffer ? HEARD_MS : CLOCK_MS)
    const copies = new HeldCopies((problem) => this.#toil.problems.push(problem))
    this.#nodes = new TaskNodes(this.#mesh, this.#toil, copies, this.#scene.tell)
    this.#values = new LargeValues(this.#mesh, this.#nodes, copies, this.#toil.problems)
  }

  async run(steps: number): Promise<TasksTotals> {
    const { time } = this.#mesh
    await this.#nodes.found(FOUND_MS)
    const owner = this.#clockOwner()
    await time.settled(startClock(owner.tasks), HEAL_MS)
    const rollStep = this.#scene.happens(ROLL_SHARE) ? ROLL_STEP : steps
    for (let step = 0; step < steps; step += 1) {
      if (step === rollStep) this.#nodes.rollOver()
      this.#submit()
      if (this.#scene.happens(0.2)) this.#control()
      if (this.#scene.happens(0.2)) this.#giveWord()
      if (this.#scene.happens(0.2)) this.#watch()
      if (this.#scene.happens(0.3) && step < rollStep) await this.#nodes.killable.strike()
      this.#values.strike()
      await this.#scene.pass(STEP_MS)
      await this.#values.look(this.#known.values())
      this.#look()
    }
    if (rollStep < steps) await time.run(ROLLED_MS)
    else if (this.#scene.happens(OUTAGE_SHARE)) await this.#nodes.outage()
    await this.#conclude()
    const ticks = await this.#stopClock()
    await this.#allGivenBack()
    await this.#values.conclude(this.#known.values())
    this.#look()
    const { runs: effects, repeated, refused } = this.#toil.sink
    this.#nodes.killable.endAll()
    const done = { ...this.#counts, ...this.#asked, ...this.#nodes.counts(), ...this.#values.counts() }
    const { spending, counts } = this.#toil
    return { steps, ...done, ...counts, ...spending.counts, effects, repeated, refused, ticks }
  }

  /** Whichever process it is by now. */
  #clockOwner(): TaskNode {
    const owner = this.#nodes.all().find(({ node }) => node.name === CLOCK_OWNER)
    if (owner === undefined) throw new Error(`${CLOCK_OWNER} is not there`)
    return owner
  }

  async #stopClock(): Promise<number> {
    const { tasks, node } = this.#clockOwner()
    const ticks = await this.#mesh.time.settled(checkClock(tasks, node.journal), HEAL_MS)
    this.#look()
    return ticks
  }

  /** What was allocated for attempts goes with them. */
  async #allGivenBack(): Promise<void> {
    const { time } = this.#mesh
    const until = time.now() + HEAL_MS
    for (;;) {
      const machine = this.#mesh.leader()?.seat()?.machine
      const open = machine === undefined ? ['nobody leads'] : openOnes(readAll(machine))
      if (open.length === 0) return
      if (time.now() > until) throw new Error(`not given back: ${open.join(', ')}`)
      await time.run(LOOK_MS)
    }
  }

  #accepted(): KnownTask[] {
    return [...this.#known.values()].filter(({ isAccepted }) => isAccepted)
  }

  #submit(): void {
    const from = this.#scene.anyOf(this.#nodes.all())
    if (from === undefined) return
    const plan = drawPlan(this.#known.size + 1, this.#scene.random)
    const task = drawTask(plan, this.#scene.random, from.node.port.clock.now(), this.#scene.anyOf(this.#accepted())?.id)
    const id = `t${plan.number}`
    const known: KnownTask = {
      ...{ id, plan, task, by: from.node.id, words: new Set() },
      ...{ isAccepted: false, isCanceled: false },
    }
    this.#known.set(id, known)
    const hasty = this.#scene.happens(HASTY_SHARE) ? { timeoutMs: this.#scene.random() * HASTY_MS } : {}
    this.#nodes.waitFor(from, from.tasks.submit(task, hasty)).then(
      (handle) => {
        this.#counts.submitted += 1
        known.isAccepted = true
        const end = handle.ended()
        end.catch(() => {})
        from.ends.set(id, end)
        if (plan.large !== 'input') this.#submitAgain(from, task)
      },
      (error: unknown) => this.#scene.tell(`${id} was not submitted: ${textOf(error)}`),
    )
  }

  #submitAgain(from: TaskNode, task: SubmitTask): void {
    const submit = (same: SubmitTask) => this.#nodes.waitFor(from, from.tasks.submit(same))
    this.#ask(`${task.id} is submitted again`, this.#toil.spending.again(submit, task))
  }

  /** Mostly by who submitted it; anybody else asks the coordinator. */
  #handleOf({ id, by }: KnownTask) {
    const own = this.#nodes.all().find(({ node }) => node.id === by)
    const one = own !== undefined && this.#scene.happens(0.7) ? own : this.#scene.anyOf(this.#nodes.all())
    return one?.tasks.get(id)
  }

  #control(): void {
    const known = this.#scene.anyOf(this.#accepted())
    const handle = known && this.#handleOf(known)
    if (known === undefined || handle === undefined) return
    const what = this.#scene.random()
    if (what < 0.6) {
      this.#toil.paused.add(known.id)
      const paused = handle.pause('a test').then(() => {
        this.#asked.pauses += 1
        this.#mesh.time.after(this.#scene.random() * 1_000, () => void handle.resume().catch(() => {}))
      })
      this.#ask(`${known.id} is paused`, paused)
    } else if (what < 0.8) {
      known.isCanceled = true
      this.#ask(`${known.id} is canceled`, handle.cancel('a test'))
    } else this.#ask(`${known.id} is resumed`, handle.resume())
  }

  #giveWord(): void {
    const known = this.#scene.anyOf(this.#accepted().filter(({ plan }) => plan.waitMs !== undefined))
    const handle = known && this.#handleOf(known)
    if (known !== undefined && handle !== undefined) this.#give(known, handle)
  }

  #give(known: KnownTask, handle: { signal(name: string, value: string): Promise<unknown> }): void {
    const word = `word ${known.words.size}`
    known.words.add(word)
    this.#ask(`${known.id} is given ${word}`, handle.signal(WORD, word))
  }

  #ask(what: string, asked: Promise<unknown>): void {
    asked.then(
      () => this.#scene.tell(what),
      (error: unknown) => {
        if (!isParleyError(error)) this.#toil.problems.push(textOf(error))
      },
    )
  }

  #watch(): void {
    const id = this.#scene.anyOf(this.#accepted())?.id
    const from = this.#scene.anyOf(this.#nodes.all())
    if (id === undefined || from === undefined) return
    from.tasks
      .get(id)
      .ended({ timeoutMs: 5_000 })
      .then(
        (state) => {
          this.#asked.watched += 1
          this.#note(state)
        },
        () => {},
      )
  }

  #note(state: TaskState): void {
    const wrong = this.#told.note(state)
    if (wrong !== undefined) this.#toil.problems.push(wrong)
  }

  #look(): void {
    const machines = this.#nodes.all().flatMap(({ node }) => node.seat()?.machine ?? [])
    const { time } = this.#mesh
    const tell = (what: string): void => void this.#toil.problems.push(what)
    for (const machine of machines) this.#resources.watch(machine, () => time.now(), tell)
    for (const machine of machines) this.#draws.watch(machine, tell)
    this.#observer.look(machines)
    const [problem] = this.#toil.problems
    if (problem !== undefined) throw new Error(problem)
  }

  async #conclude(): Promise<void> {
    const { time } = this.#mesh
    this.#scene.tell('everything heals')
    await this.#nodes.killable.heal()
    const [first, ...others] = this.#nodes.all()
    if (first === undefined) throw new Error('no node is there')
    const known = [...this.#known.values()]
    const ends = known.map(({ id, isAccepted }) =>
      isAccepted ? (this.#scene.anyOf(others) ?? first).tasks.get(id).ended({ timeoutMs: HEAL_MS }) : undefined,
    )
    for (const end of ends) end?.catch(() => {})
    const until = time.now() + HEAL_MS
    // Whoever submits now is answered.
    await time.settled(this.#nodes.killable.answered(), HEAL_MS)
    for (this.#look(); this.#open().length > 0; this.#look()) {
      await this.#values.look(this.#known.values())
      if (time.now() > until) throw new Error(`still open: ${this.#openText()}`)
      for (const [id, { status }] of this.#open()) this.#help(id, status)
      await time.run(LOOK_MS)
    }
    this.#scene.tell('all have ended')
    for (const [i, one] of known.entries()) {
      const end = ends[i] ?? (one.isAccepted ? first.tasks.get(one.id).ended({ timeoutMs: HEAL_MS }) : undefined)
      if (end !== undefined) await this.#judge(one, await time.settled(end, HEAL_MS))
    }
    // Who submitted a task, and lived on, hears of its end.
    for (const { node, tasks, ends: own } of this.#nodes.all())
      for (const [id, end] of own) {
        this.#scene.tell(`${node.name} waits for ${id}`)
        const state = await time.settled(end, HEAL_MS)
        this.#note(state)
        this.#judgeBudget(id, state.record, tasks.figures().budgets_written_off_total === 0)
      }
    // Also of those of which nobody knows whether they were submitted.
    for (const [id, record] of this.#observer.ends) this.#judgeBudget(id, record, false)
    this.#look()
  }

  /** What a person does for a task that does not get on. */
  #help(id: string, status: string): void {
    const known = this.#known.get(id)
    const handle = known && this.#handleOf(known)
    if (known === undefined || handle === undefined) return
    if (status === 'paused') this.#ask(`${id} is resumed`, handle.resume())
    // One that has a deadline ends by that.
    if (status === 'auth_required' && known.task.deadline === undefined) this.#give(known, handle)
  }

  async #judge(known: KnownTask, ended: TaskState): Promise<void> {
    this.#note(ended)
    const { id, status, record } = ended
    if (status === 'completed' || status === 'failed' || status === 'canceled') this.#counts[status] += 1
    if (record.reason === 'deadline') this.#counts.expired += 1
    if (isInputLost(record.reason)) this.#counts.inputLost += 1
    const state = ended.storedResult === undefined ? ended : await this.#values.withResult(ended)
    // Nobody has its result any more.
    if (state === undefined) return
    const wrong = wrongEnd(known, state, (one) => this.#observer.ends.get(one), this.#values.wasLost(id))
    if (wrong !== undefined) this.#toil.problems.push(`${id}: ${wrong}`)
    const child = this.#observer.ends.get(childOf(id))
    if (child?.status === 'canceled' && status === 'completed')
      this.#toil.problems.push(`${id} is completed, and its child was canceled`)
  }

  #judgeBudget(id: string, { budget: own }: TaskRecord, isHeard: boolean): void {
    const task = this.#known.get(id)?.task
    const child = this.#observer.ends.get(childOf(id))?.budget
    if (task !== undefined) this.#toil.spending.judge(task, { own, child }, isHeard)
  }

  /** But for those that a schedule begins, which goes on. */
  #open() {
    return this.#observer.open().filter(([, { type }]) => type !== TICK)
  }

  #openText(): string {
    return this.#open()
      .map(([id, { status, reason = '' }]) => `${id} ${status} ${reason}`.trim())
      .join(', ')
  }
}

export const runTasksWorld = (options: SceneOptions): Promise<TasksTotals> => new TasksWorld(options).run(options.steps)
