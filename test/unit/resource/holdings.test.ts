/** What a node asked for and has: each is told once of its end, and no other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Holdings } from '../../../protocols/resource/client/holdings.ts'
import type { Allocation } from '../../../protocols/resource/resource-record.ts'
import { failureOf } from '../../support/until.ts'

const given = (more: Partial<Allocation> = {}): Allocation => ({
  ...{ status: 'allocated', holder: 'me', registration: 9, priority: 1, parts: [{ units: { cpu: 2 } }], size: 1 },
  ...{ places: [{ owner: 'box', registration: 1 }], fence: { term: 1, index: 7 }, askedAt: 0, changedAt: 0 },
  ...more,
})

const had = async (id = 'a', version = 5) => {
  const holdings = new Holdings()
  holdings.asked(holdings.expect(id), version)
  holdings.onTold(id, given(), version + 1)
  return { holdings, held: await holdings.granted(id, undefined) }
}

test('who asked is told that it is granted, with who gives it', async () => {
  const holdings = new Holdings()
  holdings.asked(holdings.expect('a'), 5)
  const granted = holdings.granted('a', undefined)
  holdings.onTold('a', given({ status: 'waiting' }), 5)
  holdings.onTold('a', given(), 6)
  const { parts, fence, signal } = await granted
  assert.deepEqual(parts, [{ owner: 'box', units: { cpu: 2 }, resourceIds: ['cpu@box'] }])
  assert.deepEqual(fence, { term: 1, index: 7 })
  assert.ok(!signal.aborted)
  assert.deepEqual(holdings.counts(), { held: 1, lost: 0 })
})

test('it is denied with why, and nothing of it is kept', async () => {
  const holdings = new Holdings()
  holdings.asked(holdings.expect('a'), 5)
  const granted = failureOf(holdings.granted('a', undefined))
  holdings.onTold('a', given({ status: 'denied', reason: 'all-in-use' }), 6)
  assert.match(String(await granted), /all-in-use/)
  assert.ok(!holdings.has('a'))
  assert.match(String(await failureOf(holdings.granted('a', undefined))), /released/)
})

test('who waits for it before it is answered is told of what comes first: a denial, a grant, or that it is gone', async () => {
  const holdings = new Holdings()
  const begun = (id: string) => ({ open: holdings.expect(id), granted: holdings.granted(id, undefined) })
  const [denied, granted, gone, missing] = [begun('denied'), begun('granted'), begun('gone'), begun('missing')]
  const failures = [denied, gone, missing].map((one) => failureOf(one.granted))
  holdings.onTold('denied', given({ status: 'denied', reason: 'all-in-use' }), 6)
  holdings.onTold('granted', given(), 6)
  holdings.onTold('gone', undefined, 6)
  holdings.onReset(new Set(['denied', 'granted', 'gone']), 6)
  for (const { open } of [denied, granted, gone, missing]) holdings.asked(open, 5)
  assert.equal((await granted.granted).id, 'granted')
  const [first, ...others] = await Promise.all(failures)
  assert.equal(Reflect.get(Object(first), 'details').why, 'all-in-use')
  for (const one of others) assert.match(String(one), /it was released/)
})

test('asked for again under the same id, it hears nothing of the one before, whenever that is told', async () => {
  const before = [undefined, given(), given({ status: 'denied', reason: 'all-in-use' })]
  for (const old of before)
    for (const isAnswered of [false, true]) {
      const holdings = new Holdings()
      const open = holdings.expect('a')
      const granted = holdings.granted('a', undefined)
      const answer = (): void => holdings.asked(open, 9)
      if (isAnswered) answer()
      holdings.onTold('a', old, 8)
      holdings.onReset(new Set(), 8)
      if (!isAnswered) answer()
      assert.deepEqual([holdings.has('a'), holdings.counts().held], [true, 0])
      holdings.onTold('a', given({ fence: { term: 1, index: 10 } }), 10)
      assert.equal((await granted).fence.index, 10)
    }
})

test('an answer that comes once it was released says nothing of the next one under its id', async () => {
  const holdings = new Holdings()
  const first = holdings.expect('a')
  holdings.drop(first, 'it was released')
  const next = holdings.expect('a')
  holdings.drop(first, 'it was released')
  holdings.asked(first, 5)
  holdings.onTold('a', undefined, 6)
  holdings.asked(next, 7)
  assert.ok(holdings.has('a'))
})

test('where two ask for the same, what was decided since the first of them counts, whoever is answered first', async () => {
  const holdings = new Holdings()
  const open = holdings.expect('a')
  holdings.onTold('a', given(), 6)
  holdings.asked(open, 7)
  assert.equal(holdings.counts().held, 0)
  holdings.asked(open, 5)
  assert.equal(holdings.counts().held, 1)
})

test('it ends where it is told so, and counts as lost where nobody released it', async () => {
  const { holdings, held } = await had()
  holdings.onTold('a', given({ status: 'preempted', reason: 'for b' }), 7)
  assert.match(String(held.signal.reason), /for b/)
  assert.deepEqual(holdings.counts(), { held: 0, lost: 1 })
  const other = await had()
  other.holdings.drop(other.holdings.expect('a'), 'it was released')
  assert.ok(other.held.signal.aborted)
  assert.deepEqual(other.holdings.counts(), { held: 0, lost: 0 })
})

test('told all there is, it ends what is not among that, and not what was asked for later', async () => {
  const { holdings, held } = await had('a', 5)
  holdings.asked(holdings.expect('later'), 9)
  holdings.expect('on its way')
  holdings.onReset(new Set(['a']), 8)
  assert.ok(!held.signal.aborted)
  holdings.onReset(new Set(), 4)
  assert.ok(!held.signal.aborted, 'as of before it was asked for')
  holdings.onReset(new Set(), 8)
  assert.ok(held.signal.aborted)
  assert.ok(holdings.has('later') && holdings.has('on its way'))
})

test('all of it ends with the lease', async () => {
  const { holdings, held } = await had()
  holdings.expect('b')
  const waits = failureOf(holdings.granted('b', undefined))
  holdings.endAll('the lease is over')
  assert.match(String(held.signal.reason), /the lease is over/)
  assert.match(String(await waits), /the lease is over/)
  assert.deepEqual(holdings.counts(), { held: 0, lost: 1 })
})
