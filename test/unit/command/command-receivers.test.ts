/** Which receiver gets a command that anybody may run: one that registered it, and another only where no handler ran. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import { commandNodes } from '../../support/command-nodes.ts'

test('for a capability one that registered it is taken, and another one where the first cannot have begun', async () => {
  const network = commandNodes('a', 'b', 'c')
  const { a, b, c, time, failure } = network
  assert.ok(c)
  const none = await failure(a.commands.send({ capability: 'work' }, 'work', {}))
  assert.equal(none.code, 'COM004')
  await b.commands.register('work', () => 'b')
  await c.commands.register('work', () => 'c')
  await c.commands.register('gpu', () => 'c')
  const any = await time.settled(a.commands.send({ capability: 'work' }, 'work', {}), 1_000)
  assert.equal(any.peer, b.id)
  const both = await time.settled(a.commands.send({ capability: 'gpu' }, 'work', {}), 1_000)
  assert.equal(both.peer, c.id, 'it has both')
  network.disconnect(a, b)
  const moved = await time.settled(a.commands.send({ capability: 'work' }, 'work', {}), 5_000)
  assert.deepEqual([moved.peer, moved.attempts], [c.id, 1])
})

test('a command that may have begun at a receiver is not given to another one', async () => {
  const all = commandNodes('a', 'b', 'c')
  const { a, b, c, time } = all
  assert.ok(c)
  let runs = 0
  const begun = () => {
    runs += 1
    return new Promise<string>(() => {})
  }
  await b.commands.register('work', begun)
  await c.commands.register('work', begun)
  const sent = a.commands.send({ capability: 'work' }, 'work', {}, { retry: { initialDelayMs: 100 } })
  const ended = sent.catch((error: unknown) => error)
  await time.run(50)
  all.disconnect(a, b)
  const error = await time.settled(ended, 60_000)
  assert.ok(isParleyError(error, 'COM002'), String(error))
  assert.equal(runs, 1)
})

test('a command whose handler sent a nack is given to no other receiver, whatever the handler threw', async () => {
  const { a, b, c, failure } = commandNodes('a', 'b', 'c')
  assert.ok(c)
  const ran: string[] = []
  for (const { id, commands } of [b, c]) {
    await commands.register('throw', (code) => {
      ran.push(id)
      throw new ParleyError(code === 'MSG006' ? code : 'COM003', 'after some of the work')
    })
    await commands.register('tell', async () => {
      ran.push(id)
      await commands.send('peer-that-is-down', 'hear', {}, { retry: { maxRetries: 0 } })
    })
  }
  const codeOf = async (type: string, code = 'any'): Promise<string> =>
    (await failure(a.commands.send({ capability: type }, type, code, { retry: { maxRetries: 0 } }))).code
  assert.deepEqual(
    [await codeOf('throw', 'COM003'), await codeOf('throw', 'MSG006'), await codeOf('tell')],
    ['COM003', 'MSG006', 'COM002'],
  )
  assert.deepEqual(ran, [b.id, b.id, b.id])
})
