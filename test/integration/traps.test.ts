/**
 * The traps of js-libp2p 3 that the code works round, each against real streams and connections. Others have their test
 * where the behaviour is: more than ten peers on one address and double connections in many.test.ts, no auto-dial in
 * stop.test.ts, a validator that must say Accept and duplicates in events.test.ts, the cut-off of gossip in slow.test.ts.
 */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { noise } from '@chainsafe/libp2p-noise'
import { identify } from '@libp2p/identify'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { makeSecret } from '../../node/index.ts'
import { forgetDisconnected } from '../../node/network/libp2p.ts'
import { createLinkPool } from '../../node/network/link-pool.ts'
import { streamDuplex } from '../../node/network/stream-duplex.ts'
import { clock, random, timers } from '../../node/platform/platform.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { frame, KIND } from '../../protocols/wire/frames/frame.ts'
import { FrameWriter } from '../../protocols/wire/frames/frame-writer.ts'
import { createLinkCounts } from '../../protocols/wire/link/link-limits.ts'
import { keptLog, startMesh, stopMeshes } from '../support/meshes.ts'
import { lateGossip, startRawPeer } from '../support/raw-peer.ts'
import { failureOf, timed, until } from '../support/until.ts'

const PROTOCOL = '/trap/1'
/** Libp2p takes 5 a second and address unless told otherwise. */
const DIALS = 16
const nodes: Libp2p[] = []

const bare = async (listen: string[]): Promise<Libp2p> => {
  const node = await createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify() },
  })
  nodes.push(node)
  return node
}

/** Two bare nodes with one connection, seen from the one that dialled. */
const connected = async (): Promise<{ far: Libp2p; connection: Connection }> => {
  const far = await bare(['/ip4/127.0.0.1/tcp/0'])
  const near = await bare([])
  const connection = await near.dial(far.getMultiaddrs())
  return { far, connection }
}

/** A stream from near to far, both ends. */
const streamPair = async (): Promise<{ sender: Stream; receiver: Stream }> => {
  const { far, connection } = await connected()
  const { promise, resolve } = Promise.withResolvers<Stream>()
  await far.handle(PROTOCOL, (stream) => resolve(stream))
  const sender = await connection.newStream(PROTOCOL)
  return { sender, receiver: await promise }
}

