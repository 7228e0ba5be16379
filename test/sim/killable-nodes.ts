/**
 * Nodes of a simulated mesh, and what befalls them: they are killed, lose power, are cut off and frozen, leave in order, and are
 * started again. State: those that run.
 */
import type { JournalMesh, JournalNode } from '../support/journal-mesh.ts'

/** A node without a data directory: it has no vote. */
const DISKLESS = 'd0'
/** What befalls somebody befalls the one that leads. */
const LEADER_SHARE = 0.4
const POWER_SHARE = 0.4
const LEADER_MS = 30_000

export interface KillableNode {
  readonly node: JournalNode
  /** It stops by itself. */
  isLeaving: boolean
  /** What its program waits for. */
  readonly asked: Set<Promise<unknown>>
}

export interface StartOptions {
  readonly mayVote: boolean
  /** Of who founds the mesh: how many do so. */
  readonly expect?: number
}

export interface KillableOptions<N extends KillableNode> {
  /** How many there may be, apart from the one without a vote. */
  readonly sizes: readonly number[]
  /** How often there is one without a vote. */
  readonly disklessShare: number
  /** Up to where a draw from 0 to 1 cuts off, freezes, or has one leave; above it is killed. */
  readonly cutBelow: number
  readonly frozenBelow: number
  readonly leavesBelow: number
  /** Who takes longer to leave is killed. */
  readonly leaveMs: number
  cutMs(random: () => number): number
  frozenMs(random: () => number): number
  /** Starts it, and gives it to `add` as soon as it is there. */
  start(name: string, options: StartOptions, add: (one: N) => void): Promise<void>
  /** What it does before its node stops. */
  stop(one: N): Promise<void>
  /** It is about to start again. */
  returns?(name: string): Promise<void> | undefined
  frozen?(one: N, forMs: number): void
  thawed?(one: N): void
  ended?(name: string, power: boolean): void
  tell(line: string): void
  problem(what: string): void
}

export class KillableNodes<N extends KillableNode> {
  readonly counts = { kills: 0, powerCuts: 0, cuts: 0, freezes: 0, leaves: 0 }
  readonly names: readonly string[]
  readonly #mesh: JournalMesh
  readonly #options: KillableOptions<N>
  readonly #running = new Map<string, N>()
  readonly #frozen = new Set<JournalNode>()

  constructor(mesh: JournalMesh, options: KillableOptions<N>) {
    this.#mesh = mesh
    this.#options = options
    const { random } = mesh.network
    const { sizes, disklessShare } = options
    const size = sizes[Math.floor(random() * sizes.length)] ?? 3
    const names = Array.from({ length: size }, (_, i) => `m${i}`)
    this.names = random() < disklessShare ? [...names, DISKLESS] : names
  }

