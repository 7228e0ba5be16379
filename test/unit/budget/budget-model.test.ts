/** Budgets against a model that knows nothing but what each draw came to, and adds all of it up anew for each question. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { freeOf } from '../../../protocols/budget/budget-record.ts'
import { BudgetJournal } from '../../support/budget-journal.ts'

const PEERS = ['ann', 'bob', 'cat'] as const
const ROOT = 30

interface ModelDraw {
  readonly most: number
  /** Undefined: it is open. */
  spent?: number
}
interface ModelBudget {
  readonly id: string
  holder: string
  readonly lender: string | undefined
  readonly amount: number
  readonly draws: Map<string, ModelDraw>
  readonly children: ModelBudget[]
  state: 'offered' | 'open' | 'ended'
}

const sumOf = (numbers: Iterable<number>): number => [...numbers].reduce((sum, one) => sum + one, 0)
/** Of what it has, what may not be given to anybody else. */
const usedOf = ({ draws, children }: ModelBudget): number =>
  sumOf([...draws.values()].map(({ most, spent = most }) => spent)) + sumOf(children.map(keptOf))
const keptOf = (one: ModelBudget): number => (one.state === 'ended' ? usedOf(one) : one.amount)

class Model {
  readonly budgets: ModelBudget[] = []

  add(id: string, holder: string, amount: number, from?: ModelBudget): void {
    const one: ModelBudget = {
      ...{ id, holder, amount, lender: from?.holder, draws: new Map(), children: [] },
      state: from === undefined ? 'open' : 'offered',
    }
    from?.children.push(one)
    this.budgets.push(one)
  }

  /** Whoever holds it is gone: nobody will say what became of the draws. */
  gone(peer: string): void {
    for (const one of this.budgets) {
      if (one.holder !== peer || one.state === 'offered') continue
      for (const draw of one.draws.values()) draw.spent ??= draw.most
      one.state = 'ended'
    }
  }
}

const isOk = (answer: unknown): boolean => typeof answer !== 'string'

class Play {
  readonly journal = new BudgetJournal()
  readonly model = new Model()
  readonly counts: Record<string, number> = {}
  #ids = 0

  constructor() {
    for (const peer of PEERS) this.journal.register(peer)
    this.journal.open('ann', 'b0', { tokens: ROOT })
    this.model.add('b0', 'ann', ROOT)
  }

  step(what: string, which: number, amount: number, peer: string): void {
    const one = this.model.budgets[which % this.model.budgets.length]
    if (one === undefined) return
    this.#ids += 1
    const done = this.#do(what, one, amount, peer)
    if (done) this.counts[what] = (this.counts[what] ?? 0) + 1
    this.#look()
  }

  #do(what: string, one: ModelBudget, amount: number, peer: string): boolean {
    switch (what) {
      case 'draw':
        return this.#draw(one, amount)
      case 'receipt':
        return this.#receipt(one, amount)
      case 'lend':
        return this.#lend(one, amount, peer)
      case 'take':
        return this.#take(one)
      case 'close':
        return this.#close(one, peer)
      default:
        return this.#restart(peer)
    }
  }

  #draw(one: ModelBudget, amount: number): boolean {
    const name = `d${this.#ids}`
    const may = one.state === 'open' && amount <= one.amount - usedOf(one)
    assert.equal(
      isOk(this.journal.draw(one.holder, one.id, name, { tokens: amount })),
      may,
      `draw ${amount} of ${one.id}`,
    )
    if (may) one.draws.set(name, { most: amount })
    return may
  }

  #receipt(one: ModelBudget, amount: number): boolean {
    const found = [...one.draws].find(([, { spent }]) => spent === undefined)
    if (found === undefined) return false
    const [name, draw] = found
    draw.spent = Math.min(amount, draw.most)
    const answer = this.journal.receipt(one.holder, one.id, name, { tokens: draw.spent })
    assert.equal((answer as { isSettled: boolean }).isSettled, true)
    return true
  }

  #lend(one: ModelBudget, amount: number, to: string): boolean {
    const id = `b${this.#ids}`
    const may = one.state === 'open' && amount <= one.amount - usedOf(one)
    const answer = this.journal.lend(one.holder, one.id, id, to, { tokens: amount })
    // A tree may be too deep.
    if (answer === 'COM003 budget-depth') return false
    assert.equal(isOk(answer), may, `lend ${amount} of ${one.id}`)
    if (may) this.model.add(id, to, amount, one)
    return may
  }

  #take(one: ModelBudget): boolean {
    const may = one.state === 'offered' || one.state === 'open'
    assert.equal(isOk(this.journal.take(one.holder, one.id)), may, `take ${one.id}`)
    if (one.state === 'offered') one.state = 'open'
    return may
  }

  #close(one: ModelBudget, peer: string): boolean {
    const may = peer === one.holder || peer === one.lender
    assert.equal(isOk(this.journal.close(peer, one.id)), may, `${peer} closes ${one.id}`)
    if (may) one.state = 'ended'
    return may
  }

  /** In another life: the coordinator ends what it held. */
  #restart(peer: string): boolean {
    const incarnation = 1 + this.#ids
    for (const one of this.journal.register(peer, incarnation) === undefined ? this.model.budgets : [])
      if (one.holder === peer && this.journal.get(one.id)?.registration !== undefined)
        assert.equal(this.journal.expire(one.id), null)
    assert.notEqual(this.journal.register(peer, incarnation), undefined)
    this.model.gone(peer)
    return true
  }

  #look(): void {
    this.journal.check()
    for (const one of this.model.budgets) {
      const found = this.journal.get(one.id)
      if (found === undefined) throw new Error(`${one.id} is not there`)
      const free = freeOf(found).tokens ?? 0
      assert.equal(free, one.state === 'ended' ? 0 : one.amount - usedOf(one), `what is free of ${one.id}`)
    }
    const [root] = this.model.budgets
    assert.ok(root !== undefined && usedOf(root) <= ROOT)
  }
}

const step = fc.record({
  what: fc.constantFrom(
    'draw',
    'draw',
    'draw',
    'receipt',
    'receipt',
    'lend',
    'lend',
    'take',
    'take',
    'close',
    'restart',
  ),
  which: fc.nat(15),
  amount: fc.nat(15),
  peer: fc.constantFrom(...PEERS),
})

describe('budgets in the journal', () => {
  it('let through what a model that adds up everything lets through, and have as much left', () => {
    const counts: Record<string, number> = {}
    const property = fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), (steps) => {
      const play = new Play()
      for (const { what, which, amount, peer } of steps) play.step(what, which, amount, peer)
      for (const [what, count] of Object.entries(play.counts)) counts[what] = (counts[what] ?? 0) + count
    })
    fc.assert(property, { numRuns: 600 })
    for (const what of ['draw', 'receipt', 'lend', 'take', 'close', 'restart'])
      assert.ok((counts[what] ?? 0) > 100, `${what}: ${counts[what] ?? 0} times`)
  })
})
