/** Names whose records change while nodes run: real processes in a network namespace with a name server of its own. */
import { after, afterEach, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { BRISK } from '../support/meshes.ts'
import { createNamespace, type Namespace, noSwallowing } from '../support/namespace.ts'
import { endProcesses, type Peer, startPeer, untilMembers } from '../support/processes.ts'
import { until } from '../support/until.ts'

const [ONE, TWO, DEAD] = ['10.77.0.1', '10.77.0.2', '10.77.0.11'] as const
const [SIX, SEVEN] = ['fd77::6', 'fd77::7'] as const

describe('a name whose records change', { timeout: 60_000, skip: noSwallowing() }, () => {
  const common = {
    mesh: 'changing',
    log: 'warn' as const,
    secret: makeSecret(),
    timings: { ...BRISK, resolvePeriodMs: 1_000 },
  }
  let space: Namespace

  before(async () => {
    space = await createNamespace(
      [...[ONE, TWO, DEAD].map((ip) => `${ip}/32`), `${SIX}/128`, `${SEVEN}/128`],
      '10.77.0.53',
    )
    space.swallow(DEAD)
  })
  afterEach(endProcesses)
  after(async () => {
    await space.remove()
  })

  const start = (name: string, listen: string, ...join: string[]): Promise<Peer> =>
    startPeer({ ...common, name, listen: [listen], join }, { enter: space.enter })

  it('brings members by A, AAAA and SRV records that appear; those of the name that joined nobody are dialled', async () => {
    // None of them knows another one: only the node that asks for the names can bring them together.
    const [one, two, six, seven] = await Promise.all([
      start('one', `/ip4/${ONE}/tcp/4001`),
      start('two', `/ip4/${TWO}/tcp/4001`),
      start('six', `/ip6/${SIX}/tcp/4001`),
      start('seven', `/ip6/${SEVEN}/tcp/5001`),
    ])
    await space.setNames({ a: { 'seed.test': [ONE] } })
    const names = ['/dns/seed.test/tcp/4001', 'srv:_parley._tcp.seed.test']
    const seeker = await start('seeker', '/ip4/127.0.0.1/tcp/0', ...names)
    await untilMembers(seeker, 'one')
    await space.setNames({ a: { 'seed.test': [ONE, TWO] } })
    await untilMembers(seeker, 'one,two')
    await space.setNames({ a: { 'seed.test': [ONE, TWO] }, aaaa: { 'seed.test': [SIX] } })
    await untilMembers(seeker, 'one,six,two')
    await space.setNames({
      a: { 'seed.test': [ONE, TWO] },
      aaaa: { 'seed.test': [SIX], 'host.test': [SEVEN] },
      srv: { '_parley._tcp.seed.test': [{ priority: 1, port: 5001, host: 'host.test' }] },
    })
    await untilMembers(seeker, 'one,seven,six,two')
    // What one of them knows all of them know.
    await untilMembers(one, 'seeker,seven,six,two')
    await Promise.all([one, two, six, seven, seeker].map((peer) => peer.kill()))
  })

  it('loses an address that is gone from it: nobody dials there any more', async () => {
    await space.setNames({ a: { 'seed.test': [DEAD] } })
    const one = await start('one', `/ip4/${ONE}/tcp/4001`)
    const seeker = await start('seeker', `/ip4/${TWO}/tcp/4001`, '/dns4/seed.test/tcp/4001')
    await until('the dead address is dialled', () => space.swallowed() > 0)
    await space.setNames({ a: { 'seed.test': [ONE] } })
    await untilMembers(seeker, 'one')
    // Longer than a dial under way, its repeated packets, and the longest pause between two dials.
    let last = { count: -1, sinceMs: 0 }
    await until('nothing is sent there any more', () => {
      const count = space.swallowed()
      if (count !== last.count) last = { count, sinceMs: performance.now() }
      return performance.now() - last.sinceMs > BRISK.dialTimeoutMs + BRISK.backoffMaxMs
    })
    await Promise.all([one.kill(), seeker.kill()])
  })
})
