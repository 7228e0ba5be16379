/** What a receiver of commands remembers: once, bounds by count, bytes, age and what runs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CommandRemainders, createCommandDeduplication } from '../../../protocols/command/command-deduplication.ts'
import { isParleyError } from '../../../protocols/errors.ts'

const LIMITS = { maxCount: 3, maxBytes: 100, maxAgeMs: 1_000, maxRunning: 2 }
const create = () => {
  const remembered = createCommandDeduplication<string>(LIMITS)
  let runs = 0
  return {
    remembered,
    runs: () => runs,
    once: (key: string, nowMs = 0, isFinal = true) =>
      remembered.runOnce(
        key,
        nowMs,
        () => {
          runs += 1
          return key
        },
        () => isFinal,
      ).isKnown,
    end: (key: string, nowMs = 0, bytes = 1, isKept = true) => remembered.markEnded(key, nowMs, bytes, isKept),
  }
}

test('a command is run once, while it runs and after it ended', () => {
  const { remembered, once, end, runs } = create()
  assert.equal(once('a'), false)
  assert.equal(once('a'), true)
  end('a')
  assert.equal(once('a'), true)
  assert.equal(runs(), 1)
  assert.equal(remembered.runOnce('a', 0, () => 'other').run, 'a')
})

test('an outcome that is not worth keeping lets the command run again', () => {
  const { once, end, runs } = create()
  once('a')
  end('a', 0, 1, false)
  assert.equal(once('a'), false)
  assert.equal(runs(), 2)
})

test('a run that ended and is not final gives way to another one, once there is room for that', () => {
  const { remembered, once, end, runs } = create()
  once('a')
  assert.equal(once('a', 0, false), true, 'what is at work is not begun a second time')
  end('a', 0, 50)
  once('b')
  once('c')
  assert.throws(
    () => once('a', 0, false),
    (error) => isParleyError(error, 'COM003'),
  )
  assert.equal(once('a'), true, 'it is remembered still')
  end('b')
  assert.equal(once('a', 0, false), false)
  assert.deepEqual(remembered.counts(), { running: 2, remembered: 1, bytes: 1, forgotten: 0 })
  assert.equal(runs(), 4)
})

test('as many run as may, and one more is refused with a time to come again', () => {
  const { remembered, once, end } = create()
  once('a')
  once('b')
  assert.equal(once('a'), true, 'a known one is no more')
  assert.throws(
    () => once('c'),
    (error) => isParleyError(error, 'COM003') && error.details.retryAfterMs === 500,
  )
  end('a')
  assert.equal(once('c'), false)
  assert.equal(remembered.counts().running, 2)
})

test('beyond the count the one that ended longest ago is forgotten, and counted', () => {
  const { remembered, once, end } = create()
  for (const key of ['a', 'b', 'c']) {
    once(key)
    end(key)
  }
  assert.equal(remembered.counts().forgotten, 0, 'at the bound')
  once('d')
  assert.equal(remembered.counts().forgotten, 1)
  end('d')
  assert.equal(once('b'), true)
  assert.equal(once('a'), false, 'it was forgotten')
})

test('beyond the bytes and the age the oldest are forgotten', () => {
  const { remembered, once, end } = create()
  once('a')
  end('a', 0, 60)
  once('b')
  end('b', 10, 40)
  assert.equal(remembered.counts().bytes, 100, 'at the bound')
  once('c', 10)
  end('c', 10, 1)
  assert.deepEqual([remembered.counts().bytes, remembered.counts().forgotten], [41, 1])
  assert.equal(once('b', 1_009), true)
  assert.equal(once('b', 1_010), false, 'as old as it may be')
})

test('it never holds more than its bounds, whatever comes', () => {
  const action = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    kind: fc.constantFrom('once', 'anew', 'end', 'drop'),
    passMs: fc.nat(400),
    bytes: fc.nat(80),
  })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
      const { remembered, once, end } = create()
      let nowMs = 0
      for (const { key, kind, passMs, bytes } of actions) {
        nowMs += passMs
        try {
          if (kind === 'once' || kind === 'anew') once(key, nowMs, kind === 'once')
          else end(key, nowMs, bytes, kind === 'end')
        } catch (error) {
          assert.ok(isParleyError(error, 'COM003'))
        }
        const counts = remembered.counts()
        assert.ok(counts.running <= LIMITS.maxRunning)
        assert.ok(counts.running + counts.remembered <= LIMITS.maxCount)
        assert.ok(counts.bytes <= LIMITS.maxBytes && counts.bytes >= 0)
      }
    }),
  )
})

test('what commands left of budgets is kept for one run, not for too long, and not of too many', () => {
  const remainders = new CommandRemainders(LIMITS)
  const part = 'p'
  const left = (tokens: number) => ({ part, left: { tokens } })
  remainders.keep('a', 0, left(1))
  remainders.keep('a', 10, left(2))
  assert.deepEqual(remainders.take('a', 20, part), { tokens: 2 })
  assert.equal(remainders.take('a', 20, part), undefined)
  for (const [n, key] of ['a', 'b', 'c'].entries()) remainders.keep(key, 100 + n, left(n))
  assert.deepEqual([remainders.forgotten(), remainders.take('a', 200, part)], [0, { tokens: 0 }])
  for (const key of ['d', 'e']) remainders.keep(key, 200, left(0))
  assert.deepEqual([remainders.forgotten(), remainders.take('b', 200, part)], [1, undefined])
  assert.deepEqual([remainders.take('c', 1_101, part), remainders.take('d', 1_200, part)], [{ tokens: 2 }, undefined])
})

test('what is left of one part of a budget is not of another one; an older sender names none', () => {
  const takenAs = (kept: string | undefined, part: string | undefined): boolean => {
    const remainders = new CommandRemainders(LIMITS)
    remainders.keep('a', 0, { part: kept, left: { tokens: 1 } })
    const taken = remainders.take('a', 0, part)
    assert.equal(remainders.take('a', 0, kept), undefined, 'it is gone either way')
    return taken !== undefined
  }
  assert.deepEqual([takenAs('p', 'p'), takenAs('p', 'q'), takenAs(undefined, 'q')], [true, false, false])
  assert.deepEqual([takenAs('p', undefined), takenAs(undefined, undefined)], [true, true])
})
