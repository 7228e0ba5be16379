/**
 * Coalitions on nodes of the simulated mesh: formed, left and dissolved, over in time, while coordinators, members and proposers are
 * killed, lose power, are frozen and cut off, and members refuse. Everything follows from the seed.
 *
 * At each index of the journal its rules hold (observer.ts), and at each moment those of members (members.ts). At the end all are
 * there and connected again: each `form` has ended, and each node is in just what the journal says, and follows who leads it.
 */
import { START_MS } from '../../../node/testing/virtual/virtual-time.ts'
import type {
  CoalitionNews,
  CoalitionStatus,
  CoalitionVerdict,
} from '../../../protocols/coordination/coalition/coalition-api.ts'
import {
  COALITIONS_PART,
  type CoalitionRecord,
  peersOf,
} from '../../../protocols/coordination/coalition/coalition-record.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { createJournalMesh, type JournalMesh, type JournalNode } from '../../support/journal-mesh.ts'
import { MemberWatch } from './members.ts'
import type { CoalitionNode } from './node.ts'
import { CoalitionNodes } from './nodes.ts'
import { CoalitionObserver } from './observer.ts'

const STEP_MS = [50, 700] as const
const FOUND_MS = 60_000
const HEAL_MS = 120_000
const LOOK_MS = 500
const SNAPSHOT_EVERY = 40
const DAY_MS = 86_400_000
const SHORT_MS = [500, 12_000] as const
const SHORT_SHARE = 0.35
const FORM_MS = 30_000
/** What a `form` may end late. */
const LATE_MS = 6_000
const OUTAGE_SHARE = 0.35
/** Longer than members of one that is dissolved are told by themselves. */
const OUTAGE_MS = 66_000
/** What no node has. */
const STRANGER = 'peerofnobody'
const STRANGER_SHARE = 0.08
const ENDS = new Set(['COM001', 'COM002', 'COM003', 'COM004', 'STA003'])

export interface CoalitionsWorldOptions {
  readonly seed: number
  readonly steps: number
  readonly trace?: ((line: string) => void) | undefined
}

/** A `form` that has not ended. */
interface Asked {
  readonly one: CoalitionNode
  readonly endsAt: number
}

class CoalitionsWorld {
  readonly #mesh: JournalMesh
  readonly #nodes: CoalitionNodes
  readonly #observer: CoalitionObserver
  readonly #members: MemberWatch
  readonly #problems: string[] = []
  readonly #random: () => number
  readonly #trace: ((line: string) => void) | undefined
  readonly #asked = new Map<string, Asked>()
  readonly #counts = { active: 0, failed: 0, refused: 0, leaves: 0, ends: 0, outages: 0 }
  #ids = 0
  /** From now on programs agree to all. */
  #isCalm = false

