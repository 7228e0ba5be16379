/** What is decided about budgets: who may, how much, and what comes back when. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Amounts, MAX_DEPTH } from '../../../protocols/budget/amounts.ts'
import { budgetKey, freeOf, TAKE_MS } from '../../../protocols/budget/budget-record.ts'
import { MAX_OPEN_DRAWS } from '../../../protocols/budget/journal/apply-budgets.ts'
import { type BudgetChange, BudgetChangeSchema } from '../../../protocols/budget/journal/budget-changes.ts'
import { budgetJournal } from '../../../protocols/budget/journal/budget-kinds.ts'
import { MAX_ITEMS } from '../../../protocols/budget/journal/budget-ledger.ts'
import { BudgetJournal, LEADER } from '../../support/budget-journal.ts'

/** A root of 100 tokens of ann, of which bob has 40, taken. */
const begin = (): BudgetJournal => {
  const journal = new BudgetJournal()
  for (const peer of ['ann', 'bob', 'cat']) journal.register(peer)
  assert.deepEqual(journal.open('ann', 'root', { tokens: 100 }), { status: 'open', isKnown: false })
  assert.deepEqual(journal.lend('ann', 'root', 'loan', 'bob', { tokens: 40 }), { status: 'offered', isKnown: false })
  assert.equal(journal.take('bob', 'loan'), null)
  return journal
}
const free = (journal: BudgetJournal, id: string): Amounts => {
  const found = journal.get(id)
  if (found === undefined) throw new Error(`no ${id}`)
  return freeOf(found)
}

describe('draws', () => {
  it('are granted to the last of what is free, and not one more', () => {
    const journal = begin()
    assert.deepEqual(journal.draw('ann', 'root', 'a', { tokens: 60 }), { amounts: { tokens: 60 } })
    assert.equal(journal.draw('ann', 'root', 'b', { tokens: 1 }), 'COM003 budget-exhausted')
    assert.deepEqual(journal.draw('ann', 'root', 'c', {}), { amounts: { tokens: 0 } })
    journal.check()
  })

  it('count as spent until a receipt lowers them, which counts once', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 40 })
    assert.deepEqual(free(journal, 'loan'), { tokens: 0 })
    assert.deepEqual(journal.receipt('bob', 'loan', 'a', { tokens: 15 }), { isSettled: true, above: { tokens: 0 } })
    assert.deepEqual(journal.receipt('bob', 'loan', 'a', { tokens: 1 }), { isSettled: false, above: {} })
    assert.deepEqual(free(journal, 'loan'), { tokens: 25 })
    assert.deepEqual(journal.get('loan')?.spent, { tokens: 15 })
    journal.check()
  })

  it('asked for again are the same ones', () => {
    const journal = begin()
    journal.draw('ann', 'root', 'a', { tokens: 50 })
    assert.deepEqual(journal.draw('ann', 'root', 'a', { tokens: 50 }), { amounts: { tokens: 50 } })
    assert.deepEqual(free(journal, 'root'), { tokens: 10 })
    journal.check()
  })

  it('take what there is, and no less than the least', () => {
    const journal = begin()
    assert.deepEqual(journal.draw('ann', 'root', 'a', { tokens: 50 }, { tokens: 5 }), { amounts: { tokens: 50 } })
    assert.equal(journal.draw('ann', 'root', 'b', { tokens: 50 }, { tokens: 11 }), 'COM003 budget-exhausted')
    assert.deepEqual(journal.draw('ann', 'root', 'b', { tokens: 50 }, { tokens: 10 }), { amounts: { tokens: 10 } })
    assert.deepEqual(journal.draw('ann', 'root', 'c', {}, { tokens: 0 }), { amounts: { tokens: 0 } })
    journal.receipt('ann', 'root', 'a', {})
    assert.deepEqual(journal.draw('ann', 'root', 'd', {}, { tokens: 7 }), { amounts: { tokens: 7 } })
    journal.check()
  })

  it('are at most so many for each budget', () => {
    const journal = begin()
    for (let i = 0; i < MAX_OPEN_DRAWS; i += 1)
      assert.deepEqual(journal.draw('ann', 'root', `d${i}`, {}), { amounts: { tokens: 0 } })
    assert.equal(journal.draw('ann', 'root', 'more', {}), 'COM003 budget-share')
    journal.receipt('ann', 'root', 'd0', {})
    assert.deepEqual(journal.draw('ann', 'root', 'more', {}), { amounts: { tokens: 0 } })
    journal.check()
  })

  it('that were overspent take from what is free; what that has no room for is noted beside it', () => {
    const journal = begin()
    journal.draw('ann', 'root', 'a', { tokens: 10 })
    assert.deepEqual(journal.receipt('ann', 'root', 'a', { tokens: 30, cost: 7 }), {
      isSettled: true,
      above: { tokens: 20 },
    })
    assert.deepEqual(journal.get('root')?.spent, { tokens: 30, cost: 7 })
    assert.deepEqual(journal.get('root')?.overspent, { tokens: 20 })
    assert.equal(journal.get('root')?.uncovered, undefined)
    journal.draw('ann', 'root', 'b', { tokens: 10 })
    journal.receipt('ann', 'root', 'b', { tokens: Number.MAX_SAFE_INTEGER })
    assert.deepEqual(free(journal, 'root'), { tokens: 0 })
    assert.deepEqual(journal.get('root')?.spent, { tokens: 60, cost: 7 })
    assert.deepEqual(journal.get('root')?.uncovered, { tokens: Number.MAX_SAFE_INTEGER - 30 })
    journal.check()
  })

  it('of what the budget does not limit are noted, and never too much', () => {
    const journal = begin()
    assert.deepEqual(journal.draw('ann', 'root', 'a', { cost: Number.MAX_SAFE_INTEGER }), {
      amounts: { tokens: 0, cost: Number.MAX_SAFE_INTEGER },
    })
    assert.deepEqual(journal.get('root')?.drawn, {})
    journal.receipt('ann', 'root', 'a', { cost: Number.MAX_SAFE_INTEGER })
    journal.draw('ann', 'root', 'b', { cost: 5 })
    journal.receipt('ann', 'root', 'b', { cost: 5 })
    assert.deepEqual(journal.get('root')?.spent, { cost: Number.MAX_SAFE_INTEGER })
    journal.check()
  })
})

