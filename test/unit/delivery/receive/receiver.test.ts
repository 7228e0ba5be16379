/** Greetings at the receiver: which outbox of a sender counts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../../node/testing/virtual/port-network.ts'
import { DeliveryOptionsSchema } from '../../../../protocols/delivery/options.ts'
import { type HelloRequest, MessageReceiver } from '../../../../protocols/delivery/receive/receiver.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { isParleyError } from '../../../../protocols/errors.ts'

const greeting = (epoch: string, session: number, former: readonly string[] = []): HelloRequest => ({
  epoch,
  former,
  session,
  isRenewing: former.length > 0,
  bases: [],
})

const opened = () =>
  MessageReceiver.open({
    port: createPortNetwork().start('b').port,
    store: createVolatileRowStore('0'.repeat(32)),
    settings: DeliveryOptionsSchema.parse({}),
    // Nothing is sent here.
    runner: { run: async () => undefined },
    isVolatile: false,
    count() {},
  })

test('an outbox that was replaced is refused, and the one in its place is told what was processed of it', async () => {
  const receiver = await opened()
  await receiver.hello('a', { ...greeting('one', 1), bases: [{ lane: 3, base: 5 }] })
  const reply = await receiver.hello('a', greeting('two', 2, ['one']))
  assert.deepEqual(reply.former, { epoch: 'one', positions: [{ lane: 3, upTo: 4, done: [] }] })
  assert.deepEqual(reply.positions, [])
  await assert.rejects(receiver.hello('a', greeting('one', 3)), (error) => isParleyError(error, 'STA002'))
  const again = await receiver.hello('a', greeting('two', 4, ['one']))
  assert.deepEqual(again.former, reply.former, 'until its sender has used it')
  const after = await receiver.hello('a', greeting('two', 5))
  assert.equal(after.former, undefined)
})

test('the greeting of a process that is gone does not replace the outbox of the one that came after it', async () => {
  const receiver = await opened()
  await receiver.hello('a', greeting('new', 1))
  await assert.rejects(receiver.hello('a', greeting('old', 2), AbortSignal.abort(new Error('gone'))), /gone/)
  await receiver.hello('a', greeting('new', 3))
})
