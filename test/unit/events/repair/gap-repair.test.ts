import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsProtocol } from '../../../../protocols/events/protocol.ts'
import { RETRIEVE_ROUNDS } from '../../../../protocols/events/repair/inquiry.ts'
import { QUIET_MS } from '../../../../protocols/events/repair/publisher-heads.ts'
import { batch } from '../forged.ts'
import { holder, losing, node, nodes, SEEDS, sequences, TOPIC, withGap } from '../listeners.ts'
import { createPorts } from '../ports.ts'

test('a lost batch is fetched from its publisher and let in before the next one, and nothing is missed', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
    await a.publish(1)
    await net.run(20)
    await losing(net, [c], () => a.publish(2))
    await a.publish(3)
    await net.run(100)
    assert.deepEqual(c.data(), [1, 2, 3], `seed ${seed}`)
    assert.deepEqual(c.missed, [])
    assert.deepEqual(a.asked(), [{ by: 'c', from: 2, to: 2 }])
    assert.deepEqual(b.asked(), [])
    assert.deepEqual([c.repaired(), c.unrepaired(), b.repaired()], [1, 0, 0])
    assert.deepEqual(
      [a.data(), b.data()],
      [
        [1, 2, 3],
        [1, 2, 3],
      ],
    )
    assert.equal(c.heard[1]?.sequence, 2)
    assert.equal(c.heard[1]?.source, 'a')
  }
})

test('a gap of more than one answer is filled by several', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'])
  await a.publish('first')
  await net.run(20)
  const large = 'x'.repeat(100 * 1024)
  await losing(net, [b], async () => {
    for (let index = 0; index < 7; index += 1) await a.publish(large)
  })
  await a.publish('last')
  await net.run(200)
  assert.deepEqual(
    b.heard.map(({ sequence }) => sequence),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  assert.deepEqual(
    a.asked().map(({ from }) => from),
    [2, 4, 6, 8],
  )
  assert.equal(b.repaired(), 7)
})

test('a gap of a publisher that left is filled by who heard it', async () => {
  const net = createPorts()
  const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
  await a.publish(1)
  await net.run(20)
  await losing(net, [c], () => a.publish(2))
  await a.publish(3)
  // The third is on its way to c; the question for the second will find a gone.
  await net.run(1)
  const { gossip } = a.peer
  const third = gossip.published[2]?.bytes ?? new Uint8Array()
  net.disconnect(a.peer, c.peer)
  await net.until(c.peer.gossip.receive(TOPIC, third.slice(), 'b'))
  await net.run(50)
  assert.deepEqual([c.data(), c.repaired(), c.unrepaired()], [[1, 2, 3], 1, 0])
  assert.deepEqual(b.asked()[0], { by: 'c', from: 2, to: 2 })
})

test('a gap that nobody holds any more is given up after four rounds, told, and what is behind it let in', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'], { maxHeldBytes: 0 })
  await a.publish(1)
  await net.run(20)
  await losing(net, [b], () => a.publish(2))
  await a.publish(3)
  await net.run(100)
  assert.deepEqual([a.asked().length, b.data(), b.missed], [1, [1], []])
  await net.run(4_000)
  assert.deepEqual([b.data(), b.repaired(), b.unrepaired()], [[1, 3], 0, 1])
  assert.deepEqual(b.missed, [{ publisher: 'a', word: 'tasks', epoch: 1000, from: 2, to: 2, reason: 'gap' }])
  await net.run(10_000)
  assert.deepEqual([a.asked().length, b.unrepaired()], [RETRIEVE_ROUNDS, 1], 'and is not asked for again')
})

test('a gap is given up after gapMs where there is nobody to ask', async () => {
  const net = createPorts()
  const only = node(net, 'p', { gapMs: 5_000 })
  await only.listen()
  for (const first of [1, 3]) await net.until(only.peer.gossip.receive(TOPIC, batch({ first })))
  await net.run(4_900)
  assert.deepEqual([sequences(only), only.missed.length, only.unrepaired()], [[1], 0, 0], 'somebody may still come')
  await net.run(500)
  assert.deepEqual([sequences(only), only.missed.length, only.unrepaired()], [[1, 3], 1, 1])
})

test('who comes while nobody could be asked is asked at once', async () => {
  const net = createPorts()
  const giver = await holder(net, 'giver', (from) => ({ batches: [batch({ first: from })] }))
  const only = node(net, 'p')
  await only.listen()
  for (const first of [1, 3]) await net.until(only.peer.gossip.receive(TOPIC, batch({ first })))
  await net.run(20_000)
  net.connect(only.peer, giver)
  await net.run(100)
  assert.deepEqual([sequences(only), only.missed], [[1, 2, 3], []])
})

test('the loss of the last batch is noticed without another one', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
    await losing(net, [b, c], () => a.publish(1))
    await net.run(QUIET_MS + 300)
    assert.deepEqual([b.data(), c.data()], [[1], [1]], `seed ${seed}: also the first that it ever published`)
    await losing(net, [c], () => a.publish(2))
    await net.run(QUIET_MS + 300)
    assert.deepEqual([b.data(), c.data(), c.missed], [[1, 2], [1, 2], []])
  }
})

