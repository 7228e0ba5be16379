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
  holdings.expect(id)
  holdings.asked(id, version)
  holdings.onTold(id, given())
  return { holdings, held: await holdings.granted(id, undefined) }
}

test('who asked is told that it is granted, with who gives it', async () => {
  const holdings = new Holdings()
  holdings.expect('a')
  const granted = holdings.granted('a', undefined)
  holdings.onTold('a', given({ status: 'waiting' }))
  holdings.onTold('a', given())
  const { parts, fence, signal } = await granted
  assert.deepEqual(parts, [{ owner: 'box', units: { cpu: 2 }, resourceIds: ['cpu@box'] }])
  assert.deepEqual(fence, { term: 1, index: 7 })
  assert.ok(!signal.aborted)
  assert.deepEqual(holdings.counts(), { held: 1, lost: 0 })
})

test('it is denied with why, and nothing of it is kept', async () => {
  const holdings = new Holdings()
  holdings.expect('a')
  const granted = failureOf(holdings.granted('a', undefined))
  holdings.onTold('a', given({ status: 'denied', reason: 'all-in-use' }))
  assert.match(String(await granted), /all-in-use/)
  assert.ok(!holdings.has('a'))
  assert.match(String(await failureOf(holdings.granted('a', undefined))), /released/)
})

test('who waits for it before it is answered is told of a denial that comes first', async () => {
  const holdings = new Holdings()
  holdings.expect('a')
  const granted = failureOf(holdings.granted('a', undefined))
  holdings.onTold('a', given({ status: 'denied', reason: 'all-in-use' }))
  holdings.asked('a', 5)
  assert.equal(Reflect.get(Object(await granted), 'details').why, 'all-in-use')
})

test('it ends where it is told so, and counts as lost where nobody released it', async () => {
  const { holdings, held } = await had()
  holdings.onTold('a', given({ status: 'preempted', reason: 'for b' }))
  assert.match(String(held.signal.reason), /for b/)
  assert.deepEqual(holdings.counts(), { held: 0, lost: 1 })
  const other = await had()
  other.holdings.drop('a', 'it was released')
  assert.ok(other.held.signal.aborted)
  assert.deepEqual(other.holdings.counts(), { held: 0, lost: 0 })
})

test('told all there is, it ends what is not among that, and not what was asked for later', async () => {
  const { holdings, held } = await had('a', 5)
  holdings.expect('later')
  holdings.asked('later', 9)
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
