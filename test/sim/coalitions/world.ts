/**
 * Coalitions on nodes of the simulated mesh: formed, left and dissolved, over in time, while coordinators, members and proposers are
 * killed, lose power, are frozen and cut off, and members refuse. Everything follows from the seed.
 *
 * At each index of the journal its rules hold (observer.ts), and at each moment those of members (members.ts). At the end all are
 * there and connected again: each `form` has ended, and each node is in just what the journal says, and follows who leads it.
 */
import { START_MS } from '../../../node/testing/virtual/virtual-time.ts'
import { COALITIONS_PART, peersOf } from '../../../protocols/coordination/coalition/coalition-record.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { Scene, type SceneOptions } from '../scene.ts'
import { MemberWatch } from './members.ts'
import type { CoalitionNode } from './node.ts'
import { CoalitionNodes } from './nodes.ts'
import { CoalitionObserver } from './observer.ts'
import { CoalitionPrograms, DAY_MS } from './programs.ts'

const STEP_MS = [50, 700] as const
const FOUND_MS = 60_000
const HEAL_MS = 120_000
const LOOK_MS = 500
const SNAPSHOT_EVERY = 40
const OUTAGE_SHARE = 0.35
/** Longer than members of one that is dissolved are told by themselves. */
const OUTAGE_MS = 66_000

class CoalitionsWorld {
  readonly #scene: Scene
  readonly #mesh: JournalMesh
  readonly #nodes: CoalitionNodes
  readonly #observer: CoalitionObserver
  readonly #members: MemberWatch
  readonly #programs: CoalitionPrograms
  #outages = 0

  constructor(options: SceneOptions) {
    this.#scene = new Scene(options, SNAPSHOT_EVERY)
    this.#mesh = this.#scene.mesh
    const { problem } = this.#scene
    this.#observer = new CoalitionObserver(
      (id, peer) => this.#members.hasAgreed(id, peer),
      () => START_MS + this.#mesh.time.now(),
    )
    this.#members = new MemberWatch(this.#observer, problem)
    const { tell } = this.#scene
    this.#programs = new CoalitionPrograms({
      ...{ time: this.#mesh.time, random: this.#scene.random, observer: this.#observer, members: this.#members },
      ...{ nodes: () => this.#nodes, seen: () => this.#watch(), tell, problem },
    })
    this.#nodes = new CoalitionNodes(
      this.#mesh,
      { watch: this.#members, problem, judge: (news, node) => this.#programs.judge(news, node) },
      tell,
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
      this.#programs.act()
      if (this.#scene.happens(0.22)) await this.#nodes.strike()
      await this.#scene.pass(STEP_MS)
    }
    this.#look()
    if (this.#scene.happens(OUTAGE_SHARE)) await this.#outage()
    await this.#conclude()
    this.#nodes.endAll()
    return {
      steps,
      ...this.#programs.counts,
      outages: this.#outages,
      ...this.#nodes.counts,
      ...this.#observer.counts,
      ...this.#members.counts,
    }
  }

  #watch(): void {
    for (const node of this.#mesh.up()) {
      const machine = node.seat()?.machine
      if (machine !== undefined) this.#observer.watch(machine, this.#scene.problem)
    }
  }

  #look(): void {
    this.#watch()
    const now = this.#mesh.time.now()
    for (const { life, coalitions } of this.#nodes.all()) this.#members.look(life, coalitions.isIn, now)
    for (const [id, { one, endsAt }] of this.#programs.asked) {
      if (!one.node.isUp()) this.#programs.asked.delete(id)
      else if (now > endsAt) this.#scene.problem(`the forming of ${id} does not end`)
    }
    this.#scene.requireWell()
  }

  /** One is cut off for long, and coalitions go on without it, and end. It may come back just as another one coordinates. */
  async #outage(): Promise<void> {
    const { time } = this.#mesh
    await this.#nodes.heal()
    this.#programs.isCalm = true
    const leading = this.#nodes.leading()
    const away = this.#scene.anyOf(this.#nodes.all().filter((one) => one !== leading))
    if (leading === undefined || away === undefined) return
    // The first one that is there leads where the leader is gone.
    const members = [away.node.id, ...this.#nodes.peers().filter((peer) => peer !== away.node.id)]
    for (const ttlMs of [DAY_MS, DAY_MS, OUTAGE_MS / 2]) this.#programs.form(leading, members, ttlMs)
    await time.run(4_000)
    this.#nodes.cut(away)
    await time.run(4_000)
    const coalitions = [...this.#observer.newest()].filter(([, { state }]) => state === 'active')
    for (const [id, { leader, members: of }] of coalitions)
      if (leader === away.node.id && of.length > 1) throw new Error(`${id} is led by ${away.node.name}, which is gone`)
    for (const [id, { owner }] of coalitions.slice(1)) {
      const one = this.#nodes.find(owner)
      if (one !== undefined && one !== away) this.#programs.dissolve(one, id)
    }
    await time.run(OUTAGE_MS)
    this.#look()
    this.#mesh.heal()
    if (this.#scene.happens(0.5)) {
      await time.run(this.#scene.random() * 100)
      this.#nodes.kill(this.#nodes.leading() ?? leading)
    }
    this.#outages += 1
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
    this.#scene.tell('everything heals')
    this.#programs.isCalm = true
    await this.#nodes.heal()
    await this.#until(() => {
      if (this.#programs.asked.size > 0) return `${[...this.#programs.asked.keys()].join(', ')} are being formed`
      const now = START_MS + this.#mesh.time.now()
      for (const [id, { state, until }] of this.#observer.newest())
        if (state === 'forming' || (state === 'active' && until < now)) return `${id} is ${state}`
      return this.#nodes
        .all()
        .map((one) => this.#difference(one))
        .find((why) => why !== undefined)
    })
    const ended = new Set<string>()
    await this.#until(() => {
      const open = [...this.#observer.newest()].filter(([, { state }]) => state !== 'dissolved')
      // Those whose proposer gave up waiting may be decided only now.
      for (const [id, { state, owner }] of open) {
        const one = this.#nodes.find(owner)
        if (state !== 'active' || one === undefined || ended.has(id)) continue
        this.#programs.dissolve(one, id)
        ended.add(id)
      }
      const [first] = open
      if (first !== undefined) return `${first[0]} is ${first[1].state}, and its owner dissolved it`
      const inside = this.#nodes.all().find(({ coalitions }) => coalitions.counts().memberOf > 0)
      return inside && `${inside.node.name} is in a coalition yet`
    })
  }

  #until(what: () => string | undefined): Promise<void> {
    return this.#scene.until(what, { everyMs: LOOK_MS, mostMs: HEAL_MS, look: () => this.#look() })
  }
}

export const runCoalitionsWorld = (options: SceneOptions): Promise<Record<string, number>> =>
  new CoalitionsWorld(options).run(options.steps)
