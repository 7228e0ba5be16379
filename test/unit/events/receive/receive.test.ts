import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { defineEvent } from '../../../../protocols/events/define-event.ts'
import type { InvalidEvent, MeshEvent, Missed } from '../../../../protocols/events/event.ts'
import { createEvents } from '../../../../protocols/events/events.ts'
import type { EventsOptions } from '../../../../protocols/events/options.ts'
import { BATCH_BURST } from '../../../../protocols/events/receive/batch-validator.ts'
import { MAX_RECENT_CHARS } from '../../../../protocols/events/receive/recent-events.ts'
import { MAX_TOPICS } from '../../../../protocols/events/receive/topic-table.ts'
import { batch } from '../forged.ts'
import { createPorts, turn } from '../ports.ts'

const receiver = async (pattern = 'tasks.#', options: EventsOptions = {}) => {
  const net = createPorts()
  const peer = net.add('p')
  const events = createEvents(peer.port, options)
  const heard: MeshEvent[] = []
  const missed: Missed[] = []
  const subscription = await net.until(
    events.subscribe(pattern, (event) => void heard.push(event), { onMissed: (gap) => missed.push(gap) }),
  )
  const receive = (bytes: Uint8Array) => net.until(peer.gossip.receive('events/tasks', bytes))
  const refused = (reason: string) => peer.count('event_batches_refused_total', { reason })
  const dropped = (reason: string) => peer.count('events_dropped_total', { reason })
  return { net, peer, events, heard, missed, subscription, receive, refused, dropped }
}

test('a listener gets the event with who published it, when, and as which number', async () => {
  const { heard, receive, peer } = await receiver()
  const marks = { type: 't', version: '1.0.0', conversationId: 'c', correlationId: 'r', headers: { a: 'b' } }
  assert.equal(
    await receive(batch({ first: 7, events: [{ text: '{"x":1}' }, { marks: { ...marks, priority: 'low' } }] })),
    'forward',
  )
  const common = { topic: 'tasks.x', source: 'q', timestamp: 77, epoch: 5, expiresAt: undefined }
  const nothing = {
    type: undefined,
    version: undefined,
    conversationId: undefined,
    correlationId: undefined,
    headers: {},
  }
  assert.deepEqual(heard, [
    { ...common, ...nothing, id: 'q/tasks/5/7', sequence: 7, data: { x: 1 }, priority: 'normal' },
    { ...common, ...marks, id: 'q/tasks/5/8', sequence: 8, data: 1, priority: 'low' },
  ])
  assert.equal(peer.count('events_received_total', { topic: 'tasks' }), 2)
})

test('only what matches is delivered, to each subscription that matches', async () => {
  const { net, events, heard, receive } = await receiver('tasks.*')
  const other: unknown[] = []
  await net.until(events.subscribe('#', ({ topic }) => void other.push(topic)))
  await receive(batch({ events: [{ topic: 'tasks.x' }, { topic: 'tasks.x.y' }, { topic: 'tasks' }] }))
  assert.deepEqual(
    heard.map(({ topic }) => topic),
    ['tasks.x'],
  )
  assert.deepEqual(other, ['tasks.x', 'tasks.x.y', 'tasks'])
})

test('a batch signed by another, for another mesh, or changed on the way is refused', async () => {
  const { heard, receive, refused } = await receiver()
  assert.equal(await receive(batch({ signer: 'mallory' })), 'refuse')
  assert.equal(await receive(batch({ mesh: 'other' })), 'refuse')
  const changed = batch()
  // The last byte of the body, in front of the signature: the event's data.
  const at = changed.length - 67
  changed[at] = (changed[at] ?? 0) ^ 1
  assert.equal(await receive(changed), 'refuse')
  assert.deepEqual(heard, [])
  assert.equal(refused('signature'), 3)
})

test('a check of a signature that fails for another reason drops the batch, and is no fault of who sent it', async () => {
  const { peer, receive, refused } = await receiver()
  peer.verify = () => Promise.reject(new Error('broken'))
  assert.equal(await receive(batch()), 'ignore')
  assert.equal(refused('unchecked'), 1)
})

