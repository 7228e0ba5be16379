/** One member that takes whatever it can get, over several connections, and what is left for an honest pair. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Connection, Stream } from '@libp2p/interface'
import { makeSecret } from '../../node/index.ts'
import { fragment } from '../../protocols/wire/frames/fragmentation.ts'
import { type Frame, frame, KIND } from '../../protocols/wire/frames/frame.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { linkBytes, type RawPeer, startRawPeer } from '../support/raw-peer.ts'
import { until } from '../support/until.ts'

const MESH = 'shared'
const secret = makeSecret()
const CONNECTIONS = 4
const STREAMS = 6_000
const WEEKS_MS = 24 * 24 * 3_600_000
const PARKED = 64
/** Under load of other tests as well; without the shares a call waits until it gives up. */
const P99_MS = 1_000

const asked = (exchange: number, method: string, input: unknown, credit = 0): Frame => {
  const made = frame(KIND.request, exchange, Buffer.from(JSON.stringify(input)))
  return Object.assign(made, { method, credit, timeoutMs: WEEKS_MS })
}

describe('a member that takes all it can get', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let victim: Peer
  let raw: RawPeer
  const connections: Connection[] = []

  before(async () => {
    victim = await startPeer({
      name: 'victim',
      mesh: MESH,
      secret,
      timings: { deadAfterMs: 60_000 },
      limits: { maxActive: 64, maxQueuedInbound: 256, maxParkedStreams: PARKED, maxPeerStreams: 32 },
    })
    ours = await startMesh({ name: 'ours', mesh: MESH, secret, join: victim.addresses })
    await ours.mesh.joined()
    raw = await startRawPeer()
    const token = await raw.token(MESH, secret)
    for (let i = 0; i < CONNECTIONS; i += 1) {
      const connection = await raw.dial(victim.addresses[0] ?? '', { force: i > 0 })
      await raw.admit(connection, MESH, [token])
      connections.push(connection)
    }
  })
  after(async () => {
    endProcesses()
    await raw.stop()
    await stopMeshes()
  })

  const figures = async () => (await victim.ask('facts', undefined)).figures

  /** Links to the victim, one on each connection, and `each` sent over them in turn. */
  const send = async (frames: Frame[]): Promise<Stream[]> => {
    const links = await Promise.all(connections.map((connection) => connection.newStream('/parley/probe/1')))
    for (const [at, link] of links.entries()) {
      link.send(linkBytes(...frames.filter((_, i) => i % links.length === at)))
    }
    return links
  }

  /** Milliseconds of `count` calls of an honest pair, one after the other, slowest last. */
  const honest = async (count: number): Promise<number[]> => {
    const times: number[] = []
    for (let i = 0; i < count; i += 1) {
      const startedAt = performance.now()
      await ours.mesh.to(victim.id, probe).once({ text: `${i}` }, { timeoutMs: 5_000 })
      times.push(performance.now() - startedAt)
    }
    return times.sort((a, b) => a - b)
  }
  const p99 = (times: number[]): number => times[Math.ceil(times.length * 0.99) - 1] ?? 0

  it('with 6,000 streams that it never reads holds no slot, and an honest pair goes on', async () => {
    const frames = Array.from({ length: STREAMS }, (_, i) => asked(i + 1, 'count', { to: 1_000 }, 1))
    const links = await send(frames)
    const times = await honest(200)
    await until('all were taken or refused', async () => {
      const { refused, parked } = await figures()
      return (refused.streams ?? 0) + (refused.line ?? 0) + parked >= STREAMS
    })
    const { active, parked, topPeers } = await figures()
    assert.deepEqual([active, parked], [0, (PARKED * 3) / 4])
    assert.equal(topPeers[0]?.peer, raw.id)
    assert.ok(p99(times) < P99_MS, `p99 ${p99(times).toFixed(0)} ms`)
    for (const link of links) link.abort(new Error('enough'))
    await until('it holds nothing any more', async () => (await figures()).topPeers.length === 0)
  })

  it('with 6,000 calls that never end gets three quarters of the slots, whatever it calls urgent', async () => {
    const frames = Array.from({ length: STREAMS }, (_, i) =>
      Object.assign(asked(i + 1, 'hold', { tag: 'greedy' }), { priority: 3 }),
    )
    const links = await send(frames)
    const times = await honest(200)
    const { active, queued, refused } = await figures()
    assert.deepEqual([active, queued], [48, 192])
    assert.ok((refused.line ?? 0) > 0)
    assert.ok(p99(times) < P99_MS, `p99 ${p99(times).toFixed(0)} ms`)
    for (const link of links) link.abort(new Error('enough'))
    await until('its line is empty', async () => (await figures()).queued === 0)
  })

  it('gets no more by opening more streams than it may', async () => {
    const before = (await figures()).refused.links ?? 0
    const streams = await Promise.allSettled(
      Array.from({ length: 60 }, (_, i) =>
        connections[i % CONNECTIONS]?.newStream('/parley/probe/1', { maxOutboundStreams: 100 }),
      ),
    )
    await until('some were reset', async () => ((await figures()).refused.links ?? 0) >= before + 20)
    for (const stream of streams) if (stream.status === 'fulfilled') stream.value?.abort(new Error('enough'))
    await honest(10)
  })

  it('with 4 MB of nested JSON does not stop the loop for others', async () => {
    const half = 2 * 1024 * 1024 - 64
    const payload = Buffer.from(`{"text":${'['.repeat(half)}${']'.repeat(half)}}`)
    const nested = Array.from({ length: 4 }, (_, i) => Object.assign(asked(i + 1, 'echo', 0), { payload }))
    const [link] = await Promise.all(connections.slice(0, 1).map((each) => each.newStream('/parley/probe/1')))
    assert.ok(link !== undefined)
    let answers = 0
    link.addEventListener('message', ({ data }) => {
      answers += Buffer.from(data.subarray()).toString('latin1').split('levels of arrays').length - 1
    })
    link.send(linkBytes())
    let done = false
    const feeding = (async () => {
      for (const part of nested.flatMap((each) => fragment(each, 64 * 1024))) {
        if (!link.send(linkBytes(part).subarray(linkBytes().length))) {
          await new Promise((resolve) => link.addEventListener('drain', resolve, { once: true }))
        }
      }
      await until('all were refused', () => answers >= nested.length, 20_000)
      done = true
    })()
    const times: number[] = []
    while (!done) times.push(...(await honest(1)))
    await feeding
    const slowest = Math.max(...times)
    assert.ok(slowest < P99_MS, `the slowest of ${times.length} calls took ${slowest.toFixed(0)} ms`)
  })
})
