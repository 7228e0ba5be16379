/** Bounds of unadmitted connections on libp2p's own: a real node, its muxer, and a stranger who writes frames by hand. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { Connection, StreamMuxer } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { createLibp2p, type Libp2p } from 'libp2p'
import { ConnectionLimits } from '../../../../node/network/connection-limits.ts'
import { tunedNoise } from '../../../../node/network/overrides/noise.ts'
import { tunedYamux } from '../../../../node/network/overrides/yamux.ts'
import { MORE_STREAMS } from '../../../../node/network/unadmitted-connections.ts'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { startBareNode } from '../../../support/bare-node.ts'
import { until } from '../../../support/until.ts'

const HELD = 4
/** So many fit in one message of the encryption, and are handed to the muxer in one piece. */
const FRAMES = 900
/** Source: yamux specification, "Framing". */
const HEADER_BYTES = 12
const WINDOW_UPDATE = 1
const SYN = 1

const running: Libp2p[] = []
after(() => Promise.all(running.map((node) => node.stop())))

const muxerOf = (connection: Connection): StreamMuxer & { send(bytes: Uint8Array): void } =>
  Reflect.get(connection, 'muxer')

/** A node with the bounds, as node/network/libp2p.ts puts them in, and what it saw of the one that dialled it. */
const bounded = async () => {
  const time = createVirtualTime()
  const limits = new ConnectionLimits({
    clock: { monotonic: time.now },
    timers: time,
    limits: { maxConnections: 10, inboundConnectionsPerSecond: 100, maxHeldStreams: HELD },
    handshakeMs: 10_000,
  })
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [tunedNoise()],
    streamMuxers: [tunedYamux()],
    connectionGater: { denyInboundConnection: (raw) => limits.denyInbound(raw, 0) },
    connectionMonitor: { enabled: false },
  })
  running.push(node)
  const seen: { connection?: Connection; streams: number } = { streams: 0 }
  node.addEventListener('connection:open', ({ detail }) => {
    limits.opened(detail)
    seen.connection = detail
    muxerOf(detail).addEventListener('stream', () => {
      seen.streams += 1
    })
  })
  return { node, limits, seen }
}

/** Frames that open streams, one behind the other. */
const opening = (count: number): Uint8Array => {
  const bytes = Buffer.alloc(count * HEADER_BYTES)
  for (let n = 0; n < count; n += 1) {
    const at = n * HEADER_BYTES
    bytes.writeUInt8(WINDOW_UPDATE, at + 1)
    bytes.writeUInt16BE(SYN, at + 2)
    // Whoever dialled has the odd ones.
    bytes.writeUInt32BE(2 * n + 1, at + 4)
  }
  return bytes
}

test('frames of an ended connection are thrown away, though they came in one piece with those that it was ended for', async () => {
  const { node, limits, seen } = await bounded()
  const stranger = await startBareNode()
  running.push(stranger)
  const connection = await stranger.dial(node.getMultiaddrs())
  await until('it is seen', () => seen.connection)
  muxerOf(connection).send(opening(FRAMES))
  await until('it is ended', () => seen.connection?.status !== 'open')
  const most = HELD + MORE_STREAMS
  assert.equal(limits.figures().refused.streams, 1)
  assert.equal(seen.streams, most + 1, 'the one past the limit is the last that was opened')
})
