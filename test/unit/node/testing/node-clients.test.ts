/** `to`, `any` and `all` of a test mesh: the choice, failover, retries and breakers of real nodes, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { createTestMesh, type TestMesh, type TestNode } from '../../../../node/testing/index.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { isParleyError, type ParleyError } from '../../../../protocols/errors.ts'

const Sum = defineProtocol({
  name: 'sum',
  version: '1.2.0',
  methods: {
    add: {
      request: z.object({ a: z.number(), b: z.number() }),
      response: z.number(),
      idempotent: true,
      timeoutMs: 2_000,
    },
    once: { request: z.string(), response: z.string() },
    count: { request: z.number(), stream: z.number() },
    note: { request: z.string(), oneWay: true },
  },
})

/** Nodes that serve it and know of one another; who answered what. */
const servers = async (mesh: TestMesh, names: readonly string[]) => {
  const asked: string[] = []
  const nodes = new Map<string, TestNode>()
  for (const name of names) {
    const node = await mesh.node(name)
    nodes.set(name, node)
    await mesh.settled(
      node.serve(Sum, {
        add: ({ a, b }) => {
          asked.push(name)
          return a + b
        },
        once: (said) => `${name} heard ${said}`,
        async *count(to) {
          for (let i = 1; i <= to; i += 1) yield i
        },
        note: (said) => void asked.push(`${name} noted ${said}`),
      }),
    )
  }
  const caller = await mesh.node('caller')
  await mesh.until(() => caller.directory.offers('sum', 1).length === names.length)
  return { caller, asked, node: (name: string) => nodes.get(name) as TestNode }
}

const failure = async (promise: Promise<unknown>): Promise<ParleyError> => {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (found: unknown) => found,
  )
  assert.ok(isParleyError(error), String(error))
  return error
}

test('any asks those who offer it, one of them at a time, streams and one-way calls too', async () => {
  await using mesh = await createTestMesh({ seed: 3 })
  const { caller, asked } = await servers(mesh, ['one', 'two'])
  const sum = caller.any(Sum)
  for (let i = 0; i < 20; i += 1) assert.equal(await mesh.settled(sum.add({ a: i, b: 1 })), i + 1)
  assert.deepEqual([...new Set(asked)].sort(), ['one', 'two'])
  assert.equal(asked.length, 20)
  const items: number[] = []
  const read = async () => {
    for await (const item of sum.count(3)) items.push(item)
  }
  await mesh.settled(read())
  assert.deepEqual(items, [1, 2, 3])
  await mesh.settled(sum.note('hello'))
  await mesh.until(() => asked.some((line) => line.endsWith('noted hello')))
})

test('a provider that crashed is not asked for long: the other one answers', async () => {
  await using mesh = await createTestMesh({ seed: 5 })
  const { caller, node, asked } = await servers(mesh, ['one', 'two'])
  mesh.crash(node('one'))
  const failedOver: string[] = []
  const sum = caller.any(Sum, { onFailover: (peer) => void failedOver.push(peer) })
  for (let i = 0; i < 10; i += 1) assert.equal(await mesh.settled(sum.add({ a: i, b: i })), 2 * i)
  assert.deepEqual(new Set(asked), new Set(['two']))
  assert.ok(failedOver.every((peer) => peer === node('one').self.id))
})

test('with nobody who offers it the error is that of a real node', async () => {
  await using mesh = await createTestMesh()
  const lone = await mesh.node('lone')
  const error = await failure(mesh.settled(lone.any(Sum).add({ a: 1, b: 2 })))
  assert.equal(error.code, 'COM004')
})

test('a node that serves it itself is asked too', async () => {
  await using mesh = await createTestMesh()
  const { node } = await servers(mesh, ['one'])
  assert.equal(await mesh.settled(node('one').any(Sum).once('me')), 'one heard me')
})

test('all asks everyone, and tells who did not answer', async () => {
  await using mesh = await createTestMesh({ seed: 2 })
  const { caller, node } = await servers(mesh, ['one', 'two', 'three'])
  const gather = async () => {
    const found: string[] = []
    for await (const reply of caller.all(Sum).add({ a: 2, b: 3 }))
      found.push('error' in reply ? `${reply.name} failed` : `${reply.name} ${reply.value}`)
    return found.sort()
  }
  assert.deepEqual(await mesh.settled(gather()), ['one 5', 'three 5', 'two 5'])
  mesh.partition([caller], [node('two')])
  const listed = async () => {
    const found: string[] = []
    for await (const reply of caller.to(['one', node('two').self.id], Sum).add({ a: 1, b: 1 }))
      found.push(
        'error' in reply ? `${isParleyError(reply.error) && reply.error.code}` : `${reply.name} ${reply.value}`,
      )
    return found.sort()
  }
  assert.deepEqual(await mesh.settled(listed()), ['COM002', 'one 2'])
})

test('a peer that keeps failing is left alone, and is asked again once it is back', async () => {
  await using mesh = await createTestMesh({ seed: 4 })
  const { caller, node } = await servers(mesh, ['one'])
  const { id } = node('one').self
  mesh.partition([caller], [node('one')])
  const errors: ParleyError[] = []
  for (let i = 0; i < 8; i += 1)
    errors.push(await failure(mesh.settled(caller.to(id, Sum, { timeoutMs: 1_500 }).once('hello'))))
  assert.ok(
    errors.every(({ code }) => code === 'COM002' || code === 'COM001'),
    errors.map(String).join(),
  )
  assert.ok(
    errors.some(({ details }) => details.retryAfterMs !== undefined),
    'the breaker opened',
  )
  mesh.heal()
  await mesh.run(60_000)
  assert.equal(await mesh.settled(caller.to(id, Sum).once('again')), 'one heard again')
})

test('the same seed asks the same peers', async () => {
  const run = async (seed: number) => {
    await using mesh = await createTestMesh({ seed })
    const { caller, asked } = await servers(mesh, ['one', 'two', 'three'])
    for (let i = 0; i < 12; i += 1) await mesh.settled(caller.any(Sum).add({ a: i, b: 0 }))
    return asked
  }
  assert.deepEqual(await run(9), await run(9))
  assert.notDeepEqual(await run(9), await run(10))
})

test('a request that does not fit is refused before it is sent', async () => {
  await using mesh = await createTestMesh()
  const { caller } = await servers(mesh, ['one'])
  const wrong = JSON.parse('{"a":"x"}')
  assert.equal((await failure(mesh.settled(caller.any(Sum).add(wrong)))).code, 'MSG001')
})