describe('loans', () => {
  it('are not their lender any more, and come back whole when they are closed', () => {
    const journal = begin()
    assert.deepEqual(free(journal, 'root'), { tokens: 60 })
    assert.equal(journal.lend('ann', 'root', 'more', 'cat', { tokens: 61 }), 'COM003 budget-exhausted')
    journal.draw('bob', 'loan', 'a', { tokens: 10 })
    journal.receipt('bob', 'loan', 'a', { tokens: 4 })
    assert.deepEqual(journal.close('bob', 'loan'), { status: 'closed' })
    assert.deepEqual(free(journal, 'root'), { tokens: 96 })
    assert.deepEqual(journal.get('root')?.spent, { tokens: 4 })
    assert.equal(journal.draw('bob', 'loan', 'b', {}), 'STA003 ended')
    journal.check()
  })

  it('that their lender closes give back what is free at once, and the rest with receipts', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 10 })
    assert.deepEqual(journal.close('ann', 'loan'), { status: 'closing' })
    assert.deepEqual(journal.close('ann', 'loan'), { status: 'closing' }, 'again')
    assert.deepEqual(free(journal, 'root'), { tokens: 90 })
    assert.equal(journal.draw('bob', 'loan', 'b', {}), 'STA003 ended')
    journal.check()
    journal.receipt('bob', 'loan', 'a', { tokens: 3 })
    assert.equal(journal.get('loan')?.status, 'closed')
    assert.deepEqual(free(journal, 'root'), { tokens: 97 })
    journal.check()
  })

  it('that are closed in the middle of a tree pass on what comes back from below', () => {
    const journal = begin()
    journal.lend('bob', 'loan', 'leaf', 'cat', { tokens: 30 })
    journal.take('cat', 'leaf')
    journal.draw('cat', 'leaf', 'a', { tokens: 20 })
    assert.deepEqual(journal.close('ann', 'root'), { status: 'closing' })
    assert.deepEqual(journal.close('bob', 'loan'), { status: 'closing' })
    assert.deepEqual(journal.close('cat', 'leaf'), { status: 'closing' })
    journal.check()
    journal.receipt('cat', 'leaf', 'a', { tokens: 5 })
    for (const id of ['leaf', 'loan', 'root']) assert.equal(journal.get(id)?.status, 'closed', id)
    assert.deepEqual(journal.get('root')?.spent, { tokens: 5 })
    assert.deepEqual(journal.get('root')?.returned, { tokens: 95 })
    journal.check()
  })

  it('that were overspent, or are said to be, cost who lent them no more than was lent: the rest is shown', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 40 })
    journal.receipt('bob', 'loan', 'a', { tokens: 70 })
    assert.deepEqual(journal.get('loan')?.uncovered, { tokens: 30 })
    journal.close('bob', 'loan')
    assert.deepEqual(journal.get('root')?.spent, { tokens: 40 })
    assert.deepEqual(journal.get('root')?.uncovered, { tokens: 30 })
    assert.deepEqual(journal.get('root')?.overspent, { tokens: 30 })
    assert.deepEqual(free(journal, 'root'), { tokens: 60 }, 'what was not lent is there')
    journal.check()
  })

  it('have nothing of what their lender limits and did not name, one delegation less and no later deadline', () => {
    const journal = begin()
    journal.open('ann', 'two', { tokens: 10, cost: 5 }, { depth: 1, deadlineAt: 5_000 })
    journal.lend('ann', 'two', 'part', 'bob', { tokens: 3, fanOut: 2 }, { deadlineAt: 9_000, depth: 9 })
    const { amounts, limits, level } = journal.get('part') ?? {}
    assert.deepEqual(amounts, { tokens: 3, cost: 0, fanOut: 2 })
    assert.deepEqual({ limits, level }, { limits: { deadlineAt: 5_000, depth: 0 }, level: 1 })
    journal.take('bob', 'part')
    assert.equal(journal.lend('bob', 'part', 'leaf', 'cat', {}), 'COM003 budget-depth')
    journal.check()
  })

  it('stand so deep below their root, and not one deeper', () => {
    const journal = begin()
    let parent = 'root'
    for (let level = 1; level <= MAX_DEPTH; level += 1) {
      journal.lend('ann', parent, `level${level}`, 'ann', { tokens: 1 })
      journal.take('ann', `level${level}`)
      parent = `level${level}`
    }
    assert.equal(journal.get(parent)?.level, MAX_DEPTH)
    assert.equal(journal.lend('ann', parent, 'deeper', 'ann', {}), 'COM003 budget-depth')
    journal.check()
    for (let level = 1; level <= MAX_DEPTH; level += 1) journal.close('ann', `level${level}`)
    assert.deepEqual(free(journal, 'root'), { tokens: 60 })
    journal.check()
  })

  it('that nobody takes come back, and not before their time', () => {
    const journal = begin()
    journal.lend('ann', 'root', 'late', 'cat', { tokens: 10 })
    journal.at += TAKE_MS - 1
    assert.equal(journal.expire('late'), 'STA003 ended')
    journal.at += 1
    assert.equal(journal.expire('late'), null)
    assert.equal(journal.take('cat', 'late'), 'STA003 ended')
    assert.deepEqual(free(journal, 'root'), { tokens: 60 })
    journal.check()
  })

  it('asked for again are the same ones, and another one of the same id is refused', () => {
    const journal = begin()
    assert.deepEqual(journal.lend('ann', 'root', 'loan', 'bob', { tokens: 40 }), { status: 'open', isKnown: true })
    assert.equal(journal.lend('ann', 'root', 'loan', 'bob', { tokens: 41 }), 'STA003 exists')
    assert.equal(journal.lend('ann', 'root', 'loan', 'cat', { tokens: 40 }), 'STA003 exists')
    assert.deepEqual(journal.open('ann', 'root', { tokens: 100 }), { status: 'open', isKnown: true })
    assert.equal(journal.open('bob', 'root', { tokens: 100 }), 'STA003 exists')
    assert.deepEqual(free(journal, 'root'), { tokens: 60 })
    journal.check()
  })
})

