/**
 * A damaged store, and a mesh that lost its voters, with real processes: a node comes back from what a command left of its
 * log, or by itself, as a new member that learns, and nothing that was answered is lost.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createMesh, type Mesh, makeSecret } from '../../node/index.ts'
import { type Ended, runCommand } from '../support/command.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const NAMES = ['one', 'two', 'three'] as const
type Name = (typeof NAMES)[number]

const common = {
  mesh: 'repairs',
  secret: makeSecret(),
  debug: { port: 0 },
  timings: { backoffMinMs: 100, backoffMaxMs: 1_000 },
}
const coordination = { expect: NAMES.length, stableMs: 500, snapshotEvery: 60 }

interface Seat {
  readonly peer: string
  readonly member: string
  readonly role: 'voter' | 'learner'
}
interface View {
  readonly meshId: string
  readonly seat: string
  readonly seats: Seat[]
  readonly leader?: { id: string }
  readonly problem?: string
}

describe('a damaged store, and a lost mesh', { timeout: 140_000 }, () => {
  let folder = ''
  let client: Mesh
  const peers = new Map<Name, Peer>()
  const records = new Map<string, number>()

  const dataDir = (name: Name): string => join(folder, name)
  const peerOf = (name: Name): Peer => peers.get(name) ?? assert.fail(`${name} runs`)
  const addresses = (): string[] => [...peers.values()].flatMap((peer) => peer.addresses)
  const start = async (name: Name, join_: readonly string[] = addresses()): Promise<Peer> => {
    const options = { ...common, name, dataDir: dataDir(name), join: [...join_], coordination }
    const peer = await startPeer(options, { serve: false })
    peers.set(name, peer)
    return peer
  }
  const kill = async (name: Name): Promise<void> => {
    await peers.get(name)?.kill()
    peers.delete(name)
  }
  const parley = (...args: string[]): Promise<Ended> => runCommand(args, { cwd: folder })
  const view = async (name: Name): Promise<View> => {
    const response = await fetch(`${peerOf(name).debugUrl}/api/coordinator`)
    return (await response.json()) as View
  }
  const put = async (mesh: Mesh, count: number): Promise<void> => {
    const from = records.size
    const keys = Array.from({ length: count }, (_, i) => from + i)
    await Promise.all(keys.map((n) => mesh.journal.put(`record/${n}`, n)))
    for (const n of keys) records.set(`record/${n}`, n)
  }
  const assertAll = async (mesh: Mesh): Promise<void> => {
    const { records: found } = await mesh.journal.list('record/')
    assert.deepEqual(new Map(found.map(({ key, value }) => [key, value])), records)
  }
  /** Records that this node has itself. */
  const recordsAt = async (name: Name): Promise<number> => {
    const peer = peerOf(name)
    const found = (await (await fetch(`${peer.debugUrl}/api/coordinator`)).json()) as { journal: { records: number } }
    const own = (await client.journal.list('$')).records.length
    return found.journal.records - own
  }
  const visitor = (join_: readonly string[]): Promise<Mesh> =>
    createMesh({ ...common, debug: false, log: 'error', name: 'visitor', join: [...join_] })

  /** Changes a byte of the log that is well before its end. @returns the file */
  const damage = async (name: Name): Promise<string> => {
    const journal = join(dataDir(name), 'journal')
    const [log = ''] = (await readdir(journal)).filter((file) => file.endsWith('.log')).sort()
    const bytes = await readFile(join(journal, log))
    // Behind what is written there is room, which means nothing.
    const at = Math.floor(bytes.findLastIndex((byte) => byte !== 0) * 0.8)
    bytes[at] = (bytes[at] ?? 0) ^ 0x40
    await writeFile(join(journal, log), bytes)
    return log
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-store-'))
    for (const name of NAMES) await start(name)
    client = await visitor(addresses())
    await client.coordinator.found({ signal: AbortSignal.timeout(30_000) })
    await put(client, 70)
    // Behind the snapshot, in several writes.
    for (let i = 0; i < 6; i += 1) await put(client, 5)
  })
  after(async () => {
    endProcesses()
    await client.stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('is told that a log has a changed byte, and what helps', async () => {
    const running = await parley('store', 'verify', '--data-dir', dataDir('two'))
    assert.equal(running.code, 1)
    assert.match(running.stderr, /is in use by process \d+\nhint: stop the node first/)
    await kill('two')
    const log = await damage('two')
    const verified = await parley('store', 'verify', '--data-dir', dataDir('two'))
    assert.equal(verified.code, 1)
    assert.match(
      verified.stderr,
      new RegExp(`^error STA003: the log is damaged: ${log} at byte \\d+\nhint: .*parley store repair`),
    )
  })

  it('comes back as a learner after a repair, votes again, and has all records', async () => {
    const done = await parley('store', 'repair', '--data-dir', dataDir('two'), '--json')
    assert.equal(done.code, 0, done.stderr)
    const repaired = JSON.parse(done.stdout)
    assert.ok(repaired.cut.to > repaired.cut.from && repaired.was !== repaired.store.member, done.stdout)
    assert.deepEqual(repaired.store.problems, [])

    await start('two')
    const roles = new Set<string>()
    await until(
      'it votes again',
      async () => {
        const seat = (await view('one')).seats.find(({ member }) => member === repaired.store.member)
        if (seat !== undefined) roles.add(seat.role)
        return roles.has('voter')
      },
      30_000,
      20,
    )
    assert.deepEqual([...roles], ['learner', 'voter'])
    await until('it has seen that it votes', async () => (await view('two')).seat === 'voter')
    await until('its old seat is given up', async () => (await view('one')).seats.length === NAMES.length, 15_000)
    await put(client, 20)
    // It decides with one of the others, so it has all that was decided.
    await kill('three')
    await put(client, 5)
    await assertAll(client)
    await until('all of it is there', async () => (await recordsAt('two')) === records.size, 15_000)
  })

  it('comes back by itself as a new member, and says so, when its log is damaged while it is stopped', async () => {
    const membersOf = async (peer: string): Promise<string[]> =>
      (await view('one')).seats
        .filter((seat) => seat.peer === peer && seat.role === 'voter')
        .map(({ member }) => member)
    await damage('three')
    const { id } = await start('three')
    const [was] = (await view('one')).seats.filter(({ peer }) => peer === id).map(({ member }) => member)
    const said = new Set<string>()
    const now = await until(
      'it votes as another member, and the one that it was is gone',
      async () => {
        said.add((await view('three')).problem ?? '')
        const members = await membersOf(id)
        return members.length === 1 && members[0] !== was ? members[0] : undefined
      },
      30_000,
      20,
    )
    assert.notEqual(now, was)
    assert.match([...said].join(), /lost what it had acknowledged .*new member without a vote/)
    await until('it says no more that something is lost', async () => (await view('three')).problem === undefined)
    await until('all of it is there', async () => (await recordsAt('three')) === records.size, 15_000)
  })

  it('goes on from one store when the others are lost, in a mesh of another id that refuses them', async () => {
    const { meshId } = await view('two')
    await client.stop()
    await Promise.all(NAMES.map(kill))
    const at = ['--data-dir', dataDir('two')]
    const unasked = await parley('store', 'force-recover', ...at)
    assert.equal(unasked.code, 2)
    assert.match(unasked.stderr, /never be started again/)
    const done = await parley('store', 'force-recover', ...at, '--yes', '--mesh-id', meshId, '--json')
    assert.equal(done.code, 0, done.stderr)
    const recovered = JSON.parse(done.stdout)
    assert.notEqual(recovered.meshId, meshId)
    assert.equal(recovered.abandoned.length, NAMES.length - 1)

    // Without anybody else.
    await start('two', [])
    client = await visitor(addresses())
    await client.coordinator.found({ signal: AbortSignal.timeout(20_000) })
    await assertAll(client)
    await put(client, 10)
    await assertAll(client)

    // One of the abandoned voters.
    const three = await start('three')
    await until(
      'both say that they were founded apart',
      async () => (await three.ask('facts', undefined)).figures.admissions['founded-apart'],
      20_000,
    )
    assert.equal((await view('three')).meshId, meshId)
    assert.deepEqual(
      (await view('two')).seats.map(({ member }) => member),
      [recovered.member],
    )
    assert.equal(
      (await peerOf('two').ask('facts', undefined)).members.some(({ id }) => id === three.id),
      false,
    )
    await kill('three')
    await put(client, 5)

    // It changes over.
    const adopted = await parley(
      'store',
      'adopt',
      '--data-dir',
      dataDir('three'),
      '--mesh-id',
      recovered.meshId,
      '--yes',
    )
    assert.equal(adopted.code, 0, adopted.stderr)
    await start('three')
    await until(
      'it learns, in the recovered mesh',
      async () => (await view('two')).seats.some(({ peer, role }) => peer === peerOf('three').id && role === 'learner'),
      20_000,
    )
    await until('it has all records', async () => (await recordsAt('three')) === records.size, 20_000)
    await assertAll(client)
  })
})
