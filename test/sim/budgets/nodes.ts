/** The nodes of the simulated mesh that hold and lend budgets, and what befalls them. State: those that run. */
import type { Budget, ChunkedDraws, Draw, LentBudget } from '../../../protocols/budget/api.ts'
import { BUDGETS_PART } from '../../../protocols/budget/budget-record.ts'
import { type BudgetsFeature, createBudgets } from '../../../protocols/budget/budgets.ts'
import { budgetProtocol } from '../../../protocols/budget/contract.ts'
import { budgetJournal, decideBudgets } from '../../../protocols/budget/journal/budget-kinds.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import type { AnyCommandKind } from '../../../protocols/journal/state/command-kind.ts'
import type { Port } from '../../../protocols/port.ts'
import { LEASE_MARGIN_MS, LEASE_MS } from '../../../protocols/resource/planner/resource-board.ts'
import type { JournalMesh, JournalNode } from '../../support/journal-mesh.ts'
import type { Decision } from './draw-account.ts'

type Decided = (decision: Decision) => void

/** What the product decides, and who is told of it. */
const partsFor = (tell: Decided): readonly JournalPart[] => {
  const decide: typeof decideBudgets = {
    ...decideBudgets,
    apply(tx, input, facts) {
      const answers = decideBudgets.apply(tx, input, facts)
      tell({ index: facts.fence.index, by: facts.by, at: facts.at, changes: input.changes, answers })
      return answers
    },
  }
  return [{ ...budgetJournal, kinds: [decide as unknown as AnyCommandKind], name: BUDGETS_PART }]
}

/** Of each node, for each second that passes, and how far its wall clock is from the others'. */
const MOST_DRIFT = 0.01
const MOST_OFF_MS = 2_000
const COUNTS = [3, 3, 4, 5]
/** A node without a data directory: it has no vote, and holds budgets all the same. */
const DISKLESS = 'd0'
const DISKLESS_SHARE = 0.3
const LEAVE_MS = 6_000
const LEADER_MS = 30_000
const MOST_CUT_MS = 4_500
/** So that some are cut off, or frozen, for longer than a lease. */
const LONG_SHARE = 0.1
/** Until another one coordinates, who gives inherited leases their full length. */
const ELECTED_MS = 15_000
const SOON_MS = 2_000

export interface HeldDraw {
  readonly root: string
  readonly draw: Draw
}

export interface BudgetNode {
  readonly node: JournalNode
  readonly budgets: BudgetsFeature
  /** By id. */
  readonly held: Map<string, Budget>
  readonly lent: Set<LentBudget>
  readonly draws: Set<HeldDraw>
  readonly chunks: Map<string, ChunkedDraws>
  /** What its program waits for. */
  readonly asked: Set<Promise<unknown>>
  isLeaving: boolean
  isFrozen: boolean
}

export class BudgetNodes {
  readonly counts = { kills: 0, powerCuts: 0, cuts: 0, freezes: 0, leaves: 0, outages: 0 }
  readonly #mesh: JournalMesh
  readonly #tell: (line: string) => void
  readonly #problem: (what: string) => void
  readonly #onStarted: (one: BudgetNode) => void
  readonly #parts: readonly JournalPart[]
  readonly #running = new Map<string, BudgetNode>()
  readonly #names: readonly string[]

  constructor(
    mesh: JournalMesh,
    on: { tell(line: string): void; problem(what: string): void; started(one: BudgetNode): void; decided: Decided },
  ) {
    this.#mesh = mesh
    this.#tell = on.tell
    this.#problem = on.problem
    this.#onStarted = on.started
    this.#parts = partsFor(on.decided)
    const { random } = mesh.network
    const count = COUNTS[Math.floor(random() * COUNTS.length)] ?? 3
    const names = Array.from({ length: count }, (_, i) => `m${i}`)
    this.#names = random() < DISKLESS_SHARE ? [...names, DISKLESS] : names
  }

