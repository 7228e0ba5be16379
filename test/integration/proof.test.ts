/**
 * Who coordinates is proven: three voters and a node without a seat as processes, and a member that says of itself, over and
 * over, that it coordinates an epoch far above theirs.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { epochEvent } from '../../protocols/coordinator/contract.ts'
import { endJournalPeers, type JournalPeer, startJournalPeer } from '../support/journal-peers.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { freePort } from '../support/ports.ts'
import { until } from '../support/until.ts'

const VOTERS = ['one', 'two', 'three'] as const
const common = { mesh: 'proven', secret: makeSecret(), timings: { backoffMinMs: 100, backoffMaxMs: 500 } }
const LIMIT_MS = 30_000

interface Look {
  readonly epoch: number
  readonly leader?: { readonly id: string }
  readonly meshId: string
  readonly proof?: { readonly mode: string; readonly epoch: number; readonly base?: string; readonly refused: number }
}

describe('the proof of coordination', { timeout: 120_000 }, () => {
  let folder = ''
  const ports = new Map<string, number>()
  const peers = new Map<string, JournalPeer>()
  let guest: JournalPeer
  let liar: OwnMesh

  const addressOf = (name: string): string => `/ip4/127.0.0.1/tcp/${ports.get(name)}`
  const start = async (name: (typeof VOTERS)[number]): Promise<void> => {
    const others = VOTERS.filter((other) => other !== name).map(addressOf)
    const dataDir = join(folder, name)
    const coordination = { expect: VOTERS.length, stableMs: 300 }
    const peer = await startJournalPeer({
      ...common,
      name,
      dataDir,
      listen: [addressOf(name)],
      join: others,
      coordination,
    })
    peers.set(name, peer)
  }
  const look = async (peer: JournalPeer): Promise<Look> =>
    JSON.parse((await peer.ask('look', { path: '/api/coordinator' })).body)
  const untilProven = (peer: JournalPeer, leader?: string): Promise<unknown> =>
    until(
      `${peer.name} follows who is proven`,
      async () => {
        const { epoch, proof, leader: led } = await look(peer)
        return led !== undefined && proof?.epoch === epoch && (leader === undefined || led.id === leader)
      },
      LIMIT_MS,
    )
  const forge = async (): Promise<void> => {
    const { meshId } = await look(guest)
    for (let i = 0; i < 10; i += 1)
      await liar.mesh.events.publish(epochEvent, {
        mesh_id: meshId,
        epoch: 1_000_000 + i,
        leader: liar.mesh.self.id,
        version: 10 ** 9,
        seats: [liar.mesh.self.id],
        timestamp: Date.now(),
      })
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-proof-'))
    for (const name of VOTERS) ports.set(name, await freePort())
    await Promise.all(VOTERS.map(start))
    guest = await startJournalPeer({
      ...common,
      name: 'guest',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      join: [addressOf('one')],
    })
    liar = await startMesh({ ...common, name: 'liar', listen: ['/ip4/127.0.0.1/tcp/0'], join: VOTERS.map(addressOf) })
    await Promise.all([...peers.values(), guest].map((peer) => untilProven(peer)))
  })
  after(async () => {
    await stopMeshes()
    endJournalPeers()
    await rm(folder, { recursive: true, force: true })
  })

  it('begins with the founders, and is enforced on every node', async () => {
    for (const peer of [...peers.values(), guest]) {
      const { proof } = await look(peer)
      assert.deepEqual([proof?.mode, proof?.base], ['enforce', 'founded'], peer.name)
    }
  })

  it('a forged epoch is followed by nobody: reads and decisions stay with the coordinator', async () => {
    const { leader } = await look(guest)
    await guest.ask('put', { key: 'before', value: 1 })
    await forge()
    await until('the forged claims were counted', async () => ((await look(guest)).proof?.refused ?? 0) > 0, LIMIT_MS)
    for (const peer of [...peers.values(), guest]) assert.equal((await look(peer)).leader?.id, leader?.id, peer.name)
    await guest.ask('put', { key: 'after', value: 2 })
    const read = await guest.ask('get', { key: 'before', consistency: 'linearizable' })
    assert.equal(read?.value, 1)
    await until('a member has it too', async () => {
      const local = await guest.ask('get', { key: 'after', consistency: 'local' })
      return local?.value === 2
    })
  })

  it('all voters are killed and started: they remember what was proven, and prove the next epoch', async () => {
    const { epoch } = await look(guest)
    await Promise.all([...peers.values()].map((peer) => peer.kill()))
    await forge()
    await Promise.all(VOTERS.map(start))
    await Promise.all([...peers.values(), guest].map((peer) => untilProven(peer)))
    await until('the next epoch is proven to the guest', async () => (await look(guest)).epoch > epoch)
    assert.notEqual((await look(guest)).leader?.id, liar.mesh.self.id)
    assert.equal((await guest.ask('get', { key: 'after' }))?.value, 2)
  })
})