describe('with a holder that is gone', () => {
  it('only what was never drawn returns; what its loans have stays theirs', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 10 })
    journal.lend('bob', 'loan', 'leaf', 'cat', { tokens: 5 })
    journal.take('cat', 'leaf')
    assert.equal(journal.expire('loan'), 'STA003 ended', 'bob is there')
    assert.deepEqual(journal.dismiss('bob'), { isGone: false })
    assert.equal(journal.receipt('bob', 'loan', 'a', {}), 'STA002')
    assert.equal(journal.expire('loan'), null)
    journal.check()
    assert.deepEqual(free(journal, 'root'), { tokens: 85 }, '10 were drawn, cat has 5')
    assert.deepEqual(journal.dismiss('bob'), { isGone: true })
    journal.draw('cat', 'leaf', 'b', { tokens: 2 })
    journal.receipt('cat', 'leaf', 'b', { tokens: 1 })
    journal.close('cat', 'leaf')
    assert.equal(journal.get('loan')?.status, 'closed')
    assert.deepEqual(free(journal, 'root'), { tokens: 89 })
    assert.deepEqual(journal.get('root')?.spent, { tokens: 11 })
    journal.check()
  })

  it('that comes back as another life, the new one has nothing of it and waits until it has ended', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 10 })
    assert.equal(journal.register('bob', 2), undefined)
    assert.equal(journal.expire('loan'), null)
    assert.ok((journal.register('bob', 2) ?? 0) > 0)
    assert.deepEqual(journal.receipt('bob', 'loan', 'a', {}), { isSettled: false, above: {} })
    assert.equal(journal.draw('bob', 'loan', 'b', {}), 'STA003 ended')
    assert.equal(journal.one('bob', { do: 'register', incarnation: 1 }), 'STA002')
    assert.deepEqual(journal.get('root')?.spent, { tokens: 10 })
    journal.check()
  })

  it('a budget that closes keeps its draws until then', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 10 })
    journal.close('bob', 'loan')
    assert.equal(journal.holder('bob')?.holds, 1)
    journal.dismiss('bob')
    assert.equal(journal.expire('loan'), null)
    assert.equal(journal.get('loan')?.status, 'closed')
    assert.deepEqual(free(journal, 'root'), { tokens: 90 })
    journal.check()
  })
})

