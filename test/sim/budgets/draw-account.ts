/**
 * What was drawn and spent of budgets, added up from what was asked and answered alone, with none of the product's sums: each draw
 * counts in full until a receipt says less, for ever where none does. Of no budget may the draws, with those of what was lent of it,
 * ever be more than it has. State: all budgets and draws that there ever were, in tokens.
 */
import type { BudgetChange } from '../../../protocols/budget/journal/budget-changes.ts'
import type { BudgetChangeAnswer } from '../../../protocols/budget/journal/budget-kinds.ts'

interface Drawn {
  readonly life: number
  readonly tokens: number
  isSettled: boolean
}
interface Lent {
  readonly all: number
  readonly parent: string | undefined
  readonly deadlineAt: number | undefined
  /** The life of its holder that has it; a loan that is not taken: none. */
  life: number | undefined
  isOver: boolean
  /** By its own draws, and by those of what was lent of it. */
  committed: number
}

export interface Decision {
  readonly index: number
  /** Peer id of who asked. */
  readonly by: string
  readonly at: number
  readonly changes: readonly BudgetChange[]
  readonly answers: readonly BudgetChangeAnswer[]
}

export class DrawAccount {
  readonly #budgets = new Map<string, Lent>()
  readonly #draws = new Map<string, Drawn>()
  /** By peer: its life that counts. */
  readonly #lives = new Map<string, number>()
  #index = 0

  /** Of a decision that another node applied before: nothing. @returns what is wrong */
  note({ index, by, at, changes, answers }: Decision): string | undefined {
    if (index <= this.#index) return undefined
    this.#index = index
    for (const [i, change] of changes.entries()) {
      const answer = answers[i]
      if (answer === undefined || !('ok' in answer)) continue
      const wrong = this.#take(change, Object(answer.ok) as Readonly<Record<string, unknown>>, by, at)
      if (wrong !== undefined) return `at ${index}: ${wrong}`
    }
    return undefined
  }

  /** Index of the last decision that it has. */
  index(): number {
    return this.#index
  }

  /** Tokens of it that were spent or drawn, with those of what was lent of it; undefined: it never was. */
  committed(id: string): number | undefined {
    return this.#budgets.get(id)?.committed
  }

  /** After it nothing may be drawn of it. */
  deadlineAt(id: string): number | undefined {
    return this.#budgets.get(id)?.deadlineAt
  }

  #take(change: BudgetChange, ok: Readonly<Record<string, unknown>>, by: string, at: number): string | undefined {
    const isOld = change.do === 'draw' && this.#lives.get(by) !== change.registration
    if (isOld) return `${change.draw} is drawn of ${change.id} by a life that is over`
    switch (change.do) {
      case 'register':
        if (typeof ok.registration === 'number') this.#lives.set(by, ok.registration)
        else this.#lives.delete(by)
        return undefined
      case 'withdraw':
        this.#lives.delete(by)
        return undefined
      case 'dismiss':
        if (this.#lives.get(change.peer) === change.registration) this.#lives.delete(change.peer)
        return undefined
      case 'open':
        if (ok.isKnown !== true) this.#add(change.id, change, change.registration)
        return undefined
      case 'lend':
        return ok.isKnown === true ? undefined : this.#lend(change)
      case 'take':
        return this.#takeLoan(change.id, change.registration)
      case 'draw':
        return this.#draw(change, Reflect.get(Object(ok.amounts), 'tokens'), at)
      case 'receipt':
        return ok.isSettled === true ? this.#settle(change) : undefined
      case 'close':
      case 'expire': {
        const found = this.#budgets.get(change.id)
        if (found !== undefined) found.isOver = true
        return undefined
      }
    }
    return undefined
  }

  #add(
    id: string,
    { amounts, limits }: Pick<Extract<BudgetChange, { do: 'open' }>, 'amounts' | 'limits'>,
    life?: number,
    parent?: string,
  ): void {
    const { deadlineAt } = limits
    this.#budgets.set(id, { all: amounts.tokens ?? 0, parent, deadlineAt, life, isOver: false, committed: 0 })
  }

  #lend(change: Extract<BudgetChange, { do: 'lend' }>): string | undefined {
    const { id, parent, limits, registration } = change
    const from = this.#budgets.get(parent)
    if (from === undefined || from.isOver || from.life !== registration)
      return `${id} is lent of ${parent}, which is over`
    const deadlineAt = Math.min(limits.deadlineAt ?? Infinity, from.deadlineAt ?? Infinity)
    this.#add(id, { ...change, limits: deadlineAt === Infinity ? {} : { deadlineAt } }, undefined, parent)
    return undefined
  }

  #takeLoan(id: string, registration: number): string | undefined {
    const found = this.#budgets.get(id)
    if (found === undefined || found.isOver) return `${id} is taken, and it is over`
    if (found.life !== undefined && found.life !== registration) return `${id} is taken by two lives of its holder`
    found.life = registration
    return undefined
  }

  #draw(change: Extract<BudgetChange, { do: 'draw' }>, given: unknown, at: number): string | undefined {
    const { id, draw, registration } = change
    const found = this.#budgets.get(id)
    if (found === undefined || found.isOver) return `${draw} is drawn of ${id}, which is over`
    if (found.life !== registration) return `${draw} is drawn of ${id} by another life than the one that has it`
    if (found.deadlineAt !== undefined && at > found.deadlineAt) return `${draw} is drawn of ${id} after its deadline`
    const tokens = Number(given)
    const before = this.#draws.get(`${id} ${draw}`)
    if (before !== undefined)
      return before.isSettled || before.tokens !== tokens ? `${draw} of ${id} is drawn twice` : undefined
    this.#draws.set(`${id} ${draw}`, { life: registration, tokens, isSettled: false })
    return this.#commit(id, tokens)
  }

  #settle({ id, draw, registration, spent }: Extract<BudgetChange, { do: 'receipt' }>): string | undefined {
    const found = this.#draws.get(`${id} ${draw}`)
    if (found === undefined || found.isSettled) return `a receipt of ${draw} of ${id} counts twice`
    if (found.life !== registration) return `a receipt of ${draw} of ${id} is by another life than the one that drew it`
    found.isSettled = true
    return this.#commit(id, (spent.tokens ?? 0) - found.tokens)
  }

  #commit(id: string, tokens: number): string | undefined {
    for (let at: string | undefined = id; at !== undefined; at = this.#budgets.get(at)?.parent) {
      const found = this.#budgets.get(at)
      if (found === undefined) return `${at} is drawn of, and was never there`
      found.committed += tokens
      if (found.committed > found.all) return `${found.committed} of ${at} are drawn or spent, and it has ${found.all}`
    }
    return undefined
  }
}
