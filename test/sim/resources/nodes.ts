/** The nodes of the simulated mesh that give and hold, and what befalls them. State: those that run. */
import { isParleyError } from '../../../protocols/errors.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import type { Claim, HeldAllocation } from '../../../protocols/resource/api.ts'
import { resourceProtocol } from '../../../protocols/resource/contract.ts'
import { resourceJournal } from '../../../protocols/resource/journal/resource-kinds.ts'
import { LEASE_MARGIN_MS, LEASE_MS } from '../../../protocols/resource/planner/resource-board.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { createResources, type ResourcesFeature } from '../../../protocols/resource/resources.ts'
import { amountOf, type Units } from '../../../protocols/resource/units.ts'
import type { JournalMesh, JournalNode } from '../../support/journal-mesh.ts'

const PARTS: readonly JournalPart[] = [{ ...resourceJournal, name: RESOURCES_PART }]
const COUNTS = [3, 3, 4, 5]
/** A node without a data directory: it has no vote, and gives all the same. */
const DISKLESS = 'd0'
const DISKLESS_SHARE = 0.3
const LEAVE_MS = 3_000
const LEADER_MS = 30_000
const MOST_CUT_MS = 4_500
/** Until another one coordinates, who gives inherited leases their full length. */
const ELECTED_MS = 15_000
const SOON_MS = 2_000
/** A decision takes about so long. */
const ANSWER_MS = 60
const ROLL_EACH_MS = 600
const ROLLED_MS = 2_000
/** So that some are cut off, or away, for longer than a lease. */
const LONG_SHARE = 0.1

export interface ResourceNode {
  readonly node: JournalNode
  readonly resources: ResourcesFeature
  /** The most that it may give, by name: what it offers, and what it offered before while that is not decided. */
  readonly most: Map<string, number>
  readonly held: Map<string, HeldAllocation>
  readonly claims: Map<string, Claim>
  readonly asked: Set<Promise<unknown>>
  isLeaving: boolean
  /** How often it has offered something. */
  offers: number
  /** Until when it is frozen, and for a moment after: virtual milliseconds. */
  frozenUntil: number
}

/** @returns what is wrong: it believes that it gives more than it may */
export const moreThanMost = ({
  node,
  claims,
  most,
}: Pick<ResourceNode, 'node' | 'claims' | 'most'>): string | undefined => {
  const given = new Map<string, number>()
  for (const { units, signal } of claims.values())
    for (const [name, amount] of signal.aborted ? [] : Object.entries(units))
      given.set(name, (given.get(name) ?? 0) + amount)
  for (const [name, amount] of given)
    if (amount > (most.get(name) ?? 0)) return `${node.name} has ${amount} ${name} in work, of ${most.get(name)}`
  return undefined
}

export class ResourceNodes {
  readonly counts = { kills: 0, powerCuts: 0, cuts: 0, freezes: 0, leaves: 0, outages: 0, rolls: 0 }
  readonly #mesh: JournalMesh
  readonly #tell: (line: string) => void
  readonly #problem: (what: string) => void
  readonly #running = new Map<string, ResourceNode>()
  readonly #names: readonly string[]

  constructor(mesh: JournalMesh, tell: (line: string) => void, problem: (what: string) => void) {
    this.#mesh = mesh
    this.#tell = tell
    this.#problem = problem
    const { random } = mesh.network
    const count = COUNTS[Math.floor(random() * COUNTS.length)] ?? 3
    const names = Array.from({ length: count }, (_, i) => `m${i}`)
    this.#names = random() < DISKLESS_SHARE ? [...names, DISKLESS] : names
  }