test('how far a publisher is reaches those who hear it through others', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = [node(net, 'a'), node(net, 'b'), node(net, 'c')]
    net.connect(a.peer, b.peer)
    net.connect(b.peer, c.peer)
    await net.run(100)
    for (const each of [a, b, c]) await each.listen()
    // These ports do not forward: c hears of what a said from nobody but b.
    await a.publish(1)
    await net.run(30)
    await net.until(c.peer.gossip.receive(TOPIC, a.peer.gossip.published[0]?.bytes.slice() ?? new Uint8Array(), 'b'))
    await a.publish(2)
    await net.run(1_000)
    assert.deepEqual([b.data(), c.data(), c.missed], [[1, 2], [1, 2], []], `seed ${seed}`)
  }
})

test('a forged word on how far a publisher is moves nothing', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'])
  const liar = net.add('liar')
  net.connect(b.peer, liar)
  await net.run(100)
  await a.publish(1)
  await net.run(50)
  const head = { publisher: 'a', word: 'tasks', epoch: 1000, last: 50, signature: new Uint8Array(64) }
  await net.until(liar.port.to('b', eventsProtocol).heads({ heads: [head] }))
  await net.run(20_000)
  assert.deepEqual([b.data(), b.missed, a.asked()], [[1], [], []])
})

test('a gap that opens while another of the same publisher is asked for is filled as well', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b] = await nodes(net, ['a', 'b'])
    await a.publish(1)
    await net.run(20)
    let count = 0
    // Every other one of nine is lost, and they come within the time of one answer.
    b.peer.gossip.keep = () => {
      count += 1
      return count % 2 === 0
    }
    for (let data = 2; data <= 11; data += 1) await a.publish(data)
    await net.run(500)
    const wanted = Array.from({ length: 11 }, (_, index) => index + 1)
    assert.deepEqual(sequences(b), wanted, `seed ${seed}`)
    assert.deepEqual([b.repaired(), b.missed.length, b.unrepaired()], [5, 0, 0])
  }
})

test('an answer that comes after stop is not delivered', async () => {
  const net = createPorts()
  const giver = await holder(net, 'giver', (from) => ({ batches: [batch({ first: from })], more: true }))
  const listener = await withGap(net, [giver], 100)
  const stopped = listener.events.stop()
  await net.run(3_000)
  await net.until(stopped)
  assert.deepEqual(sequences(listener), [1])
  assert.equal(giver.calls.filter(({ input }) => JSON.stringify(input).includes('"word"')).length, 1)
  assert.deepEqual(
    listener.peer.logged.filter(({ level }) => level !== 'info'),
    [],
  )
})

test('an event whose ttl ended while it was held is dropped as expired; what is left of a longer one counts', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'])
  await a.publish(1)
  await net.run(20)
  await losing(net, [b], async () => {
    await a.publish('short', { ttlMs: 300 })
    await a.publish('long', { ttlMs: 1000 })
  })
  const lostAt = net.now()
  await net.run(400)
  await a.publish(2)
  await net.run(100)
  assert.deepEqual(b.data(), [1, 'long', 2])
  assert.equal(b.peer.count('events_dropped_total', { reason: 'expired' }), 1)
  const expiresAt = b.heard[1]?.expiresAt ?? 0
  assert.ok(Math.abs(expiresAt - (lostAt + 1000)) < 60, `${expiresAt - lostAt} ms`)
})

test('whatever is lost, all is heard once by all in the end', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const all = await nodes(net, ['a', 'b', 'c', 'd'])
    const random = all[0].peer.port.random
    const count = 30
    for (const { peer } of all) peer.gossip.keep = () => (random(1)[0] ?? 0) > 60
    for (let n = 1; n <= count; n += 1) {
      await Promise.all([all[0].publish(`a${n}`), all[1].publish(`b${n}`)])
      await net.run(5)
    }
    for (const { peer } of all) peer.gossip.keep = () => true
    await Promise.all([all[0].publish('a31'), all[1].publish('b31')])
    await net.run(500)
    for (const { heard, repaired, unrepaired } of all) {
      for (const source of ['a', 'b']) {
        const numbers = heard.filter((event) => event.source === source).map(({ sequence }) => sequence)
        const wanted = Array.from({ length: count + 1 }, (_, index) => index + 1)
        assert.deepEqual(numbers, wanted, `seed ${seed}`)
      }
      assert.ok(repaired() > 0)
      assert.equal(unrepaired(), 0)
    }
  }
})

test('what the one in the middle of a chain missed and fetched reaches its end as well', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = [node(net, 'a'), node(net, 'b'), node(net, 'c')]
    net.connect(a.peer, b.peer)
    net.connect(b.peer, c.peer)
    await net.run(100)
    for (const each of [a, b, c]) await each.listen()
    // These ports do not forward; b does it for them.
    const { receive } = b.peer.gossip
    b.peer.gossip.receive = async (topic, bytes, from) => {
      const acceptance = await receive(topic, bytes, from)
      const pass = () => void c.peer.gossip.receive(topic, bytes.slice(), 'b')
      if (acceptance === 'forward' && from === 'a') b.peer.port.timers.after(3, pass)
      return acceptance
    }
    await a.publish(1)
    await net.run(30)
    assert.deepEqual(c.data(), [1])
    await losing(net, [b], () => a.publish(2))
    await a.publish(3)
    await net.run(5_000)
    for (const { data, repaired, unrepaired } of [b, c]) {
      assert.deepEqual([data(), repaired(), unrepaired()], [[1, 2, 3], 1, 0], `seed ${seed}`)
    }
  }
})
