/**
 * Budgets on nodes of the simulated mesh, as node/parts/built-in.ts starts them: opened, lent, drawn, spent, settled and closed,
 * while nodes are killed, lose power, are frozen, leave and are cut off, holder, lender and coordinator alike. Everything follows
 * from the seed.
 *
 * At each index of the journal the sums hold (observer.ts). What nodes really spent of a root, which the world notes as they do it,
 * is never more than what the journal has as spent or drawn of it, nor more than the root. At the end all are there and connected
 * again: what nobody drew is there again, and all of a budget can be spent.
 */
import type { Budget } from '../../../protocols/budget/api.ts'
import { BUDGETS_PART } from '../../../protocols/budget/budget-record.ts'
import type { HeldBudget } from '../../../protocols/budget/client/held-budget.ts'
import { decideBudgets } from '../../../protocols/budget/journal/budget-kinds.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { JournalMesh } from '../../support/journal-mesh.ts'
import { Scene, type SceneOptions } from '../scene.ts'
import { type BudgetNode, BudgetNodes, type HeldDraw } from './nodes.ts'
import { BudgetObserver, readBudgets } from './observer.ts'

const STEP_MS = [30, 350] as const
const FOUND_MS = 60_000
const HEAL_MS = 240_000
const LOOK_MS = 200
const OUTAGE_SHARE = 0.4
const SNAPSHOT_EVERY = 40
const DEADLINE_SHARE = 0.08
/** Of a life that was killed, and within how many milliseconds of its next one. */
const STALE_DRAWS = 4
const STALE_MS = 1_500
const HASTY_SHARE = 0.15
const HASTY_MS = 150
const PATIENT_MS = 10_000
const MOST_HELD = 6
const MOST_DRAWS = 8

/** Of one root, in tokens, as it really is. */
interface Root {
  readonly amount: number
  spent: number
  /** Drawn, or maybe drawn, and not known to be settled. */
  most: number
}

interface Taken {
  readonly id: string
  readonly registration: number
}

class BudgetsWorld {
  readonly #scene: Scene
  readonly #mesh: JournalMesh
  readonly #nodes: BudgetNodes
  readonly #observer = new BudgetObserver()
  readonly #roots = new Map<string, Root>()
  /** Of each budget. */
  readonly #rootOf = new Map<string, string>()
  /** By name of a node: what it took last, in whatever life. */
  readonly #taken = new Map<string, Taken>()
  readonly #counts = { spends: 0, chunked: 0, settled: 0, refused: 0, failed: 0, away: 0 }
  #ids = 0

