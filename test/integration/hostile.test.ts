/** Peers that send what no protocol allows, as members and as strangers: the node breaks them off and goes on. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Connection } from '@libp2p/interface'
import { makeSecret } from '../../node/index.ts'
import { dhtProtocolOf } from '../../node/network/dht.ts'
import { frame, KIND } from '../../protocols/wire/frames/frame.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { linkBytes, type RawPeer, request, requestBytes, startRawPeer, watch } from '../support/raw-peer.ts'
import { until } from '../support/until.ts'

const MESH = 'besieged'
const KAD = dhtProtocolOf(MESH)
const secret = makeSecret()
const MAX_FRAME_BYTES = 128 * 1024
const MAX_HELD = 16
const EXPECTED = [
  '/ipfs/id/1.0.0',
  '/ipfs/ping/1.0.0',
  '/libp2p/circuit/relay/0.2.0/hop',
  '/meshsub/1.0.0',
  '/meshsub/1.1.0',
  '/meshsub/1.2.0',
  '/parley/admission/1',
  '/parley/budget/1',
  '/parley/coalition/1',
  '/parley/coordination/1',
  '/parley/coordinator/1',
  '/parley/delivery/1',
  '/parley/directory/1',
  '/parley/events/1',
  '/parley/journal/1',
  KAD,
  '/parley/neighbours/1',
  '/parley/overlay/1',
  '/parley/performance-monitor/1',
  '/parley/presence/1',
  '/parley/probe/1',
  '/parley/proof/1',
  '/parley/reach/1',
  '/parley/reply/1',
  '/parley/resource-manager/1',
  '/parley/resource/1',
  '/parley/task-bytes/1',
  '/parley/task/1',
  '/parley/waits/1',
]

const prefixed = (bytes: Uint8Array): Uint8Array => Buffer.concat([Buffer.from([bytes.length]), bytes])

const GARBAGE: Record<string, () => Uint8Array> = {
  random: () => randomBytes(4096),
  'an endless length': () => new Uint8Array(64).fill(0xff),
  zeros: () => new Uint8Array(4096),
  'a gigabyte announced': () => Uint8Array.from([0x80, 0x80, 0x80, 0x80, 0x04, 1, 2, 3]),
  'a short message of nonsense': () => prefixed(randomBytes(100)),
  'an HTTP request': () => Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
  'nonsense after a good beginning': () => Buffer.concat([linkBytes(), randomBytes(4096)]),
  'half a frame': () => requestBytes('echo', { text: 'x'.repeat(1000) }).subarray(0, 200),
  'a frame of an unknown kind': () => linkBytes({ ...frame(KIND.end, 99), kind: 77 }),
}

/** Each kind of garbage twice, on a stream that is then closed and on one that is reset. */
const pelt = async (connection: Connection, protocol: string): Promise<void> => {
  for (const make of Object.values(GARBAGE)) {
    for (const end of ['close', 'reset']) {
      if (connection.status !== 'open') return
      try {
        const stream = await connection.newStream(protocol)
        stream.send(make())
        if (end === 'close') await stream.close()
        else stream.abort(new Error('slammed'))
      } catch {
        // The other side may break off at any point: that is what it is asked to do.
      }
    }
  }
}

