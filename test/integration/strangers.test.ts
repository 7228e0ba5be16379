/** Strangers who take what they can before they are thrown out: memory stays bounded, and a newcomer comes in. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { endProcesses, forkProcess, type Peer, type PeerProcess, startPeer } from '../support/processes.ts'
import { requestBytes, startRawPeer, watch } from '../support/raw-peer.ts'
import { type Attack, type Flood, halfOpen, strangers } from '../support/strangers.ts'
import { timed, until } from '../support/until.ts'

const MESH = 'beleaguered'
const secret = makeSecret()
const MAX_GROWTH_BYTES = 64 << 20
const JOIN_MS = 2_000
const ATTACK_MS = 6_000
/** All that a stranger may open, and what is held for it. */
const PROTOCOLS = [
  '/parley/admission/1',
  '/parley/delivery/1',
  '/parley/directory/1',
  '/parley/events/1',
  '/parley/journal/1',
  '/parley/presence/1',
  '/parley/probe/1',
  '/parley/task-bytes/1',
  '/parley/task/1',
  '/meshsub/1.1.0',
  '/ipfs/ping/1.0.0',
  '/ipfs/id/1.0.0',
]

describe('a node among strangers', { timeout: 60_000 }, () => {
  let victim: Peer
  let host: PeerProcess
  const attacks: Attack[] = []
  const stopAttacks = async (): Promise<void> => {
    await Promise.all(attacks.splice(0).map((attack) => attack.stop()))
  }

  before(async () => {
    const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws']
    ;[victim, host] = await Promise.all([startPeer({ name: 'victim', mesh: MESH, secret, listen }), forkProcess()])
    // What a newcomer loads is loaded.
    await host.ask('start', { name: 'apart', mesh: 'apart' }, { as: 'apart' })
  })
  after(async () => {
    await stopAttacks()
    endProcesses()
  })

  const addressOf = (kind: 'tcp' | 'ws'): string =>
    victim.addresses.find((address) => address.includes('/ws') === (kind === 'ws')) ?? ''
  const portOf = (kind: 'tcp' | 'ws'): number => Number(/tcp\/(\d+)/.exec(addressOf(kind))?.[1])
  /** Bytes that the node holds, garbage apart: how much of that lies about is the collector's, and the machine's. */
  const held = async (): Promise<number> => {
    const { heapUsed, arrayBuffers } = await victim.ask('memory', undefined)
    return heapUsed + arrayBuffers
  }
  const figures = async () => (await victim.ask('facts', undefined)).figures

  /** Milliseconds until a newcomer, whose process runs already, is a member. */
  const join = async (name: string): Promise<number> => {
    const { ms } = await timed(async () => {
      await host.ask('start', { name, mesh: MESH, secret, join: [addressOf('tcp')] }, { as: name })
      await until('the newcomer is a member', async () =>
        (await host.ask('facts', undefined, { as: name })).members.some(({ id }) => id === victim.id),
      )
    })
    await host.ask('stop', undefined, { as: name })
    return ms
  }

  it('keeps its memory, and lets a newcomer in, while 50 strangers send what they can', async () => {
    const before = await held()
    const floods: [Flood, number][] = [
      ['bytes', 20],
      ['crumbs', 15],
      ['streams', 15],
    ]
    attacks.push(
      ...(await Promise.all(
        floods.map(([flood, count]) => strangers(addressOf('tcp'), { count, protocols: PROTOCOLS, flood })),
      )),
    )
    const endsAt = performance.now() + ATTACK_MS
    await join('newcomer-flood')
    await until('the time is over', () => performance.now() > endsAt, 2 * ATTACK_MS, 50)
    const grown = (await held()) - before
    await stopAttacks()
    assert.ok(grown < MAX_GROWTH_BYTES, `${grown >> 20} MiB more`)
    await until('nothing of them is left', async () => (await figures()).unadmitted.connections === 0)
    assert.deepEqual([(await figures()).unadmitted.bytes, (await figures()).heldStreams], [0, 0])
  })

  it(`lets a newcomer in within ${JOIN_MS} ms among 300 sockets that get nowhere and come again`, async () => {
    attacks.push(halfOpen(portOf('tcp'), 300))
    await until('they are there', async () => (await figures()).unadmitted.connections >= 300)
    const ms = await join('newcomer-half-open')
    await stopAttacks()
    assert.ok(ms < JOIN_MS, `${Math.round(ms)} ms`)
  })

  it('ends sockets at its WebSocket port that say nothing, and counts them', async () => {
    const held = (await figures()).unadmitted.connections
    const sockets: Socket[] = Array.from({ length: 600 }, () => connect(portOf('ws'), '127.0.0.1').resume())
    let closed = 0
    for (const socket of sockets) {
      socket.on('error', () => {})
      socket.on('close', () => {
        closed += 1
      })
    }
    await until('there are too many', () => closed >= 600 - 512 + held)
    assert.ok((await figures()).unadmitted.connections <= 512)
    await until('none of them is left', () => closed === 600)
  })

  it('reads what came on a held stream once its peer is admitted', async () => {
    const raw = await startRawPeer()
    const connection = await raw.dial(addressOf('tcp'))
    const stream = await connection.newStream('/parley/probe/1')
    const seen = watch(stream)
    const text = 'x'.repeat(60_000)
    stream.send(requestBytes('echo', { text }))
    await until('it is held', async () => (await figures()).heldStreams > 0)
    assert.equal(seen.bytes(), 0)
    await raw.admit(connection, MESH, [await raw.token(MESH, secret)])
    await until('it is answered', () => seen.bytes() > text.length)
    await raw.stop()
  })

  it('is whole after all that', async () => {
    assert.ok((await join('newcomer-at-last')) > 0)
    const { refused } = (await figures()).unadmitted
    assert.ok((refused.bytes ?? 0) > 0 && (refused.room ?? 0) > 0, JSON.stringify(refused))
    assert.equal(victim.complaints(), '')
  })
})
