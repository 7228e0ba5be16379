import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createDirectory } from '../../../../discovery/directory/directory.ts'
import { directoryProtocol } from '../../../../discovery/directory/protocol.ts'
import { describe } from '../../../../discovery/directory/record/describe-protocol.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { createDirectoryMesh } from '../../../support/directory-mesh.ts'

const echo = defineProtocol({
  name: 'echo',
  version: '1.1.0',
  methods: { say: { request: z.object({ text: z.string() }), response: z.string() } },
})

test('an agent that leaves is out of every view at once, and stays out', async () => {
  const { startRing, time, isComplete } = createDirectoryMesh({}, { ttlMs: 6_000 })
  const ring = await startRing(20, 2)
  await time.until(() => isComplete(ring), 15_000)
  const [leaver, ...rest] = ring
  assert.ok(leaver)
  await time.settled(leaver.directory.leave(), 50)
  await leaver.directory.stop()
  // What was sent is on its way still; a transport that closes in order lets it arrive.
  await time.run(10)
  leaver.kill()
  await time.until(() => isComplete(rest), 100)
  for (let second = 0; second < 14; second += 1) {
    await time.run(1_000)
    assert.ok(isComplete(rest), `after ${second} s`)
  }
})

test('leaving waits no longer than it was told, though the gossip hangs', async () => {
  const { startBare, time } = createDirectoryMesh()
  const { port } = startBare('a')
  const gossip = { ...port.gossip, publish: () => new Promise<number>(() => {}) }
  const directory = await createDirectory({ ...port, gossip }, { leaveTimeoutMs: 300 })
  const startMs = time.now()
  await time.settled(directory.leave(), 1_000)
  assert.equal(time.now() - startMs, 300)
})

test('a killed node leaves the views of its neighbours by word, of the others by its ttl, and never comes back', async () => {
  const { startRing, time, isComplete } = createDirectoryMesh({}, { ttlMs: 6_000 })
  const ring = await startRing(20, 2)
  await time.until(() => isComplete(ring), 15_000)
  const [dead, ...rest] = ring
  assert.ok(dead)
  const neighbours = rest.filter((node) => node.isConnected(dead.id))
  assert.equal(neighbours.length, 4)
  dead.kill()
  for (const node of neighbours) node.directory.markGone(dead.id)
  assert.ok(neighbours.every((node) => node.directory.get(dead.id) === undefined))
  await time.until(() => isComplete(rest), 7_100)
  for (let second = 0; second < 14; second += 1) {
    await time.run(1_000)
    assert.ok(isComplete(rest), `after ${second} s`)
  }
})

test('in a quiet mesh nobody expires and no change is told, over many ttls and without any gossip', async () => {
  const { startRing, time, isComplete } = createDirectoryMesh({ gossipLoss: 1 }, { ttlMs: 15_000 })
  const ring = await startRing(12, 1)
  await time.until(() => isComplete(ring), 30_000)
  let changes = 0
  for (const node of ring) node.directory.onChange(() => (changes += 1))
  await time.run(60_000)
  assert.ok(isComplete(ring))
  assert.equal(changes, 0)
})

test('a peer that was given up by mistake is back as soon as it connects again', async () => {
  const { start, connect, disconnect, time } = createDirectoryMesh({ gossipLoss: 1 })
  const [a, b] = [await start('a'), await start('b')]
  connect(a, b)
  await time.run(100)
  disconnect(a, b)
  a.directory.markGone(b.id)
  assert.deepEqual(a.others(), [])
  connect(a, b)
  await time.until(() => a.others().length === 1, 50)
})

test('a suspect stays in the offers, marked, and the change is told', async () => {
  const { start, connect, time } = createDirectoryMesh()
  const [a, b] = [await start('a'), await start('b')]
  await b.directory.announce({ protocols: [describe(echo)] })
  connect(a, b)
  await time.run(100)
  const told: string[] = []
  const { stop } = a.directory.onChange(({ type, agent }) => told.push(`${type} ${agent.name} ${agent.state}`))
  a.directory.markSuspect(b.id)
  assert.equal(a.directory.offers('echo', 1)[0]?.state, 'suspect')
  a.directory.markAlive(b.id)
  stop()
  a.directory.markSuspect(b.id)
  assert.deepEqual(told, ['changed b suspect', 'changed b alive'])
})

test('waiting for the first exchange ends with the signal, or with an error at stop', async () => {
  const { start } = createDirectoryMesh()
  const { directory } = await start('alone')
  const controller = new AbortController()
  const waiting = directory.firstSync({ signal: controller.signal })
  controller.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
  await assert.rejects(directory.firstSync({ signal: AbortSignal.abort(new Error('before')) }), /before/)
  const other = directory.firstSync()
  await directory.stop()
  await assert.rejects(other, (error) => isParleyError(error, 'COM002'))
})

test('a stopped directory is silent, serves nothing, hears nothing and announces nothing', async () => {
  const { start, connect, time } = createDirectoryMesh()
  const [a, b] = [await start('a'), await start('b')]
  connect(a, b)
  await time.run(100)
  await a.directory.stop()
  await a.directory.stop()
  const sent = a.directory.stats().sent
  await b.directory.announce({ price: 5 })
  await time.run(40_000)
  assert.deepEqual(a.directory.stats().sent, sent)
  assert.notEqual(a.directory.get(b.id)?.record.price, 5)
  const asked = b.port.to(a.id, directoryProtocol).sync({ digest: new Uint8Array(0) })
  await assert.rejects(time.settled(asked, 100), (error) => isParleyError(error, 'MSG004'))
  await assert.rejects(a.directory.announce({ price: 1 }), (error) => isParleyError(error, 'STA003'))
})