  /** Those that run, and do not leave. */
  all(): BudgetNode[] {
    return [...this.#running.values()].filter(({ isLeaving }) => !isLeaving)
  }

  async found(mostMs: number): Promise<void> {
    const founders = this.#names.filter((name) => name !== DISKLESS)
    for (const name of this.#names) await this.#start(name, founders.length)
    await this.#mesh.untilLeader(mostMs)
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

  /** One is cut off for longer than its lease. @param look at its peer id, where one and the same coordinated for so long, too */
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
    await time.run(ELECTED_MS)
    const before = this.#acting()
    // A coordinator that is frozen, or has no majority, decides nothing, and does not know of it.
    const decides = (): boolean => 2 * this.#voting(one).length > this.#names.filter((name) => name !== DISKLESS).length
    const decidesAtFirst = decides()
    await time.run(LEASE_MS + LEASE_MARGIN_MS + SOON_MS)
    if (decidesAtFirst && decides() && before !== undefined && before === this.#acting()) look(one.node.id)
    this.#mesh.heal()
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

  /** Those that run, with a vote, but for one. */
  #voting(without: BudgetNode): BudgetNode[] {
    return this.all().filter((one) => one !== without && !one.isFrozen && one.node.name !== DISKLESS)
  }

  /** Who coordinates, in which epoch; undefined: nobody is known to. */
  #acting(): string | undefined {
    const leader = this.#mesh.leader()
    const status = leader?.coordinator.status()
    return status?.acting === true ? `${leader?.id} ${status.epoch}` : undefined
  }

  async #start(name: string, expect?: number): Promise<void> {
    const mayVote = name !== DISKLESS
    const node = await this.#mesh.start(name, {
      ...{ parts: this.#parts, mayVote },
      ...(expect !== undefined && mayVote && { expect }),
    })
    const { port, journal, coordinator } = node
    const budgets = createBudgets({ port: this.#drifting(port), journal, coordinator, member: node.seat })
    await port.serve(budgetProtocol, budgets.handlers)
    const one: BudgetNode = {
      ...{ node, budgets, held: new Map(), lent: new Set(), draws: new Set(), chunks: new Map(), asked: new Set() },
      ...{ isLeaving: false, isFrozen: false },
    }
    this.#running.set(name, one)
    this.#tell(`${name} starts`)
    this.#onStarted(one)
  }

  /** Its clocks go a little faster or slower than those of others. */
  #drifting(port: Port): Port {
    const { random } = this.#mesh.network
    const rate = 1 + MOST_DRIFT * (2 * random() - 1)
    const offMs = MOST_OFF_MS * (2 * random() - 1)
    const { clock } = port
    const [sinceMs, wallMs] = [clock.monotonic(), clock.now()]
    const passedMs = (): number => (clock.monotonic() - sinceMs) * rate
    return { ...port, clock: { now: () => wallMs + offMs + passedMs(), monotonic: () => sinceMs + passedMs() } }
  }

  #kill({ node }: BudgetNode, power: boolean): void {
    this.counts.kills += 1
    if (power) this.counts.powerCuts += 1
    this.#tell(`${node.name} ${power ? 'loses power' : 'is killed'}`)
    this.#end(node, power)
  }

  #end(node: JournalNode, power: boolean): void {
    this.#mesh.kill(node, power)
    if (this.#running.get(node.name)?.node === node) this.#running.delete(node.name)
  }

  #cut({ node }: BudgetNode): void {
    this.counts.cuts += 1
    this.#tell(`${node.name} is cut off`)
    const { random, time } = this.#mesh.network
    this.#mesh.cut(
      [node],
      this.#mesh.up().filter((other) => other !== node),
    )
    const most = random() < LONG_SHARE ? 2 * LEASE_MS : MOST_CUT_MS
    time.after(200 + most * random(), this.#mesh.heal)
  }

  /** As SIGSTOP does, for a while. */
  #freeze(one: BudgetNode): void {
    const { node } = one
    const { random, time } = this.#mesh.network
    this.counts.freezes += 1
    const forMs = 200 + (random() < LONG_SHARE ? 2 * LEASE_MS : 2_500) * random()
    this.#tell(`${node.name} is frozen for ${Math.round(forMs)} ms`)
    node.life.freeze()
    one.isFrozen = true
    time.after(forMs, () => {
      node.life.thaw()
      one.isFrozen = false
    })
  }

  /** It writes its receipts, and stops; where that takes too long it is killed. */
  #leave(one: BudgetNode): void {
    const { node, budgets } = one
    this.counts.leaves += 1
    this.#tell(`${node.name} leaves`)
    one.isLeaving = true
    const stop = this.#mesh.time.after(LEAVE_MS, () => this.#end(node, false))
    const left = async (): Promise<void> => {
      await budgets.stop()
      await node.stop()
      stop()
      this.#end(node, false)
    }
    left().catch((error: unknown) => this.#problem(`${node.name} cannot leave: ${error}`))
  }
}
