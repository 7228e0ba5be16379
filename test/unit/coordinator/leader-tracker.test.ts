/** Who coordinates, as one node knows: what it believes, whom it asks, and how long it waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { coordinatorProtocol } from '../../../protocols/coordinator/contract.ts'
import type { KnownLeader } from '../../../protocols/coordinator/leader-search.ts'
import { createLeaderTracker } from '../../../protocols/coordinator/leader-tracker.ts'
import { isParleyError } from '../../../protocols/errors.ts'

const NEVER = new AbortController().signal

interface Answer {
  meshId?: string
  epoch: number
  leader?: string
  version: number
  seats: string[]
}

/** A node that asks, and others that answer as the test says; undefined: they take too long. */
const create = async (others: number) => {
  const network = createPortNetwork()
  const node = network.start('asker')
  let mesh: string | undefined = 'm'
  const whereabouts = createLeaderTracker(node.port, () => mesh)
  const peers = Array.from({ length: others }, (_, i) => {
    const peer = network.start(`p${i}`)
    network.connect(node, peer)
    return { id: peer.id, asked: 0, answer: undefined as Answer | undefined, port: peer.port }
  })
  for (const peer of peers)
    await peer.port.serve(coordinatorProtocol, {
      where: () => {
        peer.asked += 1
        return peer.answer ?? new Promise<Answer>(() => {})
      },
      volunteer: () => ({ enough: true }),
      transfer: () => ({ epoch: 0, leader: 'x' }),
      giveUp: () => ({}),
      takeSeat: () => ({}),
    })
  const moveTo = (id: string | undefined): void => {
    mesh = id
  }
  return { ...network, whereabouts, peers, moveTo }
}

test('the highest epoch that somebody leads is believed', async () => {
  const { whereabouts } = await create(0)
  whereabouts.setFromOwnGroup({ epoch: 3, leader: 'a', seats: ['a', 'b'], version: 7 })
  whereabouts.setFromOwnGroup({ epoch: 2, leader: 'b', seats: ['x'], version: 9 })
  assert.deepEqual(whereabouts.leader(), { epoch: 3, peer: 'a' })
  const { epoch, seats, version } = whereabouts.latest()
  assert.deepEqual({ epoch, seats, version }, { epoch: 3, seats: ['a', 'b'], version: 9 })
})

test('an epoch that nobody leads does not hide the one that is led', async () => {
  const { whereabouts } = await create(0)
  whereabouts.setFromOwnGroup({ epoch: 3, leader: 'a' })
  whereabouts.setFromOwnGroup({ epoch: 9, seats: ['a'] })
  whereabouts.setFromOwnGroup({ epoch: 4, leader: 'b' })
  assert.deepEqual(whereabouts.leader(), { epoch: 4, peer: 'b' })
})

test('what is said of another founded mesh does not count', async () => {
  const { whereabouts, moveTo } = await create(0)
  whereabouts.setFromOwnGroup({ meshId: 'other', epoch: 9, leader: 'a' })
  assert.equal(whereabouts.leader(), undefined)
  moveTo(undefined)
  whereabouts.setFromOwnGroup({ meshId: 'm', epoch: 9, leader: 'a' })
  assert.equal(whereabouts.leader(), undefined)
})

test('who listens is told of each coordinator once', async () => {
  const { whereabouts } = await create(0)
  const told: (KnownLeader | undefined)[] = []
  const stop = whereabouts.onChange((leader) => told.push(leader))
  whereabouts.setFromOwnGroup({ epoch: 1, leader: 'a' })
  whereabouts.setFromOwnGroup({ epoch: 1, leader: 'a', version: 5 })
  whereabouts.setFromOwnGroup({ epoch: 2, leader: 'a' })
  whereabouts.reset()
  stop()
  whereabouts.setFromOwnGroup({ epoch: 3, leader: 'b' })
  assert.deepEqual(told, [{ epoch: 1, peer: 'a' }, { epoch: 2, peer: 'a' }, undefined])
})

test('who looks for it asks, those with a seat first, and is answered by whoever knows', async () => {
  const { whereabouts, peers, time } = await create(5)
  const [first, second] = peers
  assert.ok(first && second)
  whereabouts.setFromOwnGroup({ epoch: 1, seats: [second.id] })
  const found = whereabouts.find(NEVER)
  await time.run(20)
  assert.equal(peers.filter(({ asked }) => asked > 0).length, 3, 'three at once')
  assert.equal(second.asked, 1)
  first.answer = { meshId: 'm', epoch: 4, leader: second.id, version: 1, seats: [second.id] }
  assert.deepEqual(await time.settled(found, 500), { epoch: 4, peer: second.id })
})

