/** Publish and subscribe between processes: nothing lost, nothing twice, nothing from who may not. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeSecret } from '../../node/index.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import type { Output } from '../support/peer-verbs.ts'
import { freePorts } from '../support/ports.ts'
import { endProcesses, forkProcess, type Peer, type PeerProcess, startPeer } from '../support/processes.ts'
import { startRawPeer } from '../support/raw-peer.ts'
import { until } from '../support/until.ts'

const MESH = 'gazette'
const secret = makeSecret()

describe('events between three processes', { timeout: 60_000 }, () => {
  let ours: OwnMesh
  let peers: Peer[]

  before(async () => {
    ours = await startMesh({ name: 'ours', mesh: MESH, secret })
    const options = { mesh: MESH, secret, join: ours.mesh.self.addresses }
    peers = await Promise.all(['one', 'two'].map((name) => startPeer({ ...options, name })))
    await Promise.all(peers.map((peer) => peer.ask('joined', {})))
    await until('all are connected to all', async () => {
      const all = await Promise.all(peers.map((peer) => peer.ask('facts', undefined)))
      return all.every(({ members }) => members.length === 2)
    })
  })
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  const numbers = (events: readonly { data: unknown }[]): unknown[] =>
    events.map(({ data }) => (typeof data === 'object' && data !== null && 'n' in data ? data.n : data))

  it('reach those whose pattern fits, from every side, and nobody after it unsubscribed', async () => {
    const [one, two] = peers
    assert.ok(one !== undefined && two !== undefined)
    const exact = await one.ask('subscribe', { pattern: 'tasks.done' })
    const wild = await two.ask('subscribe', { pattern: 'tasks.#' })
    const own: string[] = []
    const subscription = await ours.mesh.events.subscribe(
      'tasks.*',
      ({ topic, source }) => void own.push(`${topic} ${source}`),
    )
    await ours.mesh.events.publish('tasks.done', { n: 1 })
    await one.ask('publish', { topic: 'tasks.failed', from: 2 })
    await two.ask('publish', { topic: 'tasks.status.42', from: 3 })
    await until('all heard theirs', async () => {
      const heard = await Promise.all([one.ask('heard', exact), two.ask('heard', wild)])
      return heard[0].count === 1 && heard[1].count === 3 && own.length === 2
    })
    assert.deepEqual(own.toSorted(), [`tasks.done ${ours.mesh.self.id}`, `tasks.failed ${one.id}`].toSorted())
    assert.deepEqual(numbers((await one.ask('heard', exact)).events), [1])
    assert.deepEqual(numbers((await two.ask('heard', wild)).events).toSorted(), [1, 2, 3])
    void subscription.stop()
    await one.ask('publish', { topic: 'tasks.done', from: 4 })
    await until('the others heard it', async () => (await two.ask('heard', wild)).count === 4)
    assert.equal(own.length, 2)
  })

  it('are not lost when they are published right after a subscribe, in either direction', async () => {
    const [one, two] = peers
    assert.ok(one !== undefined && two !== undefined)
    for (let round = 1; round <= 40; round += 1) {
      // A new first word each time is a new gossip topic that nobody knows yet.
      const topic = `round${round}.event`
      const [subscriber, publisher]: [Peer, Peer] = round % 2 === 0 ? [one, two] : [two, one]
      const known: Output<'subscribe'> = await subscriber.ask('subscribe', { pattern: topic })
      assert.deepEqual(known.unconfirmed, [])
      const [receipt] = await Promise.all([
        ours.mesh.events.publish(topic, { n: 1 }),
        publisher.ask('publish', { topic, from: 2 }),
      ])
      assert.ok(receipt.recipients > 0)
      await until(`round ${round} was heard`, async () => (await subscriber.ask('heard', known)).count === 2)
    }
  })

  it('come once each and in order, although gossip brings them over every neighbour', async () => {
    const count = 2_000
    const subscriptions = await Promise.all(peers.map((peer) => peer.ask('subscribe', { pattern: 'stream.#' })))
    await Promise.all(
      Array.from({ length: count }, (_, i) => ours.mesh.events.publish('stream.of.events', { n: i + 1 })),
    )
    for (const [i, peer] of peers.entries()) {
      const { subscription } = subscriptions[i] ?? { subscription: 0 }
      await until('all came', async () => (await peer.ask('heard', { subscription })).count >= count)
      const heard = await peer.ask('heard', { subscription })
      assert.deepEqual(
        numbers(heard.events),
        Array.from({ length: count }, (_, n) => n + 1),
      )
      assert.deepEqual([heard.missed, heard.dropped], [0, 0])
    }
  })

  it('that a member forges are neither heard nor passed on', async () => {
    const raw = await startRawPeer()
    const heard: unknown[] = []
    await ours.mesh.events.subscribe('forged.#', (event) => void heard.push(event))
    const token = await raw.token(MESH, secret)
    const connection = await raw.dial(ours.mesh.self.addresses[0] ?? '')
    await raw.admit(connection, MESH, [token])
    const topic = `parley/${MESH}/events/forged`
    const { gossip } = raw.libp2p.services
    gossip.subscribe(topic)
    await until('gossip knows us', () => gossip.getSubscribers(topic).length > 0)
    const before = ours.mesh.figures().gossip.rejected
    await gossip.publish(topic, Buffer.from('{"topic":"forged.event","data":1}'))
    await gossip.publish(topic, new Uint8Array(500).fill(7))
    await until('both were refused', () => ours.mesh.figures().gossip.rejected === before + 2)
    assert.deepEqual(heard, [])
    await raw.stop()
  })
})

describe('events where not all are connected to all', { timeout: 60_000 }, () => {
  after(async () => {
    endProcesses()
    await stopMeshes()
  })

  it('are passed on by the one between two that only dial', async () => {
    const options = { mesh: 'line', secret }
    const middle = await startMesh({ ...options, name: 'middle' })
    const ends = await Promise.all(
      ['left', 'right'].map((name) => startPeer({ ...options, name, listen: [], join: middle.mesh.self.addresses })),
    )
    const [left, right] = ends
    assert.ok(left !== undefined && right !== undefined)
    await Promise.all(ends.map((end) => end.ask('joined', {})))
    const atLeft = await left.ask('subscribe', { pattern: 'news.#' })
    const atRight = await right.ask('subscribe', { pattern: 'news.#' })
    await middle.mesh.events.subscribe('news.#', () => {})
    await left.ask('publish', { topic: 'news.left', count: 10 })
    await right.ask('publish', { topic: 'news.right', count: 10 })
    await until('both heard all', async () => {
      const heard = await Promise.all([left.ask('heard', atLeft), right.ask('heard', atRight)])
      return heard.every(({ count }) => count === 20)
    })
    const { members } = await left.ask('facts', undefined)
    assert.deepEqual(
      members.map(({ name }) => name),
      ['middle'],
    )
  })
})

describe('events of two nodes that dial each other at the same moment', { timeout: 60_000 }, () => {
  let processes: [PeerProcess, PeerProcess]
  before(async () => {
    processes = [forkProcess(), forkProcess()]
    await Promise.all(processes.map((process) => process.ask('memory', undefined)))
  })
  after(endProcesses)

  it('are all heard while the two connections become one', async () => {
    let duplicates = 0
    for (let round = 1; round <= 5; round += 1) {
      const as = `round-${round}`
      const [first = 0, second = 0] = await freePorts(2)
      const addresses = [`/ip4/127.0.0.1/tcp/${first}`, `/ip4/127.0.0.1/tcp/${second}`]
      const both = <T>(run: (process: PeerProcess, i: number) => Promise<T>): Promise<T[]> =>
        Promise.all(processes.map(run))
      await both((process, i) =>
        process.ask(
          'start',
          { name: `n${i}`, listen: addresses.slice(i, i + 1), join: addresses.slice(1 - i, 2 - i) },
          { as },
        ),
      )
      await both((process) => process.ask('joined', {}, { as }))
      const subscriptions = await both((process) => process.ask('subscribe', { pattern: 'talk.#' }, { as }))
      let published = 0
      // Both talk until one connection is left, which is when gossip moves from one to the other.
      await until('one connection is left', async () => {
        published += 10
        await both((process, i) => process.ask('publish', { topic: `talk.n${i}`, count: 10 }, { as }))
        const facts = await both((process) => process.ask('facts', undefined, { as }))
        return published > 500 && facts.every(({ figures }) => figures.connections === 1)
      })
      published += 1
      await both((process, i) => process.ask('publish', { topic: `talk.n${i}` }, { as }))
      for (const [i, process] of processes.entries()) {
        const { subscription } = subscriptions[i] ?? { subscription: 0 }
        const { missed } = await until(`n${i} heard all of round ${round}`, async () => {
          const heard = await process.ask('heard', { subscription }, { as })
          return heard.count === 2 * published && heard
        })
        assert.equal(missed, 0)
      }
      const [facts] = await both((process) => process.ask('facts', undefined, { as }))
      duplicates += facts?.figures.duplicateConnections ?? 0
      await both((process) => process.ask('stop', undefined, { as }))
    }
    assert.ok(duplicates > 0, 'in no round were there two connections')
  })
})
