/** Handlers at work: side by side, over their time, and what counts of what they did. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slice } from '../../../../protocols/budget/slice.ts'
import type { Tx } from '../../../../protocols/delivery/api.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { deliveryPair, Note } from '../../../support/delivery-pair.ts'

test('handlers that change the same keys side by side lose no change of each other', async () => {
  const { time, from, to } = await deliveryPair()
  await to.messages.receive(Note, async (_, { tx }) => {
    const sum = Number((await tx.get('sum')) ?? 0)
    tx.put('sum', sum + 1)
  })
  const send = (n: number) => from.messages.send(to.id, Note, { n }, { guarantee: 'EXACTLY_ONCE' })
  const receipts = await time.settled(Promise.all(Array.from({ length: 200 }, (_, n) => send(n))), 10_000)
  await time.settled(Promise.all(receipts.map((receipt) => receipt.delivered())), 120_000)
  assert.equal(await to.messages.state.get('sum'), 200)
  assert.ok((to.messages.figures().counts.conflicts ?? 0) > 0, 'they met')
})

test('what a handler does after its time counts nothing, and the next attempt does it once', async () => {
  const settings = { handlerTimeoutMs: 500 }
  const { time, from, to } = await deliveryPair({}, { settings })
  const late: unknown[] = []
  await to.messages.receive(Note, async (_, { tx, attempt }) => {
    if (attempt === 1) await new Promise<void>((resolve) => time.after(2_000, resolve))
    try {
      tx.put('times', Number((await tx.get('times')) ?? 0) + 1)
    } catch (error) {
      late.push(error)
      throw error
    }
  })
  const receipt = await from.messages.send(to.id, Note, { n: 1 }, { guarantee: 'EXACTLY_ONCE' })
  await time.settled(receipt.delivered(), 30_000)
  await time.run(5_000)
  assert.equal(await to.messages.state.get('times'), 1)
  assert.equal(to.messages.figures().counts.timeouts, 1)
  assert.ok(late.length === 1 && isParleyError(late[0], 'STA003'))
})

test('a transaction that is looked at first when its handler has ended takes nothing', async () => {
  const { time, from, to } = await deliveryPair()
  let later: (() => Tx) | undefined
  await to.messages.receive(Note, (_, context) => {
    later = () => context.tx
  })
  const receipt = await from.messages.send(to.id, Note, { n: 1 })
  await time.settled(receipt.delivered(), 10_000)
  assert.ok(later !== undefined)
  assert.throws(
    () => later?.().put('k', 1),
    (error) => isParleyError(error, 'STA003'),
  )
})

test('of a handler that fails after its changes nothing counts', async () => {
  const { time, from, to } = await deliveryPair()
  await to.messages.receive(Note, async ({ n }, { tx, attempt }) => {
    tx.put(`k${attempt}`, n)
    await tx.send(from.id, Note, { n: 10 * n + attempt })
    if (attempt < 3) throw new Error('not yet')
  })
  const got: number[] = []
  await from.messages.receive(Note, ({ n }) => void got.push(n))
  const receipt = await from.messages.send(to.id, Note, { n: 1 }, { guarantee: 'EXACTLY_ONCE' })
  await time.settled(receipt.delivered(), 60_000)
  await time.run(1_000)
  assert.deepEqual(got, [13])
  assert.deepEqual(
    (await to.messages.state.list('k')).map(({ key }) => key),
    ['k3'],
  )
  assert.equal(to.messages.figures().outbox, 0, 'the room that was taken for nothing is free')
})

test("the deadline of a message's budget stays where it is, however long it waits and however often it is tried", async () => {
  const { time, from, to } = await deliveryPair()
  const { clock } = from.node.port
  const deadlineAt = Math.floor(clock.now()) + 3_000
  const budget = new Slice({ amounts: { tokens: 9 }, limits: { deadlineAt } })
  const parent = { chain: ['root', `${from.id}/x.y`], signal: new AbortController().signal, budget }
  const receipt = await from.messages.send(to.id, Note, { n: 1 }, { parent })
  await time.run(2_000)
  const seen: (number | undefined)[] = []
  await to.messages.receive(Note, async (_, context) => {
    // Looked at after a while in work.
    await new Promise<void>((resolve) => time.after(100, resolve))
    seen.push(context.budget?.limits.deadlineAt)
    if (seen.length < 2) throw new Error('again')
  })
  await time.settled(receipt.delivered(), 60_000)
  assert.deepEqual(seen, [deadlineAt, deadlineAt])
})
