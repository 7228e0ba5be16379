import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createDirectory } from '../../../../discovery/directory/directory.ts'
import { directoryProtocol } from '../../../../discovery/directory/protocol.ts'
import { describe } from '../../../../discovery/directory/record/describe-protocol.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { createDirectoryMesh, type DirectoryNode, pushTo, recordOf } from '../../../support/directory-mesh.ts'

const echo = defineProtocol({
  name: 'echo',
  version: '1.1.0',
  methods: { say: { request: z.object({ text: z.string() }), response: z.string() } },
})

test('two nodes that meet know each other after one exchange', async () => {
  const { start, connect, time } = createDirectoryMesh()
  const [a, b] = [await start('a'), await start('b')]
  await b.directory.announce({ labels: { room: 'x' }, addresses: ['/ip4/127.0.0.1/tcp/1'], price: 3 })
  connect(a, b)
  await time.settled(a.directory.firstSync(), 50)
  assert.deepEqual(a.others(), ['b'])
  const seen = a.directory.get(b.id)
  assert.deepEqual([seen?.state, seen?.connected, seen?.self], ['alive', true, false])
  assert.deepEqual([seen?.record.labels, seen?.record.price], [{ room: 'x' }, 3])
  assert.equal(a.directory.get(a.id)?.self, true)
})

for (const gossipLoss of [0, 0.5, 1]) {
  test(`a late joiner with one neighbour knows 20 nodes, and they know it: ${gossipLoss * 100} % of gossip lost`, async (t) => {
    const { startRing, start, connect, time, isComplete, nodes } = createDirectoryMesh({ seed: 5, gossipLoss })
    const ring = await startRing(20, 2)
    await time.until(() => isComplete(ring), 15_000)
    const late = await start('late')
    connect(late, ring[7] ?? late)
    const knowsAllMs = await time.until(() => late.others().length === 20, 1_000)
    const knownMs = await time.until(() => isComplete(nodes), gossipLoss === 0 ? 100 : 20_000)
    t.diagnostic(`knew everyone after ${knowsAllMs.toFixed(0)} ms, known by everyone ${knownMs.toFixed(0)} ms later`)
    assert.ok(knowsAllMs < 100, `${knowsAllMs} ms`)
  })
}

test('with gossip, 20 nodes that start at once all know each other within about a second', async () => {
  for (let seed = 0; seed < 8; seed += 1) {
    const { startRing, time, isComplete } = createDirectoryMesh({ seed })
    const ring = await startRing(20, 2)
    await time.until(() => isComplete(ring), 1_100)
  }
})

test('a change reaches the neighbours by push and everyone else by gossip within a tenth of a second', async () => {
  const { startRing, time, isComplete } = createDirectoryMesh()
  const ring = await startRing(20, 2)
  await time.until(() => isComplete(ring), 15_000)
  const [first] = ring
  assert.ok(first)
  await first.directory.announce({ protocols: [describe(echo)] })
  const offering = (node: DirectoryNode) => node.directory.offers('echo', 1).length === 1
  await time.until(() => ring.every((node) => node === first || offering(node)), 100)
  const [candidate] = ring[10]?.directory.offers('echo', 1) ?? []
  assert.deepEqual([candidate?.peer, candidate?.version, candidate?.state], [first.id, '1.1.0', 'alive'])
  assert.deepEqual(candidate?.methods, describe(echo).methods)
  assert.deepEqual(first.directory.offers('echo', 1), [], 'an agent is no candidate of its own')
})

test('a change that all gossip loses still arrives, by comparing digests', async () => {
  const { startRing, time, isComplete } = createDirectoryMesh({ gossipLoss: 1 })
  const ring = await startRing(12, 2)
  await time.until(() => isComplete(ring), 15_000)
  await ring[0]?.directory.announce({ price: 9 })
  const id = ring[0]?.id ?? ''
  await time.until(() => ring.every((node) => node.directory.get(id)?.record.price === 9), 10_000)
})

