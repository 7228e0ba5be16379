/** Of the answers to a message that was moved those of one peer count. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AnswerClaim, MAX_MOVED, openLateAnswers } from '../../../../protocols/delivery/rebind/late-answers.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { isParleyError } from '../../../../protocols/errors.ts'

const open = async (store = createVolatileRowStore('0'.repeat(32))) => {
  const world = { forgotten: 0 }
  const answers = await openLateAnswers(store, (count) => {
    world.forgotten += count
  })
  const expect = (...ids: string[]): void => store.later(answers.expect(ids))
  const claim = (id: string, source: string): AnswerClaim => {
    const mine = answers.claim(id, source)
    assert.ok(mine !== undefined && mine !== 'late')
    return mine
  }
  const take = (id: string, source: string): void => {
    const mine = claim(id, source)
    store.later(mine.count())
    mine.end()
  }
  return { answers, expect, claim, take, store, world }
}

test('the first that is processed counts, further ones of the same peer too, and those of others are late', async () => {
  const { answers, expect, take, store } = await open()
  expect('m')
  assert.equal(answers.claim('other', 'p'), undefined)
  assert.equal(answers.claim(undefined, 'p'), undefined)
  take('m', 'q')
  take('m', 'q')
  assert.equal(answers.claim('m', 'p'), 'late')
  expect('m')
  assert.equal(answers.claim('m', 'p'), 'late', 'also where it is moved once more')
  assert.equal((await open(store)).answers.claim('m', 'p'), 'late', 'also after a restart')
})

test('while one is at work the other one is told to come again, and counts where the first one fails', async () => {
  const { answers, expect, claim, take } = await open()
  expect('m')
  const first = claim('m', 'p')
  const second = claim('m', 'p')
  assert.throws(
    () => answers.claim('m', 'q'),
    (error) => isParleyError(error, 'COM003') && typeof error.details.retryAfterMs === 'number',
  )
  first.end()
  first.end()
  assert.throws(() => answers.claim('m', 'q'), 'the second of the same peer is at work')
  second.end()
  take('m', 'q')
  assert.equal(answers.claim('m', 'p'), 'late')
})

test('beyond the bound the one that was moved first is forgotten and counted', async () => {
  const { answers, expect, world } = await open()
  for (let i = 0; i < MAX_MOVED; i += 1) expect(`m${i}`)
  assert.deepEqual([answers.size(), world.forgotten], [MAX_MOVED, 0])
  expect('one more')
  assert.deepEqual([answers.size(), world.forgotten, answers.claim('m0', 'p')], [MAX_MOVED, 1, undefined])
})
