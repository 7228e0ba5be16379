/** Nodes that find each other by multicast DNS alone: real processes in network namespaces on one bridge. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { type MeshOptionsInput, makeSecret } from '../../node/index.ts'
import { endJournalPeers, startJournalPeer } from '../support/journal-peers.ts'
import { BRISK } from '../support/meshes.ts'
import { createSwitched, noSwitched, type Place, type Switched } from '../support/namespaces-mesh.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const membersOf = async (peer: Peer): Promise<string> =>
  (await peer.ask('facts', undefined)).members
    .map(({ name }) => name)
    .sort()
    .join()
const untilMembers = (peer: Peer, names: string): Promise<unknown> =>
  until(`it is connected to ${names}`, async () => (await membersOf(peer)) === names)
const endAll = (...peers: Peer[]): Promise<unknown> => Promise.all(peers.map((peer) => peer.kill()))

describe('discovery by multicast DNS', { timeout: 90_000, skip: noSwitched() }, () => {
  let net: Switched
  let places: readonly [Place, Place, Place]

  before(() => {
    net = createSwitched(3)
    const [one, two, three] = net.places
    assert.ok(one !== undefined && two !== undefined && three !== undefined)
    places = [one, two, three]
  })
  const folder = mkdtempSync(join(tmpdir(), 'parley-mdns-'))
  afterEach(() => {
    endProcesses()
    endJournalPeers()
  })
  after(() => {
    net.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  const secret = makeSecret()
  const start = (name: string, place: Place, more: MeshOptionsInput = {}): Promise<Peer> =>
    startPeer(
      {
        ...{ name, mesh: 'nearby', log: 'warn', secret, timings: BRISK },
        listen: ['/ip4/0.0.0.0/tcp/0'],
        discovery: { mdns: true },
        ...more,
      },
      { enter: place.enter },
    )

  it('all nodes of a mesh are found, on one host and on others, and those of another mesh are not', async () => {
    const [here, there, yonder] = places
    const [one, beside, two, three, stranger] = await Promise.all([
      start('one', here),
      start('beside', here),
      start('two', there),
      start('three', yonder),
      // The same name of the mesh, and another secret.
      start('stranger', there, { secret: makeSecret() }),
    ])
    await Promise.all([one, beside, two, three].map((peer) => peer.ask('joined', {})))
    await untilMembers(one, 'beside,three,two')
    await untilMembers(three, 'beside,one,two')
    assert.deepEqual(await three.ask('call', { to: beside.id, method: 'who', input: {} }), { id: beside.id })
    assert.equal(await membersOf(stranger), '')
    for (const peer of [one, beside, two, three, stranger]) {
      const { figures } = await peer.ask('facts', undefined)
      assert.equal(figures.admissions.refused ?? 0, 0, 'nobody dialled the other mesh')
      assert.doesNotMatch(peer.complaints(), /multicast DNS does not work/)
    }
    await endAll(one, beside, two, three, stranger)
  })

  it('a node that comes back with another address and identity is found again', async () => {
    const [here, there] = places
    const one = await start('one', here)
    const two = await start('two', there)
    await untilMembers(one, 'two')
    await two.kill()
    const again = await start('again', there)
    await untilMembers(one, 'again')
    await endAll(one, again)
  })

  it('a mesh without a secret is found on its own host, and does not speak to others', async () => {
    const [here, there] = places
    const open = { secret: undefined, listen: ['/ip4/127.0.0.1/tcp/0'] }
    const [one, beside, away] = await Promise.all([
      start('one', here, open),
      start('beside', here, open),
      start('away', there, open),
    ])
    await untilMembers(one, 'beside')
    await untilMembers(beside, 'one')
    assert.equal(await membersOf(away), '')
    await endAll(one, beside, away)
  })

  it('a node that hears nobody is ready, founds no mesh by itself, and is in the one that somebody else founded', async () => {
    const [here, there] = places
    const founding = (name: string, expect?: number): Parameters<typeof startJournalPeer>[0] => ({
      ...{ name, mesh: 'founded', log: 'warn', secret, timings: BRISK, debug: 0 },
      listen: ['/ip4/0.0.0.0/tcp/0'],
      discovery: { mdns: true },
      dataDir: join(folder, name),
      coordination: expect === undefined ? {} : { expect },
    })
    const first = await startJournalPeer(founding('first'), here.enter)
    await until('it is ready', async () => (await first.ask('look', { path: '/readyz' })).status === 200)
    assert.equal((await first.ask('status', undefined)).meshId, undefined)
    const founder = await startJournalPeer(founding('founder', 1), there.enter)
    const meshId = await until('it founds', async () => (await founder.ask('status', undefined)).meshId)
    await until('both are in one mesh', async () => (await first.ask('status', undefined)).meshId === meshId)
    await Promise.all([first.kill(), founder.kill()])
  })
})
