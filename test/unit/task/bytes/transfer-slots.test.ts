import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import { TransferSlots } from '../../../../protocols/task/bytes/transfer-slots.ts'
import { failureOf } from '../../../support/until.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('so many run at once, others wait their turn, too many are refused', async () => {
  const slots = new TransferSlots({ most: 2, each: 10, waiting: 1 })
  const [one, two] = [await slots.enter('a', undefined), await slots.enter('b', undefined)]
  let isIn = false
  const third = slots.enter('c', undefined).then((leave) => {
    isIn = true
    return leave
  })
  await turn()
  assert.equal(isIn, false)
  assert.ok(isParleyError(await failureOf(slots.enter('d', undefined)), 'COM003'))
  one()
  // Twice is once.
  one()
  const leave = await third
  let isFourth = false
  void slots.enter('e', undefined).then(() => {
    isFourth = true
  })
  await turn()
  assert.equal(isFourth, false)
  leave()
  await turn()
  assert.equal(isFourth, true)
  two()
})

test('one peer has a part of them; a failed transfer gives its slot back', async () => {
  const slots = new TransferSlots({ most: 2, each: 1, waiting: 8 })
  const leave = await slots.enter('a', undefined)
  assert.ok(isParleyError(await failureOf(slots.enter('a', undefined)), 'COM003'))
  leave()
  const broken = slots.run('a', undefined, () => Promise.reject(new Error('broken')))
  assert.equal(String(await failureOf(broken)), 'Error: broken')
  assert.equal(await slots.run('a', undefined, async () => 7), 7)
})

test('who gave up waiting takes no slot', async () => {
  const slots = new TransferSlots({ most: 1, each: 4, waiting: 4 })
  const leave = await slots.enter('a', undefined)
  const end = new AbortController()
  const gone = slots.enter('b', end.signal)
  const next = slots.enter('c', undefined)
  end.abort(new Error('enough'))
  leave()
  assert.equal(String(await failureOf(gone)), 'Error: enough')
  const leaveNext = await next
  leaveNext()
  await (await slots.enter('b', undefined))()
})
