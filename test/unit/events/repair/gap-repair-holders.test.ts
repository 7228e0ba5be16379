import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batch, type Forged } from '../forged.ts'
import { holder, losing, nodes, SEEDS, sequences, TOPIC, withGap } from '../listeners.ts'
import { createPorts, type Peer } from '../ports.ts'

/** How often a peer was asked for events. */
const asks = ({ calls }: Peer): number => calls.filter(({ input }) => JSON.stringify(input).includes('"word"')).length

const LIES: [string, string, Forged | Uint8Array][] = [
  ['signature', 'signed by the holder', { first: 2, signer: 'liar' }],
  ['signature', 'of another mesh', { first: 2, mesh: 'other' }],
  ['foreign', 'of another word', { first: 2, word: 'agents', events: [{ topic: 'agents.x' }] }],
  ['malformed', 'garbage', new Uint8Array([1, 2, 3])],
  ['malformed', 'empty', new Uint8Array()],
  ['foreign', 'heard before', { first: 1 }],
  ['foreign', 'of numbers to come', { first: 50 }],
  ['foreign', 'of an earlier life of the publisher', { first: 2, epoch: 4 }],
  ['foreign', 'of a later life of the publisher', { first: 2, epoch: 6 }],
  ['foreign', 'of its own', { first: 2, publisher: 'liar' }],
  ['foreign', 'of the one who asks', { first: 2, publisher: 'p' }],
]

for (const [reason, what, lie] of LIES) {
  test(`a holder that gives a batch ${what} instead is refused, and nothing is delivered`, async () => {
    const net = createPorts()
    const foreign = reason === 'foreign'
    const bytes = lie instanceof Uint8Array ? lie : batch(lie)
    const liar = await holder(net, 'liar', () => ({ batches: [bytes.slice(), bytes.slice()] }))
    const listener = await withGap(net, [liar])
    await net.run(5_000)
    assert.deepEqual(sequences(listener), [1, 3])
    assert.deepEqual([asks(liar), listener.refused(reason), listener.refused('foreign')], [4, 8, foreign ? 8 : 0])
    assert.deepEqual([listener.repaired(), listener.unrepaired()], [0, 1])
    const count = listener.peer.count('event_batches_total', { direction: 'in' })
    assert.equal(count, 2, 'what was refused is not let in')
  })
}

test('a true batch between lies is delivered', async () => {
  const net = createPorts()
  const batches = [new Uint8Array([7]), batch({ first: 1 }), batch({ first: 2 }), batch({ first: 2, signer: 'x' })]
  const listener = await withGap(net, [await holder(net, 'half-liar', () => ({ batches }))])
  await net.run(100)
  assert.deepEqual([sequences(listener), listener.repaired(), listener.unrepaired()], [[1, 2, 3], 1, 0])
})

test('a holder that says without end that there is more is asked for what is missing, and no more', async () => {
  const net = createPorts()
  const endless = await holder(net, 'endless', (from) => ({ batches: [batch({ first: from })], more: true }))
  const listener = await withGap(net, [endless], 100)
  await net.run(5_000)
  assert.deepEqual(
    sequences(listener),
    Array.from({ length: 100 }, (_, index) => index + 1),
  )
  assert.deepEqual([asks(endless), listener.repaired(), listener.unrepaired()], [98, 98, 0])
  const empty = createPorts()
  const nothing = await holder(empty, 'nothing', () => ({ batches: [], more: true }))
  const other = await withGap(empty, [nothing])
  await empty.run(5_000)
  assert.deepEqual([asks(nothing), other.unrepaired()], [4, 1])
})

test('all neighbours are asked in each of four rounds, two at a time, before a gap is given up', async () => {
  for (const seed of SEEDS) {
    for (const count of [1, 3, 4, 7]) {
      const net = createPorts(seed)
      const asked: string[] = []
      const ids = Array.from({ length: count }, (_, index) => `h${index}`)
      const holders = ids.map((id) =>
        holder(net, id, () => {
          asked.push(id)
          return { batches: [] }
        }),
      )
      const listener = await withGap(net, await Promise.all(holders))
      await net.run(8_000)
      assert.equal(asked.length, count * 4, `seed ${seed}: ${asked}`)
      for (let round = 0; round < 4; round += 1) {
        assert.equal(new Set(asked.slice(round * count, (round + 1) * count)).size, count)
      }
      assert.deepEqual([listener.unrepaired(), sequences(listener)], [1, [1, 3]])
    }
  }
})

test('numbers that overlap with others of their publisher are given up instead of asked for without end', async () => {
  const net = createPorts()
  const odd = await holder(net, 'odd', () => ({ batches: [batch({ first: 1, events: [{}, {}, {}] })] }))
  const listener = await withGap(net, [odd], 5)
  await net.run(8_000)
  assert.deepEqual(sequences(listener), [1, 5])
  assert.deepEqual(
    listener.missed.map(({ from, to }) => [from, to]),
    [
      [2, 3],
      [4, 4],
    ],
  )
})