test('garbage, and a batch on the gossip topic of another word, are refused', async () => {
  const { receive, refused } = await receiver()
  assert.equal(await receive(new Uint8Array([1, 2, 3])), 'refuse')
  assert.equal(await receive(batch({ word: 'agents', events: [{ topic: 'agents.x' }] })), 'refuse')
  assert.deepEqual([refused('malformed'), refused('foreign')], [1, 1])
})

test('a replay is refused and counted; so is what an earlier life of the publisher said', async () => {
  const { net, heard, receive, refused } = await receiver()
  const first = batch({ first: 1, events: [{}, {}] })
  assert.equal(await receive(first), 'forward')
  assert.equal(await receive(first.slice()), 'ignore')
  assert.equal(await receive(batch({ first: 2 })), 'ignore')
  assert.equal(await receive(batch({ epoch: 6, first: 1 })), 'forward')
  assert.equal(heard.length, 2, 'its earlier life may have an end that is still to be had')
  await net.run(2_000)
  assert.equal(await receive(batch({ epoch: 5, first: 3 })), 'ignore')
  assert.equal(heard.length, 3)
  assert.deepEqual([refused('duplicate'), refused('stale')], [2, 1])
})

test('a forged batch moves no numbers', async () => {
  const { heard, missed, receive } = await receiver()
  await receive(batch({ first: 1 }))
  await receive(batch({ first: 1000, epoch: 99, signer: 'mallory' }))
  await receive(batch({ first: 2 }))
  assert.deepEqual([heard.map(({ sequence }) => sequence), missed], [[1, 2], []])
})

test('what comes behind a gap waits until the gap is filled, and is then let in once, in order', async () => {
  const { peer, heard, missed, receive } = await receiver()
  const heardNow = () => heard.map(({ sequence }) => sequence)
  await receive(batch({ first: 10 }))
  assert.equal(await receive(batch({ first: 14 })), 'forward')
  assert.deepEqual([heardNow(), missed], [[10], []], 'the first batch of an unknown publisher is no gap')
  const late = batch({ first: 12 })
  assert.equal(await receive(late), 'forward')
  assert.equal(await receive(late.slice()), 'ignore', 'what waits is known')
  assert.deepEqual(heardNow(), [10])
  assert.equal(await receive(batch({ first: 11 })), 'forward')
  assert.deepEqual(heardNow(), [10, 11, 12])
  await receive(batch({ first: 13 }))
  assert.deepEqual([heardNow(), missed], [[10, 11, 12, 13, 14], []])
  assert.equal(peer.count('events_missed_total'), 0)
})

test('what is gone for good is told before the events behind it, and is not let in any more', async () => {
  const { net, peer, heard, missed, receive } = await receiver('tasks.#', { gapMs: 1_000 })
  await receive(batch({ first: 10 }))
  await receive(batch({ first: 14 }))
  await receive(batch({ first: 12 }))
  await net.run(900)
  assert.deepEqual([heard.length, missed], [1, []])
  await net.run(3_000)
  const gap = { publisher: 'q', word: 'tasks', epoch: 5, reason: 'gap' }
  assert.deepEqual(missed, [
    { ...gap, from: 11, to: 11 },
    { ...gap, from: 13, to: 13 },
  ])
  assert.equal(await receive(batch({ first: 11 })), 'ignore')
  assert.deepEqual(
    heard.map(({ sequence }) => sequence),
    [10, 12, 14],
  )
  assert.equal(peer.count('events_missed_total', { topic: 'tasks' }), 2)
})

test('bytes that wait behind gaps are bounded; what has no room is asked for again', async () => {
  const size = batch({ first: 14 }).length
  const { net, peer, heard, receive } = await receiver('tasks.#', {
    maxWaitingBytes: 2 * size,
    maxHeldBytes: 0,
    gapMs: 500,
  })
  await receive(batch({ first: 10 }))
  for (const first of [12, 13]) await receive(batch({ first }))
  assert.deepEqual([peer.gauge('events_waiting_bytes'), peer.count('event_batches_unkept_total')], [2 * size, 0])
  assert.equal(await receive(batch({ first: 14 })), 'forward')
  assert.deepEqual([peer.gauge('events_waiting_bytes'), peer.count('event_batches_unkept_total')], [2 * size, 1])
  await receive(batch({ first: 11 }))
  assert.equal(peer.gauge('events_waiting_bytes'), 0)
  await receive(batch({ first: 15 }))
  await receive(batch({ first: 14 }))
  assert.deepEqual(
    heard.map(({ sequence }) => sequence),
    [10, 11, 12, 13, 14, 15],
  )
  await net.run(2_000)
})

