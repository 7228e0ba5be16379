import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { isParleyError } from '../../../../protocols/errors.ts'
import { decodeBatch, eventDecoder } from '../../../../protocols/events/batch/batch-decoder.ts'
import { defineEvent } from '../../../../protocols/events/define-event.ts'
import type { MeshEvent } from '../../../../protocols/events/event.ts'
import { createEvents, DEFAULT_TOPIC } from '../../../../protocols/events/events.ts'
import type { EventsOptions } from '../../../../protocols/events/options.ts'
import { createPorts, turn } from '../ports.ts'

/** A node without neighbours. */
const alone = (options: EventsOptions = {}) => {
  const net = createPorts()
  const peer = net.add('p', 1000)
  const events = createEvents(peer.port, options)
  const sizes = () => peer.gossip.published.map(({ bytes }) => decodeBatch(bytes).spans.length / 2)
  return { net, peer, events, sizes }
}

const progress = defineEvent({
  topic: 'tasks.progress',
  version: '1.2.0',
  schema: z.object({ done: z.number().min(0).max(1), note: z.string().default('none') }),
})

test('a receipt names the event, its number, and that nobody was there to hear it', async () => {
  const { net, peer, events } = alone()
  const first = await net.until(events.publish('tasks.status.1', { done: 1 }))
  const second = await net.until(events.publish('tasks.submit', {}))
  const other = await net.until(events.publish('agents', {}))
  assert.deepEqual(first, { id: 'p/tasks/1000/1', topic: 'tasks.status.1', epoch: 1000, sequence: 1, recipients: 0 })
  assert.equal(second.sequence, 2, 'numbers count up per first word')
  assert.equal(other.sequence, 1)
  assert.equal(peer.count('events_published_total', { topic: 'tasks' }), 2)
  assert.equal(peer.count('events_without_recipients_total'), 3)
})

test('what travels is one signed batch on the gossip topic of the first word', async () => {
  const { net, peer, events } = alone()
  const marks = { type: 't', conversationId: 'c', correlationId: 'r', headers: { a: 'b' }, priority: 'high' } as const
  await net.until(events.publish('tasks.status.1', { done: 1 }, { ...marks, id: 'mine', ttlMs: 500 }))
  const [sent] = peer.gossip.published
  assert.equal(sent?.topic, 'events/tasks')
  const batch = decodeBatch(sent?.bytes ?? new Uint8Array())
  assert.deepEqual([batch.publisher, batch.word, batch.epoch, batch.first], ['p', 'tasks', 1000, 1])
  const expected = { topic: 'tasks.status.1', text: '{"done":1}', ...marks, id: 'mine', ttlMs: 500 }
  assert.deepEqual(eventDecoder(batch)(0), expected)
  assert.deepEqual(peer.gossip.topics(), ['events/tasks'], 'who publishes subscribes')
})

test('a lone event leaves at once; what comes while it is signed gathers into the next batch', async () => {
  const { net, peer, events, sizes } = alone()
  const signing = Promise.withResolvers<void>()
  const { sign } = peer
  peer.sign = async (bytes) => {
    await signing.promise
    return sign(bytes)
  }
  const receipts = [events.publish('a.b', 1)]
  await turn()
  receipts.push(events.publish('a.b', 2), events.publish('a.b', 3))
  await turn()
  signing.resolve()
  await turn()
  assert.deepEqual(sizes(), [1, 2])
  assert.equal(net.now(), 0, 'no time passed')
  assert.deepEqual(
    (await Promise.all(receipts)).map(({ sequence }) => sequence),
    [1, 2, 3],
  )
})

test('events published in one turn leave in one batch', async () => {
  const { net, events, sizes } = alone()
  await net.until(Promise.all([1, 2, 3].map((n) => events.publish('a.b', n))))
  assert.deepEqual(sizes(), [3])
})

test('a batch closes at its number of events', async () => {
  const { net, events, sizes } = alone()
  await net.until(Promise.all(Array.from({ length: 513 }, (_, n) => events.publish('a.b', n))))
  assert.deepEqual(sizes(), [256, 256, 1])
  const small = alone({ batchEvents: 1 })
  await small.net.until(Promise.all([1, 2, 3].map((n) => small.events.publish('a.b', n))))
  assert.deepEqual(small.sizes(), [1, 1, 1])
})

