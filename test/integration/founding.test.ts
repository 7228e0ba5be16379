/** Meshes that are founded by real processes: together, alone, apart; and what becomes of who meets another one. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { runCommand } from '../support/command.ts'
import { endJournalPeers, type JournalPeer, startJournalPeer } from '../support/journal-peers.ts'
import { freePort } from '../support/ports.ts'
import { until } from '../support/until.ts'

const common = { mesh: 'founds', secret: makeSecret(), timings: { backoffMinMs: 100, backoffMaxMs: 500 } }
const FOUND_MS = 10_000

describe('founding', { timeout: 120_000 }, () => {
  let folder = ''
  const at = (name: string): string => join(folder, name)
  const led = async (peer: JournalPeer): Promise<{ meshId: string | undefined; leader: string | undefined }> =>
    until(
      `${peer.name} knows who coordinates`,
      async () => {
        const { meshId, leader } = await peer.ask('status', undefined)
        return leader === undefined ? undefined : { meshId, leader }
      },
      FOUND_MS,
    )

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-founding-'))
  })
  after(async () => {
    endJournalPeers()
    await rm(folder, { recursive: true, force: true })
  })

  it('is done together by as many as are expected, and not before', async () => {
    const ports = [await freePort(), await freePort(), await freePort()]
    const debugPort = await freePort()
    const addressOf = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`
    const start = (i: number): Promise<JournalPeer> =>
      startJournalPeer({
        ...common,
        name: `together-${i}`,
        dataDir: at(`together-${i}`),
        listen: [addressOf(ports[i] ?? 0)],
        join: ports.filter((_, j) => j !== i).map(addressOf),
        coordination: { expect: 3, stableMs: 500 },
        debug: i === 0 ? debugPort : 0,
      })
    const [first, second] = [await start(0), await start(1)]
    for (const peer of [first, second]) assert.equal((await peer.ask('status', undefined)).meshId, undefined)
    const third = await start(2)
    const peers = [first, second, third]
    const found = await Promise.all(peers.map(led))
    assert.equal(new Set(found.map((one) => JSON.stringify(one))).size, 1, 'they agree')

    const { meshId } = await first.ask('status', undefined)
    const joiner = await startJournalPeer({ ...common, name: 'joiner', join: [addressOf(ports[1] ?? 0)] })
    assert.equal((await led(joiner)).meshId, meshId)
    await joiner.ask('put', { key: 'from', value: 'who has no seat' })
    assert.equal((await third.ask('get', { key: 'from' }))?.value, 'who has no seat')

    for (const name of ['together-1', 'together-2']) assert.equal(await joiner.ask('transfer', { to: name }), name)
    await assert.rejects(joiner.ask('transfer', { to: 'together-9' }), /no agent is called "together-9"/)

    // What a person sees of it.
    const url = `http://127.0.0.1:${debugPort}`
    const look = (...args: string[]) => runCommand(['coordinator', ...args, '--url', url], { cwd: folder })
    const status = await look('status')
    assert.equal(status.code, 0)
    assert.match(status.stdout, new RegExp(`mesh id +${meshId}`))
    assert.match(status.stdout, /voters +3, 0 learn/)
    const { stdout: voters } = await look('voters', '--json')
    assert.deepEqual(
      JSON.parse(voters)
        .map(({ name }: { name: string }) => name)
        .toSorted(),
      ['together-0', 'together-1', 'together-2'],
    )
    const { stdout: history } = await look('history', '--json')
    assert.equal(JSON.parse(history).length >= 1, true)

    // All at once, without a word, and again.
    await Promise.all(peers.map((peer) => peer.kill()))
    const again = await Promise.all([0, 1, 2].map(start))
    for (const one of await Promise.all(again.map(led))) assert.equal(one.meshId, meshId)
    assert.equal((await again[1]?.ask('get', { key: 'from' }))?.value, 'who has no seat')
    await Promise.all([joiner, ...again].map((peer) => peer.kill()))
  })

  it('is done alone by who joins nobody; a mesh that was founded apart is refused, and said so', async () => {
    const [one, other] = await Promise.all(
      ['one', 'other'].map((name) => startJournalPeer({ ...common, name, dataDir: at(name) })),
    )
    assert.ok(one !== undefined && other !== undefined)
    const [first, second] = await Promise.all([led(one), led(other)])
    assert.notEqual(first.meshId, second.meshId)
    await one.ask('put', { key: 'mine', value: 1 })
    await other.ask('put', { key: 'mine', value: 2 })

    const { addresses } = JSON.parse((await one.ask('look', { path: '/api/self' })).body)
    await other.kill()
    const back = await startJournalPeer({
      ...common,
      name: 'other',
      dataDir: at('other'),
      join: addresses,
      log: 'warn',
    })
    // With what to do about it: keep both, or bring one over.
    const why =
      /"hint":"two founded meshes do not merge.+--mesh.+store adopt --node NAME --mesh-id.+"message":"a peer refused this node: .+ founded apart/
    await until('it says why', () => why.test(back.complaints()), FOUND_MS)
    assert.equal((await back.ask('status', undefined)).meshId, second.meshId)
    const { peers } = JSON.parse((await back.ask('look', { path: '/api/peers' })).body)
    assert.equal(peers.filter(({ admitted }: { admitted: boolean }) => admitted).length, 0)
    assert.equal((await back.ask('get', { key: 'mine' }))?.value, 2)
    assert.equal((await one.ask('get', { key: 'mine' }))?.value, 1)
    await Promise.all([one.kill(), back.kill()])
  })

  it('is never done by who joins others and is not told how many: it waits, and says so', async () => {
    const port = await freePort()
    const waits = await startJournalPeer({
      ...common,
      name: 'waits',
      dataDir: at('waits'),
      join: [`/ip4/127.0.0.1/tcp/${port}`],
    })
    const { meshId, role } = await waits.ask('status', undefined)
    assert.deepEqual([meshId, role], [undefined, 'none'])
    const page = await waits.ask('look', { path: '/api/coordinator' })
    assert.match(String(JSON.parse(page.body).problem), /join|found/)
    await assert.rejects(waits.ask('put', { key: 'a', value: 1, timeoutMs: 500 }), { code: 'STA003' })

    const seed = await startJournalPeer({
      ...common,
      name: 'seed',
      dataDir: at('seed'),
      listen: [`/ip4/127.0.0.1/tcp/${port}`],
      coordination: { stableMs: 300 },
    })
    const { meshId: founded } = await led(seed)
    assert.equal((await led(waits)).meshId, founded)
    await until('it learns', async () => (await waits.ask('status', undefined)).role === 'learner', FOUND_MS)
    await Promise.all([waits.kill(), seed.kill()])
  })
})
