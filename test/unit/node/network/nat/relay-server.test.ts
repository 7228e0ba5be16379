/** A relay over real connections: places and their end, bounds at the limit and one past it, guests that misbehave. */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import type { Connection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import {
  decodeHop,
  decodeStop,
  encodeHop,
  encodeStop,
  HOP,
  type HopMessage,
  RELAY_STATUS,
  RESERVATION_MS,
  readMessage,
  STOP,
  withLengthPrefix,
} from '../../../../../node/network/nat/relay-messages.ts'
import {
  MAX_RESERVATIONS_PER_ADDRESS,
  type RelayServer,
  type RelayServerDeps,
  startRelayServer,
} from '../../../../../node/network/nat/relay-server.ts'
import { timers } from '../../../../../node/platform/platform.ts'
import { startBareNode } from '../../../../support/bare-node.ts'
import { until } from '../../../../support/until.ts'

const running: { stop(): unknown }[] = []
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

const startNode = async (): Promise<Libp2p> => {
  const node = await startBareNode()
  running.push(node)
  return node
}

const SOON = (): AbortSignal => AbortSignal.timeout(5_000)
const silent = { error() {}, warn() {}, info() {} }

interface Peer {
  readonly node: Libp2p
  readonly connection: Connection
  readonly id: string
}

const setUp = async (bounds: { maxReservations?: number; maxConnections?: number } = {}) => {
  const relay = await startNode()
  const time = { now: 1_000_000 }
  const left = new Set<(peer: string) => void>()
  /** As whom the relay sees the next one that asks. */
  let guise: { peer: string; address: string } | undefined
  const seenAs = (connection: Connection): Connection => {
    if (guise === undefined) return connection
    const { peer, address } = guise
    return { remotePeer: { toString: () => peer }, remoteAddr: multiaddr(address) } as unknown as Connection
  }
  const deps: RelayServerDeps = {
    gate: { hold: (_, __, pass) => pass() },
    clock: { now: () => time.now, monotonic: () => time.now },
    timers,
    log: silent,
    connectionOf: (peer) => relay.getConnections().find(({ remotePeer }) => remotePeer.toString() === peer),
    handle: (protocol, take, options) =>
      relay.handle(protocol, (stream, connection) => take(stream, seenAs(connection)), options),
    onLeft(fn) {
      left.add(fn)
      return () => void left.delete(fn)
    },
  }
  const server: RelayServer = await startRelayServer(deps, {
    maxReservations: 8,
    maxConnections: 8,
    maxBytesPerSecond: 1 << 30,
    ...bounds,
  })
  running.push(server)

  /** @param answer what it says where somebody wants to connect; it echoes what comes then */
  const join = async (answer: number | 'nothing' = RELAY_STATUS.ok): Promise<Peer> => {
    const node = await startNode()
    await node.handle(STOP, async (stream) => {
      const { message } = await readMessage(stream, SOON())
      assert.equal(decodeStop(message).type, 'connect')
      if (answer === 'nothing') return stream.abort(new Error('not now'))
      stream.addEventListener('message', ({ data }) => void stream.send(data))
      stream.send(withLengthPrefix(encodeStop({ type: 'status', status: answer })))
      stream.resume()
    })
    const connection = await node.dial(relay.getMultiaddrs())
    return { node, connection, id: node.peerId.toString() }
  }
  const say = async (
    { connection }: Peer,
    hop: HopMessage | Uint8Array,
  ): Promise<{ stream: Stream; answer: HopMessage }> => {
    const stream = await connection.newStream(HOP)
    stream.send(hop instanceof Uint8Array ? hop : withLengthPrefix(encodeHop(hop)))
    return { stream, answer: decodeHop((await readMessage(stream, SOON())).message) }
  }
  /** Asks for a place as a guest that is seen under this address. */
  const reserveFrom = async (asker: Peer, peer: string, address: string): Promise<number | undefined> => {
    guise = { peer, address }
    const { stream, answer } = await say(asker, { type: 'reserve' })
    guise = undefined
    await stream.close()
    return answer.status
  }
  const reserve = async (peer: Peer) => (await say(peer, { type: 'reserve' })).answer
  const connect = (from: Peer, to: Peer) => say(from, { type: 'connect', peer: to.node.peerId.toMultihash().bytes })
  return {
    server,
    time,
    join,
    say,
    reserve,
    reserveFrom,
    connect,
    leave: (peer: string) => left.forEach((fn) => void fn(peer)),
  }
}

const statusOf = async (said: Promise<{ answer: HopMessage }>): Promise<number | undefined> =>
  (await said).answer.status

test('who has a place is connected to, with bytes both ways', async () => {
  const { server, join, reserve, connect, time } = await setUp()
  const [guest, caller] = [await join(), await join()]
  const given = await reserve(guest)
  assert.deepEqual(given, { type: 'status', status: RELAY_STATUS.ok, expires: (time.now + RESERVATION_MS) / 1000 })
  const { stream, answer } = await connect(caller, guest)
  assert.equal(answer.status, RELAY_STATUS.ok)
  let heard = ''
  stream.addEventListener('message', ({ data }) => {
    heard += Buffer.from(data.subarray()).toString()
  })
  stream.resume()
  stream.send(Buffer.from('through'))
  await until('the echo is back', () => heard === 'through')
  const { bytes, carried, connections, places } = server.figures()
  assert.deepEqual({ bytes, carried, connections, places }, { bytes: 14, carried: 1, connections: 1, places: 1 })
  await stream.close()
  stream.abort(new Error('done'))
  await until('it is forgotten', () => server.figures().connections === 0)
})

test('a place runs out, unless it is asked for again', async () => {
  const { server, join, reserve, connect, time } = await setUp()
  const [guest, caller] = [await join(), await join()]
  await reserve(guest)
  time.now += RESERVATION_MS - 1
  assert.equal(await statusOf(connect(caller, guest)), RELAY_STATUS.ok)
  await reserve(guest)
  time.now += RESERVATION_MS - 1
  assert.equal(await statusOf(connect(caller, guest)), RELAY_STATUS.ok)
  time.now += 1
  assert.equal(await statusOf(connect(caller, guest)), RELAY_STATUS.noReservation)
  assert.deepEqual([server.figures().places, server.figures().refused], [0, { noReservation: 1 }])
  assert.equal(server.figures().connections, 2, 'what is carried goes on')
})

test('places are bounded: one more is refused, who has one may keep it, who leaves frees it', async () => {
  const { server, join, reserve, leave } = await setUp({ maxReservations: 2 })
  const [first, second, third] = [await join(), await join(), await join()]
  for (const peer of [first, second, first]) assert.equal((await reserve(peer)).status, RELAY_STATUS.ok)
  assert.equal((await reserve(third)).status, RELAY_STATUS.reservationRefused)
  leave(first.id)
  assert.equal((await reserve(third)).status, RELAY_STATUS.ok)
  assert.deepEqual([server.figures().places, server.figures().refused], [2, { reservationRefused: 1 }])
})

test('guests under one address have so many places, those of this machine excepted', async () => {
  const { server, join, reserveFrom: from } = await setUp({ maxReservations: 2 * MAX_RESERVATIONS_PER_ADDRESS })
  const asker = await join()
  const reserveFrom = (peer: string, address: string) => from(asker, peer, address)
  for (let n = 0; n < MAX_RESERVATIONS_PER_ADDRESS; n += 1)
    assert.equal(await reserveFrom(`guest ${n}`, '/ip4/192.0.2.1/tcp/4001'), RELAY_STATUS.ok)
  assert.equal(await reserveFrom('one more', '/ip4/192.0.2.1/tcp/4002'), RELAY_STATUS.reservationRefused)
  assert.equal(await reserveFrom('guest 0', '/ip4/192.0.2.1/tcp/4001'), RELAY_STATUS.ok, 'it keeps its own')
  assert.equal(await reserveFrom('elsewhere', '/ip4/192.0.2.2/tcp/4001'), RELAY_STATUS.ok)
  assert.equal(server.figures().places, MAX_RESERVATIONS_PER_ADDRESS + 1)
})

test('guests under one address do not get all places of a relay that has few', async () => {
  const { join, reserveFrom } = await setUp({ maxReservations: 8 })
  const asker = await join()
  for (let n = 0; n < 6; n += 1)
    assert.equal(await reserveFrom(asker, `guest ${n}`, '/ip4/192.0.2.1/tcp/4001'), RELAY_STATUS.ok)
  assert.equal(await reserveFrom(asker, 'one more', '/ip4/192.0.2.1/tcp/4001'), RELAY_STATUS.reservationRefused)
  assert.equal(await reserveFrom(asker, 'elsewhere', '/ip4/192.0.2.2/tcp/4001'), RELAY_STATUS.ok)
})

test('connections are bounded, all together, of each pair, and of who asks for them', async () => {
  const { server, join, reserve, connect } = await setUp({ maxConnections: 5 })
  const [guest, other, caller] = [await join(), await join(), await join()]
  await reserve(guest)
  await reserve(other)
  for (let made = 0; made < 4; made += 1) assert.equal(await statusOf(connect(caller, guest)), RELAY_STATUS.ok)
  assert.equal(await statusOf(connect(caller, guest)), RELAY_STATUS.resourceLimit, 'a fifth of one pair')
  assert.equal(
    await statusOf(connect(caller, other)),
    RELAY_STATUS.resourceLimit,
    'the last one is not for who has most',
  )
  assert.equal(await statusOf(connect(guest, other)), RELAY_STATUS.ok)
  assert.equal(await statusOf(connect(other, guest)), RELAY_STATUS.resourceLimit, 'a sixth of all')
  assert.deepEqual([server.figures().connections, server.figures().refused], [5, { resourceLimit: 3 }])
})

for (const answer of [RELAY_STATUS.permissionDenied, 'nothing'] as const) {
  test(`a guest that answers with ${answer} costs the caller its connection, and the relay nothing`, async () => {
    const { server, join, reserve, connect } = await setUp({ maxConnections: 1 })
    const [guest, caller] = [await join(answer), await join()]
    await reserve(guest)
    for (let tried = 1; tried <= 2; tried += 1) {
      assert.equal(await statusOf(connect(caller, guest)), RELAY_STATUS.connectionFailed)
      assert.deepEqual([server.figures().connections, server.figures().refused], [0, { connectionFailed: tried }])
    }
  })
}

test('nobody is connected to itself, to a key that is none, or by a message that is none', async () => {
  const { server, join, reserve, connect, say } = await setUp()
  const guest = await join()
  await reserve(guest)
  assert.equal(await statusOf(connect(guest, guest)), RELAY_STATUS.malformed)
  assert.equal(await statusOf(say(guest, { type: 'connect', peer: Uint8Array.of(1, 2, 3) })), RELAY_STATUS.malformed)
  assert.equal(await statusOf(say(guest, { type: 'connect' })), RELAY_STATUS.malformed)
  assert.equal(await statusOf(say(guest, { type: 'status' })), RELAY_STATUS.unexpected)
  const stream = await guest.connection.newStream(HOP)
  stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff))
  await until('it is broken off', () => stream.status !== 'open')
  assert.deepEqual(server.figures().refused, { malformed: 4, unexpected: 1 })
})

test('a relay that stops breaks off what it carries', async () => {
  const { server, join, reserve, connect } = await setUp()
  const [guest, caller] = [await join(), await join()]
  await reserve(guest)
  const { stream } = await connect(caller, guest)
  server.stop()
  await until('it is broken off', () => stream.status !== 'open')
  assert.equal(server.figures().places, 0)
})
