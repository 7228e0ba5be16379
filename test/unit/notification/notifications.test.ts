/** Notifications of the coordinator: who may send them, and which ones a receiver lets through. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { MeshEvent } from '../../../protocols/events/event.ts'
import { NOTIFICATION_TOPIC } from '../../../protocols/events/event-traffic.ts'
import { createEvents } from '../../../protocols/events/events.ts'
import {
  decideNotification,
  type Notification,
  notificationEvent,
} from '../../../protocols/notification/notification.ts'
import { createNotifications } from '../../../protocols/notification/notifications.ts'
import { createRegistration } from '../../../protocols/registration.ts'

/** Nodes that know what the test tells them of who coordinates. */
const create = async (...names: string[]) => {
  const network = createPortNetwork()
  const { time } = network
  const nodes = names.map((name) => {
    const node = network.start(name)
    const events = createEvents(node.port)
    const status = {
      meshId: 'm' as string | undefined,
      epoch: 1,
      leader: undefined as string | undefined,
      acting: false,
      version: 7,
    }
    const changed = new Set<() => void>()
    const notifications = createNotifications({
      port: node.port,
      events,
      status: () => status,
      onChange(fn) {
        changed.add(fn)
        return createRegistration(() => changed.delete(fn))
      },
    })
    const heard: Notification[] = []
    return { ...node, events, status, changed, notifications, heard }
  })
  for (const a of nodes) for (const b of nodes) if (a.id < b.id) network.connect(a, b)
  for (const { notifications, heard } of nodes) {
    notifications.on('*', (one) => void heard.push(one))
    await time.settled(notifications.ready(), 2_000)
  }
  await time.run(500)
  const [a, b] = nodes
  assert.ok(a && b)
  /** What the nodes know from now on. */
  const lead = (leader: (typeof nodes)[number], epoch: number, told = nodes): void => {
    for (const node of told) {
      Object.assign(node.status, { leader: leader.id, epoch, acting: node === leader })
      for (const fn of node.changed) fn()
    }
  }
  return { ...network, nodes, a, b, lead }
}

test('what the coordinator tells is heard everywhere, once, with its fence', async () => {
  const { a, nodes, lead, time } = await create('a', 'b', 'c')
  lead(a, 3)
  const raw: MeshEvent[] = []
  a.events.onEvent((event) => event.topic === NOTIFICATION_TOPIC && raw.push(event))
  await time.settled(a.notifications.broadcast('maintenance', { at: 'noon' }), 1_000)
  await time.run(200)
  for (const { heard } of nodes) {
    assert.equal(heard.length, 1)
    const [one] = heard
    assert.deepEqual([one?.name, one?.data, one?.source, one?.epoch], ['maintenance', { at: 'noon' }, a.id, 3])
    assert.deepEqual(one?.fence, { term: 3, index: 7 })
  }
  assert.deepEqual([raw[0]?.type, raw[0]?.headers.performative, raw[0]?.priority], ['NOTIFICATION', 'inform', 'high'])
})

test('notifications are counted apart from other events, also where they share a first word or a batch', async () => {
  const { a, b, lead, time } = await create('a', 'b')
  lead(a, 3)
  await time.settled(
    b.events.subscribe('tasks.#', () => {}),
    2_000,
  )
  await time.settled(
    b.events.subscribe('coordination.#', () => {}),
    2_000,
  )
  const before = { out: { ...a.events.traffic().out }, in: { ...b.events.traffic().in } }
  const sent = [
    ...[1, 2, 3].map((n) => a.events.publish('tasks.done', { n })),
    a.notifications.broadcast('one'),
    a.events.publish('coordination.progress', {}),
    a.notifications.broadcast('two'),
  ]
  await time.settled(Promise.all(sent), 1_000)
  await time.run(500)
  const { out } = a.events.traffic()
  const { in: arrived } = b.events.traffic()
  for (const [now, then] of [
    [out, before.out],
    [arrived, before.in],
  ] as const) {
    assert.deepEqual([now.events - then.events, now.notifications - then.notifications], [4, 2])
    assert.ok(now.batches > then.batches)
    assert.equal(now.failed, 0)
  }
})

test('a listener hears its name or all of them, one that fails harms no other, and can be taken back', async () => {
  const { a, b, lead, time } = await create('a', 'b')
  lead(a, 3)
  const named: string[] = []
  b.notifications.on('x', () => {
    throw new Error('broken')
  })
  b.notifications.on('x', async () => Promise.reject(new Error('broken as well')))
  const { stop } = b.notifications.on('x', ({ name }) => void named.push(name))
  for (const name of ['x', 'y']) await time.settled(a.notifications.broadcast(name), 1_000)
  await time.run(200)
  stop()
  await time.settled(a.notifications.broadcast('x'), 1_000)
  await time.run(200)
  assert.deepEqual(named, ['x'])
  assert.deepEqual(
    b.heard.map(({ name }) => name),
    ['x', 'y', 'x'],
  )
  assert.equal(b.logs.filter(({ level }) => level === 'error').length, 4)
})