describe('after its deadline', () => {
  it('nothing more is drawn, what is free comes back, and receipts count', () => {
    const journal = begin()
    journal.lend('ann', 'root', 'short', 'cat', { tokens: 10 }, { deadlineAt: 2_000 })
    journal.take('cat', 'short')
    journal.at = 2_000
    journal.draw('cat', 'short', 'a', { tokens: 4 })
    assert.equal(journal.expire('short'), 'STA003 ended')
    journal.at = 2_001
    assert.equal(journal.draw('cat', 'short', 'b', {}), 'MSG005')
    assert.equal(journal.expire('short'), null)
    journal.receipt('cat', 'short', 'a', { tokens: 1 })
    assert.deepEqual(free(journal, 'root'), { tokens: 59 })
    journal.check()
  })
})

describe('nobody else', () => {
  it('uses a budget, writes its receipts, or closes it', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 10 })
    assert.equal(journal.draw('cat', 'loan', 'x', { tokens: 1 }), 'SEC002')
    assert.equal(journal.draw('ann', 'loan', 'x', { tokens: 1 }), 'SEC002', 'not even who lent it')
    assert.equal(journal.lend('cat', 'loan', 'x', 'cat', { tokens: 1 }), 'SEC002')
    assert.equal(journal.receipt('cat', 'loan', 'a', {}), 'SEC002')
    assert.equal(journal.close('cat', 'loan'), 'SEC002')
    assert.equal(journal.close('bob', 'root'), 'SEC002')
    journal.lend('ann', 'root', 'new', 'bob', { tokens: 1 })
    assert.equal(journal.take('cat', 'new'), 'SEC002')
    assert.equal(journal.draw('bob', 'new', 'x', { tokens: 1 }), 'STA003 ended', 'it is not taken')
    assert.equal(journal.draw('bob', 'unknown', 'x', {}), 'STA001')
    assert.deepEqual(free(journal, 'loan'), { tokens: 30 })
    journal.check()
  })

  it('ends budgets of others: only whoever coordinates, in its epoch', () => {
    const journal = begin()
    assert.equal(journal.expire('loan', 'cat'), 'SEC002')
    assert.equal(journal.dismiss('bob', 'cat'), 'SEC002')
    assert.equal(journal.one('cat', { do: 'forget', epoch: 1, ids: ['loan'] }), 'SEC002')
    assert.equal(journal.one(LEADER, { do: 'expire', epoch: 7, id: 'loan', reason: '' }), 'STA002')
    assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['loan', 'unknown'] }), null)
    assert.equal(journal.get('loan')?.status, 'open', 'what is not closed is not forgotten')
    journal.close('bob', 'loan')
    journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['loan'] })
    assert.equal(journal.get('loan'), undefined)
    journal.check()
  })

  it('uses what was of another life', () => {
    const journal = begin()
    assert.equal(
      journal.one('bob', { do: 'draw', registration: 99, id: 'loan', draw: 'a', amounts: { tokens: 1 } }),
      'STA002',
    )
    assert.equal(journal.one('eve', { do: 'open', registration: 1, id: 'e', amounts: {}, limits: {} }), 'STA002')
  })
})

