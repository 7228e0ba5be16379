import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createPortNetwork, type NetworkOptions } from '../../../../../node/testing/virtual/port-network.ts'
import { defineProtocol } from '../../../../../protocols/define.ts'
import { isParleyError, ParleyError } from '../../../../../protocols/errors.ts'
import type { Acceptance } from '../../../../../protocols/port.ts'

const probe = defineProtocol({
  name: 'probe',
  version: '1.0.0',
  methods: {
    upper: { request: z.object({ text: z.string() }), response: z.string() },
    raw: { request: z.object({ bytes: z.instanceof(Uint8Array) }), response: z.number(), content: 'cbor' },
    count: { request: z.number(), stream: z.number() },
    note: { request: z.string(), oneWay: true },
    hang: { request: z.null(), response: z.null(), timeoutMs: 500 },
    fail: { request: z.boolean(), response: z.null() },
  },
})

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const setUp = async (options: NetworkOptions = {}) => {
  const network = createPortNetwork(options)
  const [a, b] = [network.start('a'), network.start('b')]
  const notes: string[] = []
  const hanging: AbortSignal[] = []
  const stop = await b.port.serve(probe, {
    upper: ({ text }, { peer }) => `${text.toUpperCase()} for ${peer === a.id ? 'a' : 'somebody'}`,
    raw: ({ bytes }) => bytes.length,
    async *count(n) {
      for (let i = 0; i < n; i += 1) yield i
    },
    note: (text) => {
      notes.push(text)
    },
    hang: (_, { signal }) => {
      hanging.push(signal)
      return new Promise<null>(() => {})
    },
    fail: (known) => {
      throw known ? new ParleyError('STA001', 'no such thing', { hint: 'look elsewhere' }) : new Error('secret')
    },
  })
  network.connect(a, b)
  return { ...network, a, b, notes, hanging, stop, client: a.port.to(b.id, probe) }
}

test('calls of each kind arrive, answer and take the time of the link', async () => {
  const { client, time, notes } = await setUp({ latencyMs: [10, 10] })
  const startMs = time.now()
  assert.equal(await time.settled(client.upper({ text: 'x' }), 100), 'X for a')
  assert.equal(time.now() - startMs, 20)
  assert.equal(await time.settled(client.raw({ bytes: new Uint8Array(7) }), 100), 7)
  assert.deepEqual(await time.settled(collect(client.count(4)), 100), [0, 1, 2, 3])
  await client.note('one')
  await client.note('two')
  assert.deepEqual(notes, [])
  await time.run(10)
  assert.deepEqual(notes, ['one', 'two'])
})

test('messages of one direction keep their order, whatever the latency', async () => {
  const { client, time, notes } = await setUp({ latencyMs: [0, 50] })
  const sent = Array.from({ length: 50 }, (_, n) => `${n}`)
  for (const note of sent) await client.note(note)
  await time.run(1_000)
  assert.deepEqual(notes, sent)
})

test('errors are those of the mesh: timeout, unknown, invalid, remote, internal, not connected', async () => {
  const { client, time, a, b, hanging, stop, disconnect } = await setUp()
  const code = async (promise: Promise<unknown>): Promise<string> => {
    try {
      await time.settled(promise, 1_000)
      return 'none'
    } catch (error) {
      return isParleyError(error) ? `${error.code}${error.remote ? ' remote' : ''}` : String(error)
    }
  }
  assert.equal(await code(client.hang(null)), 'COM001')
  await time.run(10)
  assert.equal(hanging[0]?.aborted, true, 'the other side is told')
  assert.equal(await code(client.fail(true)), 'STA001 remote')
  assert.equal(await code(client.fail(false)), 'APP001 remote')
  const bad: { text: string } = JSON.parse('{"text":1}')
  assert.equal(await code(client.upper(bad)), 'MSG001')
  const cut = code(client.hang(null))
  await time.run(10)
  disconnect(a, b)
  assert.equal(await cut, 'COM002')
  assert.equal(hanging[1]?.aborted, true)
  assert.equal(await code(client.upper({ text: '' })), 'COM002')
  await stop()
})

