import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEvents } from '../../../../protocols/events/events.ts'
import { losing, node, nodes, SEEDS } from '../listeners.ts'
import { createPorts } from '../ports.ts'

test('what a publisher said last before it left is fetched from the one who heard it', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c, d] = await nodes(net, ['a', 'b', 'c', 'd'])
    await a.publish(1)
    await net.run(20)
    await losing(net, [c, d], () => a.publish(2))
    for (const other of [b, c, d]) net.disconnect(a.peer, other.peer)
    await net.run(500)
    for (const { data, missed, unrepaired } of [b, c, d]) {
      assert.deepEqual(data(), [1, 2], `seed ${seed}`)
      assert.deepEqual([missed, unrepaired()], [[], 0], 'in order, so nothing was missed')
    }
    assert.deepEqual([b.repaired(), c.repaired(), d.repaired()], [0, 1, 1])
  }
})

test('what a publisher said while it was away is fetched when it comes back, in order', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b] = await nodes(net, ['a', 'b'])
    await a.publish(1)
    await net.run(20)
    net.disconnect(a.peer, b.peer)
    await a.publish(2)
    await a.publish(3)
    await net.run(1000)
    net.connect(a.peer, b.peer)
    await net.run(200)
    assert.deepEqual(b.data(), [1, 2, 3], `seed ${seed}`)
    assert.deepEqual([b.missed, b.repaired(), b.unrepaired()], [[], 2, 0])
    await a.publish(4)
    await net.run(100)
    assert.deepEqual(b.data(), [1, 2, 3, 4])
  }
})

test('a publisher that comes back after minutes is asked for what it said meanwhile', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'])
  await a.publish(1)
  await net.run(20)
  net.disconnect(a.peer, b.peer)
  await a.publish(2)
  await net.run(300_000)
  net.connect(a.peer, b.peer)
  await net.run(500)
  assert.deepEqual([b.data(), a.asked()], [[1, 2], [{ by: 'b', from: 2, to: 2 }]])
  await a.publish(3)
  await net.run(100)
  assert.deepEqual([b.data(), b.missed, b.unrepaired()], [[1, 2, 3], [], 0])
})

test('what is older than the history keeps is told as missed, and only that', async () => {
  const net = createPorts()
  const [a, b] = await nodes(net, ['a', 'b'], { history: [{ topic: '#', maxEvents: 3 }] })
  await a.publish(1)
  await net.run(20)
  net.disconnect(a.peer, b.peer)
  for (let n = 2; n <= 9; n += 1) await a.publish(n)
  net.connect(a.peer, b.peer)
  await net.run(4_000)
  assert.deepEqual(b.data(), [1, 7, 8, 9])
  assert.deepEqual(b.missed, [{ publisher: 'a', word: 'tasks', epoch: 1000, from: 2, to: 6, reason: 'gap' }])
})

test('after stop nothing is asked, though a publisher left or came back just before or after', async () => {
  const net = createPorts()
  const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
  await a.publish(1)
  await net.run(20)
  net.disconnect(a.peer, c.peer)
  await net.until(c.events.stop())
  net.disconnect(b.peer, c.peer)
  net.connect(b.peer, c.peer)
  net.connect(a.peer, c.peer)
  await net.run(3_000)
  assert.deepEqual([a.asked(), b.asked()], [[], []])
})

test('the last words of a publisher that one of eight heard reach all of the others', async () => {
  let lost = 0
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b] = [node(net, 'a'), node(net, 'b')]
    const rest = ['c', 'd', 'e', 'f', 'g', 'h', 'i'].map((id) => node(net, id))
    const all = [a, b, ...rest]
    for (const [index, x] of all.entries()) for (const y of all.slice(index + 1)) net.connect(x.peer, y.peer)
    await net.run(100)
    for (const each of all) await each.listen()
    await a.publish(1)
    await net.run(20)
    await losing(net, rest, () => a.publish(2))
    for (const other of [b, ...rest]) net.disconnect(a.peer, other.peer)
    await net.run(5_000)
    for (const { data, missed } of rest) {
      if (data().length < 2) lost += 1
      assert.deepEqual([data(), missed], [data().length < 2 ? [1] : [1, 2], []], `seed ${seed}`)
    }
  }
  assert.equal(lost, 0, `${lost} of ${SEEDS.length * 7}`)
})

test('what a publisher said last before it started anew is fetched from the one who heard it', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
    await a.publish(1)
    await net.run(20)
    await losing(net, [c], () => a.publish(2))
    for (const { peer } of [b, c]) net.disconnect(a.peer, peer)
    // Of the same name, and its next life.
    const again = net.add('a', 2000)
    createEvents(again.port)
    for (const { peer } of [b, c]) net.connect(again, peer)
    await net.run(5_000)
    assert.deepEqual([c.data(), c.missed, c.repaired()], [[1, 2], [], 1], `seed ${seed}`)
  }
})

test('what was published before a node listened again is not fetched when its publisher comes back', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const [a] = await nodes(net, ['a', 'z'])
    const c = node(net, 'c')
    net.connect(a.peer, c.peer)
    await net.run(100)
    const { stop } = await c.listen()
    await a.publish(1)
    await net.run(20)
    void stop()
    await net.run(50)
    await a.publish(2)
    await net.run(50)
    await c.listen()
    net.disconnect(a.peer, c.peer)
    net.connect(a.peer, c.peer)
    await net.run(2_000)
    assert.deepEqual([c.data(), a.asked()], [[1], []], `seed ${seed}`)
    await a.publish(3)
    await net.run(100)
    assert.deepEqual([c.data(), c.missed], [[1, 3], []])
  }
})
