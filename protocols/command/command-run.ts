/**
 * One run of a command at its receiver, and what the attempts get that come while it is remembered.
 *
 * A nack may say that a budget is used up. It is the last word for the part of the budget that the run had, since waiting
 * gives that part no more; a new send, which brings another part, runs the command again.
 * State: how it ended.
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

const isOutOfBudget = (answer: RunAnswer): boolean =>
  answer.status === 'nack' && hasNoBudgetLeft(fromFault(answer.error))

/** Trying again may help, so that the same id must be let through. */
export const isPassing = (answer: RunAnswer): boolean =>
  answer.status === 'nack' && answer.error.code.startsWith('COM') && !isOutOfBudget(answer)

export class CommandRun {
  readonly outcome: Promise<RunAnswer>
  /** Names what it has of a budget. */
  readonly #part: string | undefined
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

  /** For an attempt that did not begin it. Of another part than its own it spent nothing. */
  repeated(answer: RunAnswer, { budget, part, again }: RunRequest): RunAnswer {
    const told = answer.status === 'ack' ? { ...answer, repeated: true } : answer
    if (budget === undefined || part === undefined || part === this.#part) return told
    // What an attempt before this one spent of it is not known here.
    return { ...told, remaining: again === true ? NO_AMOUNTS : budget.amounts }
  }
}
