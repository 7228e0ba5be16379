/** What the coordinator tells the mesh, and when, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import {
  createLeaderAnnouncements,
  type LeaderAnnouncement,
} from '../../../protocols/coordinator/leader-announcements.ts'
import { createLeaderTracker } from '../../../protocols/coordinator/leader-tracker.ts'
import { createEvents } from '../../../protocols/events/events.ts'

const create = async () => {
  const network = createPortNetwork()
  const { time } = network
  const [teller, hearer] = ['teller', 'hearer'].map((name) => {
    const node = network.start(name)
    const events = createEvents(node.port)
    const whereabouts = createLeaderTracker(node.port, () => 'm')
    return { ...node, events, whereabouts, telling: createLeaderAnnouncements(node.port, events, whereabouts) }
  })
  assert.ok(teller && hearer)
  network.connect(teller, hearer)
  hearer.telling.subscribe()
  const heard: [number, number, boolean][] = []
  const subscribing = hearer.events.subscribe('coordination.epoch', ({ data }) => {
    const { version, over = false } = data as { version: number; over?: boolean }
    heard.push([Math.round(time.now() / 100) * 100, version, over])
  })
  await time.settled(subscribing, 2_000)
  await time.run(500)
  const start = Math.round(time.now() / 100) * 100
  const state: { now: LeaderAnnouncement } = { now: { meshId: 'm', epoch: 3, version: 1, seats: ['teller'] } }
  const stop = time.every(100, () => teller.telling.tick(state.now))
  return { time, teller, hearer, state, stop, heard: () => heard.map(([at, ...what]) => [at - start, ...what]) }
}
const near = (ms: number, wantedMs: number): boolean => Math.abs(ms - wantedMs) <= 300

test('an epoch is told at once, once more a second later, and then each 5 s', async () => {
  const { time, hearer, heard } = await create()
  await time.run(12_500)
  const at = heard().map(([ms]) => Number(ms))
  assert.deepEqual(
    [0, 1_000, 6_000, 11_000].map((wanted, i) => near(at[i] ?? -1, wanted)),
    [true, true, true, true],
    at.join(),
  )
  assert.equal(at.length, 4)
  assert.deepEqual(hearer.whereabouts.leader()?.epoch, 3)
})

test('a decision and a change of the seats are news, told within 100 ms and once more', async () => {
  const { time, state, hearer, heard } = await create()
  await time.run(2_000)
  state.now = { ...state.now, version: 2 }
  await time.run(2_000)
  state.now = { ...state.now, seats: ['teller', 'other'] }
  await time.run(400)
  assert.deepEqual(hearer.whereabouts.latest().seats, ['teller', 'other'])
  assert.deepEqual(
    heard().map(([, version]) => version),
    [1, 1, 2, 2, 2],
  )
})

test('that it coordinates no more is heard at once, and it is asked no more', async () => {
  const { time, teller, state, stop, hearer, heard } = await create()
  await time.run(1_500)
  assert.ok(hearer.whereabouts.latest().isPresent)
  stop()
  teller.telling.announceEnd(state.now)
  await time.run(100)
  assert.deepEqual(heard().at(-1)?.slice(1), [1, true])
  assert.ok(!hearer.whereabouts.latest().isPresent)
  assert.equal(hearer.whereabouts.leader(), undefined)
  teller.telling.tick(state.now)
  await time.run(100)
  assert.ok(hearer.whereabouts.latest().isPresent, 'it begins again in the same epoch')
})

test('nobody speaks for another node', async () => {
  const { time, teller, stop, hearer } = await create()
  stop()
  await time.run(2_000)
  const { meshId, epoch, leader } = { meshId: 'm', epoch: 99, leader: 'somebody' }
  const data = { mesh_id: meshId, epoch, leader, version: 1, seats: [], timestamp: 0 }
  await time.settled(teller.events.publish('coordination.epoch', data), 1_000)
  await time.run(200)
  assert.notEqual(hearer.whereabouts.leader()?.peer, 'somebody')
})