test('batches are let in as they came, though the check of the second ends first', async () => {
  const { net, peer, heard, missed } = await receiver()
  const { verify } = peer
  const open: PromiseWithResolvers<void>[] = []
  peer.verify = async (...given) => {
    const gate = Promise.withResolvers<void>()
    open.push(gate)
    await gate.promise
    return verify(...given)
  }
  const results = [1, 2].map((first) => peer.gossip.receive('events/tasks', batch({ first })))
  assert.equal(open.length, 2, 'both are being checked')
  open[1]?.resolve()
  await turn()
  assert.equal(heard.length, 0)
  open[0]?.resolve()
  assert.deepEqual(await net.until(Promise.all(results)), ['forward', 'forward'])
  assert.deepEqual([heard.map(({ sequence }) => sequence), missed], [[1, 2], []])
})

test('bytes under check are bounded; what exceeds the bound is refused', async () => {
  const bytes = batch()
  const { net, peer, refused } = await receiver('tasks.#', { maxUnverifiedBytes: bytes.length * 2 })
  const gate = Promise.withResolvers<boolean>()
  peer.verify = () => gate.promise
  const first = peer.gossip.receive('events/tasks', bytes)
  const second = peer.gossip.receive('events/tasks', batch({ first: 2 }))
  assert.equal(await peer.gossip.receive('events/tasks', batch({ first: 3 })), 'ignore')
  assert.equal(refused('overloaded'), 1)
  gate.resolve(true)
  assert.deepEqual(await net.until(Promise.all([first, second])), ['forward', 'forward'])
  assert.equal(await net.until(peer.gossip.receive('events/tasks', batch({ first: 3 }))), 'forward')
})

test('our own words, brought back by gossip, pass on and are not heard again', async () => {
  const { heard, receive } = await receiver()
  assert.equal(await receive(batch({ publisher: 'p' })), 'forward')
  assert.equal(await receive(batch({ publisher: 'p', signer: 'q' })), 'refuse')
  assert.deepEqual(heard, [])
})

test('an event that is expired when it is read is dropped and counted; time in the batch counts', async () => {
  const { heard, receive, dropped } = await receiver()
  const events = [50, 51, 1000].map((ttlMs) => ({ text: String(ttlMs), marks: { ttlMs } }))
  await receive(batch({ waitedMs: 50, events }))
  assert.deepEqual(
    heard.map(({ data }) => data),
    [51, 1000],
  )
  assert.equal(dropped('expired'), 1)
})

test('time that an event waits on both sides is taken off its ttl', async () => {
  const net = createPorts()
  const [a, b] = [net.add('a'), net.add('b')]
  const [from, to] = [createEvents(a.port), createEvents(b.port)]
  net.connect(a, b)
  await net.run(100)
  const heard: unknown[] = []
  await net.until(to.subscribe('tasks.x', ({ data }) => void heard.push(data)))
  await net.until(from.publish('tasks.x', 'first'))
  const blocked = Promise.withResolvers<void>()
  a.gossip.blocked = blocked.promise
  const receipts = [from.publish('tasks.x', 'short', { ttlMs: 20 }), from.publish('tasks.x', 'long', { ttlMs: 500 })]
  await net.run(100)
  blocked.resolve()
  await net.until(Promise.all(receipts))
  await net.run(100)
  assert.deepEqual(heard, ['first', 'long'])
  assert.equal(b.count('events_dropped_total', { reason: 'expired' }), 1)
})

test('the ttl of a later event in the same batch counts from its own publishing', async () => {
  const net = createPorts()
  const [a, b] = [net.add('a'), net.add('b')]
  const [from, to] = [createEvents(a.port), createEvents(b.port)]
  net.connect(a, b)
  await net.run(100)
  const heard: unknown[] = []
  await net.until(to.subscribe('tasks.x', ({ data }) => void heard.push(data)))
  const blocked = Promise.withResolvers<void>()
  a.gossip.blocked = blocked.promise
  const receipts = [from.publish('tasks.x', 'early', { ttlMs: 80 })]
  await net.run(60)
  receipts.push(from.publish('tasks.x', 'later', { ttlMs: 80 }))
  await net.run(40)
  blocked.resolve()
  await net.until(Promise.all(receipts))
  await net.run(100)
  assert.equal(a.gossip.published.length, 1)
  assert.deepEqual(heard, ['later'])
})