  /** Those that run, and do not leave. */
  all(): ResourceNode[] {
    return [...this.#running.values()].filter(({ isLeaving }) => !isLeaving)
  }

  async found(mostMs: number): Promise<void> {
    const founders = this.#names.filter((name) => name !== DISKLESS)
    for (const name of this.#names) await this.#start(name, founders.length)
    const isThere = (): boolean => this.all().some(({ resources }) => resources.figures().nodes >= this.#names.length)
    await this.#mesh.time.until(isThere, mostMs)
  }

  /** @returns what it offers by now */
  drawCapacity(): Units {
    const { random } = this.#mesh.network
    const gpu = Math.floor(random() * 3)
    return { cpu: 3 + Math.floor(random() * 4), ...(gpu > 0 && { gpu }) }
  }

  /** It offers this, where that is possible. */
  offer(one: ResourceNode, capacity: Units): void {
    const before = new Map(one.most)
    for (const name of Object.keys(capacity))
      one.most.set(name, Math.max(one.most.get(name) ?? 0, amountOf(capacity, name)))
    one.offers += 1
    const mine = one.offers
    const now = (most: Iterable<readonly [string, number]>): void => {
      // Another one may have been made since.
      if (mine !== one.offers) return
      one.most.clear()
      for (const [name, amount] of most) one.most.set(name, amount)
    }
    one.resources.offer(capacity).then(
      () => now(Object.entries(capacity)),
      (error: unknown) => {
        this.#tell(`${one.node.name} does not offer that: ${error}`)
        if (isParleyError(error, 'STA003') && error.details.reason === 'in-use') now(before)
      },
    )
  }

  async answered(): Promise<void> {
    await Promise.allSettled(this.all().flatMap(({ asked }) => [...asked]))
  }

  /** Something befalls one of them. */
  async strike(): Promise<void> {
    const { random } = this.#mesh.network
    const [first, ...others] = this.#names.filter((name) => !this.#running.has(name))
    if (first !== undefined && (others.length > 0 || random() < 0.5)) return this.#start(first)
    const all = this.all()
    const leader = all.find(({ node }) => node === this.#mesh.leader())
    const one = random() < 0.4 && leader !== undefined ? leader : all[Math.floor(random() * all.length)]
    if (one === undefined) return
    const what = random()
    if (what < 0.3) this.#cut(one)
    else if (what < 0.4) this.#freeze(one)
    else if (what < 0.5) this.#leave(one)
    else this.#kill(one, random() < 0.4)
  }

  /**
   * One is cut off for longer than its lease lasts.
   * @param look at its peer id, before it is connected again, where one and the same coordinated for longer than that, too
   */
  async outage(look: (peer: string) => void): Promise<void> {
    const { random, time } = this.#mesh.network
    const all = this.all()
    const one = all[Math.floor(random() * all.length)]
    if (one === undefined) return
    this.counts.outages += 1
    this.#tell(`${one.node.name} is cut off for long`)
    this.#mesh.cut(
      [one.node],
      this.#mesh.up().filter((other) => other !== one.node),
    )
    if (random() < 0.5) await time.run(LEASE_MS + 1_000 + 6_000 * random())
    else {
      await time.run(ELECTED_MS)
      const before = this.#acting()
      await time.run(LEASE_MS + LEASE_MARGIN_MS + SOON_MS)
      if (before !== undefined && before === this.#acting()) look(one.node.id)
    }
    this.#mesh.heal()
  }

  /**
   * One is cut off while it gives back what it has, and the others are started anew, one after another: who leads then knows no
   * change of before that. @param giveBack all that it has
   */
  async rollOver(giveBack: (one: ResourceNode) => void): Promise<void> {
    const { random, time } = this.#mesh.network
    const seated = this.all().filter(({ node }) => node.seat() !== undefined && node !== this.#mesh.leader())
    const away = seated.toSorted((a, b) => b.held.size - a.held.size)[0]
    if (away === undefined) return
    this.counts.rolls += 1
    this.#tell(`${away.node.name} is cut off, and the others are started anew`)
    const others = this.all().filter((one) => one !== away)
    const cutOff = (): void =>
      this.#mesh.cut(
        [away.node],
        this.#mesh.up().filter((node) => node !== away.node),
      )
    giveBack(away)
    await time.run(ANSWER_MS * random())
    cutOff()
    for (const one of others) {
      await time.run(ROLL_EACH_MS)
      if (!one.node.isUp()) continue
      this.#kill(one, false)
      await this.#start(one.node.name)
      cutOff()
    }
    await time.run(ROLLED_MS)
    this.#mesh.heal()
  }

  /** Who coordinates, in which epoch; undefined: nobody is known to. */
  #acting(): string | undefined {
    const leader = this.#mesh.leader()
    const status = leader?.coordinator.status()
    return status?.acting === true ? `${leader?.id} ${status.epoch}` : undefined
  }

  async heal(): Promise<void> {
    const { time } = this.#mesh
    await time.until(() => [...this.#running.values()].every(({ isLeaving }) => !isLeaving), 2 * LEAVE_MS)
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
      ...{ parts: PARTS, mayVote },
      ...(expect !== undefined && mayVote && { expect }),
    })
    const { port, journal, coordinator, events } = node
    const resources = createResources({ port, journal, coordinator, events, member: node.seat })
    await port.serve(resourceProtocol, resources.handlers)
    const one: ResourceNode = {
      ...{ node, resources, most: new Map(), held: new Map(), claims: new Map(), asked: new Set() },
      ...{ isLeaving: false, offers: 0, frozenUntil: 0 },
    }
    this.#running.set(name, one)
    resources.onClaim((claim) => {
      if (one.claims.has(claim.id)) this.#problem(`${name} was told of ${claim.id} twice`)
      one.claims.set(claim.id, claim)
      const tooMuch = moreThanMost(one)
      if (tooMuch !== undefined) this.#problem(tooMuch)
      claim.signal.addEventListener('abort', () => {
        if (one.claims.get(claim.id) === claim) one.claims.delete(claim.id)
      })
    })
    this.offer(one, this.drawCapacity())
    this.#tell(`${name} starts`)
  }

  #kill({ node }: ResourceNode, power: boolean): void {
    this.counts.kills += 1
    if (power) this.counts.powerCuts += 1
    this.#tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
    this.#end(node, power)
  }

  #end(node: JournalNode, power: boolean): void {
    this.#mesh.kill(node, power)
    if (this.#running.get(node.name)?.node === node) this.#running.delete(node.name)
  }

  #cut({ node }: ResourceNode): void {
    this.counts.cuts += 1
    this.#tell(`${node.name} is cut off`)
    const { random, time } = this.#mesh.network
    const others = this.#mesh.up().filter((other) => other !== node)
    this.#mesh.cut([node], others)
    const most = random() < LONG_SHARE ? 2 * LEASE_MS : MOST_CUT_MS
    time.after(200 + most * random(), this.#mesh.heal)
  }

  /** As SIGSTOP does, for a while. */
  #freeze(one: ResourceNode): void {
    const { node } = one
    const { random, time } = this.#mesh.network
    this.counts.freezes += 1
    const forMs = 200 + (random() < LONG_SHARE ? 2 * LEASE_MS : 2_500) * random()
    this.#tell(`${node.name} is frozen for ${Math.round(forMs)} ms`)
    one.frozenUntil = time.now() + forMs + 2_000
    node.life.freeze()
    time.after(forMs, () => {
      this.#tell(`${node.name} goes on`)
      node.life.thaw()
    })
  }

  /** It gives back what it has, and stops; where that takes too long it is killed. */
  #leave(one: ResourceNode): void {
    const { node, resources } = one
    this.counts.leaves += 1
    this.#tell(`${node.name} leaves`)
    one.isLeaving = true
    const stop = this.#mesh.time.after(LEAVE_MS, () => this.#end(node, false))
    const left = async (): Promise<void> => {
      await resources.stop()
      await node.stop()
      stop()
      this.#end(node, false)
    }
    left().catch((error: unknown) => this.#problem(`${node.name} cannot leave: ${error}`))
  }
}
