import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDirectRecipients } from '../../../../protocols/events/batch/direct-recipients.ts'
import { batch } from '../forged.ts'
import { node, sequences, TOPIC } from '../listeners.ts'
import { createPorts } from '../ports.ts'

/** p between q, who publishes, and others; `receive` hands p a batch and tells how many signatures were checked. */
const between = async () => {
  const net = createPorts()
  const [q, p, b] = [net.add('q'), node(net, 'p'), net.add('b')]
  for (const peer of [q, b]) {
    net.connect(p.peer, peer)
    peer.port.gossip.subscribe(
      TOPIC,
      async () => 'keep',
      () => undefined,
    )
  }
  await net.run(100)
  await p.listen()
  await net.run(100)
  assert.deepEqual(p.peer.port.gossip.subscribers(TOPIC).toSorted(), ['b', 'q'])
  let checked = 0
  const { verify } = p.peer
  p.peer.verify = (...given) => {
    checked += 1
    return verify(...given)
  }
  const circleOf = (...peers: string[]) =>
    createDirectRecipients({
      self: q.port.self,
      hash: q.port.hash,
      gossip: { ...q.port.gossip, subscribers: () => peers },
    }).digestFor(TOPIC, new Set(peers))
  const receive = async (bytes: Uint8Array, from: string) => {
    checked = 0
    const acceptance = await net.until(p.peer.gossip.receive(TOPIC, bytes, from))
    return { acceptance, checked }
  }
  return { net, p, circleOf, receive }
}

test('a batch from its publisher that reached all is kept without a check of its signature', async () => {
  const { p, circleOf, receive } = await between()
  const circle = circleOf('p', 'b')
  assert.deepEqual(await receive(batch({ circle }), 'q'), { acceptance: 'keep', checked: 0 })
  assert.deepEqual(sequences(p), [1])
  assert.deepEqual(await receive(batch({ circle }), 'q'), { acceptance: 'ignore', checked: 0 }, 'a replay is one')
  assert.equal(p.refused('duplicate'), 1)
})

test('a batch that a forwarder brings is checked and forwarded, whatever circle it names', async () => {
  const { p, circleOf, receive } = await between()
  const circle = circleOf('p', 'b')
  assert.deepEqual(await receive(batch({ circle }), 'b'), { acceptance: 'forward', checked: 1 })
  assert.deepEqual(await receive(batch({ circle, first: 2, signer: 'b' }), 'b'), { acceptance: 'refuse', checked: 1 })
  assert.deepEqual([sequences(p), p.refused('signature')], [[1], 1])
})

test('a batch from its publisher that did not reach all, or does not say so, is checked and forwarded', async () => {
  const { p, circleOf, receive } = await between()
  const circles = [circleOf('p'), circleOf('b'), circleOf('p', 'b', 'x'), undefined]
  for (const [index, circle] of circles.entries()) {
    const given = batch({ circle, first: index + 1 })
    assert.deepEqual(await receive(given, 'q'), { acceptance: 'forward', checked: 1 }, `circle ${index}`)
  }
  assert.deepEqual(sequences(p), [1, 2, 3, 4])
  const forged = batch({ circle: circleOf('p'), first: 5, signer: 'mallory' })
  assert.deepEqual(await receive(forged, 'q'), { acceptance: 'refuse', checked: 1 })
})

test('what was kept without a check is checked by whoever fetches it', async () => {
  const net = createPorts()
  const [q, p, b] = [net.add('q'), node(net, 'p'), node(net, 'b', { gapMs: 2_000 })]
  net.connect(p.peer, b.peer)
  net.connect(p.peer, q)
  await net.run(100)
  q.port.gossip.subscribe(
    TOPIC,
    async () => 'keep',
    () => undefined,
  )
  await p.listen()
  await b.listen()
  const hash = (id: string) => q.port.hash(new TextEncoder().encode(id)).slice(0, 8)
  const circle = hash('p').map((byte, index) => byte ^ (hash('b')[index] ?? 0))
  const first = { circle, first: 1 }
  assert.equal(await net.until(p.peer.gossip.receive(TOPIC, batch(first), 'q')), 'keep')
  assert.equal(await net.until(p.peer.gossip.receive(TOPIC, batch({ circle, first: 2, signer: 'x' }), 'q')), 'keep')
  for (const n of [1, 3]) await net.until(b.peer.gossip.receive(TOPIC, batch({ first: n }), 'p'))
  await net.run(5_000)
  assert.deepEqual(
    [sequences(p), sequences(b)],
    [
      [1, 2],
      [1, 3],
    ],
  )
  assert.deepEqual([b.refused('signature'), b.repaired(), b.unrepaired()], [5, 0, 1], 'in each round')
})