describe('traps of libp2p', { timeout: 60_000 }, () => {
  it('remembers every peer that it ever met: those that are not connected are taken out', async () => {
    const { far, connection } = await connected()
    const known = async (): Promise<string[]> => (await far.peerStore.all()).map(({ id }) => id.toString())
    const guest = await bare([])
    await guest.dial(far.getMultiaddrs())
    await until('both are known', async () => (await known()).length === 2)
    await guest.stop()
    await until('one is gone', () => far.getConnections().length === 1)
    assert.equal((await known()).length, 2, 'libp2p forgets by itself now: forgetAbsent() can go')
    await forgetDisconnected(far)
    assert.equal((await known()).length, 1)
    assert.equal(connection.status, 'open')
  })

  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
    await stopMeshes()
  })

  it('newStream() may hand over a stream that was reset already: a call over it fails at once', async () => {
    const { far, connection } = await connected()
    // Beyond its limit a node resets streams while newStream() resolves at the other side.
    await far.handle('/parley/trap/1', () => {}, { maxInboundStreams: 1 })
    const links = createLinkPool({
      clock,
      timers,
      log: keptLog(),
      compression: { encodings: [], compress: async (_, bytes) => bytes, decompress: (_, bytes) => bytes },
      defer: queueMicrotask,
      random,
      counts: createLinkCounts(),
      limits: {
        maxMessageBytes: 1 << 20,
        maxFrameBytes: 1 << 17,
        partBytes: 1 << 16,
        maxInFlight: 10,
        maxQueuedCalls: 10,
        maxQueuedBytes: 1 << 20,
        maxUnsentBytes: 1 << 18,
        streamWindow: 10,
        compressMinBytes: 0,
        maxCallMs: 60_000,
        maxStreamMs: 60_000,
        streamIdleMs: 60_000,
      },
      self: 'near',
      openTimeoutMs: 5_000,
      idleMs: 60_000,
      loopback: () => {
        throw new Error('nobody calls itself here')
      },
      current: () => connection,
      isOwn: () => false,
      connection: async () => connection,
    })
    const target = { peer: far.peerId.toString(), protocolId: '/parley/trap/1', version: '1.0.0' }
    await links.open(target)
    const signal = AbortSignal.timeout(5_000)
    const outcomes = await timed(() =>
      Promise.all(
        Array.from({ length: 20 }, async () => {
          const link = await links.openOn(connection, target, signal)
          return link.unary({
            label: 'trap',
            method: 'spring',
            payload: new Uint8Array(1),
            content: 0,
            priority: 0,
            timeoutMs: 4_000,
            ttlMs: undefined,
            signal: undefined,
            extra: undefined,
          })
        }).map((call) => failureOf(call)),
      ),
    )
    for (const error of outcomes.value) assert.ok(isParleyError(error, 'COM002'), `${error}`)
    assert.ok(outcomes.ms < 2_000, `${outcomes.ms} ms: none waited for its deadline`)
    await links.close(0)
  })

  it('drain may come late and idle early: whatever is written arrives, and little of it waits in the stream', async () => {
    const { sender, receiver } = await streamPair()
    const unsent = 256 * 1024
    const duplex = streamDuplex(sender)
    const outbox = new FrameWriter(duplex, {
      maxWriteBytes: 65_536,
      maxWriteFrames: 256,
      maxQueuedBytes: 1 << 20,
      maxUnsentBytes: unsent,
      defer: queueMicrotask,
      monotonic: () => clock.monotonic(),
    })
    duplex.listen({ data: () => {}, writable: () => outbox.flush(), close: () => {} })
    let received = 0
    const slow = streamDuplex(receiver)
    slow.listen({
      data(bytes) {
        received += bytes.length
        // A reader that stops again and again is what makes the writer meet every state of its buffer.
        slow.pause()
        setImmediate(() => slow.resume())
      },
      writable: () => {},
      close: () => {},
    })
    const part = new Uint8Array(60_000)
    const total = 800
    let peak = 0
    for (let sent = 0; sent < total; sent += 1) {
      await new Promise<void>((resolve) => outbox.whenRoom(resolve))
      const item = frame(KIND.item, 1, part)
      outbox.push({ frame: item, deadlineAt: 0, expiresAt: 0, owner: undefined, last: true })
      peak = Math.max(peak, duplex.buffered())
    }
    await until('all arrived', () => received >= total * part.length, 20_000)
    assert.ok(peak <= unsent + 2 * 65_536 + part.length, `${peak} bytes waited in the stream`)
    assert.equal(outbox.queuedBytes(), 0)
  })

  it('a reader has no backpressure of its own: one that is paused is sent no more than the windows hold', async () => {
    const { sender, receiver } = await streamPair()
    let received = 0
    const paused = streamDuplex(receiver)
    paused.listen({
      data(bytes) {
        received += bytes.length
      },
      writable: () => {},
      close: () => {},
    })
    sender.send(new Uint8Array(1000))
    await until('it flows', () => received === 1000)
    paused.pause()
    const duplex = streamDuplex(sender)
    let sent = 0
    let steadySince = performance.now()
    await until('the sender stands still', () => {
      if (duplex.buffered() < 256 * 1024) {
        sender.send(new Uint8Array(65_536))
        sent += 65_536
        steadySince = performance.now()
      }
      return performance.now() - steadySince > 300
    })
    assert.ok(sent < 4 << 20, `${sent} bytes were taken for a reader that is paused`)
    assert.equal(received, 1000)
    assert.equal(receiver.status, 'open', 'nor was the stream reset for a read buffer that is too full')
    paused.resume()
    await until('the rest arrives', () => received === 1000 + sent)
  })

  it('five connections a second from one address are not too many', async () => {
    const host = await startMesh({ name: 'host' })
    const diallers = await Promise.all(Array.from({ length: DIALS }, () => bare([])))
    const address = multiaddr(host.mesh.self.addresses[0] ?? '')
    const dials = await Promise.allSettled(
      diallers.map((dialler) => dialler.dial(address, { signal: AbortSignal.timeout(10_000) })),
    )
    assert.equal(dials.filter(({ status }) => status === 'fulfilled').length, DIALS)
    await until('all are open at the host', () => host.mesh.figures().connections === DIALS)
  })

  for (const order of ['before', 'after'] as const) {
    it(`gossip flows both ways with a peer that opened its gossip stream ${order} it was admitted`, async () => {
      const mesh = `order-${order}`
      const secret = makeSecret()
      const host = await startMesh({ name: 'host', mesh, secret })
      const turn = Promise.withResolvers<void>()
      const raw = await startRawPeer(
        order === 'before' ? {} : { underGossip: (components) => lateGossip(components, turn.promise) },
      )
      const { gossip } = raw.libp2p.services
      const topic = `parley/${mesh}/agents.presence`
      const heard: number[] = []
      gossip.addEventListener(
        'message',
        ({ detail }) => void (detail.topic === topic && heard.push(detail.data.length)),
      )
      const tokens = [await raw.token(mesh, secret)]
      const connection = await raw.dial(host.mesh.self.addresses[0] ?? '')
      if (order === 'before') await until('its stream is held', () => host.mesh.figures().heldStreams > 0)
      await raw.admit(connection, mesh, tokens)
      turn.resolve()
      gossip.subscribe(topic)
      await until('it knows what the host hears', () => gossip.getSubscribers(topic).length === 1)
      const { rejected } = host.mesh.figures().gossip
      await gossip.publish(topic, new Uint8Array(64))
      await until('the host looked at what it said', () => host.mesh.figures().gossip.rejected > rejected)
      // A change of the host's own record is gossiped.
      await host.mesh.directory.announce({ labels: { order } })
      await until('it heard the host', () => heard.length > 0)
      await raw.stop()
    })
  }
})
