/**
 * The nodes of the simulated mesh that submit and work, and what befalls them. State: that of each, and the disks on which they
 * hold large values.
 */
import { createFaultyDisk, type FaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import type { TaskState } from '../../../protocols/task/client/task-api.ts'
import { LEASE_MS } from '../../../protocols/task/scheduler/worker-table.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { type KillableNode, KillableNodes, type StartOptions } from '../killable-nodes.ts'
import type { HeldCopies, Holder } from './bytes/held-copies.ts'
import { slowDisk } from './bytes/slow-disk.ts'
import { startTasks, TASK_PARTS, type WorkingNode } from './node-tasks.ts'
import { PART, SUM, TICK } from './plan.ts'
import type { Toil } from './toil.ts'

/** Three voters, or five; a fourth node is a spare one. More nodes cost more and find little more. */
const SIZES = [3, 3, 3, 4, 4, 5]
/** One without a vote holds nothing. */
const DISKLESS_SHARE = 0.25
/** Of nodes that are started again. */
const LOST_SHARE = 0.15
const SLOTS = 4
/** Milliseconds that a node takes to leave, at most. */
const LEAVE_MS = 3_000
/** The longer ones are missed by others: what ended meanwhile is told to nobody. */
const MOST_CUT_MS = 4_500
const MOST_FROZEN_MS = 2_500
const ROLL_AFTER_MS = 1_000
const ROLL_EACH_MS = 600

export interface TaskNode extends WorkingNode, KillableNode {
  /** What it submitted, and waits for. */
  readonly ends: Map<string, Promise<TaskState>>
}

export class TaskNodes {
  readonly killable: KillableNodes<TaskNode>
  readonly #mesh: JournalMesh
  readonly #toil: Toil
  readonly #copies: HeldCopies
  readonly #tell: (line: string) => void
  readonly #counts = { outages: 0, rolls: 0 }
  readonly #disks = new Map<string, FaultyDisk>()
  /** Of each that has run. */
  readonly #peers = new Map<string, string>()

  constructor(mesh: JournalMesh, toil: Toil, copies: HeldCopies, tell: (line: string) => void) {
    this.#mesh = mesh
    this.#toil = toil
    this.#copies = copies
    this.#tell = tell
    this.killable = new KillableNodes(mesh, {
      ...{ sizes: SIZES, disklessShare: DISKLESS_SHARE, leaveMs: LEAVE_MS, tell },
      ...{ cutBelow: 0.25, frozenBelow: 0.35, leavesBelow: 0.45 },
      cutMs: (random) => 200 + MOST_CUT_MS * random(),
      frozenMs: (random) => 200 + MOST_FROZEN_MS * random(),
      start: (name, options, add) => this.#start(name, options, add),
      async stop({ tasks, resources }) {
        await tasks.drain(200)
        await tasks.stop()
        await resources.stop()
      },
      returns: (name) => (mesh.network.random() < LOST_SHARE ? this.#loseCopies(name) : undefined),
      ended: (name, power) => this.#endDisk(name, power),
      problem: (what) => void toil.problems.push(what),
    })
  }

  all = (): TaskNode[] => this.killable.all()

  counts() {
    return { ...this.killable.counts, ...this.#counts }
  }

  /** Resolves once somebody works. */
  async found(mostMs: number): Promise<void> {
    await this.killable.found()
    const isWorking = (): boolean => this.all().some(({ tasks }) => tasks.figures().workers > 0)
    await this.#mesh.time.until(isWorking, mostMs)
  }

  /** It is answered, or the node that waits for it is no more. */
  waitFor<T>({ asked }: TaskNode, answer: Promise<T>): Promise<T> {
    asked.add(answer)
    const forget = (): void => void asked.delete(answer)
    answer.then(forget, forget)
    return answer
  }

  /** Those that run and hold large values. */
  holding(): Holder[] {
    return this.killable
      .running()
      .flatMap(({ node: { name, id } }) => (this.#disks.has(name) ? [{ name, peer: id }] : []))
  }

  /** A bit of one copy of a large value turns; `isAll`: of all copies there are. */
  damage(key: string, isAll: boolean): void {
    this.#tell(`${isAll ? 'all copies' : 'a copy'} of ${key} are damaged`)
    for (const [name, disk] of this.#disks) {
      const isDamaged = this.#copies.damage(this.#peers.get(name) ?? '', key, disk)
      if (isDamaged && !isAll) return
    }
  }

  /** One that holds large values stays away. */
  leaveForGood(): void {
    const { random } = this.#mesh.network
    const holding = this.holding()
    const one = this.killable.find(holding[Math.floor(random() * holding.length)]?.name ?? '')
    if (one !== undefined) this.killable.kill(one, random() < 0.5)
  }

  async #loseCopies(name: string): Promise<void> {
    const disk = this.#disks.get(name)
    if (disk === undefined) return
    this.#tell(`${name} loses what it held`)
    await this.#copies.lose(this.#peers.get(name) ?? '', disk)
  }

  /** One is cut off while the others are started anew, one after another: who leads then knows no change of before that. */
  rollOver(): void {
    const { time } = this.#mesh
    const [away, ...others] = this.all().filter(({ node }) => node.seat() !== undefined)
    if (away === undefined) return
    this.#counts.rolls += 1
    this.#tell(`${away.node.name} is cut off, and the others are started anew`)
    this.killable.cutOff(away)
    for (const [i, one] of others.entries())
      time.after(ROLL_AFTER_MS + i * ROLL_EACH_MS, async () => {
        this.killable.kill(one, false)
        await this.killable.start(one.node.name)
        this.killable.cutOff(away)
      })
  }

  /** All but one are away for longer than the lease of that one lasts. */
  async outage(): Promise<void> {
    const { random, time } = this.#mesh.network
    const all = this.all()
    const stays = all[Math.floor(random() * all.length)]
    if (stays === undefined || stays.node.seat() === undefined) return
    this.#counts.outages += 1
    for (const one of all) if (one !== stays) this.killable.kill(one, random() < 0.4)
    await time.run(LEASE_MS + 1_000 + 4_000 * random())
  }

  async #start(name: string, options: StartOptions, add: (one: TaskNode) => void): Promise<void> {
    const node = await this.#mesh.start(name, { parts: TASK_PARTS, ...options })
    this.#peers.set(name, node.id)
    const working = await startTasks(node, options.mayVote ? this.#holdsOn(name) : undefined)
    this.#toil.hearClaims(node, working.resources)
    const { tasks } = working
    add({ node, ...working, isLeaving: false, asked: new Set(), ends: new Map() })
    const works = [
      tasks.work(SUM, (item, ctx) => this.#toil.sum(node, item, ctx), { slots: SLOTS }),
      tasks.work(PART, (item, ctx) => this.#toil.part(node, item, ctx), { slots: SLOTS }),
      tasks.work(TICK, () => null),
    ]
    for (const work of works) work.catch((error: unknown) => this.#tell(`${name} does not work: ${error}`))
  }

  #holdsOn(name: string) {
    const { time, random } = this.#mesh.network
    const disk = this.#disks.get(name) ?? createFaultyDisk()
    this.#disks.set(name, disk)
    return { disk: slowDisk(disk.mount(), time, random), copies: this.#copies }
  }

  #endDisk(name: string, power: boolean): void {
    const disk = this.#disks.get(name)
    if (power) disk?.crash(this.#mesh.network.random)
    else disk?.release()
  }
}
