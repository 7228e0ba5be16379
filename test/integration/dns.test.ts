/** Nodes that find each other by name: real processes in a network namespace with a name server of its own. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { BRISK } from '../support/meshes.ts'
import { createNamespace, type Namespace, noNamespace } from '../support/namespace.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const PORT = 4001
const [ONE, TWO, THREE, FOUR] = ['10.77.0.1', '10.77.0.2', '10.77.0.3', '10.77.0.4'] as const
const SIX = 'fd77::6'
const NAME = '/dns4/seed.mesh.test/tcp/4001'

describe('discovery by name', { timeout: 90_000, skip: noNamespace() }, () => {
  const common = {
    mesh: 'by-name',
    log: 'warn' as const,
    secret: makeSecret(),
    timings: { ...BRISK, resolvePeriodMs: 1_000 },
  }
  let space: Namespace

  before(async () => {
    const addresses = [ONE, TWO, THREE, FOUR].map((ip) => `${ip}/32`)
    space = await createNamespace([...addresses, `${SIX}/128`], '10.77.0.53')
  })
  after(async () => {
    endProcesses()
    await space.remove()
  })

  const start = (name: string, listen: string, ...join: string[]): Promise<Peer> =>
    startPeer({ ...common, name, listen: [listen], join }, { enter: space.enter })
  const at = (ip: string): string => `/ip4/${ip}/tcp/${PORT}`
  const membersOf = async (peer: Peer): Promise<string[]> =>
    (await peer.ask('facts', undefined)).members.map(({ name }) => name).sort()
  const untilMembers = (peer: Peer, names: string[]): Promise<unknown> =>
    until(`it is connected to ${names.join(', ')}`, async () => (await membersOf(peer)).join() === names.join())

  it('all addresses of a name are members; the own one among them is left alone', async () => {
    await space.setNames({ a: { 'seed.mesh.test': [ONE, TWO, THREE] } })
    const [one, two, three] = await Promise.all([
      start('one', at(ONE), NAME),
      start('two', at(TWO), NAME),
      start('three', at(THREE), NAME),
    ])
    await untilMembers(one, ['three', 'two'])
    await untilMembers(two, ['one', 'three'])
    await untilMembers(three, ['one', 'two'])
    for (const peer of [one, two, three]) {
      const { figures } = await peer.ask('facts', undefined)
      assert.deepEqual(figures.admissions.refused ?? 0, 0)
      assert.doesNotMatch(peer.complaints(), /dial self/)
    }
    // Somebody who is not behind the name comes in through those who are, whichever of them are up.
    await one.kill()
    const late = await start('late', at(FOUR), NAME)
    await late.ask('joined', {})
    await untilMembers(late, ['three', 'two'])
    await Promise.all([two.kill(), three.kill(), late.kill()])
  })

  it('a name that stands for nothing yet, and then for somebody else, is asked for again', async () => {
    await space.setNames({})
    const early = await start('early', at(ONE), NAME)
    await until('it says that the name does not resolve', () => /stands for no address/.test(early.complaints()))
    const two = await start('two', at(TWO))
    await space.setNames({ a: { 'seed.mesh.test': [TWO] } })
    await untilMembers(early, ['two'])
    // The seed moves: another node, another address, the same name.
    await two.kill()
    const three = await start('three', at(THREE))
    await space.setNames({ a: { 'seed.mesh.test': [THREE] } })
    await untilMembers(early, ['three'])
    await Promise.all([early.kill(), three.kill()])
  })

  it('the first node of a mesh, whose name leads to nobody but itself, is ready', async () => {
    await space.setNames({ a: { 'seed.mesh.test': [ONE] } })
    const first = await startPeer(
      { ...common, name: 'first', listen: [at(ONE)], join: [NAME], debug: 0 },
      { enter: space.enter },
    )
    await until('it is ready', async () => (await first.ask('look', { path: '/readyz' })) === 200)
    await first.kill()
  })

  it('SRV records bring hosts of either family with their ports', async () => {
    await space.setNames({
      srv: {
        '_parley._tcp.mesh.test': [
          { priority: 1, port: PORT, host: 'a.mesh.test' },
          { priority: 2, port: 5001, host: 'b.mesh.test' },
        ],
      },
      a: { 'a.mesh.test': [ONE] },
      aaaa: { 'b.mesh.test': [SIX] },
    })
    const one = await start('one', at(ONE))
    const six = await start('six', `/ip6/${SIX}/tcp/5001`)
    const joiner = await start('joiner', at(TWO), 'srv:_parley._tcp.mesh.test')
    await untilMembers(joiner, ['one', 'six'])
    assert.deepEqual(await joiner.ask('call', { to: six.id, method: 'who', input: {} }), { id: six.id })
    await Promise.all([one.kill(), six.kill(), joiner.kill()])
  })
})
