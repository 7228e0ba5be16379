/**
 * Loans that this node was offered and has not taken: its program is told of each once. State: those, a bounded number, and who is
 * told.
 */
import type { Port } from '../../port.ts'
import { createRegistration, type Registration } from '../../registration.ts'
import type { OfferedLoan } from '../api.ts'
import type { BudgetRecord } from '../budget-record.ts'

/** More are not told, and counted; they can be taken by their ids. */
export const MAX_OFFERED = 1_024

export class OfferedLoans {
  readonly #port: Pick<Port, 'self' | 'log'>
  readonly #offered = new Map<string, OfferedLoan>()
  readonly #listeners = new Set<(loan: OfferedLoan) => void>()
  #dropped = 0

  constructor(port: Pick<Port, 'self' | 'log'>) {
    this.#port = port
  }

  dropped(): number {
    return this.#dropped
  }

  onTold(id: string, record: BudgetRecord | undefined): void {
    const isOffered = record?.status === 'offered' && record.holder === this.#port.self.id
    if (!isOffered) {
      this.#offered.delete(id)
      return
    }
    if (this.#offered.has(id)) return
    if (this.#offered.size >= MAX_OFFERED) {
      this.#dropped += 1
      return
    }
    const { lender = '', amounts, limits } = record
    const loan: OfferedLoan = { id, lender, amounts, limits }
    this.#offered.set(id, loan)
    for (const fn of [...this.#listeners]) this.#tell(fn, loan)
  }

  /** All there is was told. */
  onReset(ids: ReadonlySet<string>): void {
    for (const id of [...this.#offered.keys()]) if (!ids.has(id)) this.#offered.delete(id)
  }

  onLoan(fn: (loan: OfferedLoan) => void): Registration {
    this.#listeners.add(fn)
    for (const loan of [...this.#offered.values()]) this.#tell(fn, loan)
    return createRegistration(() => this.#listeners.delete(fn))
  }

  #tell(fn: (loan: OfferedLoan) => void, loan: OfferedLoan): void {
    try {
      fn(loan)
    } catch (error) {
      this.#port.log.error('a listener for loans of budgets failed', { budget: loan.id, error })
    }
  }
}
