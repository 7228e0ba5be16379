/** The stream gate: gossip of a peer is heard on the connection that is in use, and after a while on any that is admitted. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, PeerId, Stream, StreamHandler } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { createStreamGater, USE_WAIT_MS } from '../../../../node/trust/stream-gater.ts'

const MAX_HELD = 2

interface Shown {
  aborted: number
  resumed: number
}
const streamOf = (): Stream & Shown => {
  const stream = {
    readStatus: 'readable',
    aborted: 0,
    resumed: 0,
    pause: () => Object.assign(stream, { readStatus: 'paused' }),
    resume: () => Object.assign(stream, { readStatus: 'readable', resumed: stream.resumed + 1 }),
    abort: () => Object.assign(stream, { aborted: stream.aborted + 1 }),
  }
  return stream as unknown as Stream & Shown
}
const connectionOf = (peer: PeerId): Connection => ({ remotePeer: peer, status: 'open' }) as unknown as Connection

const start = async () => {
  const time = createVirtualTime()
  const gate = createStreamGater(MAX_HELD, time)
  let open: StreamHandler = () => undefined
  const told: string[] = []
  const heard: Stream[] = []
  const real = {
    handle(_protocol: string, handler: StreamHandler) {
      open = handler
    },
  }
  const registrar = gate.registrar(real as unknown as Parameters<typeof gate.registrar>[0])
  await registrar.handle('/meshsub/1.1.0', (stream) => void heard.push(stream))
  await registrar.register('/meshsub/1.1.0', {
    onConnect: () => void told.push('connect'),
    onDisconnect: () => void told.push('disconnect'),
  })
  const peer = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  const connect = (): Connection => {
    const connection = connectionOf(peer)
    gate.settle(connection, 'admitted')
    return connection
  }
  return { time, gate, peer, connect, told, heard, open: (stream: Stream, on: Connection) => open(stream, on) }
}

describe('a stream of gossip', () => {
  it('is heard at once on the connection that is in use, and held on another one until that is', async () => {
    const { gate, peer, connect, told, heard, open } = await start()
    const [one, other] = [connect(), connect()]
    gate.setGossipConnection(peer, one)
    const [first, second] = [streamOf(), streamOf()]
    await open(first, one)
    await open(second, other)
    assert.deepEqual(heard, [first])
    gate.setGossipConnection(peer, other)
    assert.deepEqual(heard, [first, second])
    assert.deepEqual([second.resumed, second.readStatus], [1, 'readable'])
    assert.deepEqual(told, ['connect', 'disconnect', 'connect'])
  })

  it('is heard after a while where the peer uses another connection than this node', async () => {
    const { time, gate, peer, connect, heard, open } = await start()
    const [one, other] = [connect(), connect()]
    gate.setGossipConnection(peer, one)
    const stream = streamOf()
    await open(stream, other)
    await time.run(USE_WAIT_MS - 1)
    assert.deepEqual(heard, [])
    await time.run(1)
    assert.deepEqual(heard, [stream])
    await time.run(10 * USE_WAIT_MS)
    assert.equal(heard.length, 1)
  })

  it('is never heard of a peer that is no neighbour, nor once its connection is closed', async () => {
    const { time, gate, peer, connect, heard, open } = await start()
    const [one, other] = [connect(), connect()]
    const [first, second] = [streamOf(), streamOf()]
    await open(first, one)
    await time.run(2 * USE_WAIT_MS)
    gate.setGossipConnection(peer, one)
    assert.deepEqual(heard, [first])
    await open(second, other)
    gate.forget(other)
    await time.run(2 * USE_WAIT_MS)
    assert.deepEqual([heard.length, second.aborted], [1, 1])
  })

  it('is refused beyond so many of a connection', async () => {
    const { gate, peer, connect, open } = await start()
    const [one, other] = [connect(), connect()]
    gate.setGossipConnection(peer, one)
    const streams = [streamOf(), streamOf(), streamOf()]
    for (const stream of streams) await open(stream, other)
    assert.deepEqual(
      streams.map(({ aborted }) => aborted),
      [0, 0, 1],
    )
    assert.equal(gate.refusedStreams(), 1)
  })
})
