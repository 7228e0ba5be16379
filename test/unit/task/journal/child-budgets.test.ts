/** What children of a task leave of its budget, where the attempt that gave it to them has let go of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Amounts } from '../../../../protocols/budget/amounts.ts'
import type { Fence } from '../../../../protocols/journal/fencing/fence.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

const RETRY = { max: 1_000, delayMs: 0, maxDelayMs: 0 }
const ERROR = { code: 'APP001', message: 'no' }

/** A task `t` with 100 tokens that `bob` works on. */
const family = () => {
  const journal = new TaskJournal()
  journal.one('ann', { do: 'submit', tasks: [submitted('t', { budget: { amounts: { tokens: 100 } }, retry: RETRY })] })
  const registration = journal.worker('bob')
  const place = (id: string): Fence => journal.place(id, 'bob', registration)
  const draws = new Map<string, number>()
  const draw = (id: string, fence: Fence, amounts: Amounts, more: object = {}, by = 'bob') => {
    const key = `${id} ${fence.index}`
    const number = (draws.get(key) ?? 0) + 1
    const answer = journal.one(by, { do: 'draw', id, fence, number, amounts, ...more })
    if (typeof answer !== 'string') draws.set(key, number)
    return answer
  }
  const child = (id: string, tokens: number, parent = 't') =>
    journal.one('bob', { do: 'submit', tasks: [submitted(id, { parent, budget: { amounts: { tokens } } })] })
  /** It is done, having used so much. */
  const finish = (id: string, tokens: number): void => {
    const fence = place(id)
    draw(id, fence, { tokens })
    journal.one('bob', { do: 'complete', id, fence, result: 1 })
  }
  const fail = (id: string, fence: Fence) => journal.one('bob', { do: 'fail', id, fence, error: ERROR, retry: true })
  const used = (id = 't'): number => journal.task(id)?.budget?.used.tokens ?? 0
  return { journal, place, draw, child, finish, fail, used }
}

test('what a child leaves comes back once it has ended, whichever attempt of its parent is in work', () => {
  const { place, draw, child, finish, fail, used } = family()
  const first = place('t')
  draw('t', first, { tokens: 60 })
  child('t.c', 60)
  assert.deepEqual(draw('t', first, {}, { children: ['t.c'] }), { used: { tokens: 60 } })
  fail('t', first)
  const second = place('t')
  assert.equal(draw('t', second, { tokens: 60 }), 'COM003 budget-exhausted')
  finish('t.c', 15)
  assert.equal(used(), 15)
  assert.deepEqual(draw('t', second, { tokens: 60 }), { used: { tokens: 75 } })
})

test('it comes back once, and only where the attempt has let go of it', () => {
  const { journal, place, draw, child, finish, used } = family()
  const first = place('t')
  draw('t', first, { tokens: 90 })
  child('t.kept', 30)
  child('t.gone', 30)
  // The same draw again, and the same child again, change nothing.
  const letGo: TaskChange = {
    do: 'draw',
    id: 't',
    fence: first,
    number: 2,
    amounts: {},
    children: ['t.gone', 't.gone'],
  }
  journal.one('bob', letGo)
  journal.one('bob', letGo)
  journal.one('bob', { ...letGo, number: 3 })
  finish('t.kept', 10)
  assert.equal(used(), 90, 'this attempt has it again, and may spend it')
  finish('t.gone', 10)
  assert.equal(used(), 70)
  journal.one('bob', { ...letGo, number: 4, children: ['t.none'] })
  // What the children have is not the attempt's any more: of what it gives back no more counts than it still has.
  assert.deepEqual(draw('t', first, {}, { number: 5, back: { tokens: 90 } }), { used: { tokens: 10 } })
})

test('a child that has ended by then leaves what it has at once', () => {
  const { place, draw, child, finish, used } = family()
  const first = place('t')
  draw('t', first, { tokens: 40 })
  child('t.c', 40)
  finish('t.c', 25)
  assert.equal(used(), 40)
  assert.deepEqual(draw('t', first, {}, { children: ['t.c'] }), { used: { tokens: 25 } })
  assert.deepEqual(draw('t', first, {}, { children: ['t.c'] }), { used: { tokens: 25 } })
})