test('what was published while nobody here listened is not reported as missed', async () => {
  const { net, events, missed, receive, subscription } = await receiver()
  await receive(batch({ first: 1 }))
  void subscription.stop()
  const again: unknown[] = []
  await net.until(
    events.subscribe('tasks.#', ({ sequence }) => void again.push(sequence), { onMissed: (gap) => missed.push(gap) }),
  )
  assert.equal(await receive(batch({ first: 1 })), 'ignore', 'an old batch stays old')
  assert.equal(await receive(batch({ first: 9 })), 'forward')
  assert.deepEqual([again, missed], [[9], []])
})

test('an event that cannot be read is dropped alone', async () => {
  const { heard, receive, dropped } = await receiver()
  const events = [{}, { text: '{not json' }, { topic: 'agents.x' }, { topic: 'tasks..x' }, { text: '2' }]
  assert.equal(await receive(batch({ events })), 'forward')
  assert.deepEqual(
    heard.map(({ data, sequence }) => [data, sequence]),
    [
      [1, 1],
      [2, 5],
    ],
  )
  assert.equal(dropped('malformed'), 3)
})

const progress = defineEvent({
  topic: 'tasks.progress',
  version: '1.0.0',
  schema: z.object({ done: z.number(), note: z.string().default('none') }),
})

test('a typed subscription gets what the schema makes of the data, and is told about what it refuses', async () => {
  const { net, events, heard, receive, dropped } = await receiver()
  const typed: { done: number; note: string }[] = []
  const invalid: InvalidEvent[] = []
  await net.until(
    events.subscribe(progress, ({ data }) => void typed.push(data), { onInvalid: (event) => invalid.push(event) }),
  )
  const topic = 'tasks.progress'
  await receive(
    batch({
      events: [
        { topic, text: '{"done":1}' },
        { topic, text: '{"done":"x"}' },
      ],
    }),
  )
  assert.deepEqual(typed, [{ done: 1, note: 'none' }])
  assert.deepEqual(
    invalid.map(({ issues, ...event }) => [event, issues.map(({ path }) => path)]),
    [[{ id: 'q/tasks/5/2', topic, source: 'q' }, ['done']]],
  )
  assert.equal(dropped('invalid'), 1)
  assert.equal(heard.length, 2, 'a plain subscription has no definition to keep to')
})

test('a registered definition holds for plain subscriptions too', async () => {
  const { heard, receive, dropped } = await receiver('tasks.*', { events: [progress] })
  const topic = 'tasks.progress'
  await receive(batch({ events: [{ topic, text: '{"done":1}' }, { topic, text: '{}' }, { text: '{}' }] }))
  assert.deepEqual(
    heard.map(({ data }) => data),
    [{ done: 1, note: 'none' }, {}],
  )
  assert.equal(dropped('invalid'), 1)
})

test('a local listener hears a local publish as others do: not inside publish, and not the same object', async () => {
  const net = createPorts()
  const peer = net.add('p')
  const events = createEvents(peer.port)
  const heard: MeshEvent[] = []
  await net.until(events.subscribe('tasks.#', (event) => void heard.push(event)))
  const data = { list: [1], when: new Date(0) }
  const receipt = events.publish('tasks.x', data, { type: 't', ttlMs: 100 })
  assert.equal(heard.length, 0)
  await turn()
  const [event] = heard
  assert.deepEqual(event?.data, { list: [1], when: '1970-01-01T00:00:00.000Z' })
  assert.deepEqual([event?.id, event?.source, event?.sequence, event?.type], [(await receipt).id, 'p', 1, 't'])
})

test('a listener that throws is counted, logged once a second, and harms no other', async () => {
  const { net, peer, events, heard, receive } = await receiver()
  await net.until(
    events.subscribe('tasks.#', () => {
      throw new Error('listener')
    }),
  )
  events.onEvent(() => {
    throw new Error('tap')
  })
  await receive(batch({ events: [{}, {}] }))
  assert.equal(heard.length, 2)
  assert.equal(peer.count('event_listener_errors_total', { topic: 'tasks' }), 4)
  const errors = () => peer.logged.filter(({ message }) => message === 'a listener failed').length
  assert.equal(errors(), 1)
  await net.run(1000)
  await receive(batch({ first: 3 }))
  assert.equal(errors(), 2)
})

