import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batch } from './forged.ts'
import { alone, holder, losing, node, nodes, SEEDS, sequences, TOPIC, withGap } from './listeners.ts'
import { createPorts } from './ports.ts'

test('a lost batch is reported once, fetched from its publisher and delivered once', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
    await a.publish(1)
    await net.run(20)
    await losing(net, [c], () => a.publish(2))
    await a.publish(3)
    await net.run(100)
    assert.deepEqual(c.data(), [1, 3, 2], `seed ${seed}`)
    assert.deepEqual(c.missed, [{ publisher: 'a', word: 'tasks', epoch: 1000, from: 2, to: 2, reason: 'gap' }])
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
    assert.equal(c.heard[2]?.sequence, 2)
    assert.equal(c.heard[2]?.source, 'a')
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
    [1, 9, 2, 3, 4, 5, 6, 7, 8],
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
  assert.deepEqual([c.data(), c.repaired(), c.unrepaired()], [[1, 3, 2], 1, 0])
  assert.deepEqual(b.asked()[0], { by: 'c', from: 2, to: 2 })
})

test('a gap that the publisher does not hold any more is counted', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'], { maxHeldBytes: 0 })
  await a.publish(1)
  await net.run(20)
  await losing(net, [b], () => a.publish(2))
  await a.publish(3)
  await net.run(100)
  assert.deepEqual([a.asked().length, b.unrepaired()], [1, 0])
  await net.run(2_000)
  assert.deepEqual([b.data(), b.repaired(), b.unrepaired()], [[1, 3], 0, 1])
  await net.run(10_000)
  assert.deepEqual([a.asked().length, b.unrepaired()], [3, 1], 'and is not asked for a fourth time')
})

test('a gap is counted where there is nobody to ask', async () => {
  const net = createPorts()
  const only = node(net, 'p')
  await only.listen()
  for (const first of [1, 3]) await net.until(only.peer.gossip.receive(TOPIC, batch({ first })))
  await net.run(500)
  assert.deepEqual([only.missed.length, only.unrepaired()], [1, 0], 'somebody may still come')
  await net.run(1_000)
  assert.deepEqual([only.data().length, only.missed.length, only.unrepaired()], [2, 1, 1])
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
    assert.deepEqual(
      sequences(b).toSorted((x, y) => x - y),
      wanted,
      `seed ${seed}`,
    )
    assert.deepEqual([b.repaired(), b.missed.length, b.unrepaired()], [5, 5, 0])
  }
})

test('an answer that comes after stop is not delivered', async () => {
  const net = createPorts()
  const giver = await holder(net, 'giver', (from) => ({ batches: [batch({ first: from })], more: true }))
  const listener = await withGap(net, [giver], 100)
  const stopped = listener.events.stop()
  await net.run(3_000)
  await net.until(stopped)
  assert.deepEqual(sequences(listener), [1, 100])
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
  assert.deepEqual(b.data(), [1, 2, 'long'])
  assert.equal(b.peer.count('events_dropped_total', { reason: 'expired' }), 1)
  const expiresAt = b.heard[2]?.expiresAt ?? 0
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
        const first = Math.min(...numbers)
        // Nobody can know of what came before the first that it heard.
        const wanted = Array.from({ length: count + 2 - first }, (_, index) => index + first)
        assert.deepEqual(
          numbers.toSorted((x, y) => x - y),
          wanted,
          `seed ${seed}`,
        )
      }
      assert.ok(repaired() > 0)
      assert.equal(unrepaired(), 0)
    }
  }
})

test('256 series are asked for at one time; a gap in one more is counted as it is', async () => {
  const net = createPorts()
  const { repair, self, publisher, asked, unrepaired, series } = alone(net)
  net.connect(self, publisher)
  await net.run(100)
  publisher.frozen = true
  for (let index = 0; index < 256; index += 1) repair.gap(series(`w${index}`), { from: 2, to: 2 })
  await net.run(20)
  assert.deepEqual([publisher.calls.length, unrepaired], [256, []])
  repair.gap(series('one-more'), { from: 2, to: 2 })
  repair.gap(series('w0'), { from: 9, to: 9 })
  assert.deepEqual(unrepaired, ['one-more'], 'one that is asked for already has its place')
  publisher.frozen = false
  await net.run(5_000)
  assert.deepEqual(asked, ['w0 9'], 'the publisher is asked once for each')
  const words = Array.from({ length: 256 }, (_, index) => `w${index}`)
  assert.deepEqual(unrepaired.toSorted(), [...words, 'w0', 'one-more'].toSorted(), 'each gap once')
})

test('another gap of the series cuts the pause before the next attempt short', async () => {
  const net = createPorts()
  const { repair, self, publisher, asked, unrepaired, series } = alone(net)
  net.connect(self, publisher)
  await net.run(100)
  repair.gap(series('a'), { from: 5, to: 5 })
  await net.run(60)
  assert.deepEqual(asked, ['a 5'])
  repair.gap(series('a'), { from: 3, to: 3 })
  await net.run(30)
  assert.deepEqual(asked, ['a 5', 'a 3'])
  await net.run(2_000)
  assert.deepEqual(unrepaired, ['a', 'a'])
})

test('a pause before the next attempt ends with stop, and what was missing is not counted', async () => {
  const net = createPorts()
  const { repair, unrepaired, series } = alone(net)
  repair.gap(series('a'), { from: 2, to: 2 })
  await net.run(50)
  repair.stop()
  await net.run(5_000)
  assert.deepEqual(unrepaired, [])
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
      assert.deepEqual([data(), repaired(), unrepaired()], [[1, 3, 2], 1, 0], `seed ${seed}`)
    }
  }
})
