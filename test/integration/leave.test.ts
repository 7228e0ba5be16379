/** `parley leave` on real nodes: the seat is gone, also after a restart, and is offered again once that is undone. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { type Ended, runCommand } from '../support/command.ts'
import { endJournalPeers, type JournalPeer, startJournalPeer } from '../support/journal-peers.ts'
import { freePort } from '../support/ports.ts'
import { until } from '../support/until.ts'

const NAMES = ['one', 'two', 'three', 'four'] as const
type Name = (typeof NAMES)[number]
const secret = makeSecret()
const common = { mesh: 'leaves', secret, timings: { backoffMinMs: 100, backoffMaxMs: 500 } }

describe('parley leave', { timeout: 90_000 }, () => {
  let folder = ''
  const ports = new Map<Name, number>()
  const peers = new Map<Name, JournalPeer>()
  const peerOf = (name: Name): JournalPeer => peers.get(name) ?? assert.fail(`${name} runs`)
  const addressOf = (name: Name): string => `/ip4/127.0.0.1/tcp/${ports.get(name)}`
  const dirOf = (name: string): string => join(folder, '.parley', name)
  const start = async (name: Name): Promise<JournalPeer> => {
    const peer = await startJournalPeer({
      ...common,
      name,
      dataDir: dirOf(name),
      listen: [addressOf(name)],
      join: NAMES.filter((other) => other !== name).map(addressOf),
      // Founded by three; the fourth comes in their places.
      coordination: { ...(name !== 'four' && { expect: 3 }), stableMs: 300 },
    })
    peers.set(name, peer)
    return peer
  }
  const parley = (...args: string[]): Promise<Ended> =>
    runCommand(args, { cwd: folder, env: { PARLEY_SECRET: secret } })
  const statusOf = (name: Name) => peerOf(name).ask('status', undefined)
  const led = async (name: Name): Promise<string> =>
    until(`${name} knows who coordinates`, async () => (await statusOf(name)).leader, 15_000)
  const votersSeenBy = async (name: Name): Promise<string[]> =>
    (await statusOf(name)).voters.map((member) => member.split('.')[0] ?? '')

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-leave-'))
    for (const name of NAMES) ports.set(name, await freePort())
    await Promise.all(NAMES.map(start))
    await led('one')
  })
  after(async () => {
    endJournalPeers()
    await rm(folder, { recursive: true, force: true })
  })

  it('has the node that coordinates hand over and give its seat up, for good', async () => {
    const leader = await led('one')
    const name = NAMES.find((one) => peerOf(one).id === leader) ?? assert.fail('one of them coordinates')
    const other = NAMES.find((one) => one !== name && one !== 'four') ?? assert.fail('there are others')
    await peerOf(other).ask('put', { key: 'before', value: 1 })

    const unclear = await parley('leave')
    assert.equal(unclear.code, 2, unclear.stderr)
    assert.match(unclear.stderr, /4 nodes are running here.*\nhint: choose one/)

    const done = await parley('leave', '--node', name, '--json')
    assert.equal(done.code, 0, done.stderr)
    const { peer, givenUp, voters } = JSON.parse(done.stdout)
    assert.deepEqual([peer, givenUp], [leader, true])
    assert.ok(voters >= 2 && voters <= 3, done.stdout)
    assert.equal((await statusOf(name)).role, 'none')
    await until('the fourth takes its place', async () => (await votersSeenBy(other)).length === 3, 15_000)
    assert.ok(!(await votersSeenBy(other)).includes(leader))

    // As any node without a seat, also after a restart, and it says so.
    await peerOf(name).ask('put', { key: 'after', value: 2 })
    await peerOf(name).ask('stop', undefined)
    await peerOf(name).kill()
    await start(name)
    await led(name)
    assert.equal((await peerOf(name).ask('get', { key: 'after' }))?.value, 2)
    const shown = await parley('coordinator', 'status', '--node', name)
    assert.match(shown.stdout, /this node +has no seat/)
    assert.match(shown.stdout, /gave its seat up.*parley leave --undo/)
    assert.equal((await peerOf(name).ask('look', { path: '/readyz' })).status, 200)

    const undone = await parley('leave', '--node', name, '--undo')
    assert.equal(undone.code, 0, undone.stderr)
    assert.match(undone.stdout, /offers its seat again/)
    await until('it has a seat', async () => (await statusOf(name)).role !== 'none', 10_000)
  })

  it('is refused by the only voter, and names what is missing', async () => {
    const sole = await startJournalPeer({ ...common, mesh: 'alone', name: 'sole', dataDir: dirOf('sole') })
    await until('it coordinates', async () => (await sole.ask('status', undefined)).acting, 10_000)
    const { code, stderr } = await parley('leave', '--node', 'sole')
    assert.equal(code, 1, stderr)
    assert.match(stderr, /^error STA003: no other node votes.*\nhint: wait until others/)
    const { role, withdrawn } = await sole.ask('status', undefined)
    assert.deepEqual([role, withdrawn], ['voter', false])
    await sole.kill()
    const gone = await parley('leave', '--node', 'sole')
    assert.equal(gone.code, 3, gone.stderr)
  })
})
