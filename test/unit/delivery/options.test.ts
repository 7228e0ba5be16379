/** Settings of messages: their usual guarantee, and what changes while a node runs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_BREAKER, SessionBreaker } from '../../../protocols/delivery/recovery/circuit-breaker.ts'
import { PeerBreakers } from '../../../protocols/delivery/recovery/peer-breakers.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { deliveryPair, Note } from '../../support/delivery-pair.ts'

test('a message that does not say it has the guarantee of the settings, and one of a transaction is kept in any case', async () => {
  const { time, from, to } = await deliveryPair({ settings: { guarantee: 'EXACTLY_ONCE' } })
  await to.messages.inbox.open({ types: [Note] })
  const send = async (n: number) => {
    await from.messages.send(to.id, Note, { n })
    await time.run(200)
  }
  const told = async () => (await to.messages.inbox.list()).map(({ guarantee }) => guarantee)
  await send(1)
  from.messages.retune({ guarantee: 'AT_MOST_ONCE' })
  await send(2)
  await from.messages.change((tx) => tx.send(to.id, Note, { n: 3 }))
  await time.run(200)
  from.messages.retune({ guarantee: 'AT_LEAST_ONCE' })
  await send(4)
  assert.deepEqual(await told(), ['EXACTLY_ONCE', 'AT_MOST_ONCE', 'AT_LEAST_ONCE', 'AT_LEAST_ONCE'])
})

test('a limit that changes while the node runs holds for the next message, at it and one past it', async () => {
  const { from, to } = await deliveryPair()
  const bytes = JSON.stringify({ n: 1 }).length
  from.messages.retune({ maxMessageBytes: bytes })
  await from.messages.send(to.id, Note, { n: 1 })
  from.messages.retune({ maxMessageBytes: bytes - 1 })
  await assert.rejects(from.messages.send(to.id, Note, { n: 1 }), (error) => isParleyError(error, 'MSG001'))
})

test('breakers that are open let everything pass once there are to be none', () => {
  const settings = { ...DEFAULT_BREAKER, failures: 1 }
  const breakers = new PeerBreakers(settings)
  const breaker = new SessionBreaker(
    settings,
    () => 0,
    () => {},
  )
  breakers.failure('a', 0)
  breaker.recordFailure()
  assert.deepEqual([breakers.ask('a', 1).kind, breakers.isOpen('a', 1), breaker.allowed()], ['refused', true, 0])
  settings.failures = 0
  assert.deepEqual(
    [breakers.ask('a', 1).kind, breakers.isOpen('a', 1), breaker.allowed()],
    ['pass', false, Number.POSITIVE_INFINITY],
  )
})