  /** Those that run. */
  running(): N[] {
    return [...this.#running.values()]
  }

  /** Those that run, and do not leave. */
  all(): N[] {
    return this.running().filter(({ isLeaving }) => !isLeaving)
  }

  find(name: string): N | undefined {
    return this.#running.get(name)
  }

  any(): N | undefined {
    const all = this.all()
    return all[Math.floor(this.#mesh.network.random() * all.length)]
  }

  voters(): string[] {
    return this.names.filter((name) => name !== DISKLESS)
  }

  async found(): Promise<void> {
    const { length } = this.voters()
    for (const name of this.names) await this.start(name, length)
  }

  async start(name: string, founders?: number): Promise<void> {
    const mayVote = name !== DISKLESS
    const options = { mayVote, ...(founders !== undefined && mayVote && { expect: founders }) }
    await this.#options.start(name, options, (one) => this.#running.set(name, one))
    this.#options.tell(`${name} starts`)
  }

  async answered(): Promise<void> {
    await Promise.allSettled(this.all().flatMap(({ asked }) => [...asked]))
  }

  /** Something befalls one of them. */
  async strike(): Promise<void> {
    const { random } = this.#mesh.network
    const { cutBelow, frozenBelow, leavesBelow, returns } = this.#options
    const [first, ...others] = this.names.filter((name) => !this.#running.has(name))
    if (first !== undefined && (others.length > 0 || random() < 0.5)) {
      const returning = returns?.(first)
      if (returning !== undefined) await returning
      return this.start(first)
    }
    const leader = this.all().find(({ node }) => node === this.#mesh.leader())
    const one = random() < LEADER_SHARE && leader !== undefined ? leader : this.any()
    if (one === undefined) return
    const what = random()
    if (what < cutBelow) this.#cut(one)
    else if (what < frozenBelow) this.#freeze(one)
    else if (what < leavesBelow) this.#leave(one)
    else this.kill(one, random() < POWER_SHARE)
  }

  kill({ node }: N, power: boolean): void {
    this.counts.kills += 1
    if (power) this.counts.powerCuts += 1
    this.#options.tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
    this.#end(node, power)
  }

  /** From all others, until the mesh heals. */
  cutOff({ node }: N): void {
    this.#mesh.cut(
      [node],
      this.#mesh.up().filter((other) => other !== node),
    )
  }

  /**
   * Who of the others coordinates, in which epoch; undefined: nobody is known to. One that is frozen, or has no majority, decides
   * nothing, and does not know of it.
   */
  actingWithout(one: N): string | undefined {
    const leader = this.#mesh.leader()
    const status = leader?.coordinator.status()
    if (leader === undefined || status?.acting !== true || this.#frozen.has(leader)) return undefined
    const voters = this.voters()
    const there = this.all().filter(
      ({ node }) => node !== one.node && !this.#frozen.has(node) && voters.includes(node.name),
    )
    return 2 * there.length > voters.length ? `${leader.id} ${status.epoch}` : undefined
  }

  /** All are there, connected, and led. */
  async heal(): Promise<void> {
    await this.#mesh.time.until(() => this.running().every(({ isLeaving }) => !isLeaving), 2 * this.#options.leaveMs)
    for (const name of this.names) if (!this.#running.has(name)) await this.start(name)
    this.#mesh.heal()
    await this.#mesh.untilLeader(LEADER_MS)
  }

  endAll(): void {
    for (const { node } of this.#running.values()) this.#mesh.kill(node)
    this.#running.clear()
  }

  #end(node: JournalNode, power: boolean): void {
    this.#mesh.kill(node, power)
    if (this.#running.get(node.name)?.node !== node) return
    this.#running.delete(node.name)
    this.#options.ended?.(node.name, power)
  }

  #cut(one: N): void {
    this.counts.cuts += 1
    this.#options.tell(`${one.node.name} is cut off`)
    this.cutOff(one)
    this.#mesh.time.after(this.#options.cutMs(this.#mesh.network.random), this.#mesh.heal)
  }

  /** As SIGSTOP does, for a while. */
  #freeze(one: N): void {
    const { node } = one
    this.counts.freezes += 1
    const forMs = this.#options.frozenMs(this.#mesh.network.random)
    this.#options.tell(`${node.name} is frozen for ${Math.round(forMs)} ms`)
    this.#options.frozen?.(one, forMs)
    node.life.freeze()
    this.#frozen.add(node)
    this.#mesh.time.after(forMs, () => {
      this.#options.tell(`${node.name} goes on`)
      node.life.thaw()
      this.#frozen.delete(node)
      this.#options.thawed?.(one)
    })
  }

  /** It ends what it has in work, and stops; where that takes too long it is killed. */
  #leave(one: N): void {
    const { node } = one
    this.counts.leaves += 1
    this.#options.tell(`${node.name} leaves`)
    one.isLeaving = true
    const stop = this.#mesh.time.after(this.#options.leaveMs, () => this.#end(node, false))
    const left = async (): Promise<void> => {
      await this.#options.stop(one)
      await node.stop()
      stop()
      this.#end(node, false)
    }
    left().catch((error: unknown) => this.#options.problem(`${node.name} cannot leave: ${error}`))
  }
}