describe('a flood of budgets', () => {
  it('takes its share, and leaves the others theirs', () => {
    const journal = begin()
    const { registration = 0 } = journal.holder('cat') ?? {}
    let opened = 0
    for (let refused = 0; refused === 0; ) {
      const changes: BudgetChange[] = Array.from({ length: 200 }, (_, i) => ({
        ...{ do: 'open', registration, id: `f${opened + i}`, amounts: {}, limits: {} },
      })) as BudgetChange[]
      const answers = journal.all('cat', changes)
      refused = answers.filter((one) => 'fault' in one && one.fault.details?.reason === 'budget-share').length
      opened += answers.length - refused
    }
    assert.ok(opened < MAX_ITEMS, `${opened}`)
    assert.deepEqual(journal.open('bob', 'mine', { tokens: 1 }), { status: 'open', isKnown: false })
    journal.close('cat', 'f0')
    journal.one(LEADER, { do: 'forget', epoch: 1, ids: ['f0'] })
    assert.equal(journal.items('cat'), opened - 1)
  })
})

describe('room', () => {
  const LONG = 'x'.repeat(127)
  const MOST = { tokens: Number.MAX_SAFE_INTEGER, cost: Number.MAX_SAFE_INTEGER, fanOut: Number.MAX_SAFE_INTEGER }

  it('that a budget answers for is never less than it takes, whatever becomes of it', () => {
    const journal = new BudgetJournal()
    const [ann, bob] = [`a${LONG}`, `b${LONG}`]
    for (const peer of [ann, bob]) journal.register(peer)
    const [root, loan] = [`r${LONG}`, `l${LONG}`]
    journal.open(ann, root, MOST, { depth: 16, deadlineAt: Number.MAX_SAFE_INTEGER })
    journal.lend(ann, root, loan, bob, MOST)
    journal.take(bob, loan)
    for (let n = 0; n < 3; n += 1) journal.draw(bob, loan, `d${n}`, {}, {})
    for (let n = 0; n < 2; n += 1) journal.receipt(bob, loan, `d${n}`, MOST)
    journal.dismiss(bob)
    assert.equal(journal.expire(loan, LEADER, 'y'.repeat(256)), null)
    assert.deepEqual(journal.close(ann, root), { status: 'closed' })
    for (const id of [root, loan]) {
      const record = journal.get(id)
      assert.ok(
        (record?.size ?? 0) >= (budgetKey(id) + JSON.stringify(record)).length,
        `${JSON.stringify(record).length}`,
      )
    }
  })

  it('is there for receipts, renewals, ends and new nodes where all of it was asked for', () => {
    const journal = begin()
    journal.draw('bob', 'loan', 'a', { tokens: 10 })
    for (const peer of ['cat', 'dan', 'eve', 'fay', 'gil', 'hal', 'ida', 'jon']) {
      const registration = journal.register(peer) ?? 0
      for (let n = 0, refused = 0; refused === 0; n += 200) {
        const open = { do: 'open', registration, amounts: MOST, limits: {} } as const
        const changes = Array.from({ length: 200 }, (_, i) => ({ ...open, id: `${peer}${n + i}${LONG.slice(16)}` }))
        refused = journal.all(peer, changes).filter((one) => 'fault' in one).length
      }
    }
    assert.equal(journal.open('ann', `more${LONG.slice(8)}`, MOST), 'COM003 budget-share')
    assert.ok((journal.register('kim') ?? 0) > 0)
    assert.equal(journal.one('bob', { do: 'renew', registration: journal.holder('bob')?.registration ?? 0 }), null)
    assert.deepEqual(journal.receipt('bob', 'loan', 'a', { tokens: 4 }), { isSettled: true, above: { tokens: 0 } })
    assert.deepEqual(journal.close('bob', 'loan'), { status: 'closed' })
    assert.deepEqual(free(journal, 'root'), { tokens: 96 })
  })

  it('holds ten thousand budgets', () => {
    const journal = new BudgetJournal()
    for (let peer = 0; peer < 10; peer += 1) {
      const registration = journal.register(`p${peer}`) ?? 0
      for (let n = 0; n < 1_000; n += 200) {
        const open = { do: 'open', registration, amounts: { tokens: 1_000, cost: 1_000 }, limits: {} } as const
        const changes = Array.from({ length: 200 }, (_, i) => ({ ...open, id: `budget-${peer}-${n + i}` }))
        for (const answer of journal.all(`p${peer}`, changes)) assert.ok('ok' in answer, JSON.stringify(answer))
      }
    }
  })
})

