/** The nodes of the simulated mesh that hold and lend budgets, and what befalls them. State: that of each. */
import type { Budget, ChunkedDraws, Draw, LentBudget } from '../../../protocols/budget/api.ts'
import { BUDGETS_PART } from '../../../protocols/budget/budget-record.ts'
import { type BudgetsFeature, createBudgets } from '../../../protocols/budget/budgets.ts'
import { budgetProtocol } from '../../../protocols/budget/contract.ts'
import { budgetJournal, decideBudgets } from '../../../protocols/budget/journal/budget-kinds.ts'
import type { JournalPart } from '../../../protocols/journal/part-kinds.ts'
import type { AnyCommandKind } from '../../../protocols/journal/state/command-kind.ts'
import type { Port } from '../../../protocols/port.ts'
import { LEASE_MARGIN_MS, LEASE_MS } from '../../../protocols/resource/planner/resource-board.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { type KillableNode, KillableNodes, type StartOptions } from '../killable-nodes.ts'
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
const SIZES = [3, 3, 4, 5]
const DISKLESS_SHARE = 0.3
const LEAVE_MS = 6_000
const MOST_CUT_MS = 4_500
const MOST_FROZEN_MS = 2_500
/** So that some are cut off, or frozen, for longer than a lease. */
const LONG_SHARE = 0.1
/** Until another one coordinates, who gives inherited leases their full length. */
const ELECTED_MS = 15_000
const SOON_MS = 2_000

export interface HeldDraw {
  readonly root: string
  readonly draw: Draw
  /** How many draws its node had written off when it was made. */
  readonly writtenOff: number
}

export interface BudgetNode extends KillableNode {
  readonly budgets: BudgetsFeature
  /** By id. */
  readonly held: Map<string, Budget>
  readonly lent: Set<LentBudget>
  readonly draws: Set<HeldDraw>
  readonly chunks: Map<string, ChunkedDraws>
  isFrozen: boolean
}

interface Heard {
  tell(line: string): void
  problem(what: string): void
  started(one: BudgetNode): void
  decided: Decided
}

export class BudgetNodes {
  readonly killable: KillableNodes<BudgetNode>
  readonly #mesh: JournalMesh
  readonly #on: Heard
  readonly #parts: readonly JournalPart[]
  #outages = 0

  constructor(mesh: JournalMesh, on: Heard) {
    this.#mesh = mesh
    this.#on = on
    this.#parts = partsFor(on.decided)
    this.killable = new KillableNodes(mesh, {
      ...{ sizes: SIZES, disklessShare: DISKLESS_SHARE, leaveMs: LEAVE_MS },
      ...{ cutBelow: 0.3, frozenBelow: 0.4, leavesBelow: 0.5 },
      ...{ tell: on.tell, problem: on.problem },
      cutMs: (random) => 200 + (random() < LONG_SHARE ? 2 * LEASE_MS : MOST_CUT_MS) * random(),
      frozenMs: (random) => 200 + (random() < LONG_SHARE ? 2 * LEASE_MS : MOST_FROZEN_MS) * random(),
      start: (name, options, add) => this.#start(name, options, add),
      // It writes its receipts.
      stop: ({ budgets }) => budgets.stop(),
      frozen(one) {
        one.isFrozen = true
      },
      thawed(one) {
        one.isFrozen = false
      },
    })
  }

  all = (): BudgetNode[] => this.killable.all()

  counts() {
    return { ...this.killable.counts, outages: this.#outages }
  }

  async found(mostMs: number): Promise<void> {
    await this.killable.found()
    await this.#mesh.untilLeader(mostMs)
  }

  /** One is cut off for longer than its lease. @param look at its peer id, where one and the same coordinated for so long, too */
  async outage(look: (peer: string) => void): Promise<void> {
    const { time } = this.#mesh
    const one = this.killable.any()
    if (one === undefined) return
    this.#outages += 1
    this.#on.tell(`${one.node.name} is cut off for long`)
    this.killable.cutOff(one)
    await time.run(ELECTED_MS)
    const before = this.killable.actingWithout(one)
    await time.run(LEASE_MS + LEASE_MARGIN_MS + SOON_MS)
    if (before !== undefined && before === this.killable.actingWithout(one)) look(one.node.id)
    this.#mesh.heal()
  }

  async #start(name: string, options: StartOptions, add: (one: BudgetNode) => void): Promise<void> {
    const node = await this.#mesh.start(name, { parts: this.#parts, ...options })
    const { port, journal, coordinator } = node
    const budgets = createBudgets({ port: this.#drifting(port), journal, coordinator, member: node.seat })
    await port.serve(budgetProtocol, budgets.handlers)
    const one: BudgetNode = {
      ...{ node, budgets, held: new Map(), lent: new Set(), draws: new Set(), chunks: new Map(), asked: new Set() },
      ...{ isLeaving: false, isFrozen: false },
    }
    add(one)
    this.#on.started(one)
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
}