describe('a node under attack', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let victim: Peer
  const raws: RawPeer[] = []

  before(async () => {
    victim = await startPeer({
      name: 'victim',
      mesh: MESH,
      secret,
      // The attackers answer no beats; they are to be broken off for what they send.
      timings: { deadAfterMs: 60_000, admissionTimeoutMs: 1_000 },
      limits: { maxFrameBytes: MAX_FRAME_BYTES, maxHeldStreams: MAX_HELD },
      discovery: { relay: { serve: true }, dht: 'server' },
    })
    ours = await startMesh({ name: 'ours', mesh: MESH, secret, join: victim.addresses })
    await ours.mesh.joined()
  })
  after(async () => {
    endProcesses()
    await Promise.all(raws.map((raw) => raw.stop()))
    await stopMeshes()
  })

  const address = () => victim.addresses[0] ?? ''
  const figures = async () => (await victim.ask('facts', undefined)).figures
  const stillServes = async (): Promise<void> => {
    assert.deepEqual(await ours.mesh.to(victim.id, probe).echo({ text: 'still here?' }), { text: 'still here?' })
  }
  const rawPeer = async (): Promise<{ raw: RawPeer; connection: Connection }> => {
    const raw = await startRawPeer()
    raws.push(raw)
    return { raw, connection: await raw.dial(address()) }
  }
  const insider = async (): Promise<{ raw: RawPeer; connection: Connection }> => {
    const raw = await startRawPeer()
    raws.push(raw)
    const token = await raw.token(MESH, secret)
    const connection = await raw.dial(address())
    await raw.admit(connection, MESH, [token])
    return { raw, connection }
  }

  it('survives garbage of a member on every protocol that it speaks', async () => {
    const { raw, connection } = await insider()
    const protocols = await raw.protocolsOf(connection)
    assert.deepEqual(protocols.toSorted(), EXPECTED)
    const refusedBefore = (await figures()).links.refusedFrames
    for (const protocol of protocols) {
      await pelt(connection, protocol)
      await stillServes()
    }
    // Zeros, the endless length and the gigabyte at least, on each protocol that speaks in frames.
    const framed = protocols.filter((protocol) => protocol.startsWith('/parley/') && protocol !== KAD)
    const least = 3 * framed.length
    await until('what links refused was counted', async () => {
      return (await figures()).links.refusedFrames - refusedBefore >= least
    })
    assert.equal(victim.complaints(), '')
  })

  it('survives garbage of strangers on every protocol, and disconnects them', async () => {
    const { raw, connection } = await rawPeer()
    const protocols = await raw.protocolsOf(connection)
    for (const protocol of protocols) {
      const attacker = await rawPeer()
      await pelt(attacker.connection, protocol)
      await stillServes()
    }
    await until('all of them are gone', () => raws.slice(1).every(({ libp2p }) => libp2p.getConnections().length === 0))
    assert.equal(connection.status, 'closed')
    const now = await figures()
    assert.equal(now.heldStreams, 0)
    // The member that attacked is let go by hand; what is left is this node.
    await raws[0]?.stop()
    await until('only we are connected', async () => (await figures()).connections === 1)
  })

  it('survives bytes that are no libp2p at all', async () => {
    const port = Number(/tcp\/(\d+)/.exec(address())?.[1])
    const ends = Object.values(GARBAGE).map(
      (make) =>
        new Promise<void>((resolve) => {
          const socket = connect(port, '127.0.0.1', () => socket.write(make()))
          socket.on('close', () => resolve())
          socket.on('error', () => {})
          socket.resume()
        }),
    )
    await stillServes()
    await Promise.all(ends)
    await stillServes()
  })

  it('takes a frame of the largest size, and breaks the link off above it', async () => {
    const { connection } = await insider()
    const frameOf = (bytes: number): Uint8Array => {
      const build = (text: number) => request('echo', Buffer.from(JSON.stringify({ text: 'x'.repeat(text) })))
      const bare = linkBytes(build(bytes - 200)).length - linkBytes().length - 3
      return linkBytes(build(bytes - 200 + (bytes - bare)))
    }
    const before = (await figures()).links.refusedFrames
    const largest = await connection.newStream('/parley/probe/1')
    const answered = watch(largest)
    largest.send(frameOf(MAX_FRAME_BYTES))
    await until('the largest frame is answered', () => answered.bytes() > MAX_FRAME_BYTES)
    assert.equal((await figures()).links.refusedFrames, before)

    const larger = await connection.newStream('/parley/probe/1')
    const refused = watch(larger)
    larger.send(frameOf(MAX_FRAME_BYTES + 1))
    await until('the link is broken off', () => refused.gone())
    assert.equal((await figures()).links.refusedFrames, before + 1)
    assert.equal(answered.gone(), false, 'other links of the same peer go on')
    await stillServes()
    await connection.close()
  })

  it('does not unpack a payload that grows beyond what it says', async () => {
    const { connection } = await insider()
    const bomb = request('echo', gzipSync(Buffer.alloc(64 << 20)))
    bomb.encoding = 1
    bomb.rawBytes = 1 << 20
    const before = await victim.ask('memory', undefined)
    const stream = await connection.newStream('/parley/probe/1')
    const seen = watch(stream)
    stream.send(linkBytes(bomb))
    await until('it is refused', () => seen.text().includes('MSG003'))
    const after = await victim.ask('memory', undefined)
    assert.ok(after.rss - before.rss < 32 << 20, `${(after.rss - before.rss) >> 20} MiB more`)
    await stillServes()
    await connection.close()
  })

  it('holds so many streams of a stranger and no more', async () => {
    const { connection } = await rawPeer()
    const refusedBefore = (await figures()).refusedStreams
    const opened = await Promise.all(
      Array.from({ length: 2 * MAX_HELD }, async () => connection.newStream('/parley/probe/1').catch(() => undefined)),
    )
    const { heldStreams, refusedStreams } = await until('the rest is reset', async () => {
      const now = await figures()
      return now.refusedStreams - refusedBefore >= MAX_HELD && now
    })
    assert.equal(heldStreams, MAX_HELD)
    assert.ok(refusedStreams - refusedBefore <= MAX_HELD + 2, 'its own gossip streams may be among them')
    assert.ok(opened.length > 0)
    await until('the stranger is disconnected', () => connection.status !== 'open')
    assert.equal((await figures()).heldStreams, 0)
  })

  it('takes no more than a card from who is not admitted yet', async () => {
    const { connection } = await rawPeer()
    const stream = await connection.newStream('/parley/admission/1')
    const seen = watch(stream)
    const half = frame(KIND.request, 1, randomBytes(30_000))
    half.method = 'admit'
    half.more = true
    stream.send(linkBytes(half, half))
    await until('it is told so', () => seen.text().includes('MSG001'))
    await until('the stranger is disconnected', () => connection.status !== 'open')
    await stillServes()
  })

  it('has leaked nothing and said nothing worse than a warning after all that', async () => {
    await until('nobody but us is connected', async () => (await figures()).connections === 1)
    const now = await figures()
    assert.deepEqual([now.active, now.queued, now.heldStreams], [0, 0, 0])
    assert.equal(victim.complaints(), '')
    const { rss } = await victim.ask('memory', undefined)
    assert.ok(rss < 300 << 20, `${rss >> 20} MiB`)
  })
})