describe('changes that are none', () => {
  it('are refused by their schema', () => {
    const open = { do: 'open', registration: 1, id: 'a', amounts: { tokens: 1 }, limits: {} }
    assert.equal(BudgetChangeSchema.safeParse(open).success, true)
    const bad: object[] = [
      { ...open, amounts: { tokens: -1 } },
      { ...open, amounts: { tokens: 1.5 } },
      { ...open, amounts: { cost: 2 ** 53 } },
      { ...open, amounts: [] },
      { ...open, id: '../b' },
      { ...open, id: 'a'.repeat(129) },
      { ...open, limits: { depth: MAX_DEPTH + 1 } },
      { ...open, limits: { deadlineAt: -1 } },
      { ...open, registration: '1' },
      { do: 'lend', registration: 1, id: 'a', parent: 'b', to: '\u4e2d', amounts: {}, limits: {} },
      { ...open, do: 'steal' },
      { do: 'draw', registration: 1, id: 'a', draw: 'd/e', amounts: {} },
      { do: 'draw', registration: 1, id: 'a', draw: '__proto__', amounts: {} },
      { do: 'draw', registration: 1, id: 'a', draw: 'd'.repeat(33), amounts: {} },
      { do: 'receipt', registration: 1, id: 'a', draw: 'd', spent: { tokens: '5' } },
      { do: 'forget', epoch: 1, ids: Array.from({ length: 257 }, (_, i) => `i${i}`) },
      { do: 'expire', epoch: 1, id: 'a', reason: 'x'.repeat(257) },
    ]
    for (const change of bad) assert.equal(BudgetChangeSchema.safeParse(change).success, false, JSON.stringify(change))
  })

  it('of names that every object has draw nothing', () => {
    const journal = begin()
    assert.deepEqual(journal.draw('ann', 'root', 'constructor', { tokens: 1 }), { amounts: { tokens: 1 } })
    assert.deepEqual(journal.receipt('ann', 'root', 'toString', {}), { isSettled: false, above: {} })
    journal.check()
  })
})

describe('the same id', () => {
  it('with other limits is another budget, once all voters know that', () => {
    for (const level of [1, 2]) {
      const journal = new BudgetJournal({ ...budgetJournal, level })
      journal.register('ann')
      const limits = { deadlineAt: 9_000, depth: 2 }
      const other = level === 1 ? { status: 'open', isKnown: true } : 'STA003 exists'
      journal.open('ann', 'limited', { tokens: 1 }, limits)
      const known = { status: 'open', isKnown: true }
      assert.deepEqual(journal.open('ann', 'limited', { tokens: 1 }, { depth: 2, deadlineAt: 9_000 }), known)
      for (const one of [{}, { deadlineAt: 9_000 }, { ...limits, depth: 1 }, { ...limits, deadlineAt: 9_001 }])
        assert.deepEqual(journal.open('ann', 'limited', { tokens: 1 }, one), other)
      const offered = { status: 'offered', isKnown: true }
      journal.lend('ann', 'limited', 'part', 'bob', {}, { deadlineAt: 10_000 })
      // What they come to counts: the deadline of the lender is earlier than either.
      for (const deadlineAt of [9_000, 10_000, 11_000])
        assert.deepEqual(journal.lend('ann', 'limited', 'part', 'bob', {}, { deadlineAt }), offered)
      const shorter = journal.lend('ann', 'limited', 'part', 'bob', {}, { deadlineAt: 8_999 })
      assert.deepEqual(shorter, level === 1 ? offered : 'STA003 exists')
      journal.check()
    }
  })
})
