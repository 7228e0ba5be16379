/** Outboxes that were set back to a backup, once and twice: what was delivered is not delivered again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../../../node/testing/virtual/port-network.ts'
import type { RowStore } from '../../../../../protocols/delivery/store/row-storage.ts'
import { createVolatileRowStore } from '../../../../../protocols/delivery/store/volatile-row-store.ts'
import { Note, startDelivery } from '../../../../support/delivery-pair.ts'

const idOf = (letter: string): string => letter.repeat(32)

/** The same rows under another id, as a backup that takes the place of an outbox. */
const restored = async (id: string, formerIds: readonly string[], from?: RowStore): Promise<RowStore> => {
  const store = { ...createVolatileRowStore(idOf(id)), formerIds: formerIds.map(idOf) }
  if (from !== undefined) for await (const { key, value } of from.rows('')) store.later([{ key, value }])
  return store
}

const started = async () => {
  const network = createPortNetwork()
  const { time } = network
  const to = await startDelivery(network, 'b')
  const got: number[] = []
  await to.messages.receive(Note, async ({ n }, { tx }) => {
    got.push(n)
    tx.put(`${n}`, Number((await tx.get(`${n}`)) ?? 0) + 1)
  })
  /** Runs `a` over a store, connected or not, while `during` lasts. */
  const asSender = async <R>(
    store: RowStore,
    isConnected: boolean,
    during: (from: Awaited<ReturnType<typeof startDelivery>>) => Promise<R>,
  ): Promise<R> => {
    const from = await startDelivery(network, 'a', { store })
    if (isConnected) network.connect(from.node, to.node)
    const result = await during(from)
    if (isConnected) await time.until(() => from.messages.figures().outbox === 0, 60_000)
    await time.run(200)
    from.node.kill()
    return result
  }
  const send =
    (n: number, guarantee: 'EXACTLY_ONCE' | 'AT_LEAST_ONCE' = 'EXACTLY_ONCE') =>
    async (from: Awaited<ReturnType<typeof startDelivery>>) =>
      void (await from.messages.send(to.id, Note, { n }, { guarantee }))
  const dead = async ({ messages }: Awaited<ReturnType<typeof startDelivery>>) => {
    await time.run(5_000)
    return (await messages.deadLetters.list()).map(({ code }) => code)
  }
  return { asSender, send, dead, got }
}

test('what was delivered since the backup was taken is not delivered again, and what is new is', async () => {
  const { asSender, send, dead, got } = await started()
  const first = await restored('a', [])
  await asSender(first, false, send(1))
  const backup = await restored('a', [], first)
  await asSender(first, true, send(2))
  assert.deepEqual(got.toSorted(), [1, 2])
  const second = await restored('b', ['a'], backup)
  await asSender(second, true, send(3))
  assert.deepEqual(got.toSorted(), [1, 2, 3])
  assert.deepEqual(await asSender(second, true, dead), [])
})

test('of a backup that was restored twice, what must count once is a dead letter and not sent, what need not is sent', async () => {
  const { asSender, send, dead, got } = await started()
  const first = await restored('a', [])
  await asSender(first, true, send(1))
  const second = await restored('b', ['a'], first)
  await asSender(second, false, send(2))
  await asSender(second, false, send(3, 'AT_LEAST_ONCE'))
  const backup = await restored('b', ['a'], second)
  await asSender(second, true, async () => {})
  assert.deepEqual(got.toSorted(), [1, 2, 3], 'under numbers that the backup does not know')
  const third = await restored('c', ['b', 'a'], backup)
  assert.deepEqual(await asSender(third, true, dead), ['STA003'])
  assert.deepEqual(got.toSorted(), [1, 2, 3, 3])
})
