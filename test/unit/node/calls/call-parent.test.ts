import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createTestMesh } from '../../../../node/testing/index.ts'
import { type Context, defineProtocol } from '../../../../protocols/define.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const plan = defineProtocol({
  name: 'plan',
  version: '1.0.0',
  methods: {
    make: { request: z.number(), response: z.array(z.string()), timeoutMs: 5_000 },
    price: { request: z.number(), response: z.array(z.string()) },
    late: { request: z.number(), response: z.number(), timeoutMs: 60_000 },
  },
})

type Make = (input: number, context: Context) => Promise<string[]> | string[]

/** Nodes that serve `plan`, each with a `make` of its own, and one that only asks. */
const start = async (makes: Record<string, Make>) => {
  const mesh = await createTestMesh({ seed: 5 })
  const root = await mesh.node('root')
  const nodes = new Map([['root', root]])
  for (const [name, make] of Object.entries(makes)) {
    const node = await mesh.node(name)
    nodes.set(name, node)
    await mesh.settled(
      node.serve(plan, {
        make,
        price: (_input, { chain }) => [...chain],
        late: (ms, { signal }) =>
          new Promise((resolve, reject) => {
            node.port.timers.after(ms, () => resolve(ms))
            signal.addEventListener('abort', () => reject(signal.reason))
          }),
      }),
    )
  }
  const names = Object.keys(makes)
  await mesh.until(() => [...nodes.values()].every((one) => names.every((name) => one.directory.find(name))))
  const idOf = (name: string): string => nodes.get(name)?.self.id ?? assert.fail(name)
  const get = (name: string) => nodes.get(name) ?? assert.fail(name)
  const named = (chain: unknown): string[] =>
    (chain as string[]).map((hop) => [...nodes.keys()].reduce((text, name) => text.replace(idOf(name), name), hop))
  const errorOf = async (promise: Promise<unknown>): Promise<ParleyError> => {
    const [result] = await mesh.settled(Promise.allSettled([promise]))
    if (result?.status === 'rejected' && result.reason instanceof ParleyError) return result.reason
    return assert.fail(`no error: ${JSON.stringify(result)}`)
  }
  return { mesh, root, get, named, errorOf, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() }
}

const nobody: Make = () => []

test('a call with a parent carries the chain of its request, and a callback for something else is none', async () => {
  await using all = await start({
    a: (input, context) => all.get('a').to('b', plan).make(input, { parent: context }),
    b: (input, context) => all.get('b').to('a', plan).price(input, { parent: context }),
  })
  const chain = await all.mesh.settled(all.root.to('a', plan).make(1))
  assert.deepEqual(all.named(chain), ['root', 'a/plan.make', 'b/plan.make', 'a/plan.price'])
})

test('a call without a parent begins a chain of its own', async () => {
  await using all = await start({
    a: (input) => all.get('a').to('b', plan).price(input),
    b: nobody,
  })
  assert.deepEqual(all.named(await all.mesh.settled(all.root.to('a', plan).make(1))), ['a', 'b/plan.price'])
})

test('a delegation cycle is refused before it is sent, with its chain in the error', async () => {
  let began = 0
  const next = (name: string, to: string): Make => {
    return (input, context) => {
      began += 1
      return all.get(name).to(to, plan).make(input, { parent: context })
    }
  }
  await using all = await start({ a: next('a', 'b'), b: next('b', 'c'), c: next('c', 'a') })
  const error = await all.errorOf(all.root.to('a', plan).make(1))
  assert.deepEqual([error.code, error.reason, error.recovery], ['STA003', 'delegation-cycle', 'none'])
  assert.deepEqual(all.named(error.details.chain), ['root', 'a/plan.make', 'b/plan.make', 'c/plan.make', 'a/plan.make'])
  assert.equal(began, 3, 'nobody was asked again')
})

test('any leaves out those that were asked for it before, and is a cycle once nobody else offers it', async () => {
  const asked: string[] = []
  const next = (name: string): Make => {
    return (input, context) => {
      asked.push(name)
      return all.get(name).any(plan).make(input, { parent: context })
    }
  }
  await using all = await start({ a: next('a'), b: next('b'), c: next('c') })
  const error = await all.errorOf(all.root.any(plan).make(1))
  assert.equal(error.reason, 'delegation-cycle')
  assert.deepEqual(asked.toSorted(), ['a', 'b', 'c'], 'each once')
})

test('of all, those that were asked before answer with the error and the others as always', async () => {
  await using all = await start({
    a: async (input, context) => {
      const replies: string[] = []
      for await (const reply of all.get('a').all(plan).make(input, { parent: context }))
        replies.push(`${reply.name} ${'error' in reply ? (reply.error as ParleyError).reason : 'ok'}`)
      return replies.toSorted()
    },
    b: nobody,
  })
  assert.deepEqual(await all.mesh.settled(all.root.to('a', plan).make(1)), ['a delegation-cycle', 'b ok'])
})

test('a chain of more than 32 hops is not passed on', async () => {
  const long: Context['chain'] = Array.from({ length: 32 }, (_, i) => `p${i}/x.y`)
  await using all = await start({
    a: (input, { chain, signal }) =>
      all
        .get('a')
        .to('b', plan)
        .price(input, { parent: { chain: [...long.slice(0, 32 - input), ...chain.slice(-1)], signal } }),
    b: nobody,
  })
  const error = await all.errorOf(all.root.to('a', plan).make(0))
  assert.deepEqual([error.code, error.reason, error.details.limit], ['STA003', 'delegation-depth', 32])
  assert.equal((await all.mesh.settled(all.root.to('a', plan).make(1))).length, 33)
})

test('a call has at most the time that its parent has left, and ends with it', async () => {
  let leftMs = 0
  let endedMs = 0
  await using all = await start({
    a: async (input, context) => {
      await new Promise<void>((resolve) => all.get('a').port.timers.after(1_000, resolve))
      const call = all.get('a').to('b', plan).late(input, { parent: context, timeoutMs: 30_000 })
      leftMs = context.remainingMs()
      await call.catch(() => {
        endedMs = all.mesh.now()
      })
      return []
    },
    b: nobody,
  })
  const began = all.mesh.now()
  const error = await all.errorOf(all.root.to('a', plan).make(20_000, { timeoutMs: 3_000 }))
  await all.mesh.run(100)
  assert.equal(error.code, 'COM001')
  assert.ok(leftMs <= 2_000, `${leftMs}`)
  assert.ok(endedMs > 0 && endedMs - began <= 3_050, `${endedMs - began} ms`)
})

test('what is no context of a handler is no parent', async () => {
  await using all = await start({ a: nobody })
  for (const parent of [{}, 'x', null, { chain: [] }, { chain: 'a', signal: AbortSignal.abort() }])
    assert.equal((await all.errorOf(all.root.to('a', plan).make(1, { parent: parent as never }))).code, 'MSG001')
})