test('a second neighbour is asked where the first does not answer or has nothing', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const give = () => ({ batches: [batch({ first: 2 })] })
    const silent = await holder(net, 'silent', give)
    const other = await holder(net, 'other', give)
    const listener = await withGap(net, [silent, other])
    silent.frozen = true
    await net.run(2_200)
    assert.deepEqual([sequences(listener), listener.unrepaired()], [[1, 2, 3], 0], `seed ${seed}`)
    const second = createPorts(seed)
    const poor = await holder(second, 'poor', () => ({ batches: [] }))
    const rich = await holder(second, 'rich', give)
    const happy = await withGap(second, [poor, rich])
    await second.run(200)
    assert.deepEqual([sequences(happy), happy.unrepaired()], [[1, 2, 3], 0], `seed ${seed}`)
  }
})

test('a publisher that does not answer holds nothing up', async () => {
  const net = createPorts()
  const [a, b, c] = await nodes(net, ['a', 'b', 'c'])
  await a.publish(1)
  await b.publish('b1')
  await net.run(20)
  await losing(net, [c], () => Promise.all([a.publish(2), b.publish('b2')]))
  a.peer.frozen = true
  await a.publish(3)
  await net.run(20)
  const start = net.now()
  await a.publish(4)
  await b.publish('b3')
  await net.run(60)
  assert.ok(net.now() - start < 200)
  const others = c.data().filter((data) => typeof data === 'string')
  assert.deepEqual(others, ['b1', 'b2', 'b3'], 'b is asked while a is silent')
  assert.deepEqual(
    c.data().filter((data) => typeof data === 'number'),
    [1],
  )
  await net.run(3_000)
  assert.deepEqual(
    c.data().filter((data) => typeof data === 'number'),
    [1, 2, 3, 4],
    'after a did not answer, b is asked for what a said',
  )
  assert.equal(c.unrepaired(), 0)
  assert.ok(c.peer.logged.some(({ message }) => message === 'a neighbour could not be asked for events'))
})

for (const [what, lie] of [
  ['a forged batch', { first: 2, signer: 'liar' }],
  ['a batch of numbers to come', { first: 50 }],
  ['a batch of its own', { publisher: 'liar', first: 9 }],
] satisfies [string, Forged][]) {
  test(`a holder that gives ${what} does not keep the honest one from being asked`, async () => {
    for (const seed of SEEDS) {
      const net = createPorts(seed)
      const liar = await holder(net, 'liar', () => ({ batches: [batch(lie)] }))
      const honest = await holder(net, 'honest', () => ({ batches: [batch({ first: 2 })] }))
      const listener = await withGap(net, [liar, honest])
      await net.run(500)
      const all = listener.heard.map(({ source, sequence }) => `${source} ${sequence}`)
      assert.deepEqual(all, ['q 1', 'q 2', 'q 3'], `seed ${seed}`)
      assert.deepEqual([listener.repaired(), listener.unrepaired()], [1, 0])
    }
  })
}

test('two holders that have a part each fill the gap together', async () => {
  for (const seed of SEEDS) {
    const net = createPorts(seed)
    const give = (first: number) => (from: number) => ({ batches: from <= first ? [batch({ first })] : [] })
    const [early, late] = [await holder(net, 'early', give(2)), await holder(net, 'late', give(3))]
    const listener = await withGap(net, [early, late], 4)
    await net.run(500)
    assert.deepEqual(sequences(listener), [1, 2, 3, 4], `seed ${seed}`)
    await net.run(2_000)
    assert.deepEqual([listener.repaired(), listener.unrepaired()], [2, 0])
  }
})

test('a batch given twice is delivered once, and nothing is missing then', async () => {
  const net = createPorts()
  const giver = await holder(net, 'giver', () => ({ batches: [batch({ first: 2 }), batch({ first: 2 })] }))
  const listener = await withGap(net, [giver])
  await net.run(2_000)
  assert.deepEqual(sequences(listener), [1, 2, 3])
  assert.deepEqual([asks(giver), listener.refused('duplicate')], [1, 0])
  assert.deepEqual([listener.repaired(), listener.unrepaired()], [1, 0])
})

test('what gossip brought while a holder was asked for it is not missing any more', async () => {
  const net = createPorts()
  const giver = await holder(net, 'giver', () => ({ batches: [batch({ first: 2 })] }))
  const listener = await withGap(net, [giver])
  await net.until(listener.peer.gossip.receive(TOPIC, batch({ first: 2 })))
  await net.run(2_000)
  assert.deepEqual(sequences(listener), [1, 2, 3])
  assert.deepEqual([asks(giver), listener.refused('duplicate')], [1, 0])
  assert.deepEqual([listener.repaired(), listener.unrepaired()], [0, 0])
})

test('what a publisher said in an earlier life is let in before its next life, and not after it', async () => {
  const net = createPorts()
  const give = (from: number) => ({ batches: from === 2 || from === 4 ? [batch({ first: from })] : [] })
  const listener = await withGap(net, [await holder(net, 'giver', give)])
  await net.until(listener.peer.gossip.receive(TOPIC, batch({ epoch: 6 })))
  await net.run(2_000)
  const all = listener.heard.map(({ epoch, sequence }) => `${epoch} ${sequence}`)
  assert.deepEqual(all, ['5 1', '5 2', '5 3', '5 4', '6 1'])
  assert.equal(await net.until(listener.peer.gossip.receive(TOPIC, batch({ first: 5 }))), 'ignore')
  assert.deepEqual([listener.refused('stale'), listener.repaired(), listener.unrepaired()], [1, 2, 0])
})
