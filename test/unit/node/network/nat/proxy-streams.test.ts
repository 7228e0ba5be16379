/** Two streams made into one, over real connections: nothing lost, no more read than the other side takes, ends passed on. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { afterEach, test } from 'node:test'
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import {
  createSharedRate,
  HIGH_BYTES,
  proxyStreams,
  type SharedRate,
  type StreamProxy,
} from '../../../../../node/network/nat/proxy-streams.ts'
import { timers } from '../../../../../node/platform/platform.ts'
import { createVirtualTime } from '../../../../../node/testing/virtual/virtual-time.ts'
import { startBareNode } from '../../../../support/bare-node.ts'
import { until } from '../../../../support/until.ts'

const PROTOCOL = '/test/splice/1'
const MIB = 1 << 20
const running: Libp2p[] = []
afterEach(async () => {
  for (const node of running.splice(0)) await node.stop()
})

const startNode = async (): Promise<Libp2p> => {
  const node = await startBareNode()
  running.push(node)
  return node
}

const unpaced: SharedRate = { take: () => 0 }

/** A caller's stream that leads through a node in the middle to the callee's. */
const setUp = async (pace: SharedRate = unpaced) => {
  const [caller, middle, callee] = [await startNode(), await startNode(), await startNode()]
  const seen = { passed: 0, ended: 0, most: 0, slowed: 0 }
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<Stream>()
  const { promise: joined, resolve: join } = Promise.withResolvers<{
    made: StreamProxy
    onward: Stream
    inward: Stream
  }>()
  await callee.handle(PROTOCOL, (stream) => arrive(stream))
  await middle.handle(PROTOCOL, async (inward) => {
    const onward = await middle.dialProtocol(callee.getMultiaddrs(), PROTOCOL)
    const made = proxyStreams(
      { stream: inward, rest: Buffer.from('first ') },
      { stream: onward, rest: undefined },
      {
        rate: pace,
        timers,
        passed(bytes) {
          seen.passed += bytes
          seen.most = Math.max(seen.most, onward.writeBufferLength, inward.writeBufferLength)
        },
        slowed() {
          seen.slowed += 1
        },
        ended() {
          seen.ended += 1
        },
      },
    )
    join({ made, onward, inward })
  })
  const near = await caller.dialProtocol(middle.getMultiaddrs(), PROTOCOL)
  const far = await arrived
  return { near, far, seen, ...(await joined) }
}

const heardBy = (stream: Stream) => {
  const hash = createHash('sha256')
  const heard = { bytes: 0, text: '', digest: () => hash.copy().digest('hex') }
  stream.addEventListener('message', ({ data }: StreamMessageEvent) => {
    const bytes = data.subarray()
    hash.update(bytes)
    heard.bytes += bytes.length
    if (heard.text.length < 100) heard.text += Buffer.from(bytes).toString('latin1')
  })
  return heard
}

test('what comes on either side goes out on the other, in order, with what was read before', async () => {
  const { near, far, seen } = await setUp()
  const [heard, answered] = [heardBy(far), heardBy(near)]
  near.send(Buffer.from('there'))
  far.send(Buffer.from('and back'))
  await until('both have heard', () => heard.text === 'first there' && answered.text === 'and back')
  assert.equal(seen.passed, 'first there'.length + 'and back'.length)
})

test('a side that does not read holds the other back, and gets all once it does', async () => {
  const { near, far, seen, onward } = await setUp()
  far.pause()
  const bytes = randomBytes(16 * MIB)
  for (let at = 0; at < bytes.length; at += 64 * 1024) near.send(bytes.subarray(at, at + 64 * 1024))
  await until('the middle is full', () => onward.writeBufferLength > 0)
  let before = -1
  await until(
    'nothing moves any more',
    () => {
      const isStill = seen.passed === before
      before = seen.passed
      return isStill
    },
    10_000,
    200,
  )
  assert.ok(near.writeBufferLength > 8 * MIB, `${near.writeBufferLength} bytes wait at the caller`)
  assert.ok(seen.most < HIGH_BYTES + 2 * MIB, `${seen.most} bytes waited in the middle`)
  const heard = heardBy(far)
  far.resume()
  await until('all has arrived', () => heard.bytes === bytes.length + 'first '.length, 20_000)
  assert.equal(heard.digest(), createHash('sha256').update('first ').update(bytes).digest('hex'))
})

test('the end of one side ends the other, and is told once', async () => {
  const { near, far, seen } = await setUp()
  const heard = heardBy(far)
  near.send(Buffer.from('the last'))
  await near.close()
  await until('the end has come', () => far.remoteWriteStatus === 'closed')
  assert.equal(heard.text, 'first the last')
  assert.equal(seen.ended, 0, 'the other way is open still')
  await far.close()
  await until('both have ended', () => seen.ended === 1)
})

test('a break on one side breaks the other', async () => {
  const { near, far, seen } = await setUp()
  near.abort(new Error('enough'))
  await until('the other side is broken off', () => far.status === 'reset')
  await until('it is told', () => seen.ended === 1)
})

test('one that is broken off breaks both sides, and is told once', async () => {
  const { near, far, seen, made } = await setUp()
  made.abort(new Error('the relay is stopping'))
  made.abort(new Error('again'))
  await until('both are broken off', () => near.status === 'reset' && far.status === 'reset')
  assert.equal(seen.ended, 1)
})

test('bytes above the pace wait, and none is lost', async () => {
  const clock = { monotonic: () => performance.now() }
  const { near, far, seen } = await setUp(createSharedRate(clock, 4 * MIB))
  const heard = heardBy(far)
  const startedAt = performance.now()
  const bytes = randomBytes(3 * MIB)
  near.send(bytes)
  await until('all has arrived', () => heard.bytes === bytes.length + 'first '.length)
  // A quarter of a second's bytes go at once, and one message may be ahead.
  const least = ((2 - 0.3) / 4) * 1000
  assert.ok(seen.slowed > 0, 'it is counted')
  assert.ok(performance.now() - startedAt > least, `${performance.now() - startedAt} ms for ${seen.passed} bytes`)
  assert.equal(heard.digest(), createHash('sha256').update('first ').update(bytes).digest('hex'))
})

test('a pace lets a burst pass, then so much a second, and forgets what was not used', () => {
  const time = createVirtualTime()
  let now = 0
  const pace = createSharedRate({ ...time, monotonic: () => now }, 1000)
  assert.deepEqual([pace.take(250), pace.take(100), pace.take(100)], [0, 100, 200])
  now = 200
  assert.equal(pace.take(0), 0)
  now = 1_000_000
  assert.deepEqual([pace.take(250), pace.take(1)], [0, 1])
})