test('what others say of it is believed, and is not the same as hearing it', async () => {
  const { whereabouts, peers, time } = await create(1)
  const [peer] = peers
  assert.ok(peer)
  peer.answer = { meshId: 'm', epoch: 4, leader: 'somebody', version: 1, seats: [] }
  assert.deepEqual(await time.settled(whereabouts.find(NEVER), 500), { epoch: 4, peer: 'somebody' })
  assert.equal(whereabouts.latest().isPresent, false)
  whereabouts.markDoubtful({ epoch: 4, peer: 'somebody' })
  peer.answer = { ...peer.answer, epoch: 5, leader: peer.id }
  await time.settled(whereabouts.find(NEVER), 500)
  assert.ok(whereabouts.latest().silentMs < 200)
  assert.ok(whereabouts.latest().isPresent)
})

test('who was doubted is asked about, and believed again when nobody knows better', async () => {
  const { whereabouts, peers, time } = await create(1)
  const [peer] = peers
  assert.ok(peer)
  const leader = { epoch: 2, peer: 'a' }
  whereabouts.setFromOwnGroup({ epoch: 2, leader: 'a' })
  whereabouts.markDoubtful({ epoch: 1, peer: 'b' })
  assert.deepEqual(whereabouts.leader(), leader, 'a doubt of somebody else')
  whereabouts.markDoubtful(leader)
  assert.equal(whereabouts.leader(), undefined)
  peer.answer = { meshId: 'm', epoch: 2, leader: 'a', version: 1, seats: [] }
  const startMs = time.now()
  assert.deepEqual(await time.settled(whereabouts.find(NEVER), 1_000), leader)
  assert.ok(time.now() - startMs >= 300, 'not at once')
  assert.ok(peer.asked > 0)
  whereabouts.markDoubtful(leader)
  const next = whereabouts.find(NEVER)
  whereabouts.setFromOwnGroup({ epoch: 3, leader: 'b' })
  assert.deepEqual(await time.settled(next, 10), { epoch: 3, peer: 'b' })
})

test('who waits ends with its signal, and nobody is asked for nobody', async () => {
  const { whereabouts, peers, time } = await create(1)
  const stop = new AbortController()
  const waiting = [whereabouts.find(stop.signal), whereabouts.find(stop.signal)]
  await time.run(350)
  stop.abort(new Error('no time'))
  for (const one of waiting) await assert.rejects(one, /no time/)
  await assert.rejects(whereabouts.find(stop.signal), /no time/)
  await time.run(200)
  const asked = peers[0]?.asked ?? 0
  assert.ok(asked > 0)
  await time.run(2_000)
  assert.equal(peers[0]?.asked, asked)
})

test('what is stopped lets nobody wait', async () => {
  const { whereabouts, peers, time } = await create(1)
  const waiting = whereabouts.find(NEVER).catch((error: unknown) => error)
  await time.run(10)
  whereabouts.stop()
  for (const error of [await waiting, await whereabouts.find(NEVER).catch((reason: unknown) => reason)])
    assert.ok(isParleyError(error, 'COM002') && error.details.reason === 'stopped')
  const asked = peers[0]?.asked
  await time.run(1_000)
  assert.equal(peers[0]?.asked, asked)
})

test('one that is gone is not present, is doubted, and is back when it is heard again', async () => {
  const { whereabouts, time } = await create(0)
  whereabouts.setFromOwnGroup({ epoch: 4, leader: 'a' })
  whereabouts.markGone('b')
  whereabouts.markGone('a', 3)
  assert.ok(whereabouts.latest().isPresent, 'neither another node nor an older epoch counts')
  whereabouts.markGone('a', 4)
  assert.deepEqual([whereabouts.latest().isPresent, whereabouts.leader()], [false, undefined])
  whereabouts.setFromOwnGroup({ epoch: 4, leader: 'a', isIndirect: true })
  assert.ok(!whereabouts.latest().isPresent)
  whereabouts.setFromOwnGroup({ epoch: 5, leader: 'c' })
  assert.ok(whereabouts.latest().isPresent)
  await time.run(15_000)
  assert.ok(!whereabouts.latest().isPresent, 'it was silent for too long')
})
