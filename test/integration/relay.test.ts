/**
 * Relays: agents behind NAT, in network namespaces, called through a member that both can dial; and what a relay refuses.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { isRelayed } from '../../node/network/addresses/multiaddresses.ts'
import {
  decodeHop,
  encodeHop,
  encodeStop,
  HOP,
  RELAY_STATUS,
  readMessage,
  STOP,
  withLengthPrefix,
} from '../../node/network/nat/relay-messages.ts'
import { BRISK, type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { createSwitched, noSwitched, type Switched } from '../support/namespaces-mesh.ts'
import { behindNat, type Hidden } from '../support/nat.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { type RawPeer, startRawPeer } from '../support/raw-peer.ts'
import { failureOf, until } from '../support/until.ts'

const CALLS = 100_000
const IN_FLIGHT = 128
const EVENTS = 500
const PORT = 4001

describe('two agents, each behind NAT of its own, and two relays that both can dial', {
  timeout: 120_000,
  skip: noSwitched(),
}, () => {
  let net: Switched
  let [left, right]: Hidden[] = []
  const relays: Peer[] = []
  let caller: Peer
  let callee: Peer

  const relayOf = async (peer: Peer) => (await peer.ask('facts', undefined)).figures.relay ?? assert.fail('no relay')
  const carried = async (peer: Peer) => (await relayOf(peer)).serving ?? assert.fail('serves')
  const placesOf = (peer: Peer, count: number): Promise<string[]> =>
    until(`${count} places`, async () => {
      const { places } = await relayOf(peer)
      return places.length === count && places
    })

  before(async () => {
    net = createSwitched(4)
    const [one, two, routerA, routerB] = net.places
    if (one === undefined || two === undefined || routerA === undefined || routerB === undefined) assert.fail('places')
    left = behindNat(routerA, 11)
    right = behindNat(routerB, 12)
    const common = { mesh: 'nat', secret: makeSecret(), timings: { ...BRISK, backoffMaxMs: 300 } }
    const at = (address: string): string => `/ip4/${address}/tcp/${PORT}`
    const join = [at(one.address), at(two.address)]
    const hub = (place: typeof one, name: string) =>
      startPeer(
        { ...common, name, listen: [at(place.address)], join, discovery: { relay: { serve: true } } },
        { enter: place.enter },
      )
    // What an agent behind NAT knows of its own address, and what it would be with a port that is forwarded.
    const hidden = (place: Hidden, name: string) =>
      startPeer(
        { ...common, name, listen: [at(place.address)], announce: [at(place.outside)], join },
        { enter: place.enter },
      )
    relays.push(...(await Promise.all([hub(one, 'relay-one'), hub(two, 'relay-two')])))
    ;[caller, callee] = await Promise.all([hidden(left, 'caller'), hidden(right, 'callee')])
    await callee.ask('serveTally', undefined)
  })
  after(() => {
    endProcesses()
    net?.remove()
  })

  it('both find out that nobody can dial them, and take a place at each relay', async () => {
    for (const peer of [caller, callee]) {
      const places = await placesOf(peer, 2)
      assert.deepEqual(new Set(places), new Set(relays.map(({ id }) => id)))
      assert.equal((await relayOf(peer)).dialable, false)
    }
    await until('the relays know that they can be dialled', async () =>
      (await Promise.all(relays.map(relayOf))).every(
        ({ dialable, places }) => dialable === true && places.length === 0,
      ),
    )
  })

  it(`one calls the other ${CALLS.toLocaleString('en')} times through a relay, on one connection, and none is lost`, async (t) => {
    await until('they are connected', async () => (await relayOf(caller)).relayed === 1)
    const first = await caller.ask('callTally', { to: callee.id, count: 1, inFlight: 1 })
    assert.equal(first.answered, 1, first.failure)
    // Both may have dialled at once; the other connection is closed soon.
    const open = () => Promise.all(relays.map(async (relay) => (await carried(relay)).connections))
    await until('one connection is left', async () => (await open()).reduce((sum, one) => sum + one, 0) === 1)
    const before = await Promise.all(relays.map(carried))
    const load = { to: callee.id, count: CALLS, inFlight: IN_FLIGHT }
    const told = await caller.ask('callTally', load, { limitMs: 60_000 })
    const ran = await callee.ask('tallied', undefined)
    const after = await Promise.all(relays.map(carried))
    const bytes = after.reduce((sum, { bytes }, i) => sum + bytes - (before[i]?.bytes ?? 0), 0)
    t.diagnostic(
      `${CALLS} calls in ${told.ms} ms, ${Math.round(CALLS / (told.ms / 1000))} a second, ${bytes} bytes carried`,
    )
    assert.deepEqual({ ...told, ms: 0 }, { answered: CALLS, wrong: 0, failed: 0, failure: undefined, ms: 0 })
    assert.equal(ran, CALLS + 1, 'each was run once')
    assert.ok(bytes > CALLS * 20, `${bytes} bytes went through the relays`)
    assert.deepEqual(
      after.map(({ carried, connections }) => ({ carried, connections })),
      before.map(({ carried, connections }) => ({ carried, connections })),
      'the connection was not made anew',
    )
  })

  it('events reach it', async () => {
    const { subscription } = await callee.ask('subscribe', { pattern: 'news.*' })
    await until('somebody is subscribed', async () => (await caller.ask('publish', { topic: 'news.first' })) > 0)
    await caller.ask('publish', { topic: 'news.more', count: EVENTS })
    const heard = async () =>
      (await callee.ask('heard', { subscription })).events.filter(({ topic }) => topic === 'news.more').length
    await until('all are heard', async () => (await heard()) === EVENTS)
  })

  it('the relay is killed, and calls go on through the other one', async (t) => {
    const serving = await Promise.all(relays.map(carried))
    const inUse = serving.findIndex(({ connections }) => connections > 0)
    const [killed, other] = inUse === 0 ? relays : relays.toReversed()
    const [underWay] = await Promise.all([
      caller.ask('callTally', { to: callee.id, count: 20_000, inFlight: IN_FLIGHT }),
      killed?.kill(),
    ])
    assert.equal(underWay.answered + underWay.failed, 20_000, 'each call under way ended')
    assert.equal(underWay.wrong, 0)
    const killedAt = performance.now()
    const answered = async () =>
      (await caller.ask('callTally', { to: callee.id, count: 1, inFlight: 1 })).answered === 1
    await until('a call is answered', answered, 15_000)
    t.diagnostic(
      `${underWay.failed} of 20,000 calls under way failed: ${underWay.failure}; the next one was answered after ${Math.round(performance.now() - killedAt)} ms`,
    )
    assert.ok(((await (other && carried(other)))?.connections ?? 0) > 0, 'the other relay carries it')
    for (const peer of [caller, callee]) assert.deepEqual(await placesOf(peer, 1), [other?.id])
    const told = await caller.ask('callTally', { to: callee.id, count: 2_000, inFlight: IN_FLIGHT })
    assert.equal(told.answered, 2_000, told.failure)
  })

  it('a direct connection takes the place of the relayed one once it is possible', async (t) => {
    const forwardedAt = performance.now()
    right?.forward(PORT)
    await until('it is replaced', async () => (await relayOf(caller)).relayed === 0, 20_000)
    t.diagnostic(`${Math.round(performance.now() - forwardedAt)} ms after the port was forwarded`)
    const told = await caller.ask('callTally', { to: callee.id, count: 2_000, inFlight: IN_FLIGHT })
    assert.equal(told.answered, 2_000, told.failure)
    const standing = await Promise.all(relays.map((relay) => carried(relay).catch(() => undefined)))
    assert.ok(
      standing.some((one) => one !== undefined),
      'one relay is left',
    )
    await until('the relayed one is closed', async () =>
      (await Promise.all(relays.map((relay) => carried(relay).catch(() => undefined)))).every(
        (one) => one === undefined || one.connections === 0,
      ),
    )
  })
})

describe('a relay', { timeout: 60_000 }, () => {
  const secret = makeSecret()
  const common = { mesh: 'relays', secret, timings: { ...BRISK, admissionTimeoutMs: 1_000 } }
  const raws: RawPeer[] = []
  afterEach(async () => {
    await stopMeshes()
    for (const raw of raws.splice(0)) await raw.stop()
  })

  const startRelay = (name: string, relay: object = {}, join: string[] = []): Promise<OwnMesh> =>
    startMesh({ ...common, name, join, discovery: { relay: { serve: true, use: 'never', ...relay } } })
  const placesOf = ({ mesh }: OwnMesh): string[] => mesh.figures().relay?.places ?? []

  /** What a relay answers to a peer that asks for a place; undefined where it breaks off. */
  const askForPlace = async (raw: RawPeer, connection: Awaited<ReturnType<RawPeer['dial']>>) => {
    const stream = await connection.newStream(HOP)
    stream.send(withLengthPrefix(encodeHop({ type: 'reserve' })))
    const { message } = await readMessage(stream, AbortSignal.timeout(8_000))
    return { ...decodeHop(message), by: raw.id }
  }

  it('gives a stranger no place, and a member one', async () => {
    const relay = await startRelay('relay')
    const [address = ''] = relay.mesh.self.addresses
    const [stranger, member] = [await startRawPeer(), await startRawPeer()]
    raws.push(stranger, member)
    const refused = askForPlace(stranger, await stranger.dial(address))
    const connection = await member.dial(address)
    await member.admit(connection, common.mesh, [await member.token(common.mesh, secret)])
    const given = await askForPlace(member, connection)
    assert.equal(given.status, RELAY_STATUS.ok)
    assert.ok((given.expires ?? 0) * 1000 > Date.now(), 'for a while from now')
    assert.equal(relay.mesh.figures().relay?.serving?.places, 1, 'its own')
    await failureOf(refused)
  })

  it('that is full refuses clearly, and the next one is taken', async () => {
    const full = await startRelay('full', { maxReservations: 1 })
    const join = full.mesh.self.addresses
    const hidden = (name: string, to: string[]) =>
      startMesh({ ...common, name, listen: [], join: to, discovery: { relay: { count: 1 } } })
    const first = await hidden('first', join)
    await until('the first has its place', () => placesOf(first).length === 1)
    const second = await hidden('second', join)
    const said = await until('the second is refused', () =>
      second.log.lines.find(({ level, message }) => level === 'warn' && /refused a place/.test(message)),
    )
    assert.match(said.message, /^the relay 12D3\w+ refused a place: it has no place left$/)
    assert.match(String(said.fields?.hint), /maxReservations/)
    assert.deepEqual(full.mesh.figures().relay?.serving?.refused, { reservationRefused: 1 })
    const free = await startRelay('free', {}, join)
    await until('the second has a place at the other', () => placesOf(second)[0] === free.mesh.self.id)
    await until('they are connected', () => first.mesh.members().some(({ id }) => id === second.mesh.self.id))
    assert.deepEqual(await first.mesh.to(second.mesh.self.id, probe).echo({ text: 'through' }), { text: 'through' })
    // A guest that is gone leaves its place to others.
    await first.mesh.stop()
    await until('the place is free', () => full.mesh.figures().relay?.serving?.places === 0)
  })

  it('carries no more connections than it may, and says so', async () => {
    const relay = await startRelay('narrow', { maxConnections: 1 })
    const join = relay.mesh.self.addresses
    const hidden = (name: string) =>
      startMesh({ ...common, name, listen: [], join, discovery: { relay: { count: 1 } } })
    const [a, b, c] = [await hidden('a'), await hidden('b'), await hidden('c')]
    await until('one pair is connected', () => relay.mesh.figures().relay?.serving?.connections === 1)
    const refused = () => relay.mesh.figures().relay?.serving?.refused.resourceLimit ?? 0
    await until('the next one was refused', () => refused() > 0)
    assert.equal(relay.mesh.figures().relay?.serving?.connections, 1)
    const members = () => [a, b, c].map(({ mesh }) => mesh.members().length).toSorted()
    await until('one of three reaches the relay alone', () => members().join() === '1,2,2')
    assert.equal(relay.mesh.figures().relay?.serving?.connections, 1)
  })

  it('gets through to a guest only where the guest has a place: another member that says it relays is broken off', async () => {
    const relay = await startRelay('relay')
    const join = relay.mesh.self.addresses
    const guest = await startMesh({ ...common, name: 'guest', join, discovery: { relay: { use: 'always' } } })
    await until('the guest has its place', () => placesOf(guest).length === 1)
    const impostor = await startRawPeer()
    raws.push(impostor)
    const own = guest.mesh.self.addresses.find((address) => !isRelayed(address)) ?? assert.fail('an address')
    const connection = await impostor.dial(own)
    await impostor.admit(connection, common.mesh, [await impostor.token(common.mesh, secret)])
    const stream = await connection.newStream(STOP)
    const said = async () => {
      stream.send(withLengthPrefix(encodeStop({ type: 'connect', peer: impostor.libp2p.peerId.toMultihash().bytes })))
      return readMessage(stream, AbortSignal.timeout(5_000))
    }
    await failureOf(said())
    await until('it is broken off', () => stream.status !== 'open')
    assert.deepEqual(guest.mesh.members().length, 2, 'the impostor is a member, and the relay')
  })

  it('serves nobody without a place at the other end', async () => {
    const relay = await startRelay('relay')
    const [address = ''] = relay.mesh.self.addresses
    const [member, other] = [await startRawPeer(), await startRawPeer()]
    raws.push(member, other)
    for (const raw of [member, other]) {
      const connection = await raw.dial(address)
      await raw.admit(connection, common.mesh, [await raw.token(common.mesh, secret)])
    }
    const [connection] = member.libp2p.getConnections()
    const stream = (await connection?.newStream(HOP)) ?? assert.fail('connected')
    stream.send(withLengthPrefix(encodeHop({ type: 'connect', peer: other.libp2p.peerId.toMultihash().bytes })))
    const { message } = await readMessage(stream, AbortSignal.timeout(8_000))
    assert.equal(decodeHop(message).status, RELAY_STATUS.noReservation)
  })
})
