/** What the coordinator tells of resources by events: once for several changes, and nothing where nobody listens. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { ResourceAnnouncer } from '../../../protocols/resource/planner/resource-announcer.ts'
import type { Allocation, NodeRecord } from '../../../protocols/resource/resource-record.ts'

const node = (used: number, more: Partial<NodeRecord> = {}): NodeRecord => ({
  ...{ registration: 1, incarnation: 1, renewedAt: 0, capacity: { cpu: 4 }, holds: 0, gives: 0 },
  used: used > 0 ? { cpu: used } : {},
  ...more,
})
const asked: Allocation = {
  ...{ status: 'waiting', holder: 'ann', registration: 1, priority: 2, size: 1, askedAt: 7, changedAt: 7, task: 't' },
  parts: [{ units: { cpu: 1 } }, { units: { cpu: 2, gpu: 1 } }],
}

const create = (hears = true) => {
  const time = createVirtualTime()
  const published: { topic: string; data: object }[] = []
  const events = {
    hasAudience: () => hears,
    publish: async (event: { topic: string }, data: object, { topic = event.topic } = {}) =>
      published.push({ topic, data }),
  }
  const log = { error() {}, warn() {}, info() {} }
  const clock = { now: () => 1_000, monotonic: time.now }
  const announcer = new ResourceAnnouncer({ port: { clock, timers: time, log }, events } as never)
  const told = (): string[] =>
    published.splice(0).map(({ topic, data }) => {
      const { used = '', status = '' } = data as { used?: number; status?: string }
      return `${topic} ${used} ${status}`.trim()
    })
  return { announcer, time, told, published }
}

test('several changes of a resource are told as one, as it is by then, and the same state once', async () => {
  const { announcer, time, told } = create()
  announcer.tellNode('box', node(1))
  announcer.tellNode('box', node(4))
  assert.deepEqual(told(), [])
  await time.run(300)
  assert.deepEqual(told(), ['resources.status.cpu@box 4 full'])
  announcer.tellNode('box', node(1))
  announcer.tellNode('box', node(4, { renewedAt: 9 }))
  await time.run(300)
  assert.deepEqual(told(), [])
  announcer.tellNode('box', node(0, { draining: true }))
  await time.run(300)
  assert.deepEqual(told(), ['resources.status.cpu@box 0 draining'])
})

test('a node that goes is lost; one that was there before is known', async () => {
  const { announcer, time, told } = create()
  announcer.noteNode('box', node(2))
  await time.run(300)
  assert.deepEqual(told(), [])
  announcer.tellNode('box', undefined)
  await time.run(300)
  assert.deepEqual(told(), ['resources.status.cpu@box 0 lost'])
  announcer.tellNode('nobody', undefined)
  await time.run(300)
  assert.deepEqual(told(), [])
})

test('what was asked for is told with all its parts together', () => {
  const { announcer, published } = create()
  announcer.tellAsked('a1', asked)
  const data = {
    request_id: 'a1',
    task_id: 't',
    priority: 2,
    timestamp: 7,
    requirements: { resources: { cpu: 3, gpu: 1 } },
  }
  assert.deepEqual(published, [{ topic: 'resources.request', data }])
})

test('nothing is told where nobody listens, or once this node coordinates no more', async () => {
  const deaf = create(false)
  deaf.announcer.tellNode('box', node(1))
  deaf.announcer.tellAsked('a1', asked)
  await deaf.time.run(300)
  assert.deepEqual(deaf.told(), [])
  const { announcer, time, told } = create()
  announcer.tellNode('box', node(1))
  announcer.stop()
  await time.run(300)
  assert.deepEqual(told(), [])
})

test('of very many some are told at a time, until all are', async () => {
  const { announcer, time, told } = create()
  for (let i = 0; i < 600; i += 1) announcer.tellNode(`box-${i}`, node(1))
  await time.run(300)
  assert.equal(told().length, 512)
  await time.run(300)
  assert.equal(told().length, 88)
})