  constructor(options: SceneOptions) {
    this.#scene = new Scene(options, SNAPSHOT_EVERY)
    this.#mesh = this.#scene.mesh
    this.#nodes = new BudgetNodes(this.#mesh, {
      tell: this.#scene.tell,
      problem: this.#scene.problem,
      started: (one) => this.#started(one),
      decided: (decision) => {
        const wrong = this.#observer.decided(decision)
        if (wrong !== undefined) this.#scene.problem(wrong)
      },
    })
  }

  async run(steps: number): Promise<Record<string, number>> {
    await this.#nodes.found(FOUND_MS)
    for (let step = 0; step < steps; step += 1) {
      for (const one of this.#nodes.all()) this.#act(one)
      if (this.#scene.happens(0.3)) await this.#nodes.killable.strike()
      await this.#scene.pass(STEP_MS)
      this.#look()
    }
    if (this.#scene.happens(OUTAGE_SHARE)) await this.#nodes.outage((peer) => this.#lookAtOutage(peer))
    await this.#conclude()
    this.#nodes.killable.endAll()
    return { steps, ...this.#counts, ...this.#observer.counts, ...this.#nodes.counts() }
  }

  /** Its life before this one may have asked for something that comes only now. */
  #started(one: BudgetNode): void {
    one.budgets.onLoan(({ id }) => this.#take(one, id))
    const before = this.#taken.get(one.node.name)
    if (before === undefined) return
    this.#take(one, before.id)
    for (let n = 0; n < STALE_DRAWS; n += 1)
      this.#mesh.time.after(this.#scene.below(STALE_MS), () => this.#drawAsBefore(one, before, `late${n}`))
  }

  #drawAsBefore(one: BudgetNode, { id, registration }: Taken, draw: string): void {
    if (!one.node.isUp() || one.isLeaving) return
    const change = { do: 'draw' as const, registration, id, draw, amounts: { tokens: 1 } }
    this.#mayBeDrawn(this.#rootOf.get(id) ?? '', 1)
    this.#ask(one, `draws of ${id} as in its life before`, async () => {
      await one.node.journal.submit(decideBudgets, { changes: [change] }, { isChecked: true })
    })
  }

  /** One thing that a program does, or none. */
  #act(one: BudgetNode): void {
    const what = this.#scene.random()
    if (what < 0.12) this.#open(one)
    else if (what < 0.3) this.#lend(one)
    else if (what < 0.55) this.#draw(one)
    else if (what < 0.7) this.#spendInChunks(one)
    else if (what < 0.88) this.#settle(one)
    else if (what < 0.94) this.#close(one)
    this.#spendSome(one)
  }

  /** @param work that may fail, as where nobody decides: only with an error of the mesh */
  #ask(one: BudgetNode, what: string, work: () => Promise<void>): void {
    const asked = work().catch((error: unknown) => {
      this.#counts[isParleyError(error, 'COM003') ? 'refused' : 'failed'] += 1
      this.#scene.tell(`${one.node.name} ${what}: ${error}`)
      if (!isParleyError(error)) this.#scene.problem(`${one.node.name} ${what}: ${error}`)
    })
    one.asked.add(asked)
    void asked.finally(() => one.asked.delete(asked))
  }

  #hold(one: BudgetNode, budget: Budget): void {
    one.held.set(budget.id, budget)
    const { registration } = (budget as HeldBudget).given
    if (budget.lender !== undefined) this.#taken.set(one.node.name, { id: budget.id, registration })
    const end = (): void => void one.held.delete(budget.id)
    budget.signal.addEventListener('abort', end)
    if (budget.signal.aborted) end()
  }

  #open(one: BudgetNode): void {
    if (one.held.size >= MOST_HELD) return
    this.#ids += 1
    const id = `r${this.#ids}`
    const amount = 10 + this.#scene.below(60)
    this.#roots.set(id, { amount, spent: 0, most: 0 })
    this.#rootOf.set(id, id)
    // Some are decided only after nobody waits for them any more.
    const timeoutMs = this.#scene.happens(HASTY_SHARE) ? this.#scene.below(HASTY_MS) : PATIENT_MS
    this.#ask(one, `opens ${id}`, async () => {
      this.#hold(one, await one.budgets.open({ id, amounts: { tokens: amount }, limits: this.#limits(one), timeoutMs }))
    })
  }

  /** Most have none. */
  #limits({ node }: BudgetNode): { deadlineAt?: number } {
    return this.#scene.happens(DEADLINE_SHARE)
      ? { deadlineAt: Math.round(node.port.clock.now()) + this.#scene.below(6_000) }
      : {}
  }

  #lend(one: BudgetNode): void {
    const from = this.#scene.anyOf(one.held.values())
    const to = this.#scene.anyOf(this.#nodes.all())
    if (from === undefined || to === undefined) return
    this.#ids += 1
    const id = `l${this.#ids}`
    this.#rootOf.set(id, this.#rootOf.get(from.id) ?? '')
    this.#ask(one, `lends ${id}`, async () => {
      const lent = await from.lend(to.node.id, { tokens: 1 + this.#scene.below(30) }, { id, limits: this.#limits(one) })
      one.lent.add(lent)
    })
  }

  /** Most loans are taken, some of them late. */
  #take(one: BudgetNode, id: string): void {
    if (this.#scene.happens(0.1)) return
    this.#mesh.time.after(this.#scene.below(400), () => {
      if (!one.node.isUp() || one.isLeaving) return
      this.#ask(one, `takes ${id}`, async () => this.#hold(one, await one.budgets.get(id)))
    })
  }

  #draw(one: BudgetNode): void {
    const budget = this.#scene.anyOf(one.held.values())
    if (budget === undefined || one.draws.size >= MOST_DRAWS) return
    const tokens = 1 + this.#scene.below(20)
    const root = this.#rootOf.get(budget.id) ?? ''
    this.#ask(one, `draws ${tokens} of ${budget.id}`, async () => {
      this.#mayBeDrawn(root, tokens)
      try {
        const draw = await budget.draw({ tokens })
        one.draws.add({ root, draw, writtenOff: one.budgets.counts().writtenOff })
      } catch (error) {
        // It was not drawn.
        if (isParleyError(error, 'COM003', 'STA001', 'SEC002')) this.#mayBeDrawn(root, -tokens)
        throw error
      }
    })
  }

  #mayBeDrawn(root: string, tokens: number): void {
    const found = this.#roots.get(root)
    if (found !== undefined) found.most += tokens
  }

  /** As an agent does it: whatever has become of the budget, as long as the process runs. */
  #spendSome(one: BudgetNode): void {
    for (const { root, draw } of one.draws) {
      if (draw.slice.isClosed()) continue
      const tokens = this.#scene.below(1 + (draw.slice.remaining().tokens ?? 0))
      draw.slice.spend({ tokens })
      this.#spent(root, tokens)
    }
  }

  #spent(root: string, tokens: number): void {
    const found = this.#roots.get(root)
    if (found === undefined || tokens === 0) return
    this.#counts.spends += 1
    found.spent += tokens
    if (found.spent > found.amount) this.#scene.problem(`${found.spent} of ${found.amount} of ${root} were spent`)
    this.#watch()
    const committed = this.#observer.committed.get(root) ?? 0
    if (found.spent > committed)
      this.#scene.problem(`${found.spent} of ${root} were spent, and ${committed} of it are drawn or spent`)
  }

  #spendInChunks(one: BudgetNode): void {
    const budget = this.#scene.anyOf(one.held.values())
    if (budget === undefined) return
    const chunks = one.chunks.get(budget.id) ?? budget.chunks({ tokens: 1 + this.#scene.below(6) })
    one.chunks.set(budget.id, chunks)
    const root = this.#rootOf.get(budget.id) ?? ''
    const tokens = 1 + this.#scene.below(4)
    this.#ask(one, `spends ${tokens} of ${budget.id} in chunks`, async () => {
      // A chunk of its own, at the most.
      this.#mayBeDrawn(root, 6 + tokens)
      await chunks.spend({ tokens })
      this.#counts.chunked += 1
      this.#spent(root, tokens)
    })
  }

  #settle(one: BudgetNode): void {
    const held = this.#scene.anyOf(one.draws)
    if (held === undefined) return
    one.draws.delete(held)
    this.#ask(one, `settles ${held.draw.id}`, () => this.#settled(one, held))
  }

  async #settled({ budgets }: BudgetNode, { root, draw, writtenOff }: HeldDraw): Promise<void> {
    await draw.settle()
    this.#counts.settled += 1
    const spent = draw.slice.counts().spent.tokens ?? 0
    // Otherwise this one may have been written off, also before: all of it counts as spent.
    if (budgets.counts().writtenOff === writtenOff) this.#mayBeDrawn(root, spent - (draw.amounts.tokens ?? 0))
  }

  #close(one: BudgetNode): void {
    const lent = this.#scene.anyOf(one.lent)
    if (lent !== undefined && this.#scene.happens(0.5)) {
      one.lent.delete(lent)
      this.#ask(one, `takes ${lent.id} back`, async () => void (await lent.close()))
      return
    }
    const budget = this.#scene.anyOf(one.held.values())
    if (budget !== undefined) this.#ask(one, `closes ${budget.id}`, async () => void (await budget.close()))
  }

  /** What was decided at nodes that began since, too. */
  #watch(): void {
    for (const { node } of this.#nodes.all()) {
      const seat = node.seat()
      if (seat !== undefined) this.#observer.watch(seat.machine, this.#scene.problem)
    }
  }

  #look(): void {
    this.#watch()
    this.#scene.requireWell()
  }

  #seen() {
    const machine = this.#mesh.leader()?.seat()?.machine
    return machine === undefined ? undefined : readBudgets(machine)
  }

  /** What a node held that is away for longer than its lease has ended, where others decide. */
  #lookAtOutage(peer: string): void {
    const leader = this.#mesh.leader()
    const seen = this.#seen()
    if (leader === undefined || leader.id === peer || leader.network.isConnected(peer) || seen === undefined) return
    this.#counts.away += 1
    for (const [id, { holder, status, draws }] of seen.budgets)
      if (holder === peer && (status === 'open' || status === 'offered' || draws > 0))
        this.#scene.problem(`${id} of ${peer} is ${status}, with ${draws} draws, although it is away`)
  }

  #until(what: () => string | undefined): Promise<void> {
    return this.#scene.until(what, { everyMs: LOOK_MS, mostMs: HEAL_MS, look: () => this.#look() })
  }

  async #conclude(): Promise<void> {
    const { time } = this.#mesh
    this.#scene.tell('everything heals')
    await this.#nodes.killable.heal()
    await time.settled(this.#nodes.killable.answered(), HEAL_MS)
    this.#look()
    for (const one of this.#nodes.all()) {
      for (const held of one.draws) this.#ask(one, `settles ${held.draw.id}`, () => this.#settled(one, held))
      for (const chunks of one.chunks.values()) this.#ask(one, 'settles a chunk', () => chunks.settle())
    }
    await time.settled(this.#nodes.killable.answered(), HEAL_MS)
    await this.#until(() => {
      this.#closeAll()
      return this.#whatIsOpen()
    })
    this.#lookAtRoots()
    // A process that stands still for long finds its own waits over.
    await time.until(() => this.#nodes.all().every(({ isFrozen }) => !isFrozen), HEAL_MS)
    await this.#spendAll()
    await this.#stopWithDraw()
    await this.#until(() => {
      const left = this.#seen()?.budgets.size ?? 1
      return left === 0 ? undefined : `${left} budgets that are closed were not forgotten`
    })
  }

  /** Some loans may be taken late. */
  #closeAll(): void {
    for (const one of this.#nodes.all())
      for (const budget of one.asked.size === 0 ? [...one.held.values()] : [])
        this.#ask(one, `closes ${budget.id}`, async () => void (await budget.close()))
  }

  #whatIsOpen(): string | undefined {
    const seen = this.#seen()
    if (seen === undefined) return 'nobody coordinates'
    // A voter that was frozen as the mesh began has not said yet what it can decide.
    const isAgreed = this.#mesh.leader()?.seat()?.machine.records.parts.agreed(BUDGETS_PART) !== undefined
    if (!isAgreed) return 'nothing can be decided about budgets'
    const open = [...seen.budgets].filter(([, { status }]) => status !== 'closed')
    return open.length === 0 ? undefined : `stranded: ${open.map(([id, { status }]) => `${id} ${status}`).join(', ')}`
  }

  /** Nothing that was spent is lost, and nothing counts as spent that nobody may have drawn. */
  #lookAtRoots(): void {
    for (const [id, { spent, most }] of this.#roots) {
      const committed = this.#observer.committed.get(id)
      if (committed === undefined) continue
      if (committed < spent) this.#scene.problem(`${spent} of ${id} were spent, and ${committed} count as spent`)
      if (committed > most) this.#scene.problem(`${committed} of ${id} count as spent, and ${most} were drawn`)
    }
    this.#look()
  }

  /** All of a budget can be lent, spent to the last of it, and no more. */
  async #spendAll(): Promise<void> {
    const { time } = this.#mesh
    const [first, second = first] = this.#nodes.all()
    if (first === undefined || second === undefined) throw new Error('no node is there')
    const work = async (): Promise<void> => {
      const root = await first.budgets.open({ id: 'last', amounts: { tokens: 10 } })
      const lent = await root.lend(second.node.id, { tokens: 10 }, { id: 'all' })
      const loan = await second.budgets.get('all')
      const draw = await loan.draw({ tokens: 10 })
      draw.slice.spend({ tokens: 4 })
      const refused = await loan.draw({ tokens: 1 }).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (!isParleyError(refused, 'COM003')) throw new Error('more was drawn than there is')
      await draw.settle()
      await lent.close()
      const { tokens } = await root.remaining()
      if (tokens !== 6) throw new Error(`${tokens} are left of 10, and 4 were spent`)
      await root.close()
    }
    await time.settled(work(), HEAL_MS)
    this.#look()
  }

  /** A node that stops in order says what it spent of its draws. */
  async #stopWithDraw(): Promise<void> {
    const { time } = this.#mesh
    const leader = this.#mesh.leader()
    const [first, second] = this.#nodes.all().toSorted((a, b) => Number(b.node === leader) - Number(a.node === leader))
    if (first === undefined || second === undefined) throw new Error('no two nodes are there')
    const work = async (): Promise<Budget> => {
      const root = await first.budgets.open({ id: 'after-stop', amounts: { tokens: 10 } })
      await root.lend(second.node.id, { tokens: 10 }, { id: 'stopped' })
      const draw = await (await second.budgets.get('stopped')).draw({ tokens: 10 })
      draw.slice.spend({ tokens: 4 })
      await second.budgets.stop()
      return root
    }
    const root = await time.settled(work(), HEAL_MS)
    await this.#until(() => {
      const { status = 'gone', spent } = this.#seen()?.budgets.get('stopped') ?? {}
      return status === 'closed'
        ? undefined
        : `the loan of a node that has stopped is ${status}, ${spent?.tokens} spent`
    })
    const { tokens } = await time.settled(root.remaining(), HEAL_MS)
    if (tokens !== 6) throw new Error(`${tokens} are left of 10, and who stopped had spent 4`)
    await time.settled(root.close(), HEAL_MS)
  }
}

export const runBudgetsWorld = (options: SceneOptions): Promise<Record<string, number>> =>
  new BudgetsWorld(options).run(options.steps)