test('a node that does not coordinate is refused at once, and told who does', async () => {
  const { a, b, lead } = await create('a', 'b')
  lead(a, 3)
  await assert.rejects(
    b.notifications.broadcast('x'),
    (error) => isParleyError(error, 'STA003') && error.details.reason === 'not-leader' && error.details.leader === a.id,
  )
  a.status.meshId = undefined
  await assert.rejects(a.notifications.broadcast('x'), (error) => isParleyError(error, 'STA003'))
  for (const name of ['', ' ', '*', 'x'.repeat(129)])
    await assert.rejects(a.notifications.broadcast(name), (error) => isParleyError(error, 'MSG001'))
})

test('one of an older epoch is refused and counted, by who knows the newer one', async () => {
  const { a, b, lead, time, nodes } = await create('a', 'b', 'c')
  const c = nodes[2]
  assert.ok(c)
  lead(a, 3)
  // It was replaced, and does not know it yet.
  lead(b, 4, [b, c])
  await time.settled(a.notifications.broadcast('x'), 1_000)
  await time.run(200)
  assert.deepEqual([b.heard.length, c.heard.length], [0, 0])
  assert.deepEqual([b.notifications.counts().refusedStale, c.notifications.counts().refusedStale], [1, 1])
  assert.equal(c.metric('notifications_refused_total', { reason: 'stale' }), 1)
})

test('after one of a newer epoch none of an older is let through, whatever is known of the coordinator', async () => {
  const { a, b, lead, time } = await create('a', 'b')
  lead(b, 5)
  await time.settled(b.notifications.broadcast('x'), 1_000)
  await time.run(200)
  lead(a, 4)
  await time.settled(a.notifications.broadcast('y'), 1_000)
  await time.run(200)
  assert.deepEqual(
    b.heard.map(({ name }) => name),
    ['x'],
  )
  assert.equal(b.notifications.counts().refusedStale, 1)
})

test('one of somebody who does not coordinate is refused, as is one that speaks for another node', async () => {
  const { a, b, lead, time, nodes } = await create('a', 'b', 'c')
  const c = nodes[2]
  assert.ok(c)
  lead(a, 3)
  const forged = (leader: string, mesh = 'm') => ({
    notification_id: 'n',
    mesh_id: mesh,
    name: 'x',
    leader,
    fence: { term: 3, index: 1 },
    timestamp: 0,
  })
  await time.settled(b.events.publish(notificationEvent, forged(b.id)), 1_000)
  await time.settled(b.events.publish(notificationEvent, forged(a.id)), 1_000)
  await time.run(200)
  await time.settled(a.events.publish(notificationEvent, forged(a.id, 'other')), 1_000)
  await time.run(200)
  assert.equal(c.heard.length, 0)
  assert.equal(c.notifications.counts().refusedForeign, 3)
})

test('one of an epoch that is not known yet waits until it is, for two seconds, and not more than 64 do', async () => {
  const { a, b, lead, time } = await create('a', 'b')
  lead(a, 3, [a])
  await time.settled(a.notifications.broadcast('x'), 1_000)
  await time.run(500)
  assert.equal(b.heard.length, 0)
  lead(a, 3, [b])
  assert.equal(b.heard.length, 1)
  lead(a, 9, [a])
  for (let i = 0; i < 64; i += 1) await time.settled(a.notifications.broadcast(`n${i}`), 1_000)
  await time.run(100)
  assert.equal(b.notifications.counts().refusedUnknown, 0)
  await time.settled(a.notifications.broadcast('too-many'), 1_000)
  await time.run(100)
  assert.equal(b.notifications.counts().refusedUnknown, 1)
  await time.run(2_100)
  assert.equal(b.notifications.counts().refusedUnknown, 65)
  assert.equal(b.heard.length, 1)
})

test('as many listeners as there may be, and one more is refused', async () => {
  const { a } = await create('a', 'b')
  for (let i = 1; i < 1_024; i += 1) a.notifications.on('x', () => {})
  assert.throws(
    () => a.notifications.on('x', () => {}),
    (error) => isParleyError(error, 'COM003'),
  )
})

test('whatever arrives, only the coordinator of the newest known epoch is let through', () => {
  const peer = fc.constantFrom('p', 'q', 'r')
  const told = fc.record({ leader: peer, source: peer, term: fc.nat(3), meshId: fc.constantFrom('m', 'n') })
  const known = fc.record({ epoch: fc.nat(3), leader: fc.option(peer, { nil: undefined }) })
  fc.assert(
    fc.property(told, known, ({ leader, source, term, meshId }, { epoch, leader: now }) => {
      const given = { mesh_id: meshId, leader, fence: { term, index: 0 } }
      const verdict = decideNotification(given, source, { meshId: 'm', epoch, leader: now })
      const isRight = source === leader && meshId === 'm' && term === epoch && source === now
      assert.equal(verdict === 'deliver', isRight)
    }),
  )
})