test('a batch closes before it grows beyond its bytes, and a larger event travels alone', async () => {
  const { net, peer, events, sizes } = alone({ batchBytes: 1024 })
  const texts = [300, 300, 300, 300, 2000, 300].map((length) => 'x'.repeat(length))
  await net.until(Promise.all(texts.map((text) => events.publish('a.b', text))))
  assert.deepEqual(sizes(), [3, 1, 1, 1])
  const events4 = peer.gossip.published.map(({ bytes }) => {
    const { spans } = decodeBatch(bytes)
    return (spans.at(-1) ?? 0) - (spans[0] ?? 0)
  })
  assert.deepEqual(
    events4.map((bytes) => bytes <= 1024),
    [true, true, false, true],
  )
})

test('while others are on their way, a batch closes when it is old enough', async () => {
  const { net, peer, events, sizes } = alone({ batchMs: 10, pipeline: 4 })
  const { sign } = peer
  const open: PromiseWithResolvers<void>[] = []
  peer.sign = async (bytes) => {
    const gate = Promise.withResolvers<void>()
    open.push(gate)
    await gate.promise
    return sign(bytes)
  }
  const receipts = [events.publish('a.b', 1)]
  await turn()
  receipts.push(events.publish('a.b', 2))
  await net.run(5)
  receipts.push(events.publish('a.b', 3))
  await net.run(4)
  assert.equal(open.length, 1, 'younger than 10 ms')
  await net.run(1)
  assert.equal(open.length, 2, 'its turn to be signed')
  for (const gate of open) gate.resolve()
  await net.until(Promise.all(receipts))
  assert.deepEqual(sizes(), [1, 2])
})

test('batches are signed in parallel, at most as many as the pipeline holds, and sent in order', async () => {
  const { net, peer, events } = alone({ batchEvents: 1, pipeline: 3 })
  const { sign } = peer
  const open: PromiseWithResolvers<void>[] = []
  peer.sign = async (bytes) => {
    const gate = Promise.withResolvers<void>()
    open.push(gate)
    await gate.promise
    return sign(bytes)
  }
  const receipts = Promise.all([1, 2, 3, 4, 5].map((n) => events.publish('a.b', n)))
  await turn()
  assert.equal(open.length, 3)
  open[2]?.resolve()
  open[1]?.resolve()
  await turn()
  assert.equal(peer.gossip.published.length, 0, 'the first is not signed yet')
  open[0]?.resolve()
  await turn()
  assert.equal(open.length, 5)
  open[4]?.resolve()
  open[3]?.resolve()
  await net.until(receipts)
  assert.deepEqual(
    peer.gossip.published.map(({ bytes }) => decodeBatch(bytes).first),
    [1, 2, 3, 4, 5],
  )
})

test('a batch that cannot be signed or sent fails its events, and the next one goes on', async () => {
  const { net, peer, events } = alone({ batchEvents: 1 })
  const { sign } = peer
  let calls = 0
  peer.sign = async (bytes) => {
    calls += 1
    if (calls === 1) throw new Error('no key')
    return sign(bytes)
  }
  const results = await net.until(Promise.allSettled([1, 2].map((n) => events.publish('a.b', n))))
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  )
  const [lost] = results
  assert.ok(lost?.status === 'rejected' && isParleyError(lost.reason, 'COM002') && lost.reason.cause instanceof Error)
  peer.gossip.failure = new Error('no gossip')
  await assert.rejects(net.until(events.publish('a.b', 3)), (error) => isParleyError(error, 'COM002'))
  peer.gossip.failure = undefined
  assert.equal((await net.until(events.publish('a.b', 4))).sequence, 4)
  assert.equal(peer.count('events_rejected_total', { reason: 'failed' }), 2)
  assert.equal(peer.gauge('events_queued_bytes'), 0)
})

