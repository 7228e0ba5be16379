/** The nodes of the simulated mesh that give and hold, and what befalls them. State: that of each. */
import { isParleyError } from '../../../protocols/errors.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import type { Claim, HeldAllocation } from '../../../protocols/resource/api.ts'
import { resourceProtocol } from '../../../protocols/resource/contract.ts'
import { resourceJournal } from '../../../protocols/resource/journal/resource-kinds.ts'
import { LEASE_MARGIN_MS, LEASE_MS } from '../../../protocols/resource/planner/resource-board.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { createResources, type ResourcesFeature } from '../../../protocols/resource/resources.ts'
import { amountOf, type Units } from '../../../protocols/resource/units.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { type KillableNode, KillableNodes, type StartOptions } from '../killable-nodes.ts'

const PARTS: readonly JournalPart[] = [{ ...resourceJournal, name: RESOURCES_PART }]
const SIZES = [3, 3, 4, 5]
/** A node without a vote gives all the same. */
const DISKLESS_SHARE = 0.3
const LEAVE_MS = 3_000
const MOST_CUT_MS = 4_500
const MOST_FROZEN_MS = 2_500
/** So that some are cut off, or away, for longer than a lease. */
const LONG_SHARE = 0.1
/** Until another one coordinates, who gives inherited leases their full length. */
const ELECTED_MS = 15_000
const SOON_MS = 2_000
/** A decision takes about so long. */
const ANSWER_MS = 60
const ROLL_EACH_MS = 600
const ROLLED_MS = 2_000

export interface ResourceNode extends KillableNode {
  readonly resources: ResourcesFeature
  /** The most that it may give, by name: what it offers, and what it offered before while that is not decided. */
  readonly most: Map<string, number>
  readonly held: Map<string, HeldAllocation>
  readonly claims: Map<string, Claim>
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
  readonly killable: KillableNodes<ResourceNode>
  readonly #mesh: JournalMesh
  readonly #tell: (line: string) => void
  readonly #problem: (what: string) => void
  readonly #counts = { outages: 0, rolls: 0 }

  constructor(mesh: JournalMesh, tell: (line: string) => void, problem: (what: string) => void) {
    this.#mesh = mesh
    this.#tell = tell
    this.#problem = problem
    this.killable = new KillableNodes(mesh, {
      ...{ sizes: SIZES, disklessShare: DISKLESS_SHARE, leaveMs: LEAVE_MS, tell, problem },
      ...{ cutBelow: 0.3, frozenBelow: 0.4, leavesBelow: 0.5 },
      cutMs: (random) => 200 + (random() < LONG_SHARE ? 2 * LEASE_MS : MOST_CUT_MS) * random(),
      frozenMs: (random) => 200 + (random() < LONG_SHARE ? 2 * LEASE_MS : MOST_FROZEN_MS) * random(),
      start: (name, options, add) => this.#start(name, options, add),
      // It gives back what it has.
      stop: ({ resources }) => resources.stop(),
      frozen(one, forMs) {
        one.frozenUntil = mesh.time.now() + forMs + 2_000
      },
    })
  }

  all = (): ResourceNode[] => this.killable.all()

  counts() {
    return { ...this.killable.counts, ...this.#counts }
  }

  async found(mostMs: number): Promise<void> {
    await this.killable.found()
    const { length } = this.killable.names
    const isThere = (): boolean => this.all().some(({ resources }) => resources.figures().nodes >= length)
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

  /**
   * One is cut off for longer than its lease lasts.
   * @param look at its peer id, before it is connected again, where one and the same coordinated for longer than that, too
   */
  async outage(look: (peer: string) => void): Promise<void> {
    const { random, time } = this.#mesh.network
    const one = this.killable.any()
    if (one === undefined) return
    this.#counts.outages += 1
    this.#tell(`${one.node.name} is cut off for long`)
    this.killable.cutOff(one)
    if (random() < 0.5) await time.run(LEASE_MS + 1_000 + 6_000 * random())
    else {
      await time.run(ELECTED_MS)
      const before = this.killable.actingWithout(one)
      await time.run(LEASE_MS + LEASE_MARGIN_MS + SOON_MS)
      if (before !== undefined && before === this.killable.actingWithout(one)) look(one.node.id)
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
    this.#counts.rolls += 1
    this.#tell(`${away.node.name} is cut off, and the others are started anew`)
    const others = this.all().filter((one) => one !== away)
    giveBack(away)
    await time.run(ANSWER_MS * random())
    this.killable.cutOff(away)
    for (const one of others) {
      await time.run(ROLL_EACH_MS)
      if (!one.node.isUp()) continue
      this.killable.kill(one, false)
      await this.killable.start(one.node.name)
      this.killable.cutOff(away)
    }
    await time.run(ROLLED_MS)
    this.#mesh.heal()
  }

  async #start(name: string, options: StartOptions, add: (one: ResourceNode) => void): Promise<void> {
    const node = await this.#mesh.start(name, { parts: PARTS, ...options })
    const { port, journal, coordinator, events } = node
    const resources = createResources({ port, journal, coordinator, events, member: node.seat })
    await port.serve(resourceProtocol, resources.handlers)
    const one: ResourceNode = {
      ...{ node, resources, most: new Map(), held: new Map(), claims: new Map(), asked: new Set() },
      ...{ isLeaving: false, offers: 0, frozenUntil: 0 },
    }
    add(one)
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
  }
}
