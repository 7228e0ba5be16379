/** Where all are connected to all a batch travels once to each; where they are not, or a connection breaks, none is lost. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { MeshOptionsInput } from '../../node/index.ts'
import { type AcceptedSockets, watchAccepted } from '../support/accepted-sockets.ts'
import { type GossipTap, tapGossip } from '../support/gossip-tap.ts'
import { type OwnMesh, startMesh, stopMeshes } from '../support/meshes.ts'
import { until } from '../support/until.ts'

const TOPIC = 'news.today'
const numbersTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

/** Listens and keeps the numbers that come, in the order in which they come. */
const listen = async ({ mesh }: OwnMesh): Promise<unknown[]> => {
  const heard: unknown[] = []
  const { unconfirmed } = await mesh.events.subscribe('news.#', ({ data }) => void heard.push(data))
  assert.deepEqual(unconfirmed, [])
  return heard
}

const sorted = (heard: unknown[]): number[] => heard.map(Number).toSorted((a, b) => a - b)

const connected = (nodes: readonly OwnMesh[], members: number): Promise<unknown> =>
  until(`each has ${members} members`, () => nodes.every(({ mesh }) => mesh.members().length === members))

const portOf = ({ mesh }: OwnMesh): number => Number(/\/tcp\/(\d+)/.exec(mesh.self.addresses[0] ?? '')?.[1])

describe('events among nodes in one process', { timeout: 60_000 }, () => {
  let tap: GossipTap
  let accepted: AcceptedSockets
  before(async () => {
    tap = await tapGossip()
    accepted = watchAccepted()
  })
  after(async () => {
    tap.stop()
    accepted.stop()
    await stopMeshes()
  })

  it('come once to each of five that are connected to all, and are not passed on', async () => {
    const first = await startMesh({ name: 'n0', mesh: 'five' })
    const join = first.mesh.self.addresses
    const others = await Promise.all(['n1', 'n2', 'n3', 'n4'].map((name) => startMesh({ name, mesh: 'five', join })))
    const nodes = [first, ...others]
    await connected(nodes, 4)
    const heard = await Promise.all(nodes.map(listen))
    // The last subscription is known to all: from here on all see the same.
    await until('all see all', () =>
      nodes.every(({ mesh }) => mesh.port.gossip.subscribers('events/news').length === 4),
    )
    for (const n of numbersTo(200)) await first.mesh.events.publish(TOPIC, n)
    await until('all heard all', () => heard.every((numbers) => numbers.length === 200))
    for (const numbers of heard) assert.deepEqual(numbers, numbersTo(200))
    for (const { mesh } of others) {
      const { all, distinct } = tap.counts(mesh.self.id, 'five/events/news')
      assert.ok(distinct > 20, `${distinct} batches say little`)
      assert.ok(all <= distinct * 1.1, `${all} messages for ${distinct} batches`)
    }
    const back = tap.counts(first.mesh.self.id, 'five/events/news')
    assert.ok(back.all <= 5, `${back.all} messages came back to the publisher`)
  })

  it('reach by the one between them two that are not connected', async () => {
    const middle = await startMesh({ name: 'b', mesh: 'chain' })
    const options: MeshOptionsInput = { mesh: 'chain', listen: [], join: middle.mesh.self.addresses }
    const [a, c] = await Promise.all([startMesh({ ...options, name: 'a' }), startMesh({ ...options, name: 'c' })])
    await connected([a, c], 1)
    await connected([middle], 2)
    const heard = await Promise.all([a, middle, c].map(listen))
    for (const n of numbersTo(50)) await a.mesh.events.publish(TOPIC, n)
    await until('all heard all', () => heard.every((numbers) => numbers.length === 50))
    for (const numbers of heard) assert.deepEqual(numbers, numbersTo(50))
    assert.deepEqual(
      [a, c].map(({ mesh }) => mesh.members().map(({ name }) => name)),
      [['b'], ['b']],
    )
    assert.equal(tap.counts(c.mesh.self.id, 'chain/events/news').distinct > 0, true)
  })

  for (const third of [true, false]) {
    it(`are all heard once though the connection breaks and comes back, ${third ? 'with' : 'without'} a third`, async () => {
      const mesh = third ? 'break-of-three' : 'break-of-two'
      const timings = { backoffMinMs: 50 }
      const a = await startMesh({ name: 'a', mesh, timings })
      const join = a.mesh.self.addresses
      const b = third ? await startMesh({ name: 'b', mesh, timings, join }) : undefined
      const settled = b === undefined ? [a] : [a, b]
      await connected(settled, settled.length - 1)
      const before = new Set(accepted.at(portOf(a)))
      // It only dials, so that of all connections of a this one alone is new.
      const c = await startMesh({ name: 'c', mesh, timings, listen: [], join })
      const nodes = [...settled, c]
      await connected(nodes, nodes.length - 1)
      const heard = await Promise.all(nodes.map(listen))
      const changes: string[] = []
      c.mesh.onMember(({ name }, change) => void changes.push(`${name} ${change}`))
      for (const n of numbersTo(300)) {
        await a.mesh.events.publish(TOPIC, n)
        if (n === 100) for (const socket of accepted.at(portOf(a))) if (!before.has(socket)) socket.resetAndDestroy()
        await pause(5)
      }
      await until('all heard all', () => heard.every((numbers) => numbers.length >= 300), 3_000)
      assert.deepEqual(changes, ['a left', 'a joined'])
      for (const numbers of heard) assert.deepEqual(sorted(numbers), numbersTo(300))
    })
  }
})