test('publish waits while buffers are full, up to a bound, and beyond it says when to try again', async () => {
  const { net, peer, events } = alone({ maxQueuedBytes: 1024 })
  const blocked = Promise.withResolvers<void>()
  peer.gossip.blocked = blocked.promise
  const receipt = events.publish('a.b', 'x'.repeat(500))
  const bytes = peer.gauge('events_queued_bytes')
  await turn()
  const rest = 1024 - bytes
  const over = events.publish('a.b', 'x'.repeat(500 + rest - bytes + 1))
  await assert.rejects(over, (error) => isParleyError(error, 'COM003') && error.details.retryAfterMs === 100)
  const exact = events.publish('a.b', 'x'.repeat(500 + rest - bytes))
  assert.equal(peer.gauge('events_queued_bytes'), 1024, 'exactly at the bound')
  await net.run(50)
  assert.equal(peer.gossip.published.length, 0)
  assert.equal(peer.count('events_rejected_total', { reason: 'overloaded' }), 1)
  blocked.resolve()
  const receipts = await net.until(Promise.all([receipt, exact]))
  assert.deepEqual(
    receipts.map(({ sequence }) => sequence),
    [1, 2],
    'a refused event takes no number',
  )
  assert.equal(peer.gauge('events_queued_bytes'), 0)
})

test('the bound on waiting bytes is shared by all first words', async () => {
  const { net, peer, events } = alone({ maxQueuedBytes: 1024 })
  const blocked = Promise.withResolvers<void>()
  peer.gossip.blocked = blocked.promise
  const first = events.publish('a.b', 'x'.repeat(900))
  await assert.rejects(events.publish('b.b', 'x'.repeat(900)), (error) => isParleyError(error, 'COM003'))
  blocked.resolve()
  await net.until(first)
  await net.until(events.publish('b.b', 'x'.repeat(900)))
})

test('data is measured in bytes of JSON, at the bound and one past it', async () => {
  const { net, peer, events } = alone({ maxEventBytes: 100 })
  await net.until(events.publish('a.b', 'x'.repeat(98)))
  await net.until(events.publish('a.b', 'é'.repeat(49)))
  for (const text of ['x'.repeat(99), `${'é'.repeat(49)}x`]) {
    await assert.rejects(
      events.publish('a.b', text),
      (error) => isParleyError(error, 'MSG001') && /stream/.test(error.hint ?? ''),
    )
  }
  assert.equal(peer.count('events_rejected_total', { reason: 'invalid' }), 2)
})

test('data that JSON cannot hold is refused', async () => {
  const { peer, events } = alone()
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  for (const data of [undefined, () => 1, 1n, cycle]) {
    await assert.rejects(events.publish('a.b', data), (error) => isParleyError(error, 'MSG002'))
  }
  assert.equal(peer.count('events_rejected_total', { reason: 'unserializable' }), 4)
})

test('topics, marks and settings that are not usable are refused with what to do', async () => {
  const { events } = alone()
  const refused = (promise: Promise<unknown>) =>
    assert.rejects(promise, (error) => isParleyError(error, 'MSG001') && error.hint !== undefined)
  await refused(events.publish('tasks.*', 1))
  await refused(events.publish('', 1))
  await refused(events.publish('a.b', 1, { id: '' }))
  await refused(events.publish('a.b', 1, { type: 'x'.repeat(129) }))
  await refused(events.publish('a.b', 1, { conversationId: '\ud800' }))
  await refused(events.publish('a.b', 1, { ttlMs: 0 }))
  await refused(events.publish('a.b', 1, { ttlMs: 1.5 }))
  await refused(events.publish('a.b', 1, { headers: { k: 'v'.repeat(4096) } }))
  await refused(events.publish('a.b', 1, { headers: { k: '\udfff' } }))
  await refused(events.publish('a.b', 1, { priority: 'urgent' as 'high' }))
  const settings = [{ batchEvents: 0 }, { batchEvents: 1001 }, { unknown: 1 }, { topics: { a: 'b c' } }]
  for (const bad of settings)
    assert.throws(
      () => alone(bad as EventsOptions),
      (error) => isParleyError(error, 'MSG001'),
    )
})

test('emit publishes to the topic of the type, or to the default one', async () => {
  const { net, events } = alone({ topics: { done: 'tasks.done' } })
  const heard: MeshEvent[] = []
  events.onEvent((event) => heard.push(event))
  await net.until(Promise.all([events.emit('done', 1), events.emit('other', 2, { conversationId: 'c' })]))
  assert.deepEqual(
    heard.map(({ topic, type, data, conversationId }) => [topic, type, data, conversationId]),
    [
      ['tasks.done', 'done', 1, undefined],
      [DEFAULT_TOPIC, 'other', 2, 'c'],
    ],
  )
})