test('a caller can give up by its signal, and a reader by leaving its loop', async () => {
  const { client, time, hanging } = await setUp()
  const controller = new AbortController()
  const call = client.hang(null, { signal: controller.signal })
  await time.run(10)
  controller.abort(new Error('enough'))
  await assert.rejects(call, /enough/)
  await time.run(10)
  assert.equal(hanging[0]?.aborted, true)
  const read = async (): Promise<number> => {
    for await (const n of client.count(1_000)) if (n === 3) return n
    return -1
  }
  assert.equal(await time.settled(read(), 100), 3)
})

test('what is no longer served is refused', async () => {
  const { client, time, stop } = await setUp()
  await stop()
  await assert.rejects(time.settled(client.upper({ text: 'x' }), 100), (error) => isParleyError(error, 'MSG004'))
})

test('members are told of connections made and lost, and a killed node says nothing more', async () => {
  const { start, connect, time } = createPortNetwork()
  const [a, b] = [start('a'), start('b')]
  const told: string[] = []
  a.port.onMember(({ name }, change) => told.push(`${name} ${change}`))
  let ticks = 0
  b.port.timers.every(10, () => {
    ticks += 1
  })
  connect(a, b)
  assert.deepEqual(a.port.members(), [{ id: b.id, name: 'b' }])
  await time.run(100)
  b.kill()
  assert.deepEqual([a.port.members(), told], [[], ['b joined', 'b left']])
  const before = ticks
  await time.run(100)
  assert.deepEqual([before, ticks], [10, 10])
  assert.equal(start('b').id, b.id, 'the name keeps its identity')
})

test('gossip floods to subscribers through subscribers, once each, and stops where it is refused', async () => {
  const { start, connect, time, gossipRefused } = createPortNetwork()
  const nodes = Array.from({ length: 5 }, (_, n) => start(`n${n}`))
  const heard: string[] = []
  nodes.forEach((node, n) => {
    const accept = async (): Promise<Acceptance> => (n === 3 ? 'refuse' : 'forward')
    if (n > 0) node.port.gossip.subscribe('t', accept, () => heard.push(`n${n}`))
  })
  nodes.slice(1).forEach((node, n) => {
    connect(nodes[n] ?? node, node)
  })
  const [first] = nodes
  assert.ok(first)
  assert.equal(await first.port.gossip.publish('t', Uint8Array.of(1)), 0, 'nobody has introduced itself yet')
  await time.run(20)
  assert.equal(await first.port.gossip.publish('t', Uint8Array.of(2)), 1)
  await time.run(100)
  assert.deepEqual(heard, ['n1', 'n2'])
  assert.equal(gossipRefused(nodes[3] ?? first), 1)
})

test('signatures are real: they hold for the bytes and the signer only', async () => {
  const { a, b } = await setUp()
  const bytes = Uint8Array.of(1, 2, 3)
  const signature = await a.port.sign(bytes)
  const check = (peer: string, what: Uint8Array, by: Uint8Array) => b.port.verify(peer, what, by)
  assert.equal(await check(a.id, bytes, signature), true)
  assert.equal(await check(b.id, bytes, signature), false)
  assert.equal(await check(a.id, Uint8Array.of(1, 2, 4), signature), false)
  assert.equal(await check('nobody', bytes, signature), false)
  assert.equal(await check(a.id, bytes, signature.subarray(1)), false)
})

test('the same seed gives the same run, another seed another one', async () => {
  const run = async (seed: number): Promise<string> => {
    const { client, time, traffic } = await setUp({ seed, latencyMs: [1, 30] })
    await time.settled(collect(client.count(20)), 2_000)
    return `${time.now()} ${JSON.stringify(traffic)}`
  }
  assert.equal(await run(3), await run(3))
  assert.notEqual(await run(3), await run(4))
})

test('waiting for what does not happen is an error that names the condition', async () => {
  const { time } = createPortNetwork()
  const isRaining = false
  await assert.rejects(
    time.until(() => isRaining, 50),
    /50 ms of virtual time.*isRaining/,
  )
})