test('where two directories have the same they tell each other a sum, and every so often all of it', async () => {
  const { start, startBare, connect, time } = createDirectoryMesh()
  const [a, bare] = [await start('a'), startBare('bare')]
  const asked: { sum: boolean; bytes: number }[] = []
  await bare.port.serve(directoryProtocol, {
    sync: ({ sum, digest }) => {
      asked.push({ sum: sum !== undefined, bytes: digest.length })
      return { records: [], wants: new Uint8Array(0) }
    },
    push: () => {},
  })
  connect(a, bare)
  await time.run(100_000)
  const whole = asked.filter(({ sum }) => !sum)
  assert.ok(whole.length >= 2 && whole.length <= 4, `${whole.length} of ${asked.length}`)
  assert.ok(whole.every(({ bytes }) => bytes > 0))
  assert.ok(asked.every(({ sum, bytes }) => !sum || bytes === 0))
})

test('what comes from others is not pushed on', async () => {
  const { startRing, time, isComplete, calls } = createDirectoryMesh({ gossipLoss: 1 }, { syncPeriodMs: 20_000 })
  const ring = await startRing(8, 4)
  await time.until(() => isComplete(ring), 15_000)
  await time.run(1_000)
  const before = calls['one-way']
  await ring[0]?.directory.announce({ price: 9 })
  await time.run(200)
  assert.equal(calls['one-way'] - before, 7)
})

test('among connected agents nobody writes a record just to be believed alive', async () => {
  const { start, connect, time, calls } = createDirectoryMesh()
  const [a, b] = [await start('a'), await start('b')]
  connect(a, b)
  await time.run(3_000)
  const published = a.directory.stats().sent['gossip ok']
  const before = { pushes: calls['one-way'], version: b.directory.get(a.id)?.record.version ?? 0 }
  await time.run(30_000)
  assert.equal(b.directory.get(a.id)?.record.version, before.version)
  assert.equal(calls['one-way'], before.pushes)
  assert.equal(a.directory.stats().sent['gossip ok'], published)
})

test('in a long chain refreshes are published, and nobody expires though digests are slow', async () => {
  const { connect, start, time, isComplete, nodes } = createDirectoryMesh({}, { ttlMs: 12_000 })
  for (let n = 0; n < 14; n += 1) {
    const node = await start(`n${n}`)
    const before = nodes[n - 1]
    if (before) connect(before, node)
  }
  await time.until(() => isComplete(nodes), 5_000)
  let ended = 0
  for (const { directory } of nodes) {
    directory.onChange(({ type }) => {
      if (type === 'left') ended += 1
    })
  }
  await time.run(60_000)
  assert.equal(ended, 0)
  assert.ok(isComplete(nodes))
})

test('a mesh larger than what is published keeps the messages of a node flat', async (t) => {
  const perNode = async (count: number): Promise<number> => {
    const { startRing, connect, random, traffic, time, isComplete } = createDirectoryMesh({ seed: 3 })
    const ring = await startRing(count, 1)
    for (const node of [...ring, ...ring]) {
      const other = ring[Math.floor(random() * count)]
      if (other && other !== node) connect(node, other)
    }
    await time.until(() => isComplete(ring), 5_000)
    await time.run(2_000)
    const before = traffic.messages
    await time.run(10_000)
    return (traffic.messages - before) / count / 10
  }
  const [few, many] = [await perNode(16), await perNode(64)]
  t.diagnostic(`${few.toFixed(1)} messages per node and second among 16, ${many.toFixed(1)} among 64`)
  assert.ok(many <= 1.5 * few, `${few} and ${many}`)
})