test('a slow listener loses the newest beyond its queue, and is told; others lose nothing', async () => {
  const { net, peer, events, heard, receive } = await receiver()
  const missed: Missed[] = []
  const gate = Promise.withResolvers<void>()
  const slow = await net.until(
    events.subscribe('tasks.#', () => gate.promise, { queueEvents: 2, onMissed: (gap) => missed.push(gap) }),
  )
  await receive(batch({ events: [{}, {}, {}, {}, {}] }))
  assert.deepEqual(missed, [{ publisher: 'q', word: 'tasks', epoch: 5, from: 4, to: 5, reason: 'overflow' }])
  gate.resolve()
  await turn()
  assert.deepEqual([slow.delivered(), slow.dropped(), heard.length], [3, 2, 5])
  assert.equal(peer.count('events_dropped_total', { reason: 'overflow' }), 2)
})

test('for await reads a subscription without a listener, and leaving it unsubscribes', async () => {
  const net = createPorts()
  const peer = net.add('p')
  const events = createEvents(peer.port)
  const subscription = await net.until(events.subscribe('tasks.#'))
  await net.until(peer.gossip.receive('events/tasks', batch({ events: [{ text: '1' }, { text: '2' }, { text: '3' }] })))
  const read: unknown[] = []
  for await (const { data } of subscription) {
    read.push(data)
    if (read.length === 2) break
  }
  assert.deepEqual(read, [1, 2])
  assert.deepEqual(peer.gossip.topics(), [])
})

test('a node that only publishes a word does not read what others say under it', async () => {
  const net = createPorts()
  const peer = net.add('p')
  const events = createEvents(peer.port)
  await net.until(events.publish('tasks.x', 1))
  assert.equal(
    await net.until(peer.gossip.receive('events/tasks', batch({ events: [{ text: '{not json' }] }))),
    'forward',
  )
  assert.equal(peer.count('events_dropped_total'), 0)
  const seen: unknown[] = []
  const { stop } = events.onEvent(({ data }) => void seen.push(data))
  await net.until(peer.gossip.receive('events/tasks', batch({ first: 2, events: [{ text: '7' }] })))
  stop()
  await net.until(peer.gossip.receive('events/tasks', batch({ first: 3 })))
  assert.deepEqual(seen, [7])
})

test('figures of a topic: published, received, listeners, neighbours and rate', async () => {
  const { net, events, receive } = await receiver('tasks.x')
  await net.run(1000)
  events.topics()
  await receive(batch({ events: [{}, {}, { topic: 'tasks.y' }] }))
  await net.until(events.publish('tasks.y', 1))
  await net.run(2000)
  const figures = events.topics().map(({ rate, ...rest }) => ({ ...rest, rate: Math.round(rate * 10) / 10 }))
  assert.deepEqual(figures, [
    { topic: 'tasks.x', published: 0, received: 2, subscribers: 1, peers: 0, rate: 0.7 },
    { topic: 'tasks.y', published: 1, received: 1, subscribers: 0, peers: 0, rate: 0.7 },
  ])
})

test('what a node publishes is heard there only where somebody listens, not where somebody watches', async () => {
  const { net, events } = await receiver('tasks.x')
  const { stop } = events.onEvent(() => {})
  await net.until(Promise.all(['tasks.x', 'tasks.y'].map((topic) => events.publish(topic, 1))))
  stop()
  const heard = events.topics().map(({ topic, published, received }) => [topic, published, received])
  assert.deepEqual(heard, [
    ['tasks.x', 1, 1],
    ['tasks.y', 1, 0],
  ])
})

test('figures are kept of 1024 topics; those that nothing happens to go first', async () => {
  const { net, events } = await receiver()
  const publish = (topic: string) => events.publish(topic, 1)
  const busy = () => events.topics().find(({ topic }) => topic === 'tasks.busy')?.published ?? 0
  await net.until(Promise.all(Array.from({ length: MAX_TOPICS }, (_, index) => publish(`tasks.${index}`))))
  assert.equal(events.topics().length, MAX_TOPICS)
  await net.until(publish('tasks.busy'))
  assert.equal(events.topics().length, MAX_TOPICS, 'one more takes the place of another')
  const before = busy()
  for (let index = 0; index < MAX_TOPICS * 2; index += 1) {
    await publish(`tasks.more-${index}`)
    await publish('tasks.busy')
  }
  assert.equal(events.topics().length, MAX_TOPICS)
  assert.equal(busy(), before + MAX_TOPICS * 2)
})

