/**
 * Voters whose data directories are set back to a backup, as real processes: one comes back as a new member that learns, and
 * votes in the end; where all were set back nobody votes any more, which is said with the command that helps.
 */
import assert from 'node:assert/strict'
import { cp, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { runCommand } from '../support/command.ts'
import { endJournalPeers, type JournalPeer, startJournalPeer } from '../support/journal-peers.ts'
import { freePort } from '../support/ports.ts'
import { until } from '../support/until.ts'

const NAMES = ['one', 'two', 'three'] as const
type Name = (typeof NAMES)[number]
const common = { mesh: 'restores', secret: makeSecret(), timings: { backoffMinMs: 100, backoffMaxMs: 500 } }
const coordination = { expect: NAMES.length, stableMs: 300, snapshotEvery: 40 }

describe('a data directory that was restored from a backup', { timeout: 120_000 }, () => {
  let folder = ''
  let noTimes = false
  const ports = new Map<Name, number>()
  const peers = new Map<Name, JournalPeer>()
  const records = new Map<string, number>()

  const dirOf = (name: Name): string => join(folder, name)
  const backupOf = (name: Name): string => join(folder, `${name}-backup`)
  const peerOf = (name: Name): JournalPeer => peers.get(name) ?? assert.fail(`${name} runs`)
  const addressOf = (name: Name): string => `/ip4/127.0.0.1/tcp/${ports.get(name)}`
  const start = async (name: Name): Promise<JournalPeer> => {
    const join_ = NAMES.filter((other) => other !== name).map(addressOf)
    const peer = await startJournalPeer({
      ...common,
      name,
      dataDir: dirOf(name),
      listen: [addressOf(name)],
      join: join_,
      coordination,
      log: 'warn',
    })
    peers.set(name, peer)
    return peer
  }
  const stop = async (name: Name): Promise<void> => {
    await peerOf(name).ask('stop', undefined)
    await peerOf(name).kill()
    peers.delete(name)
  }
  const backUp = (name: Name): Promise<void> =>
    cp(dirOf(name), backupOf(name), { recursive: true, preserveTimestamps: true })
  const restore = async (name: Name): Promise<void> => {
    await rm(dirOf(name), { recursive: true })
    await cp(backupOf(name), dirOf(name), { recursive: true, preserveTimestamps: true })
  }
  const put = async (name: Name, count: number): Promise<void> => {
    const from = records.size
    for (let n = from; n < from + count; n += 1) {
      await peerOf(name).ask('put', { key: `record/${n}`, value: n })
      records.set(`record/${n}`, n)
    }
  }
  const assertAll = async (name: Name): Promise<void> => {
    const found = await peerOf(name).ask('list', { prefix: 'record/' })
    assert.deepEqual(new Map(found.map(({ key, value }) => [key, value])), records)
  }
  const statusOf = (name: Name) => peerOf(name).ask('status', undefined)
  /** Members of this peer, as another one sees them. */
  const membersOf = async (id: string, seenBy: Name): Promise<{ voters: string[]; learners: string[] }> => {
    const { voters, learners } = await statusOf(seenBy)
    const own = (list: readonly string[]): string[] => list.filter((member) => member.startsWith(`${id}.`))
    return { voters: own(voters), learners: own(learners) }
  }
  const led = async (name: Name): Promise<void> =>
    void (await until(`${name} knows who coordinates`, async () => (await statusOf(name)).leader, 15_000))
  const skipped = (t: TestContext): boolean => {
    if (noTimes) t.skip('the file system tells no creation times')
    return noTimes
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-restored-'))
    noTimes = (await stat(folder, { bigint: true })).birthtimeNs === 0n
    for (const name of NAMES) ports.set(name, await freePort())
    await Promise.all(NAMES.map(start))
    await led('one')
    await put('one', 15)
  })
  after(async () => {
    endJournalPeers()
    await rm(folder, { recursive: true, force: true })
  })

  it('gives its node another member id: it learns, votes again, and nothing that was answered is lost', async (t) => {
    if (skipped(t)) return
    const { id } = peerOf('three')
    const [first] = (await membersOf(id, 'one')).voters
    await stop('three')
    await backUp('three')
    await start('three')
    await led('three')
    await until('it votes', async () => (await statusOf('three')).role === 'voter', 10_000)
    const [was] = (await membersOf(id, 'one')).voters
    assert.ok(was !== undefined && was === first, 'a start where it was keeps the member')
    await put('three', 30)
    await stop('three')
    await put('one', 5)

    await restore('three')
    const back = await start('three')
    assert.match(back.complaints(), /restored from a backup or copied.*new member/)
    const seen = new Set<string>()
    const now = await until(
      'it votes as another member, and the one that it was is gone',
      async () => {
        seen.add((await statusOf('three')).role)
        const { voters } = await membersOf(id, 'one')
        return voters.length === 1 && voters[0] !== was ? voters[0] : undefined
      },
      20_000,
      20,
    )
    assert.notEqual(now, was)
    assert.ok(seen.has('none') || seen.has('learner'), [...seen].join())
    await until('it has seen that it votes', async () => (await statusOf('three')).role === 'voter', 10_000)
    await assertAll('three')
    await put('three', 3)

    // The newest there is, and called moved: it is who it is.
    await stop('three')
    await rm(backupOf('three'), { recursive: true })
    await backUp('three')
    await restore('three')
    const { code, stderr } = await runCommand(['store', 'moved', '--data-dir', dirOf('three'), '--yes'], {
      cwd: folder,
    })
    assert.equal(code, 0, stderr)
    const again = await start('three')
    await led('three')
    assert.doesNotMatch(again.complaints(), /restored/)
    assert.deepEqual((await membersOf(id, 'three')).voters, [now])
  })

  it('of all voters at once leaves nobody who votes, and says so', async (t) => {
    if (skipped(t)) return
    await Promise.all([...peers.values()].map((peer) => peer.kill()))
    for (const name of NAMES) {
      await rm(backupOf(name), { recursive: true, force: true })
      await backUp(name)
      await restore(name)
    }
    await Promise.all(NAMES.map(start))
    const problem = await until(
      'it says why nothing is decided',
      async () => {
        const { body } = await peerOf('two').ask('look', { path: '/api/coordinator' })
        const { problem: said } = JSON.parse(body)
        return /force-recover/.test(said ?? '') ? String(said) : undefined
      },
      15_000,
    )
    assert.match(problem, /came back as a new member.*parley store force-recover/)
    for (const name of NAMES) assert.equal((await statusOf(name)).role, 'none')
  })
})
