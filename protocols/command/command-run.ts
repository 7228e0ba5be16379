/**
 * One run of a command at its receiver, and what the attempts get that come while it is remembered.
 *
 * A nack may say that a budget is used up. It is the last word for the part of the budget that the run had, since waiting
 * gives that part no more; a new send, which brings another part, runs the command again.
 * Of what other sends bring under the same id nothing is spent: the run notes it, so that their later attempts, which do not
 * bring it a second time, are told so as well.
 * State: how it ended, and those parts.
 */
import { type Amounts, NO_AMOUNTS } from '../budget/amounts.ts'
import type { CarriedBudget } from '../budget/carried/carried-budget.ts'
import { type Fault, fromFault } from '../errors.ts'
import { hasNoBudgetLeft } from '../wire/caller/retry-policy.ts'

export interface RunRequest {
  readonly command_id: string
  readonly timeout_ms: number
  readonly parameters: unknown
  readonly budget?: CarriedBudget | undefined
  readonly part?: string | undefined
  readonly again?: boolean | undefined
}

interface WithRemaining {
  /** What is left of its budget, where it came with one. */
  remaining?: Amounts
}

export type RunAnswer = WithRemaining &
  (
    | { command_id: string; status: 'ack'; result: unknown; repeated?: boolean }
    | { command_id: string; status: 'nack'; reason: string; error: Fault }
  )

/** Parts that one run notes. */
export const MAX_JOINED_PARTS = 16

const isOutOfBudget = (answer: RunAnswer): boolean =>
  answer.status === 'nack' && hasNoBudgetLeft(fromFault(answer.error))

/** Trying again may help, so that the same id must be let through. */
export const isPassing = (answer: RunAnswer): boolean =>
  answer.status === 'nack' && answer.error.code.startsWith('COM') && !isOutOfBudget(answer)

export class CommandRun {
  readonly outcome: Promise<RunAnswer>
  /** Names what it has of a budget. */
  readonly #part: string | undefined
  /** What other parts brought, by their names. */
  readonly #joined = new Map<string, Amounts>()
  #isOutOfBudget = false

  /** @param run begun later, so that this is remembered before it can end */
  constructor(part: string | undefined, run: () => Promise<RunAnswer>) {
    this.#part = part
    this.outcome = Promise.resolve()
      .then(run)
      .then((answer) => {
        this.#isOutOfBudget = isOutOfBudget(answer)
        return answer
      })
  }

  /** False for the first attempt of a new send that brings another part, where this run ended without enough of its own. */
  isFinalFor({ part, again }: RunRequest): boolean {
    return !this.#isOutOfBudget || part === this.#part || again === true
  }

  /**
   * An attempt that did not begin it has come.
   * @returns false where its part could not be noted, because too many are
   */
  join({ budget, part, again }: RunRequest): boolean {
    if (budget === undefined || part === undefined || part === this.#part || again === true) return true
    if (this.#joined.size >= MAX_JOINED_PARTS && !this.#joined.has(part)) return false
    this.#joined.set(part, budget.amounts)
    return true
  }

  /** For an attempt that did not begin it. Of another part than its own it spent nothing. */
  repeated(answer: RunAnswer, { budget, part, again }: RunRequest): RunAnswer {
    const told = answer.status === 'ack' ? { ...answer, repeated: true } : answer
    if (budget === undefined || part === undefined || part === this.#part) return told
    if (again !== true) return { ...told, remaining: budget.amounts }
    // What an attempt that did not come here brought, another run may have spent.
    return { ...told, remaining: this.#joined.get(part) ?? NO_AMOUNTS }
  }
}
