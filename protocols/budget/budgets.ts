/**
 * Budgets that cannot be overspent (docs/budgets.md).
 *
 * What is drawn, lent and spent of each stands in the journal; a holder draws before it spends (client/), and the coordinator ends
 * what a lost node held (keeper/). A node that uses no budget writes nothing and follows nothing. State: what this node holds and
 * has drawn, and while it coordinates the board of all budgets. Wire id: `/parley/budget/1`.
 */
import { abortable, within } from '../async.ts'
import { checkedInput } from '../checked-input.ts'
import type { CoordinatorFeature } from '../coordinator/api.ts'
import type { Handlers } from '../define.ts'
import { isParleyError, ParleyError, stateError } from '../errors.ts'
import { ChangeBatcher, type Decided } from '../journal/client/change-batcher.ts'
import type { Journal } from '../journal/client/journal-client.ts'
import { FeedFollower } from '../journal/feed/feed-follower.ts'
import { RecordFeeds } from '../journal/feed/record-feeds.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import type { GraphData, TableData } from '../part.ts'
import type { Port } from '../port.ts'
import type { Registration } from '../registration.ts'
import { NodeLease } from '../resource/client/node-lease.ts'
import { NONE } from '../resource/units.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'
import { GivenAmounts, LimitsSchema } from './amounts.ts'
import type { Budget, Budgets, BudgetsCounts, BudgetWaitOptions, OpenBudgetOptions } from './api.ts'
import { type BudgetFigures, budgetFigures } from './budget-figures.ts'
import { BudgetId, type BudgetRecord, type HolderRecord, holderKey, newBudgetId } from './budget-record.ts'
import { decideAgain, decideInTime, isUncertain, leaseChanges, submitChanges } from './client/budget-decisions.ts'
import { BudgetReader } from './client/budget-reader.ts'
import { HeldBudget, type HeldDeps, type HeldTerms } from './client/held-budget.ts'
import { OfferedLoans } from './client/offered-loans.ts'
import { Receipts } from './client/receipts.ts'
import { budgetProtocol, FED_BUDGETS, type FedBudget } from './contract.ts'
import type { Opened } from './journal/apply-budgets.ts'
import { type BudgetChange, type BudgetChangeOf, MAX_CHANGES } from './journal/budget-changes.ts'
import { decideBudgets } from './journal/budget-kinds.ts'
import { BudgetKeeper } from './keeper/budget-keeper.ts'

/** A node that stops waits so long for its receipts. Milliseconds. */
const STOPPING_MS = 2_000
const REGISTER_MS = 40_000
const KEYS = keysOf<OpenBudgetOptions>({ id: true, amounts: true, limits: true, signal: true, timeoutMs: true })
const PROBLEM = 'a budget cannot be opened so'

/** That begins to hold a budget. */
type OfHolder = Omit<BudgetChangeOf<'open'>, 'registration'> | Omit<BudgetChangeOf<'take'>, 'registration'>

export interface BudgetsDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'log' | 'to'>
  readonly journal: Journal
  readonly coordinator: Pick<CoordinatorFeature, 'status' | 'onChange' | 'act'>
  /** This node's copy of the journal. */
  member(): JournalMember | undefined
}

export interface BudgetsFeature extends Budgets {
  readonly handlers: Handlers<typeof budgetProtocol>
  figures(): BudgetFigures
  /** All budgets, for people. */
  table(): Promise<TableData>
  graph(): Promise<GraphData>
  stop(): Promise<void>
}

class NodeBudgets implements BudgetsFeature {
  readonly handlers: Handlers<typeof budgetProtocol>
  readonly #deps: BudgetsDeps
  readonly #held = new Map<string, HeldBudget>()
  /** Ids that programs wait for: how many. */
  readonly #asked = new Map<string, number>()
  readonly #heldDeps: HeldDeps
  readonly #batcher: ChangeBatcher<BudgetChange>
  readonly #lease: NodeLease
  readonly #receipts: Receipts
  readonly #reader: BudgetReader
  readonly #loans: OfferedLoans
  readonly #feeds: RecordFeeds<BudgetRecord, FedBudget>
  readonly #acting: Registration
  readonly #end = new AbortController()
  #follower: FeedFollower<FedBudget> | undefined
  #keeper: BudgetKeeper | undefined