test('whoever watches hears an agent join, change and leave', async () => {
  const { start, connect, time } = createDirectoryMesh()
  const [a, b] = [await start('a'), await start('b')]
  const told: string[] = []
  a.directory.onChange((change) => {
    told.push(`${change.agent.name} ${change.type}${change.type === 'left' ? ` ${change.reason}` : ''}`)
  })
  connect(a, b)
  await time.run(100)
  await b.directory.announce({ price: 1 })
  await time.run(100)
  await time.settled(b.directory.leave(), 100)
  await time.run(100)
  assert.deepEqual(told, ['b joined', 'b changed', 'b left left'])
})

test('a directory that starts on a connected node meets its neighbours at once', async () => {
  const { startBare, connect, time } = createDirectoryMesh()
  const [a, b] = [startBare('a'), startBare('b')]
  connect(a, b)
  await time.run(100)
  await createDirectory(a.port, { syncPeriodMs: 20_000 })
  const directory = await createDirectory(b.port, { syncPeriodMs: 20_000 })
  await time.settled(directory.firstSync(), 100)
  assert.equal(directory.find('a')?.connected, true)
})

test('ten announcements in one turn make one version', async () => {
  const { start } = createDirectoryMesh()
  const a = await start('a')
  const version = () => a.directory.get(a.id)?.record.version ?? 0
  const before = version()
  await Promise.all(Array.from({ length: 10 }, (_, n) => a.directory.announce({ labels: { n: `${n}` } })))
  assert.equal(version(), before + 1)
  assert.deepEqual(a.directory.get(a.id)?.record.labels, { n: '9' })
})

test('a field that is left out keeps its value, and a price can be taken back', async () => {
  const { start } = createDirectoryMesh()
  const { directory, id } = await start('a')
  await directory.announce({ price: 2, labels: { a: 'b' } })
  await directory.announce({ price: undefined })
  const record = directory.get(id)?.record
  assert.deepEqual([record?.price, record?.labels], [undefined, { a: 'b' }])
})

test('an agent is found by name or peer id; a name that several have needs one that stands out', async () => {
  const { start, startBare, connect, disconnect, time } = createDirectoryMesh()
  const a = await start('a')
  const [one, two] = [startBare('one'), startBare('two')]
  for (const node of [one, two]) {
    connect(node, a)
    await pushTo(node, a, recordOf(node, { name: 'twin' }))
  }
  await time.run(50)
  assert.equal(a.directory.find('a')?.peer, a.id)
  assert.equal(a.directory.find(one.id)?.peer, one.id)
  assert.equal(a.directory.find('nobody'), undefined)
  assert.throws(
    () => a.directory.find('twin'),
    (error) => isParleyError(error, 'STA003') && error.details.peers !== undefined && error.hint !== undefined,
  )
  disconnect(a, one)
  assert.equal(a.directory.find('twin')?.peer, two.id, 'connected before not connected')
  a.directory.markSuspect(two.id)
  assert.equal(a.directory.find('twin')?.peer, two.id, 'also where both are suspect')
  a.directory.markAlive(one.id)
  assert.equal(a.directory.find('twin')?.peer, one.id, 'alive before suspect')
})

test('a listener that throws is counted, and the others still hear', async () => {
  const { start } = createDirectoryMesh()
  const { directory, logs } = await start('a')
  const heard: string[] = []
  directory.onChange(() => {
    throw new Error('mine')
  })
  directory.onChange(({ type }) => heard.push(type))
  await directory.announce({ price: 1 })
  assert.deepEqual(heard, ['changed'])
  assert.equal(directory.stats().events.listener_failed, 1)
  assert.equal(logs.length, 1)
})

test('a peer that serves no directory yet costs a failed exchange, and is met a period later', async () => {
  const { start, startBare, connect, time } = createDirectoryMesh()
  const [a, slow] = [await start('a'), startBare('slow')]
  connect(a, slow)
  await time.run(50)
  assert.equal(a.directory.stats().sent['sync failed'], 1)
  await createDirectory(slow.port)
  await time.settled(a.directory.firstSync(), 1_100)
  assert.deepEqual(a.others(), ['slow'])
})
