/** What the coordinator tells of resources by events: once for several changes, at a bounded rate, nothing where nobody listens. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { EventTeller, MAX_UNTOLD } from '../../../protocols/events/event-teller.ts'
import { checkTopic, compilePattern } from '../../../protocols/events/topic.ts'
import { ResourceAnnouncer } from '../../../protocols/resource/planner/resource-announcer.ts'
import {
  type ResourceStatusData,
  resourceRequestEvent,
  resourceStatusEvent,
  resourceTopic,
} from '../../../protocols/resource/resource-events.ts'
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

const create = (nodes: Readonly<Record<string, NodeRecord>> = {}) => {
  const time = createVirtualTime()
  const published: { topic: string; data: object }[] = []
  const audience = { isThere: true }
  const timers = { set: 0 }
  const after: typeof time.after = (delayMs, fn) => {
    timers.set += 1
    return time.after(delayMs, fn)
  }
  const events = {
    hasAudience: () => audience.isThere,
    publish: async (event: { topic: string }, data: object, { topic = event.topic } = {}) =>
      published.push({ topic, data }),
  }
  const log = { error() {}, warn() {}, info() {} }
  const clock = { now: () => 1_000, monotonic: time.now }
  const teller = new EventTeller(log as never, 'resources')
  const port = { clock, timers: { after } }
  const announcer = new ResourceAnnouncer({ port, events, teller } as never, new Map(Object.entries(nodes)))
  const told = (): string[] =>
    published.splice(0).map(({ topic, data }) => {
      const { used = '', status = '' } = data as { used?: number; status?: string }
      return `${topic} ${used} ${status}`.trim()
    })
  return { announcer, time, told, published, audience, teller, timers }
}

test('several changes of a resource are told as one, as it is by then, and what is as before is not', async () => {
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

test('nodes that were there before are no news, and neither is a lease that is renewed', async () => {
  const { announcer, time, told } = create({ box: node(2) })
  announcer.tellNode('box', node(2, { renewedAt: 9 }))
  await time.run(300)
  assert.deepEqual(told(), [])
})

test('a node that goes is lost, told once, whatever still has to end there', async () => {
  const { announcer, time, told } = create({ box: node(2), other: node(1) })
  announcer.tellNode('box', node(2, { isOver: true }))
  await time.run(300)
  assert.deepEqual(told(), ['resources.status.cpu@box 2 lost'])
  announcer.tellNode('box', node(0, { isOver: true }))
  await time.run(300)
  announcer.tellNode('box', undefined)
  announcer.tellNode('nobody', undefined)
  announcer.tellNode('other', undefined)
  await time.run(300)
  assert.deepEqual(told(), ['resources.status.cpu@other 0 lost'])
})

test('a resource that a node offers no more is lost, the others of the node are not', async () => {
  const { announcer, time, told } = create({ box: node(1, { capacity: { cpu: 4, gpu: 1 } }) })
  announcer.tellNode('box', node(1))
  await time.run(300)
  assert.deepEqual(told(), ['resources.status.gpu@box 0 lost'])
})

test('where it is not known what changed, what differs is told', async () => {
  const { announcer, time, told } = create({ same: node(1), other: node(1), gone: node(1) })
  announcer.tellAll(new Map(Object.entries({ same: node(1), other: node(2), more: node(0) })))
  await time.run(300)
  assert.deepEqual(told().sort(), [
    'resources.status.cpu@gone 0 lost',
    'resources.status.cpu@more 0 available',
    'resources.status.cpu@other 2 available',
  ])
})

test('what was asked for is told with all its parts together, however much that is', () => {
  const { announcer, published, told } = create()
  announcer.tellAsked('a1', asked)
  const data = {
    ...{ request_id: 'a1', task_id: 't', priority: 2, timestamp: 7 },
    requirements: { resources: { cpu: 3, gpu: 1 } },
  }
  assert.deepEqual(published, [{ topic: 'resources.request', data }])
  told()
  const names = (part: number) =>
    Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`r${part}-${i}`, Number.MAX_SAFE_INTEGER]))
  const parts = Array.from({ length: 64 }, (_, part) => ({
    units: { ...names(part), constructor: Number.MAX_SAFE_INTEGER },
  }))
  announcer.tellAsked('a2', { ...asked, parts })
  assert.ok(resourceRequestEvent.schema.safeParse(published[0]?.data).success)
})

test('nothing is told where nobody listens, or kept until somebody does; or once this node coordinates no more', async () => {
  const { announcer, audience, time, timers, told } = create()
  audience.isThere = false
  announcer.tellNode('box', node(1))
  announcer.tellAsked('a1', asked)
  assert.equal(timers.set, 0)
  audience.isThere = true
  await time.run(300)
  assert.deepEqual(told(), [])
  announcer.tellNode('box', node(2))
  audience.isThere = false
  await time.run(300)
  audience.isThere = true
  await time.run(300)
  assert.deepEqual(told(), [])
  announcer.tellNode('box', node(3))
  announcer.stop()
  await time.run(300)
  assert.deepEqual(told(), [])
})

test('of 512 resources all are told at a time, of more the rest after the next', async () => {
  const { announcer, time, told } = create()
  for (let i = 0; i < 513; i += 1) announcer.tellNode(`box-${i}`, node(1))
  await time.run(250)
  assert.equal(told().length, 512)
  await time.run(250)
  assert.equal(told().length, 1)
})

test('of what somebody asks for again and again 512 are told in 250 ms, and the others are counted', async () => {
  const { announcer, time, told, teller } = create()
  for (let i = 0; i < 512; i += 1) announcer.tellAsked(`a${i}`, asked)
  assert.equal(teller.dropped(), 0)
  announcer.tellAsked('more', asked)
  assert.equal(teller.dropped(), 1)
  assert.equal(told().length, 512)
  await time.run(250)
  announcer.tellAsked('later', asked)
  assert.equal(told().length, 1)
})

test('events that wait for gossip are bounded, and what fails is counted', async () => {
  const log = { error() {}, warn() {}, info() {} }
  const teller = new EventTeller(log as never, 'resources')
  const stuck = Promise.withResolvers<void>()
  for (let i = 0; i < MAX_UNTOLD; i += 1) teller.tell(() => stuck.promise)
  assert.equal(teller.dropped(), 0)
  teller.tell(() => stuck.promise)
  assert.equal(teller.dropped(), 1)
  stuck.resolve()
  await stuck.promise
  await new Promise(setImmediate)
  teller.tell(() => Promise.reject(new Error('no room')))
  await new Promise(setImmediate)
  assert.equal(teller.dropped(), 2)
})

test('each resource that a node may offer has a topic that can be published to', () => {
  const isStatus = compilePattern(resourceStatusEvent.topic)
  assert.equal(resourceTopic('gpu.v100@box'), 'resources.status.gpu.v100@box')
  assert.equal(resourceTopic('gpu..a@box'), 'resources.status.gpu__a@box')
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,47}$/)
  fc.assert(
    fc.property(name, fc.stringMatching(/^[A-Za-z0-9]{52}$/), (one, peer) => {
      const topic = resourceTopic(`${one}@${peer}`)
      checkTopic(topic)
      assert.ok(isStatus(topic))
    }),
  )
})

const AnyNode = fc.record({
  capacity: fc.dictionary(fc.constantFrom('cpu', 'gpu', 'constructor'), fc.integer({ min: 1, max: 3 })),
  used: fc.dictionary(fc.constantFrom('cpu', 'gpu'), fc.integer({ min: 0, max: 3 })),
  draining: fc.boolean(),
  isOver: fc.boolean(),
})
const Step = fc.record({
  peer: fc.constantFrom('a', 'b'),
  after: fc.option(AnyNode, { nil: undefined }),
  ms: fc.integer({ min: 0, max: 400 }),
})

test('whoever heard all of it knows how each resource is, whatever changed and when', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { maxLength: 12 }), async (steps) => {
      const { announcer, time, published } = create()
      const nodes = new Map<string, NodeRecord>()
      for (const { peer, after, ms } of steps) {
        const record = after && node(0, after)
        announcer.tellNode(peer, record)
        if (record === undefined) nodes.delete(peer)
        else nodes.set(peer, record)
        await time.run(ms)
      }
      await time.run(600)
      const heard = new Map<string, ResourceStatusData>()
      for (const { data } of published) {
        const told = resourceStatusEvent.schema.parse(data)
        assert.notDeepEqual(heard.get(told.resource_id), told)
        heard.set(told.resource_id, told)
      }
      const known = [...heard.values()].filter(({ status }) => status !== 'lost')
      const real = [...nodes].flatMap(([peer, { capacity, used, isOver, draining }]) =>
        isOver === true
          ? []
          : Object.entries(capacity).map(([name, amount]) => {
              const inUse = Object.hasOwn(used, name) ? (used[name] ?? 0) : 0
              const status = draining === true ? 'draining' : inUse < amount ? 'available' : 'full'
              return { resource_id: `${name}@${peer}`, status, capacity: amount, used: inUse, timestamp: 1_000 }
            }),
      )
      const inOrder = (all: readonly object[]): string[] => all.map((one) => JSON.stringify(one)).sort()
      assert.deepEqual(inOrder(known), inOrder(real))
    }),
  )
})
