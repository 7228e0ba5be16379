import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import { TransferSlots } from '../../../../protocols/task/bytes/transfer-slots.ts'
import { failureOf } from '../../../support/until.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('so many run at once, others wait their turn, too many are refused', async () => {
  const slots = new TransferSlots({ most: 2, each: 10, eachAtWork: 2, waiting: 1 })
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
  const slots = new TransferSlots({ most: 2, each: 1, eachAtWork: 1, waiting: 8 })
  const leave = await slots.enter('a', undefined)
  assert.ok(isParleyError(await failureOf(slots.enter('a', undefined)), 'COM003'))
  leave()
  const broken = slots.run('a', undefined, () => Promise.reject(new Error('broken')))
  assert.equal(String(await failureOf(broken)), 'Error: broken')
  assert.equal(await slots.run('a', undefined, async () => 7), 7)
})

test('who gave up waiting takes no slot', async () => {
  const slots = new TransferSlots({ most: 1, each: 4, eachAtWork: 1, waiting: 4 })
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

test('one peer alone takes not all of them: others come before its next ones, and it goes on as its own end', async () => {
  const slots = new TransferSlots({ most: 4, each: 4, eachAtWork: 2, waiting: 8 })
  const begun: string[] = []
  const enter = (peer: string, name: string) =>
    slots.enter(peer, undefined).then((leave) => {
      begun.push(name)
      return leave
    })
  const slow = [enter('slow', 's1'), enter('slow', 's2'), enter('slow', 's3'), enter('slow', 's4')]
  await turn()
  assert.deepEqual(begun, ['s1', 's2'])
  const [a, b] = [await enter('a', 'a'), await enter('b', 'b')]
  const waits = enter('c', 'c')
  a()
  await (await waits)()
  b()
  ;(await slow[0])?.()
  ;(await slow[1])?.()
  for (const one of slow) (await one)()
  assert.deepEqual(begun, ['s1', 's2', 'a', 'b', 'c', 's3', 's4'])
})
