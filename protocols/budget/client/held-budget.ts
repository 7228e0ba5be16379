/**
 * A budget that this node holds, as its program uses it. What is drawn of it is decided first; what it has is what the journal says.
 * State: whether it has ended.
 */
import { checkedInput } from '../../checked-input.ts'
import { isParleyError, ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { type Amounts, GivenAmounts, type Limits, LimitsSchema } from '../amounts.ts'
import type { Budget, BudgetState, BudgetWaitOptions, ChunkedDraws, Draw, LendOptions, LentBudget } from '../api.ts'
import { BudgetId, type BudgetRecord, DEADLINE, HolderId, newBudgetId } from '../budget-record.ts'
import type { Drawn } from '../journal/apply-budgets.ts'
import type { BudgetChange } from '../journal/budget-changes.ts'
import { Slice } from '../slice.ts'
import { type DecisionDeps, decideInTime, isUncertain } from './budget-decisions.ts'
import { type BudgetReader, stateOf } from './budget-reader.ts'
import { Chunks } from './chunked-draws.ts'
import type { Receipts } from './receipts.ts'

const PROBLEM = 'a budget cannot be used so'

export interface HeldDeps extends DecisionDeps {
  readonly port: Pick<Port, 'random' | 'timers'>
  readonly reader: BudgetReader
  readonly receipts: Receipts
}

export type HeldTerms = Pick<BudgetRecord, 'amounts' | 'limits' | 'lender'>

/** @throws as `close` of the journal */
export const closeBudget = async (deps: HeldDeps, id: string): Promise<BudgetState> => {
  await decideInTime(deps, { do: 'close', id })
  return stateOf(id, await deps.reader.record(id))
}

export class HeldBudget implements Budget {
  readonly id: string
  readonly amounts: Amounts
  readonly limits: Limits
  readonly lender: string | undefined
  /** The life of this node that it ends with, and the decision that gave it: what was told before that is old. */
  readonly given: { readonly registration: number; readonly version: number }
  readonly #deps: HeldDeps
  readonly #end = new AbortController()

  constructor(deps: HeldDeps, id: string, given: HeldBudget['given'], record: HeldTerms) {
    this.#deps = deps
    this.id = id
    this.given = given
    this.amounts = record.amounts
    this.limits = record.limits
    this.lender = record.lender
  }

  get signal(): AbortSignal {
    return this.#end.signal
  }

  /** @param version of what is told, or of all there is */
  onTold(record: BudgetRecord | undefined, version: number): void {
    if (version > this.given.version && record?.status !== 'open') this.end(record?.reason ?? 'it was closed')
  }

  end(why: string): void {
    if (this.#end.signal.aborted) return
    const hint = 'end the work that needs more than was drawn'
    this.#end.abort(stateError('ended', `the budget ${this.id} has ended: ${why}`, hint, { budget: this.id }))
  }

  async draw(amounts: Amounts, options?: BudgetWaitOptions): Promise<Draw> {
    return this.#draw(checkedInput(GivenAmounts, amounts, PROBLEM), undefined, options)
  }

  async #draw(amounts: Amounts, least?: Amounts, options?: BudgetWaitOptions): Promise<Draw> {
    const { id } = this
    const { registration } = this.given
    const { port, receipts } = this.#deps
    const name = { id, registration, draw: `d${newBudgetId(port)}` }
    try {
      const change: BudgetChange = { do: 'draw', ...name, amounts, ...(least !== undefined && { least }) }
      const { result } = await decideInTime(this.#deps, change, options)
      const drawn = result as unknown as Drawn
      return receipts.drawn(name, drawn.amounts, new Slice({ amounts: drawn.amounts, limits: this.limits }))
    } catch (error) {
      if (isUncertain(error, options?.signal)) receipts.abandon(name)
      throw await this.#refusal(error)
    }
  }

  /** The journal says that it has ended, and not by what: a budget whose deadline has passed is closed by the coordinator. */
  async #refusal(error: unknown): Promise<unknown> {
    if (!isParleyError(error, 'STA003') || error.reason !== 'ended') return error
    const { id } = this
    const record = await this.#deps.reader.record(id).catch(() => undefined)
    if (record?.reason !== DEADLINE) return error
    return new ParleyError('MSG005', `the deadline of the budget ${id} has passed`, {
      hint: 'end the work',
      details: { budget: id, ...(record.limits.deadlineAt !== undefined && { deadlineAt: record.limits.deadlineAt }) },
      cause: error,
    })
  }

  chunks(chunk: Amounts): ChunkedDraws {
    return new Chunks(chunk, (amounts, least) => this.#draw(amounts, least))
  }

  async lend(to: string, amounts: Amounts, options: LendOptions = {}): Promise<LentBudget> {
    const { id = newBudgetId(this.#deps.port), limits = {}, ...wait } = options
    checkedInput(BudgetId, id, PROBLEM)
    const change: BudgetChange = {
      ...{ do: 'lend', registration: this.given.registration, id, parent: this.id },
      to: checkedInput(HolderId, to, PROBLEM),
      amounts: checkedInput(GivenAmounts, amounts, PROBLEM),
      limits: checkedInput(LimitsSchema.strict(), limits, PROBLEM),
    }
    try {
      await decideInTime(this.#deps, change, wait)
    } catch (error) {
      // Nobody knows of it here: it is taken back once it is there, or when nobody took it.
      if (isUncertain(error, wait.signal)) decideInTime(this.#deps, { do: 'close', id }).catch(() => {})
      throw await this.#refusal(error)
    }
    return { id, holder: to, close: () => closeBudget(this.#deps, id) }
  }

  remaining(options?: BudgetWaitOptions): Promise<Amounts> {
    return this.#deps.reader.remaining(this.id, options)
  }

  async close(): Promise<BudgetState> {
    await this.#deps.receipts.settleAll(this.id)
    const state = await closeBudget(this.#deps, this.id)
    this.end('it was closed')
    return state
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
