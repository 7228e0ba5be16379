/** Asking neighbours about an agent that a node has not heard of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDirectoryMesh } from '../../../support/directory-mesh.ts'

/** Three in a ring, without gossip, and one that came later and is connected to the second alone. */
const startWithLate = async () => {
  const { start, connect, time, startRing, isComplete } = createDirectoryMesh({ gossipLoss: 1 })
  const ring = await startRing(3, 1)
  await time.until(() => isComplete(ring), 15_000)
  const [a, b] = ring
  const late = await start('late')
  assert.ok(a && b)
  connect(late, b)
  await time.settled(late.directory.firstSync(), 50)
  return { a, b, late, time }
}

test('who is known to a neighbour only is found by asking, without waiting for gossip or the next comparison', async () => {
  const { a, late, time } = await startWithLate()
  assert.equal(a.directory.get(late.id), undefined)
  await time.settled(a.directory.seek({ peer: late.id }), 50)
  assert.equal(a.directory.get(late.id)?.state, 'alive')
})

test('who is known to nobody is asked for once a second, however often it is called', async () => {
  const { startRing, time, isComplete } = createDirectoryMesh()
  const ring = await startRing(6, 2)
  await time.until(() => isComplete(ring), 15_000)
  const [a] = ring
  assert.ok(a)
  const asked = () => a.directory.stats().sent['sync ok'] ?? 0
  const before = asked()
  await time.settled(Promise.all(Array.from({ length: 50 }, () => a.directory.seek({ peer: 'nobody' }))), 100)
  await time.settled(a.directory.seek({ peer: 'nobody' }), 1)
  assert.ok(asked() - before >= 1 && asked() - before <= 10, `${asked() - before} comparisons`)
  assert.equal(a.directory.get('nobody'), undefined)
  const then = asked()
  await time.run(1_001)
  await time.settled(a.directory.seek({ peer: 'nobody' }), 100)
  assert.ok(asked() > then)
})

test('a search asks nobody where there is nobody', async () => {
  const { start, time } = createDirectoryMesh()
  const alone = await start('alone')
  await time.settled(alone.directory.seek({ peer: 'somebody' }), 1)
  assert.equal(alone.directory.get('somebody'), undefined)
})

test('many searches at once are bounded, and those beyond the bound end at once', async () => {
  const { startRing, time, isComplete } = createDirectoryMesh()
  const ring = await startRing(6, 2)
  await time.until(() => isComplete(ring), 15_000)
  const [a] = ring
  assert.ok(a)
  const before = a.directory.stats().sent['sync ok'] ?? 0
  await time.settled(
    Promise.all(Array.from({ length: 500 }, (_, n) => a.directory.seek({ peer: `nobody-${n}` }))),
    1_000,
  )
  const asked = (a.directory.stats().sent['sync ok'] ?? 0) - before
  assert.ok(asked >= 16 && asked <= 16 * 3 + 4, `${asked} comparisons`)
})

test('what a neighbour began to offer a moment ago, and who has a name, are found by asking as well', async () => {
  const { a, b, late, time } = await startWithLate()
  assert.equal(a.directory.find('late'), undefined)
  await time.settled(a.directory.seek({ name: 'late' }), 50)
  assert.equal(a.directory.find('late')?.peer, late.id)
  await time.settled(late.directory.announce({ protocols: [{ name: 'late-work', version: '1.0.0', methods: [] }] }), 50)
  await time.settled(b.directory.seek({ protocol: 'late-work', major: 1 }), 50)
  assert.deepEqual(a.directory.offers('late-work', 1), [])
  await time.settled(a.directory.seek({ protocol: 'late-work', major: 1 }), 50)
  assert.deepEqual(
    a.directory.offers('late-work', 1).map(({ peer }) => peer),
    [late.id],
  )
  await time.settled(a.directory.seek({ protocol: 'late-work', major: 2 }), 50)
  assert.deepEqual(a.directory.offers('late-work', 2), [])
})