  constructor(deps: BudgetsDeps) {
    this.#deps = deps
    const { port, coordinator, member, journal } = deps
    const batcher = new ChangeBatcher<BudgetChange>({
      of: 'budgets',
      maxAtOnce: MAX_CHANGES,
      levelOf: () => decideBudgets.level,
      submit: (_level, changes) => submitChanges(deps, changes),
    })
    this.#batcher = batcher
    this.#reader = new BudgetReader(journal, port.timers)
    this.#receipts = new Receipts({ port, batcher })
    this.#heldDeps = { port, batcher, reader: this.#reader, receipts: this.#receipts }
    this.#loans = new OfferedLoans(port)
    this.#lease = new NodeLease({
      ...{ port, batcher: leaseChanges(batcher), onRegistered() {}, onCapacity() {} },
      onOver: (why) => this.#endAll(why),
    })
    const feeds = new RecordFeeds(port, FED_BUDGETS, () => (coordinator.status().acting ? member() : undefined))
    this.#feeds = feeds
    this.handlers = {
      feed: async function* (this: void, request, { peer, signal }) {
        for await (const { told, ...item } of feeds.follow(peer, request, signal)) yield { ...item, budgets: told }
      },
    }
    this.#acting = coordinator.act(({ epoch, signal }) => this.#coordinate(epoch, signal))
  }

  async open(what: OpenBudgetOptions): Promise<Budget> {
    checkKeys(what, KEYS, 'a budget')
    const { id = newBudgetId(this.#deps.port), limits: given = {} } = what
    checkedInput(BudgetId, id, PROBLEM)
    const amounts = checkedInput(GivenAmounts, what.amounts, PROBLEM)
    const limits = checkedInput(LimitsSchema.strict(), given, PROBLEM)
    return this.#asking(id, what, async () => {
      const change = { do: 'open', id, amounts, limits } as const
      const { result, version, registration } = await this.#inThisLife(change, what)
      const { status } = result as unknown as Opened
      if (status !== 'open')
        throw stateError('ended', `the budget ${id} is ${status}`, 'open another one', { budget: id })
      return this.#hold(id, { registration, version }, { amounts, limits })
    })
  }

  async get(id: string, options: BudgetWaitOptions = {}): Promise<Budget> {
    const known = this.#held.get(id)
    if (known !== undefined && !known.signal.aborted) return known
    const record = await this.#reader.record(id, options)
    if (record.holder !== this.#deps.port.self.id)
      throw new ParleyError('SEC002', `the budget ${id} is held by ${record.holder}`, { hint: 'ask it to lend of it' })
    if (record.lender === undefined)
      throw stateError('ended', `the budget ${id} was opened in an earlier life of this node`, 'open another one')
    return this.#asking(id, options, async () => {
      const { version, registration } = await this.#inThisLife({ do: 'take', id }, options)
      return this.#hold(id, { registration, version }, record)
    })
  }

  /** Of a lease that has ended without a word to this node, a new one is asked for. */
  async #inThisLife(change: OfHolder, options: BudgetWaitOptions): Promise<Decided & { registration: number }> {
    const registration = await this.#registered(options)
    try {
      return { ...(await decideInTime(this.#heldDeps, { ...change, registration }, options)), registration }
    } catch (error) {
      if (!isParleyError(error, 'STA002')) throw error
      const next = await this.#registered(options, registration)
      return { ...(await decideInTime(this.#heldDeps, { ...change, registration: next }, options)), registration: next }
    }
  }

  /** What is decided after nobody waits for it any more is closed: its program does not know of it. */
  async #asking(id: string, { signal }: BudgetWaitOptions, ask: () => Promise<HeldBudget>): Promise<HeldBudget> {
    this.#asked.set(id, (this.#asked.get(id) ?? 0) + 1)
    try {
      return await ask()
    } catch (error) {
      // Its feed may have told of it already.
      if (isUncertain(error, signal))
        this.#reader.record(id).then(
          (record) => this.#closeLate(id, record),
          () => {},
        )
      throw error
    } finally {
      const left = (this.#asked.get(id) ?? 1) - 1
      if (left === 0) this.#asked.delete(id)
      else this.#asked.set(id, left)
    }
  }

  #closeLate(id: string, { status, holder, registration }: BudgetRecord): void {
    const isOwn = holder === this.#deps.port.self.id && registration === this.#lease.registration()
    if (status !== 'open' || !isOwn || this.#held.has(id) || this.#asked.has(id)) return
    decideAgain(this.#heldDeps, { do: 'close', id }, () => this.#end.signal.aborted).catch((error: unknown) =>
      this.#deps.port.log.warn('a budget that was decided late was not closed', { budget: id, error }),
    )
  }

  onLoan: Budgets['onLoan'] = (fn) => {
    if (this.#follower === undefined) void this.#endEarlierLife()
    this.#follow()
    return this.#loans.onLoan(fn)
  }

  /** What this node held before it was started again is over once it is registered. */
  async #endEarlierLife(): Promise<void> {
    const [{ journal, port }, { signal }] = [this.#deps, this.#end]
    try {
      const found = await journal.get(holderKey(port.self.id), { signal })
      // This part wrote it.
      if (((found?.value as unknown as HolderRecord | undefined)?.holds ?? 0) > 0) await this.#registered({ signal })
    } catch (error) {
      if (!signal.aborted) port.log.warn('what an earlier life of this node held ends with its lease', { error })
    }
  }

  list: Budgets['list'] = (options) => this.#reader.list(options)
  tree: Budgets['tree'] = (id, options) => this.#reader.tree(id, options)
  table = (): Promise<TableData> => this.#reader.table()
  graph = (): Promise<GraphData> => this.#reader.graph()

  counts(): BudgetsCounts {
    return { ...this.#receipts.counts(), held: this.#held.size, droppedLoans: this.#loans.dropped() }
  }

  figures(): BudgetFigures {
    return budgetFigures({
      ...{ keeper: this.#keeper?.counts(), feeds: this.#feeds.counts().feeds },
      ...{ decided: this.#batcher.counts(), own: this.counts() },
    })
  }

  async stop(): Promise<void> {
    // While this node has its lease: what was not spent goes back.
    await within(this.#deps.port.timers, STOPPING_MS, this.#receipts.stop())
    await this.#lease.stop()
    this.#endAll('this node stops')
    this.#end.abort(
      new ParleyError('COM002', 'this node stops', { hint: 'ask another node', details: { reason: 'stopped' } }),
    )
    await this.#acting.stop()
    this.#follower?.stop()
    this.#feeds.stop()
  }

  /** Its changes are followed, and its lease is kept, from the first budget on. */
  async #registered({ signal, timeoutMs = REGISTER_MS }: BudgetWaitOptions, over?: number): Promise<number> {
    const limit = new AbortController()
    const { timers } = this.#deps.port
    const late = new ParleyError('COM001', 'this node was not registered in time', {
      hint: 'is there a node with a data directory that coordinates?',
      details: { reason: 'no-leader' },
    })
    const stop = timers.after(timeoutMs, () => limit.abort(late))
    const all = AbortSignal.any([this.#end.signal, limit.signal, ...(signal === undefined ? [] : [signal])])
    try {
      await this.#follow().live(all)
      // It offers nothing: it is registered by that.
      if (over !== undefined && this.#lease.registration() === over) await abortable(this.#lease.offer(NONE), all)
      return await abortable(this.#lease.registered(), all)
    } finally {
      stop()
    }
  }

  #hold(id: string, given: HeldBudget['given'], terms: HeldTerms): HeldBudget {
    const before = this.#held.get(id)
    if (before?.given.registration === given.registration) return before
    const held = new HeldBudget(this.#heldDeps, id, given, terms)
    this.#held.set(id, held)
    held.signal.addEventListener('abort', () => {
      if (this.#held.get(id) === held) this.#held.delete(id)
    })
    // Its lease may have ended while that was decided.
    if (this.#lease.registration() !== given.registration) held.end('the lease of this node is over')
    return held
  }

  #endAll(why: string): void {
    for (const held of [...this.#held.values()]) held.end(why)
    this.#receipts.lose()
  }

  async #coordinate(epoch: number, signal: AbortSignal): Promise<void> {
    const keeper = new BudgetKeeper({ ...this.#deps, batcher: this.#batcher }, epoch, signal)
    this.#keeper = keeper
    try {
      await keeper.run()
    } finally {
      if (this.#keeper === keeper) this.#keeper = undefined
    }
  }

  /** The feed of what this node holds and lent. */
  #follow(): FeedFollower<FedBudget> {
    const { port } = this.#deps
    this.#follower ??= new FeedFollower<FedBudget>(this.#deps, {
      of: 'budgets',
      async *open(leader, request, signal) {
        const followed = port.to(leader, budgetProtocol).feed(request, { signal })
        for await (const { budgets, ...item } of followed) yield { ...item, told: budgets }
      },
      idOf: ({ id }) => id,
      onTold: ({ id, budget, version }) => {
        this.#loans.onTold(id, budget)
        this.#held.get(id)?.onTold(budget, version)
        if (budget !== undefined) this.#closeLate(id, budget)
      },
      onReset: (ids, version) => {
        this.#loans.onReset(ids)
        for (const [id, held] of [...this.#held]) if (!ids.has(id)) held.onTold(undefined, version)
      },
    })
    return this.#follower
  }
}

export const createBudgets = (deps: BudgetsDeps): BudgetsFeature => new NodeBudgets(deps)
