/** A mesh where there is no IPv4: real processes in network namespaces on one bridge. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { type MeshOptionsInput, makeSecret } from '../../node/index.ts'
import { BRISK } from '../support/meshes.ts'
import { createNamespace, type Namespace } from '../support/namespace.ts'
import { createSwitched, noSwitched, type Place, type Switched } from '../support/namespaces-mesh.ts'
import { endProcesses, type Peer, startPeer, untilMembers } from '../support/processes.ts'

const PORT = 4001
const common = {
  mesh: 'six',
  log: 'warn' as const,
  secret: makeSecret(),
  timings: { ...BRISK, resolvePeriodMs: 1_000 },
}

const endAll = (...peers: Peer[]): Promise<unknown> => Promise.all(peers.map((peer) => peer.kill()))

describe('a network with IPv6 alone', { timeout: 60_000, skip: noSwitched() }, () => {
  let net: Switched
  let places: readonly [Place, Place, Place]

  before(() => {
    net = createSwitched(3, { ipv6Only: true })
    const [one, two, three] = net.places
    assert.ok(one !== undefined && two !== undefined && three !== undefined)
    places = [one, two, three]
  })
  afterEach(endProcesses)
  after(() => {
    net.remove()
  })
  const start = (name: string, place: Place, more: MeshOptionsInput): Promise<Peer> =>
    startPeer({ ...common, name, listen: ['/ip6/::/tcp/0'], ...more }, { enter: place.enter })

  it('is joined by an address and by multicast DNS, and its members call each other', async () => {
    const [here, there, yonder] = places
    const mdns = { discovery: { mdns: true } }
    const one = await start('one', here, { listen: [`/ip6/::/tcp/${PORT}`], ...mdns })
    const [two, three] = await Promise.all([
      start('two', there, { join: [`/ip6/${here.address}/tcp/${PORT}`] }),
      start('three', yonder, mdns),
    ])
    await Promise.all([two, three].map((peer) => peer.ask('joined', {})))
    await untilMembers(two, 'one,three')
    await untilMembers(three, 'one,two')
    assert.deepEqual(await two.ask('call', { to: three.id, method: 'who', input: {} }), { id: three.id })
    for (const peer of [one, two, three])
      for (const address of peer.addresses) assert.match(address, /^\/ip6\/(::1|fd78::[1-3])\/tcp\/[1-9]/)
    await endAll(one, two, three)
  })
})

describe('names and addresses of both families', { timeout: 60_000, skip: noSwitched() }, () => {
  const FOUR = '10.77.0.1'
  const SIX = 'fd77::6'
  let space: Namespace

  before(async () => {
    space = await createNamespace([`${FOUR}/32`, `${SIX}/128`, 'fd77::7/128'], 'fd77::53')
  })
  afterEach(endProcesses)
  after(async () => {
    await space.remove()
  })
  const start = (name: string, listen: string[], ...join: string[]): Promise<Peer> =>
    startPeer({ ...common, name, listen, join }, { enter: space.enter })

  it('one node listens on the same port of both, and is joined by either, and by a name with an AAAA record', async () => {
    await space.setNames({ aaaa: { 'seed.mesh.test': [SIX] } })
    const both = await start('both', [`/ip4/0.0.0.0/tcp/${PORT}`, `/ip6/::/tcp/${PORT}`])
    const [four, six, named] = await Promise.all([
      start('four', [`/ip4/${FOUR}/tcp/0`], `/ip4/${FOUR}/tcp/${PORT}`),
      start('six', ['/ip6/fd77::7/tcp/0'], `/ip6/${SIX}/tcp/${PORT}`),
      start('named', ['/ip6/fd77::7/tcp/0'], `/dns6/seed.mesh.test/tcp/${PORT}`),
    ])
    await untilMembers(both, 'four,named,six')
    await untilMembers(named, 'both,four,six')
    assert.deepEqual(await four.ask('call', { to: six.id, method: 'who', input: {} }), { id: six.id })
    await endAll(both, four, six, named)
  })
})
