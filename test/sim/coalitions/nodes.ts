/** The nodes of the simulated mesh that form coalitions, and what befalls them. State: those that run, and the disks of all. */
import { createFenceStore } from '../../../node/store/fences/fence-store.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import { createFenceGuard, type Fences } from '../../../protocols/journal/fencing/fence-guard.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { slowDisk } from '../tasks/bytes/slow-disk.ts'
import { type CoalitionNode, type CoalitionNodeOptions, startCoalitions } from './node.ts'

const COUNTS = [3, 3, 4, 5]
/** A node without a vote. */
const DISKLESS = 'd0'
const DISKLESS_SHARE = 0.3
const LATE_LISTENER_SHARE = 0.25
const LATE_LISTENER_MS = 4_000
const CUT_MS = [200, 6_000] as const
const FROZEN_MS = 4_000
const LEADER_MS = 60_000
const READ_MS = 10_000

type Given = Omit<CoalitionNodeOptions, 'expect' | 'mayVote' | 'fences' | 'listensAfterMs' | 'isKnown' | 'mayDissolve'>

export class CoalitionNodes {
  readonly counts = { kills: 0, powerCuts: 0, cuts: 0, freezes: 0 }
  readonly #mesh: JournalMesh
  readonly #given: Given
  readonly #tell: (line: string) => void
  readonly #running = new Map<string, CoalitionNode>()
  readonly #names: readonly string[]
  readonly #disks = new Map<string, FaultyDisk>()
  /** By name, of each that has run. */
  readonly #peers = new Map<string, string>()

  constructor(mesh: JournalMesh, given: Given, tell: (line: string) => void) {
    this.#mesh = mesh
    this.#given = given
    this.#tell = tell
    const { random } = mesh.network
    const count = COUNTS[Math.floor(random() * COUNTS.length)] ?? 3
    const names = Array.from({ length: count }, (_, i) => `m${i}`)
    this.#names = random() < DISKLESS_SHARE ? [...names, DISKLESS] : names
  }

  all(): CoalitionNode[] {
    return [...this.#running.values()]
  }

  find(peer: string): CoalitionNode | undefined {
    return this.all().find(({ node }) => node.id === peer)
  }

  leading(): CoalitionNode | undefined {
    return this.all().find(({ node }) => node === this.#mesh.leader())
  }

  peers(): string[] {
    return [...this.#peers.values()]
  }

  /** The one that may dissolve coalitions of others. */
  holder(): string | undefined {
    return this.#peers.get('m0')
  }

  async found(mostMs: number): Promise<void> {
    const founders = this.#names.filter((name) => name !== DISKLESS)
    for (const name of this.#names) await this.start(name, founders.length)
    await this.#mesh.untilLeader(mostMs)
  }

  async start(name: string, expect?: number): Promise<void> {
    const { random } = this.#mesh.network
    const mayVote = name !== DISKLESS
    const isLate = expect === undefined && random() < LATE_LISTENER_SHARE
    const one = await startCoalitions(this.#mesh, name, {
      ...this.#given,
      ...(expect !== undefined && mayVote && { expect }),
      ...{ mayVote, fences: await this.#fencesOf(name) },
      listensAfterMs: isLate ? 1 + random() * LATE_LISTENER_MS : 0,
      isKnown: (peer) => this.peers().includes(peer),
      mayDissolve: (peer) => peer === this.holder(),
    })
    this.#peers.set(name, one.node.id)
    this.#running.set(name, one)
    this.#tell(`${name} starts`)
  }

  /** What it has kept of its lives before. */
  #fencesOf(name: string): Promise<Fences> {
    const { random, time } = this.#mesh.network
    const disk = this.#disks.get(name) ?? createFaultyDisk()
    this.#disks.set(name, disk)
    const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => Math.floor(random() * 256))
    return time.settled(createFenceGuard(createFenceStore(slowDisk(disk.mount(), time, random), bytes)), READ_MS)
  }

  /** Something befalls one of them. */
  async strike(): Promise<void> {
    const { random } = this.#mesh.network
    const away = this.#names.filter((name) => !this.#running.has(name))
    const [first] = away
    if (first !== undefined && (away.length > 1 || random() < 0.6)) return this.start(first)
    const leading = this.leading()
    const all = this.all()
    const one = random() < 0.4 && leading !== undefined ? leading : all[Math.floor(random() * all.length)]
    if (one === undefined) return
    const what = random()
    if (what < 0.3) this.cut(one, CUT_MS[0] + CUT_MS[1] * random())
    else if (what < 0.45) this.#freeze(one)
    else this.kill(one, random() < 0.4)
  }

  kill({ node }: CoalitionNode, power = false): void {
    this.counts[power ? 'powerCuts' : 'kills'] += 1
    this.#tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
    this.#mesh.kill(node, power)
    this.#running.delete(node.name)
    const disk = this.#disks.get(node.name)
    if (power) disk?.crash(this.#mesh.network.random)
    else disk?.release()
  }

  /** @param forMs for ever unless told */
  cut({ node }: CoalitionNode, forMs?: number): void {
    this.counts.cuts += 1
    this.#tell(`${node.name} is cut off`)
    const others = this.#mesh.up().filter((other) => other !== node)
    this.#mesh.cut([node], others)
    const { cuts } = this.counts
    // All are connected again then, but not where another one was cut off meanwhile.
    if (forMs !== undefined) this.#mesh.time.after(forMs, () => void (cuts === this.counts.cuts && this.#mesh.heal()))
  }

  async heal(): Promise<void> {
    for (const name of this.#names) if (!this.#running.has(name)) await this.start(name)
    this.#mesh.heal()
    await this.#mesh.untilLeader(LEADER_MS)
  }

  endAll(): void {
    for (const { node } of this.#running.values()) this.#mesh.kill(node)
    this.#running.clear()
  }

  /** As SIGSTOP does, for a while. */
  #freeze({ node }: CoalitionNode): void {
    this.counts.freezes += 1
    this.#tell(`${node.name} is frozen`)
    node.life.freeze()
    this.#mesh.time.after(FROZEN_MS * this.#mesh.network.random(), () => node.life.thaw())
  }
}
