/** What an owner answers for of a plan: at least what it becomes, whatever its text and the reasons are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_MOVES, MAX_OFFLINE, planReason } from '../../../protocols/coordination/plan-record.ts'
import { goalOf, PlanJournal } from '../../support/plan-journal.ts'

const DIRECTIVE = '0190c1de-0000-7000-8000-000000000000'
const peer = (i: number): string => `12D3KooW${String(i).padStart(44, 'A')}`
/** Of a text, the most: a control character is six in JSON. */
const WORST = ['\u0001', '"', '\\', '\ud800', '\u2028', 'é', 'a'].map((one) => one.repeat(1_024))

/** It fails at one agent after the other, and each says why. */
const worst = (said: string): PlanJournal => {
  const journal = new PlanJournal()
  journal.at = 1_790_000_000_000.25
  const name = 'p'.repeat(50)
  const budget = { tokens: Number.MAX_SAFE_INTEGER, cost: Number.MAX_SAFE_INTEGER }
  const weights = { load: 0.123456789, price: 0.123456789, locality: 0.123456789 }
  const goal = goalOf([name], { goal: said, zone: said.slice(0, 64), weights, generator: `g${'-'.repeat(47)}` })
  const [id, owner] = ['i'.repeat(50), peer(0)]
  journal.one(owner, { do: 'propose', id, goal, budget })
  journal.move(id, { do: 'system_state_change' })
  for (let i = 1; i <= MAX_OFFLINE + MAX_MOVES; i += 1) {
    const reason = planReason(said)
    journal.move(id, { do: 'plan_ready', assignments: [{ task: name, agent: peer(i), directive: DIRECTIVE }], reason })
    const offline = [{ agent: peer(i), registration: 1e12 + i }]
    journal.move(id, { do: 'adjustment_needed', adjustment: 'agent_unavailable', offline, reason })
  }
  return journal
}

test('a plan becomes no larger than its owner answers for', () => {
  for (const said of WORST) {
    const record = worst(said).get('i'.repeat(50))
    const bytes = JSON.stringify(record).length
    assert.ok(record !== undefined && record.moves.length === MAX_MOVES && record.offline.length === MAX_OFFLINE)
    assert.ok(bytes <= record.size, `${bytes} of ${record.size}, with ${JSON.stringify(said[0])}`)
  }
})

test('a reason takes as much in JSON as it has characters, and stays readable', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      const reason = planReason(text)
      assert.ok(JSON.stringify(reason).length - 2 <= 160, JSON.stringify(reason))
    }),
  )
  assert.equal(planReason('w1: it has no "gpu"\nof C:\\x'), "w1: it has no 'gpu' of C:/x")
})
