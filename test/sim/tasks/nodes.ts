/**
 * The nodes of the simulated mesh that submit and work, and what befalls them. State: those that run, what each of them waits for
 * an answer to, and the disks on which they hold large values.
 */
import { createFaultyDisk, type FaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import type { TaskState } from '../../../protocols/task/client/task-api.ts'
import { LEASE_MS } from '../../../protocols/task/scheduler/worker-table.ts'
import type { JournalMesh, JournalNode } from '../../support/journal-mesh.ts'
import type { HeldCopies, Holder } from './bytes/held-copies.ts'
import { slowDisk } from './bytes/slow-disk.ts'
import { startTasks, TASK_PARTS, type WorkingNode } from './node-tasks.ts'
import { PART, SUM, TICK } from './plan.ts'
import type { Toil } from './toil.ts'

const COUNTS = [3, 3, 3, 4, 4, 5]
/** A node without a data directory: it has no vote, and holds nothing. */
const DISKLESS = 'd0'
const DISKLESS_SHARE = 0.25
/** Of nodes that are started again. */
const LOST_SHARE = 0.15
const SLOTS = 4
/** Milliseconds that a node takes to leave, at most. */
const LEAVE_MS = 3_000
const LEADER_MS = 30_000
/** The longer ones are missed by others: what ended meanwhile is told to nobody. */
const MOST_CUT_MS = 4_500
const ROLL_AFTER_MS = 1_000
const ROLL_EACH_MS = 600

export interface TaskNode extends WorkingNode {
  readonly node: JournalNode
  /** It stops by itself. */
  isLeaving: boolean
  readonly asked: Set<Promise<unknown>>
  /** What it submitted, and waits for. */
  readonly ends: Map<string, Promise<TaskState>>
}

export class TaskNodes {
  readonly counts = { kills: 0, powerCuts: 0, cuts: 0, freezes: 0, leaves: 0, outages: 0, rolls: 0 }
  readonly #mesh: JournalMesh
  readonly #toil: Toil
  readonly #copies: HeldCopies
  readonly #tell: (line: string) => void
  readonly #running = new Map<string, TaskNode>()
  readonly #names: readonly string[]
  readonly #disks = new Map<string, FaultyDisk>()
  /** Of each that has run. */
  readonly #peers = new Map<string, string>()

  constructor(mesh: JournalMesh, toil: Toil, copies: HeldCopies, tell: (line: string) => void) {
    this.#mesh = mesh
    this.#toil = toil
    this.#copies = copies
    this.#tell = tell
    // Three voters, or five; a fourth node is a spare one. More nodes cost more and find little more.
    const count = COUNTS[Math.floor(mesh.network.random() * COUNTS.length)] ?? 3
    const names = Array.from({ length: count }, (_, i) => `m${i}`)
    this.#names = mesh.network.random() < DISKLESS_SHARE ? [...names, DISKLESS] : names
  }

  /** Those that run, and do not leave. */
  all(): TaskNode[] {
    return [...this.#running.values()].filter(({ isLeaving }) => !isLeaving)
  }

  /** Resolves once somebody works. */
  async found(mostMs: number): Promise<void> {
    const founders = this.#names.filter((name) => name !== DISKLESS)
    for (const name of this.#names) await this.#start(name, founders.length)
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

  async answered(): Promise<void> {
    await Promise.allSettled(this.all().flatMap(({ asked }) => [...asked]))
  }

  /** Something befalls one of them. */
  async strike(): Promise<void> {
    const { random } = this.#mesh.network
    const down = this.#names.filter((name) => !this.#running.has(name))
    const [first] = down
    if (first !== undefined && (down.length > 1 || random() < 0.5)) {
      if (random() < LOST_SHARE) await this.#loseCopies(first)
      return this.#start(first)
    }
    const all = this.all()
    const leader = all.find(({ node }) => node === this.#mesh.leader())
    const one = random() < 0.4 && leader !== undefined ? leader : all[Math.floor(random() * all.length)]
    if (one === undefined) return
    const what = random()
    if (what < 0.25) this.#cut(one)
    else if (what < 0.35) this.#freeze(one)
    else if (what < 0.45) this.#leave(one)
    else this.#kill(one, random() < 0.4)
  }

  /** Those that run and hold large values. */
  holding(): Holder[] {
    return [...this.#running.values()].flatMap(({ node: { name, id } }) =>
      this.#disks.has(name) ? [{ name, peer: id }] : [],
    )
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
    const one = this.#running.get(holding[Math.floor(random() * holding.length)]?.name ?? '')
    if (one !== undefined) this.#kill(one, random() < 0.5)
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
    this.counts.rolls += 1
    this.#tell(`${away.node.name} is cut off, and the others are started anew`)
    const cutOff = (): void =>
      this.#mesh.cut(
        [away.node],
        this.#mesh.up().filter((node) => node !== away.node),
      )
    cutOff()
    for (const [i, one] of others.entries())
      time.after(ROLL_AFTER_MS + i * ROLL_EACH_MS, async () => {
        this.#kill(one, false)
        await this.#start(one.node.name)
        cutOff()
      })
  }

  /** All but one are away for longer than the lease of that one lasts. */
  async outage(): Promise<void> {
    const { random, time } = this.#mesh.network
    const all = this.all()
    const stays = all[Math.floor(random() * all.length)]
    if (stays === undefined || stays.node.seat() === undefined) return
    this.counts.outages += 1
    for (const one of all) if (one !== stays) this.#kill(one, random() < 0.4)
    await time.run(LEASE_MS + 1_000 + 4_000 * random())
  }

  async heal(): Promise<void> {
    const { time } = this.#mesh
    const isDone = (): boolean => [...this.#running.values()].every(({ isLeaving }) => !isLeaving)
    await time.until(isDone, 2 * LEAVE_MS)
    for (const name of this.#names) if (!this.#running.has(name)) await this.#start(name)
    this.#mesh.heal()
    await this.#mesh.untilLeader(LEADER_MS)
  }

  endAll(): void {
    for (const { node } of this.#running.values()) this.#mesh.kill(node)
    this.#running.clear()
  }

  async #start(name: string, expect?: number): Promise<void> {
    const mayVote = name !== DISKLESS
    const node = await this.#mesh.start(name, {
      ...{ parts: TASK_PARTS, mayVote },
      ...(expect !== undefined && mayVote && { expect }),
    })
    this.#peers.set(name, node.id)
    const working = await startTasks(node, mayVote ? this.#holdsOn(name) : undefined)
    this.#toil.hearClaims(node, working.resources)
    const { tasks } = working
    this.#running.set(name, { node, ...working, isLeaving: false, asked: new Set(), ends: new Map() })
    const works = [
      tasks.work(SUM, (item, ctx) => this.#toil.sum(node, item, ctx), { slots: SLOTS }),
      tasks.work(PART, (item, ctx) => this.#toil.part(node, item, ctx), { slots: SLOTS }),
      tasks.work(TICK, () => null),
    ]
    for (const work of works) work.catch((error: unknown) => this.#tell(`${name} does not work: ${error}`))
    this.#tell(`${name} starts`)
  }

  #holdsOn(name: string) {
    const { time, random } = this.#mesh.network
    const disk = this.#disks.get(name) ?? createFaultyDisk()
    this.#disks.set(name, disk)
    return { disk: slowDisk(disk.mount(), time, random), copies: this.#copies }
  }

  #kill({ node }: TaskNode, power: boolean): void {
    this.counts.kills += 1
    if (power) this.counts.powerCuts += 1
    this.#tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
    this.#end(node, power)
  }

  #end(node: JournalNode, power: boolean): void {
    this.#mesh.kill(node, power)
    if (this.#running.get(node.name)?.node !== node) return
    this.#running.delete(node.name)
    const disk = this.#disks.get(node.name)
    if (power) disk?.crash(this.#mesh.network.random)
    else disk?.release()
  }

  #cut({ node }: TaskNode): void {
    this.counts.cuts += 1
    this.#tell(`${node.name} is cut off`)
    const others = this.#mesh.up().filter((other) => other !== node)
    this.#mesh.cut([node], others)
    this.#mesh.time.after(200 + MOST_CUT_MS * this.#mesh.network.random(), this.#mesh.heal)
  }

  /** As SIGSTOP does, for a while. */
  #freeze({ node }: TaskNode): void {
    this.counts.freezes += 1
    this.#tell(`${node.name} is frozen`)
    node.life.freeze()
    this.#mesh.time.after(200 + 2_500 * this.#mesh.network.random(), () => {
      this.#tell(`${node.name} goes on`)
      node.life.thaw()
    })
  }

  /** It gives back what it has in work, and stops; where that takes too long it is killed. */
  #leave(one: TaskNode): void {
    const { node, tasks, resources } = one
    this.counts.leaves += 1
    this.#tell(`${node.name} leaves`)
    one.isLeaving = true
    const stop = this.#mesh.time.after(LEAVE_MS, () => this.#end(node, false))
    const left = async (): Promise<void> => {
      await tasks.drain(200)
      await tasks.stop()
      await resources.stop()
      await node.stop()
      stop()
      this.#end(node, false)
    }
    left().catch((error: unknown) => this.#toil.problems.push(`${node.name} cannot leave: ${error}`))
  }
}