test('the last events are kept up to their number, oldest first, without large payloads', async () => {
  const { net, events, receive } = await receiver('tasks.#', { recentEvents: 3 })
  await receive(batch({ events: [{ text: '1' }, { text: '2' }, { text: '3', marks: { type: 't' } }] }))
  const item = { topic: 'tasks.x', source: 'q', timestamp: 77 }
  assert.deepEqual(events.recent(), [
    { ...item, id: 'q/tasks/5/1', type: undefined, size: 1, data: 1 },
    { ...item, id: 'q/tasks/5/2', type: undefined, size: 1, data: 2 },
    { ...item, id: 'q/tasks/5/3', type: 't', size: 1, data: 3 },
  ])
  const largest = 'x'.repeat(MAX_RECENT_CHARS - 2)
  await net.until(Promise.all([events.publish('tasks.y', largest), events.publish('tasks.y', `${largest}x`)]))
  const [third, kept, left] = events.recent()
  assert.equal(third?.data, 3)
  assert.equal(kept?.data, largest)
  assert.deepEqual([left?.size, left !== undefined && 'data' in left], [MAX_RECENT_CHARS + 1, false])
})

test('labels of metrics are bounded: the first 50 words by name, the others together', async () => {
  const net = createPorts()
  const peer = net.add('p')
  const events = createEvents(peer.port)
  await net.until(Promise.all(Array.from({ length: 52 }, (_, index) => events.publish(`w${index}.x`, 1))))
  assert.equal(peer.count('events_published_total', { topic: 'w49' }), 1)
  assert.equal(peer.count('events_published_total', { topic: 'w50' }), 0)
  assert.equal(peer.count('events_published_total', { topic: 'other' }), 2)
})

test('of one publisher so many batches are let in at once, whoever brings them, and one more is dropped', async () => {
  const { heard, receive, refused } = await receiver()
  for (let first = 1; first <= BATCH_BURST; first += 1) await receive(batch({ first }))
  assert.deepEqual([heard.length, refused('overloaded')], [BATCH_BURST, 0])
  assert.equal(await receive(batch({ first: BATCH_BURST + 1 })), 'ignore')
  assert.equal(await receive(batch({ publisher: 'another' })), 'forward', 'others have their own')
  assert.equal(refused('overloaded'), 1)
})

test('of a publisher that used up what it may say nothing more is checked, whoever brings it, until it may again', async () => {
  const { net, peer, receive, refused } = await receiver()
  for (let first = 1; first <= BATCH_BURST; first += 1) await receive(batch({ first }))
  let checked = 0
  const { verify } = peer
  peer.verify = (...given) => {
    checked += 1
    return verify(...given)
  }
  for (let n = 1; n <= 500; n += 1)
    await peer.gossip.receive('events/tasks', batch({ first: BATCH_BURST + n }), `neighbour ${n % 50}`)
  assert.deepEqual([checked, refused('overloaded')], [0, 500])
  assert.equal(await receive(batch({ publisher: 'another' })), 'forward')
  await net.run(1_000)
  assert.equal(await receive(batch({ first: BATCH_BURST + 501 })), 'forward')
  assert.equal(checked, 2)
})

test('a forged batch uses up nothing of what its publisher may say', async () => {
  const { heard, receive } = await receiver()
  for (let first = 1; first <= BATCH_BURST; first += 1) await receive(batch({ first, signer: 'mallory' }))
  assert.equal(await receive(batch({ first: 1 })), 'forward')
  assert.equal(heard.length, 1)
})

test('a replay is dropped before its signature is checked', async () => {
  const { peer, receive } = await receiver()
  await receive(batch({ first: 1 }))
  let checked = 0
  peer.verify = async () => {
    checked += 1
    return true
  }
  assert.equal(await receive(batch({ first: 1 })), 'ignore')
  assert.equal(await receive(batch({ first: 7, epoch: 4 })), 'ignore')
  assert.equal(checked, 0)
})
