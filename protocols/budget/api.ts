/** Budgets as a program uses them: `mesh.budgets`. */
import type { Registration } from '../registration.ts'
import type { Amounts, Limits } from './amounts.ts'
import type { BudgetStatus } from './budget-record.ts'
import type { Slice } from './slice.ts'

export interface BudgetWaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds; 10,000 unless told. */
  readonly timeoutMs?: number
}

export interface OpenBudgetOptions extends BudgetWaitOptions {
  /** 1 to 128 letters, digits, _ and -; a new one unless told. The same id again is the same budget. */
  readonly id?: string
  /** What it does not name is without limit. */
  readonly amounts: Amounts
  readonly limits?: Limits
}

export interface LendOptions extends BudgetWaitOptions {
  readonly id?: string
  /** The earlier deadline counts, and one delegation less than the lender has. */
  readonly limits?: Limits
}

/** What was taken of a budget before it is spent: it counts as spent until its receipt is written. */
export interface Draw {
  readonly id: string
  /** Of what the budget limits. */
  readonly amounts: Amounts
  /** What is spent of it. */
  readonly slice: Slice
  /**
   * Nothing more is spent of it: what was not goes back to the budget. Resolves once that is decided; it is tried again where
   * nobody decides, and the draw counts as spent where that goes on for a minute.
   * @throws COM001 where it was not decided
   */
  settle(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Spends of a budget without a decision for each: chunks are drawn as they are needed. */
export interface ChunkedDraws {
  /** @throws COM003 `budget-exhausted` where the budget has not as much left, and then nothing was spent */
  spend(amounts: Amounts): Promise<void>
  /** Gives back what is left of the chunk that was drawn last. */
  settle(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What this node lent: it is closed by who has it, or here. */
export interface LentBudget {
  readonly id: string
  readonly holder: string
  /** Takes back what was neither spent, drawn nor lent on; the rest comes with receipts. */
  close(): Promise<BudgetState>
}

/** A budget that this node holds. */
export interface Budget {
  readonly id: string
  readonly amounts: Amounts
  readonly limits: Limits
  /** Peer id of who lent it; undefined: it was opened here. */
  readonly lender: string | undefined
  /** Aborted once nothing more can be drawn of it: it was closed, its deadline has passed, or this node's lease is over. */
  readonly signal: AbortSignal
  /**
   * Takes so much of it, to be spent here.
   * @throws COM003 `budget-exhausted` with `details.amount`, `asked`, `left`, `budget-share`; STA003 `ended`; STA002; MSG005;
   *   MSG001; COM001 where nobody coordinates
   */
  draw(amounts: Amounts, options?: BudgetWaitOptions): Promise<Draw>
  /** @param chunk what is drawn at once, or what is left where that is less */
  chunks(chunk: Amounts): ChunkedDraws
  /**
   * Gives a part of it to another node, which has `TAKE_MS` (30 s) to take it.
   * @param to peer id
   * @throws as `draw`, and COM003 `budget-depth`, STA003 `exists`
   */
  lend(to: string, amounts: Amounts, options?: LendOptions): Promise<LentBudget>
  /** Of what it limits: neither spent, drawn nor lent. */
  remaining(options?: BudgetWaitOptions): Promise<Amounts>
  /** What is left goes back to who lent it. Open draws are settled first. */
  close(): Promise<BudgetState>
  [Symbol.asyncDispose](): Promise<void>
}

export interface BudgetState {
  readonly id: string
  readonly status: BudgetStatus
  readonly holder: string
  readonly lender: string | undefined
  readonly parent: string | undefined
  readonly amounts: Amounts
  readonly limits: Limits
  /** With what was spent beyond what it has. */
  readonly spent: Amounts
  readonly drawn: Amounts
  readonly lent: Amounts
  /** Of what it limits: neither spent, drawn, lent nor returned. */
  readonly free: Amounts
  /** What was spent above draws and loans. */
  readonly overspent: Amounts
  /** Milliseconds since 1970 by the journal's clock. */
  readonly openedAt: number
  readonly changedAt: number
  /** Why it ended, where nobody closed it. */
  readonly reason: string | undefined
}

export interface BudgetTree extends BudgetState {
  readonly loans: readonly BudgetTree[]
}

/** A loan that this node was offered; `budgets.get(id)` takes it. */
export interface OfferedLoan {
  readonly id: string
  readonly lender: string
  readonly amounts: Amounts
  readonly limits: Limits
}

export interface BudgetsCounts {
  /** Budgets that this node holds, as far as it uses them. */
  readonly held: number
  readonly draws: number
  /** Draws that were settled with more than they were of. */
  readonly overspent: number
  /** Draws whose receipts were not written: they count as spent. */
  readonly writtenOff: number
  /** Loans that were offered to this node and not told, because too many were. */
  readonly droppedLoans: number
}

export interface Budgets {
  /**
   * Opens a budget that this node holds; it ends with this node.
   * @throws COM003 `budget-share`; STA003 `exists`; MSG001; COM001 where nobody coordinates
   */
  open(what: OpenBudgetOptions): Promise<Budget>
  /** A budget that this node holds; a loan is taken by this. @throws STA001; SEC002; STA003 `ended`; COM001 */
  get(id: string, options?: BudgetWaitOptions): Promise<Budget>
  /** Told of each loan that this node is offered, those that are there first. */
  onLoan(fn: (loan: OfferedLoan) => void): Registration
  /** Those that there are, sorted by id. */
  list(options?: BudgetWaitOptions): Promise<BudgetState[]>
  /** One with what was lent of it, and of that. @throws STA001 */
  tree(id: string, options?: BudgetWaitOptions): Promise<BudgetTree>
  counts(): BudgetsCounts
}