test('a typed event is checked when it is published, and its version travels', async () => {
  const { net, peer, events } = alone()
  const bad = events.publish(progress, { done: 2 })
  await assert.rejects(bad, (error) => {
    assert.ok(isParleyError(error, 'MSG001'))
    const { issues } = error.details as { issues: { path: string }[] }
    assert.deepEqual(
      issues.map(({ path }) => path),
      ['done'],
    )
    return true
  })
  await net.until(events.publish(progress, { done: 0.5 }))
  assert.equal(peer.gossip.published.length, 1)
  const event = eventDecoder(decodeBatch(peer.gossip.published[0]?.bytes ?? new Uint8Array()))(0)
  assert.deepEqual([event.version, event.text], ['1.2.0', '{"done":0.5}'], 'sent as it was given')
})

test('a plain topic is checked where a definition is registered for it, families too', async () => {
  const family = defineEvent({ topic: 'tasks.status.*', version: '1.0.0', schema: z.object({ ok: z.boolean() }) })
  const { net, events } = alone({ events: [progress, family] })
  const refused = (promise: Promise<unknown>) => assert.rejects(promise, (error) => isParleyError(error, 'MSG001'))
  await refused(events.publish('tasks.progress', { done: 'x' }))
  await refused(events.publish('tasks.status.7', {}))
  await refused(events.publish(family, { ok: true }))
  await refused(events.publish(family, { ok: true }, { topic: 'tasks.other' }))
  const receipt = await net.until(events.publish(family, { ok: true }, { topic: 'tasks.status.7' }))
  assert.equal(receipt.topic, 'tasks.status.7')
  await net.until(events.publish('tasks.other', 'anything'))
})

test('definitions that cannot be used are refused', () => {
  const refused = (fn: () => unknown) => assert.throws(fn, (error) => isParleyError(error, 'MSG001'))
  refused(() => defineEvent({ topic: 'a b', version: '1.0.0', schema: z.any() }))
  refused(() => defineEvent({ topic: 'a.#.b', version: '1.0.0', schema: z.any() }))
  refused(() => defineEvent({ topic: 'a', version: '1', schema: z.any() }))
  refused(() => alone({ events: [progress, progress] }))
})

test('a signal ends the waiting, not the event', async () => {
  const { net, peer, events } = alone()
  const blocked = Promise.withResolvers<void>()
  peer.gossip.blocked = blocked.promise
  const control = new AbortController()
  const receipt = events.publish('a.b', 1, { signal: control.signal })
  control.abort(new Error('enough'))
  await assert.rejects(receipt, /enough/)
  await assert.rejects(events.publish('a.b', 2, { signal: control.signal }), /enough/)
  blocked.resolve()
  await net.run(1)
  assert.equal(peer.gossip.published.length, 1)
})

test('a first word too many is refused, and the others go on', async () => {
  const { net, events } = alone({ maxWords: 2 })
  await net.until(Promise.all([events.publish('a.x', 1), events.publish('b.x', 1)]))
  await assert.rejects(events.publish('c.x', 1), (error) => isParleyError(error, 'COM003'))
  await assert.rejects(events.subscribe('c.x'), (error) => isParleyError(error, 'COM003'))
  await net.until(events.publish('a.y', 1))
})

test('stop sends what waits, ends loops, and refuses what comes after', async () => {
  const { net, peer, events } = alone()
  const subscription = await net.until(events.subscribe('a.#'))
  const receipt = events.publish('a.b', 1)
  const stopping = events.stop()
  await assert.rejects(events.publish('a.b', 2), (error) => isParleyError(error, 'COM002'))
  await assert.rejects(events.subscribe('a.b'), (error) => isParleyError(error, 'COM002'))
  assert.equal((await net.until(receipt)).sequence, 1)
  await net.until(stopping)
  assert.equal(await net.until(events.stop()), undefined)
  for await (const _ of subscription) assert.fail('it has ended')
  assert.deepEqual(peer.gossip.topics(), [])
})

test('stop does not wait longer than its bound for what cannot be sent', async () => {
  const { net, peer, events } = alone({ syncMs: 200 })
  peer.gossip.blocked = new Promise(() => undefined)
  const receipt = assert.rejects(events.publish('a.b', 1), (error) => isParleyError(error, 'COM002'))
  await net.until(events.stop())
  await receipt
  assert.ok(net.now() >= 200 && net.now() < 250, `${net.now()} ms`)
})