test('nobody lets go of a child of somebody else, of more than was drawn, or under an old fence', () => {
  const { journal, place, draw, child, finish, fail, used } = family()
  const first = place('t')
  draw('t', first, { tokens: 30 })
  child('t.large', 31)
  journal.one('ann', { do: 'submit', tasks: [submitted('other', { budget: { amounts: { tokens: 5 } } })] })
  draw('t', first, {}, { children: ['t.large', 'other', 't'] })
  for (const by of ['ann', 'carl', LEADER]) assert.equal(draw('t', first, {}, { children: ['t.large'] }, by), 'STA002')
  finish('t.large', 0)
  finish('other', 0)
  assert.equal(used(), 30)
  fail('t', first)
  assert.equal(draw('t', first, {}, { children: ['t.large'] }), 'STA002')
})

test('of a child that its parent has not seen the end of, nothing comes back to another task of that id', () => {
  const { journal, place, draw, child, finish, used } = family()
  const first = place('t')
  draw('t', first, { tokens: 50 })
  child('t.c', 45)
  child('t.d', 5)
  draw('t', first, {}, { children: ['t.c', 't.d'] })
  journal.one('bob', { do: 'complete', id: 't', fence: first, result: 1 })
  finish('t.c', 1)
  assert.equal(used(), 50, 'the parent has ended')
  const { changedAt = 0 } = journal.task('t') ?? {}
  const ended = { epoch: journal.epoch, tasks: [{ id: 't', endedAt: changedAt }] }
  journal.one(LEADER, { do: 'archive', ...ended })
  journal.one(LEADER, { do: 'forget', ...ended })
  journal.at += 1
  journal.one('ann', { do: 'submit', tasks: [submitted('t', { budget: { amounts: { tokens: 100 } } })] })
  const again = place('t')
  draw('t', again, { tokens: 20 })
  finish('t.d', 0)
  assert.equal(used(), 20)
})

/** Another account of it: what each attempt has, what is with children, and what was spent for good. */
test('in any order of draws, ends and losses, what is used is what was drawn and neither given back nor left', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('draw' as const), tokens: fc.nat({ max: 40 }) }),
    fc.record({ kind: fc.constant('give' as const), tokens: fc.nat({ max: 40 }) }),
    fc.record({ kind: fc.constant('finish' as const), tokens: fc.nat({ max: 40 }) }),
    fc.record({ kind: fc.constantFrom('fail' as const, 'lose' as const, 'letGo' as const), tokens: fc.constant(0) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { journal, place, draw, child, finish, fail, used } = family()
      const open: { id: string; tokens: number; isLetGo: boolean; attempt: number }[] = []
      let [fence, attempt, own, expected, made] = [place('t'), 0, 0, 0, 0]
      for (const { kind, tokens } of steps) {
        if (kind === 'draw') {
          if (typeof draw('t', fence, { tokens }) === 'string') assert.ok(expected + tokens > 100)
          else [expected, own] = [expected + tokens, own + tokens]
        } else if (kind === 'give') {
          const id = `t.c${made}`
          made += 1
          const part = Math.min(tokens, own)
          child(id, part)
          own -= part
          open.push({ id, tokens: part, isLetGo: false, attempt })
        } else if (kind === 'finish') {
          const one = open.shift()
          if (one === undefined) continue
          const spent = Math.min(tokens, one.tokens)
          finish(one.id, spent)
          if (one.isLetGo) expected -= one.tokens - spent
          else if (one.attempt === attempt) own += one.tokens - spent
        } else if (kind === 'letGo') {
          const mine = open.filter((one) => one.attempt === attempt && !one.isLetGo)
          if (mine.length > 0) draw('t', fence, {}, { children: mine.map(({ id }) => id) })
          for (const one of mine) one.isLetGo = true
        } else {
          if (kind === 'fail') fail('t', fence)
          else journal.one(LEADER, { do: 'lose', epoch: journal.epoch, id: 't', fence, reason: 'gone' })
          ;[fence, attempt, own] = [place('t'), attempt + 1, 0]
        }
        assert.equal(used(), expected)
        assert.ok(expected <= 100)
      }
    }),
    { numRuns: 300 },
  )
})