  constructor({ seed, trace }: CoalitionsWorldOptions) {
    this.#mesh = createJournalMesh({
      ...{ seed, snapshotEvery: SNAPSHOT_EVERY },
      autopilot: { stableMs: 1_000, replaceAfterMs: 600_000 },
    })
    this.#random = this.#mesh.network.random
    this.#trace = trace
    const problem = (what: string): void => void this.#problems.push(what)
    this.#observer = new CoalitionObserver(
      (id, peer) => this.#members.hasAgreed(id, peer),
      () => START_MS + this.#mesh.time.now(),
    )
    this.#members = new MemberWatch(this.#observer, problem)
    this.#nodes = new CoalitionNodes(
      this.#mesh,
      { watch: this.#members, problem, judge: (news, node) => this.#judge(news, node) },
      (line) => this.#tell(line),
    )
  }

  async run(steps: number): Promise<Record<string, number>> {
    const { time } = this.#mesh
    await this.#nodes.found(FOUND_MS)
    const isDecided = (): boolean =>
      this.#mesh.leader()?.seat()?.machine.records.parts.agreed(COALITIONS_PART) !== undefined
    await time.until(isDecided, FOUND_MS)
    for (let step = 0; step < steps; step += 1) {
      this.#look()
      this.#act()
      if (this.#happens(0.22)) await this.#nodes.strike()
      await time.run(STEP_MS[0] + this.#random() * (STEP_MS[1] - STEP_MS[0]))
    }
    this.#look()
    if (this.#happens(OUTAGE_SHARE)) await this.#outage()
    await this.#conclude()
    this.#nodes.endAll()
    return { steps, ...this.#counts, ...this.#nodes.counts, ...this.#observer.counts, ...this.#members.counts }
  }

  #happens(share: number): boolean {
    return this.#random() < share
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count)
  }

  #anyOf<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)]
  }

  #tell(line: string): void {
    this.#trace?.(`${Math.round(this.#mesh.time.now())} ${line}`)
  }

  /** What a program says: it may take its time, fail, and refuse. */
  async #judge(news: CoalitionNews, { name, port }: JournalNode): Promise<CoalitionVerdict> {
    this.#watch()
    const what = this.#isCalm ? 1 : this.#random()
    if (what < 0.08) await new Promise<void>((resolve) => port.timers.after(this.#random() * 4_000, resolve))
    else if (what < 0.11) throw new Error('a program that fails')
    else if (what < (news.type === 'joined' ? 0.22 : 0.15)) {
      this.#counts.refused += 1
      this.#tell(`${name} refuses ${news.id}, ${news.type}`)
      return {
        error: this.#anyOf(['directive_failed', 'resource_conflict', 'agent_unavailable']) ?? 'directive_failed',
      }
    }
    this.#tell(`${name} hears of ${news.id}: ${news.type}, led by ${news.leader}`)
    return undefined
  }

  /** One thing that a program does, or none. */
  #act(): void {
    const one = this.#anyOf(this.#nodes.all())
    if (one === undefined) return
    const what = this.#random()
    if (what < 0.4) this.#form(one, this.#some(this.#nodes.peers()))
    else if (what < 0.5) this.#leave()
    else if (what < 0.62) this.#dissolve(one, this.#anyOf([...this.#observer.newest().keys()]))
  }

  /** In any order. */
  #some(peers: readonly string[]): string[] {
    const chosen = peers.filter(() => this.#happens(0.65))
    const members = chosen.length > 0 ? chosen : [...peers]
    for (let i = members.length - 1; i > 0; i -= 1) {
      const j = this.#below(i + 1)
      const [a = '', b = ''] = [members[i], members[j]]
      members[i] = b
      members[j] = a
    }
    return this.#happens(STRANGER_SHARE) ? [...members, STRANGER] : members
  }

  #form(one: CoalitionNode, members: string[], ttlMs = this.#ttlMs()): void {
    const id = `c${this.#ids}`
    this.#ids += 1
    const minMembers = this.#happens(0.3) ? members.length : 1 + this.#below(members.length)
    const leader = this.#happens(0.5) ? this.#anyOf(members) : undefined
    const timeoutMs = this.#happens(0.15) ? 1 + this.#below(2_000) : FORM_MS
    const what = {
      id,
      goal: 'simulated',
      members,
      minMembers,
      ttlMs,
      timeoutMs,
      ...(leader !== undefined && { leader }),
    }
    this.#tell(`${one.node.name} forms ${id} of ${members.length}, ${minMembers} at least, for ${ttlMs} ms`)
    const asked = { one, endsAt: this.#mesh.time.now() + timeoutMs + LATE_MS }
    this.#asked.set(id, asked)
    const end = (): void => void this.#asked.delete(id)
    one.coalitions.form(what).then(
      (status) => {
        end()
        this.#formed(id, status)
      },
      (error: unknown) => {
        end()
        this.#notFormed(id, error)
      },
    )
  }

  #ttlMs(): number {
    return this.#happens(SHORT_SHARE) ? SHORT_MS[0] + this.#below(SHORT_MS[1]) : DAY_MS
  }

  #formed(id: string, { state, leader, members }: CoalitionStatus): void {
    this.#watch()
    this.#counts.active += 1
    this.#tell(`${id} is formed`)
    const same = (record: CoalitionRecord): boolean =>
      record.state === 'active' &&
      record.leader === leader &&
      JSON.stringify(record.members) === JSON.stringify(members)
    if (state !== 'active' || !this.#observer.versions(id).some(same))
      this.#problems.push(`${id} was said to be formed, and never was so`)
  }

  #notFormed(id: string, error: unknown): void {
    this.#watch()
    this.#counts.failed += 1
    this.#tell(`${id} is not formed: ${error}`)
    if (!isParleyError(error) || !ENDS.has(error.code)) this.#problems.push(`${id} failed: ${error}`)
    else if (error.details.reason === 'not-formed' && this.#observer.newest().get(id)?.state !== 'dissolved')
      this.#problems.push(`${id} was said to be dissolved, and is not`)
  }

  /** Of one that it is in, mostly. */
  #leave(): void {
    const all = this.#nodes.all().flatMap((one) => [...one.life.stances.keys()].map((id) => ({ one, id })))
    const inside = all.filter(({ one, id }) => one.coalitions.isIn(id))
    const chosen = this.#anyOf(inside.length > 0 && this.#happens(0.9) ? inside : all)
    if (chosen === undefined) return
    const { one, id } = chosen
    this.#tell(`${one.node.name} leaves ${id}`)
    one.coalitions.leave(id).then(
      () => {
        this.#counts.leaves += 1
        this.#members.left(one.life, id, one.coalitions.isIn(id))
      },
      (error: unknown) => this.#tell(`${one.node.name} did not leave ${id}: ${error}`),
    )
  }

  #dissolve({ node, coalitions }: CoalitionNode, id: string | undefined): void {
    if (id === undefined) return
    this.#tell(`${node.name} dissolves ${id}`)
    coalitions.dissolve(id, 'no need').then(
      () => {
        this.#counts.ends += 1
        const versions = this.#observer.versions(id)
        const led = versions.some(({ state, leader }) => state === 'active' && leader === node.id)
        if (versions[0]?.owner !== node.id && !led && node.id !== this.#nodes.holder())
          this.#problems.push(`${node.name} dissolved ${id}, and may not`)
      },
      (error: unknown) => this.#tell(`${node.name} did not dissolve ${id}: ${error}`),
    )
  }

  #watch(): void {
    for (const node of this.#mesh.up()) {
      const machine = node.seat()?.machine
      if (machine !== undefined) this.#observer.watch(machine, (problem) => void this.#problems.push(problem))
    }
  }

  #look(): void {
    this.#watch()
    const now = this.#mesh.time.now()
    for (const { life, coalitions } of this.#nodes.all()) this.#members.look(life, coalitions.isIn, now)
    for (const [id, { one, endsAt }] of this.#asked) {
      if (!one.node.isUp()) this.#asked.delete(id)
      else if (now > endsAt) this.#problems.push(`the forming of ${id} does not end`)
    }
    const [problem] = this.#problems
    if (problem !== undefined) throw new Error(problem)
  }

  /** One is cut off for long, and coalitions go on without it, and end. It may come back just as another one coordinates. */
  async #outage(): Promise<void> {
    const { time } = this.#mesh
    await this.#nodes.heal()
    this.#isCalm = true
    const leading = this.#nodes.leading()
    const away = this.#anyOf(this.#nodes.all().filter((one) => one !== leading))
    if (leading === undefined || away === undefined) return
    // The first one that is there leads where the leader is gone.
    const members = [away.node.id, ...this.#nodes.peers().filter((peer) => peer !== away.node.id)]
    for (const ttlMs of [DAY_MS, DAY_MS, OUTAGE_MS / 2]) this.#form(leading, members, ttlMs)
    await time.run(4_000)
    this.#nodes.cut(away)
    await time.run(4_000)
    const coalitions = [...this.#observer.newest()].filter(([, { state }]) => state === 'active')
    for (const [id, { leader, members: of }] of coalitions)
      if (leader === away.node.id && of.length > 1) throw new Error(`${id} is led by ${away.node.name}, which is gone`)
    for (const [id, { owner }] of coalitions.slice(1)) {
      const one = this.#nodes.find(owner)
      if (one !== undefined && one !== away) this.#dissolve(one, id)
    }
    await time.run(OUTAGE_MS)
    this.#look()
    this.#mesh.heal()
    if (this.#happens(0.5)) {
      await time.run(this.#random() * 100)
      this.#nodes.kill(this.#nodes.leading() ?? leading)
    }
    this.#counts.outages += 1
  }

  /** What of this node differs from the journal. */
  #difference({ node, coalitions, life }: CoalitionNode): string | undefined {
    for (const [id, record] of this.#observer.newest()) {
      const isMember = record.state === 'active' && peersOf(record).includes(node.id)
      const isIn = coalitions.isIn(id)
      const about = `${node.name} ${isIn ? 'is' : 'is not'} in ${id}, which is ${record.state}`
      if (isIn !== isMember) return about
      if (!isIn) continue
      const { leader, members } = life.stances.get(id)?.news ?? {}
      if (leader !== record.leader) return `${about}, and follows ${leader}, not ${record.leader}`
      if (JSON.stringify(members) !== JSON.stringify(peersOf(record))) return `${about}, with other members`
    }
    return undefined
  }

  async #conclude(): Promise<void> {
    this.#tell('everything heals')
    this.#isCalm = true
    await this.#nodes.heal()
    await this.#until(() => {
      if (this.#asked.size > 0) return `${[...this.#asked.keys()].join(', ')} are being formed`
      const now = START_MS + this.#mesh.time.now()
      for (const [id, { state, until }] of this.#observer.newest())
        if (state === 'forming' || (state === 'active' && until < now)) return `${id} is ${state}`
      return this.#nodes
        .all()
        .map((one) => this.#difference(one))
        .find((why) => why !== undefined)
    })
    for (const [id, { state, owner }] of this.#observer.newest()) {
      const one = this.#nodes.find(owner)
      if (state === 'active' && one !== undefined) this.#dissolve(one, id)
    }
    await this.#until(() => {
      const open = [...this.#observer.newest()].find(([, { state }]) => state !== 'dissolved')
      if (open !== undefined) return `${open[0]} is ${open[1].state}, and its owner dissolved it`
      const inside = this.#nodes.all().find(({ coalitions }) => coalitions.counts().memberOf > 0)
      return inside && `${inside.node.name} is in a coalition yet`
    })
  }

  async #until(what: () => string | undefined): Promise<void> {
    const { time } = this.#mesh
    const until = time.now() + HEAL_MS
    for (let why = what(); why !== undefined; why = what()) {
      if (time.now() > until) throw new Error(why)
      await time.run(LOOK_MS)
      this.#look()
    }
  }
}

export const runCoalitionsWorld = (options: CoalitionsWorldOptions): Promise<Record<string, number>> =>
  new CoalitionsWorld(options).run(options.steps)
