/** Parts of a budget that go with calls: what comes back, what is spent, and what nobody can spend twice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createTestMesh, type TestNode } from '../../../../node/testing/index.ts'
import type { Amounts } from '../../../../protocols/budget/amounts.ts'
import { Slice } from '../../../../protocols/budget/slice.ts'
import { type Context, defineProtocol } from '../../../../protocols/define.ts'
import { ParleyError } from '../../../../protocols/errors.ts'

const work = defineProtocol({
  name: 'work',
  version: '1.0.0',
  methods: {
    do: { request: z.number(), response: z.number(), timeoutMs: 5_000, idempotent: true },
    each: { request: z.number(), stream: z.number(), timeoutMs: 5_000 },
    note: { request: z.number(), oneWay: true },
  },
})

type Do = (input: number, context: Context) => Promise<number> | number

const start = async (does: Record<string, Do>) => {
  const mesh = await createTestMesh({ seed: 5 })
  const root = await mesh.node('root')
  const nodes = new Map<string, TestNode>([['root', root]])
  for (const [name, run] of Object.entries(does)) {
    const node = await mesh.node(name)
    nodes.set(name, node)
    await mesh.settled(
      node.serve(work, {
        do: run,
        async *each(input, context) {
          for (let i = 0; i < input; i += 1) yield await run(i, context)
        },
        note: (input, context) => void run(input, context),
      }),
    )
  }
  const names = Object.keys(does)
  await mesh.until(() => names.every((name) => [...nodes.values()].every((one) => one.directory.find(name))))
  const errorOf = async (promise: Promise<unknown>): Promise<ParleyError> => {
    const [result] = await mesh.settled(Promise.allSettled([promise]))
    if (result?.status === 'rejected' && result.reason instanceof ParleyError) return result.reason
    return assert.fail(`no error: ${JSON.stringify(result)}`)
  }
  const get = (name: string): TestNode => nodes.get(name) ?? assert.fail(name)
  return { mesh, root, get, errorOf, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() }
}

const spend =
  (amounts: Amounts): Do =>
  (input, { budget }) => {
    budget?.spend(amounts)
    return input
  }

const sliceOf = (amounts: Amounts, depth = 4): Slice => new Slice({ amounts, limits: { depth } })

test('a call spends of its part, and what is left of it is there again', async () => {
  await using all = await start({ a: spend({ tokens: 30 }) })
  const slice = sliceOf({ tokens: 100, fanOut: 5 })
  await all.mesh.settled(all.root.to('a', work).do(1, { budget: { of: slice, amounts: { tokens: 50 } } }))
  assert.deepEqual(slice.remaining(), { tokens: 70, fanOut: 4 })
  assert.deepEqual(slice.counts().spent, { tokens: 30, fanOut: 1 })
})

test('what is asked for beyond the part is refused at the other side, and beyond the slice before it is sent', async () => {
  await using all = await start({ a: spend({ tokens: 30 }) })
  const slice = sliceOf({ tokens: 100, fanOut: 5 })
  const client = all.root.to('a', work)
  const beyond = await all.errorOf(client.do(1, { budget: { of: slice, amounts: { tokens: 29 } } }))
  assert.deepEqual([beyond.code, beyond.reason, beyond.remote], ['COM003', 'budget-exhausted', true])
  const more = await all.errorOf(client.do(1, { budget: { of: slice, amounts: { tokens: 101 } } }))
  assert.deepEqual([more.code, more.reason, more.remote], ['COM003', 'budget-exhausted', false])
  const nothing = await all.errorOf(client.do(1, { budget: { of: slice } }))
  assert.equal(nothing.reason, 'budget-exhausted')
  assert.equal(slice.remaining().tokens, 100)
})

test('a handler passes parts on, each hop has one less, and nobody has what it was not given', async () => {
  const seen: (Amounts | undefined)[] = []
  await using all = await start({
    a: async (input, context) => {
      context.budget?.spend({ tokens: 5 })
      const client = all.get('a').to('b', work)
      await client.do(input, { parent: context, budget: { amounts: { tokens: 20 } } })
      // Without a word it gets a part of nothing.
      await client.do(input + 1, { parent: context })
      return input
    },
    b: (input, { budget }) => {
      seen.push({ ...budget?.remaining(), depth: budget?.limits.depth } as Amounts)
      if (input === 1) budget?.spend({ tokens: 8 })
      return input
    },
  })
  const slice = sliceOf({ tokens: 100, fanOut: 3 }, 2)
  const options = { budget: { of: slice, amounts: { tokens: 50, fanOut: 2 } } }
  await all.mesh.settled(all.root.to('a', work).do(1, options))
  assert.deepEqual(seen, [
    { tokens: 20, fanOut: 0, depth: 0 },
    { tokens: 0, fanOut: 0, depth: 0 },
  ])
  assert.deepEqual(slice.counts().spent, { tokens: 13, fanOut: 3 })
})

test('more calls than the fan-out, and more hops than the depth, are refused', async () => {
  const errors: string[] = []
  const refused = (error: unknown): void => void errors.push(error instanceof ParleyError ? String(error.reason) : '')
  await using all = await start({
    a: async (input, context) => {
      const client = all.get('a').to('b', work)
      await client.do(input, { parent: context }).catch(refused)
      await client.do(input, { parent: context }).catch(refused)
      return input
    },
    b: (input) => input,
  })
  const client = all.root.to('a', work)
  await all.mesh.settled(client.do(1, { budget: { of: sliceOf({ fanOut: 2 }), amounts: { fanOut: 1 } } }))
  assert.deepEqual(errors, ['budget-exhausted'])
  await all.mesh.settled(client.do(1, { budget: { of: sliceOf({ fanOut: 9 }, 1), amounts: { fanOut: 2 } } }))
  assert.deepEqual(errors.slice(1), ['budget-depth', 'budget-depth'])
})

test('a call that is not answered has spent its part, and is not made again', async () => {
  let began = 0
  await using all = await start({
    a: (input) => {
      began += 1
      return new Promise((resolve) => setTimeout(() => resolve(input), 0).unref())
    },
  })
  const slice = sliceOf({ tokens: 100 })
  const stop = new AbortController()
  const call = all.root.to('a', work).do(1, { signal: stop.signal, budget: { of: slice, amounts: { tokens: 40 } } })
  await all.mesh.until(() => began === 1)
  stop.abort(new ParleyError('COM001', 'given up'))
  await all.errorOf(call)
  assert.deepEqual(slice.counts().spent, { tokens: 40, fanOut: 1 })
  assert.equal(slice.remaining().tokens, 60)
})

test('a call that reached nobody costs nothing', async () => {
  await using all = await start({ a: spend({ tokens: 1 }) })
  const slice = sliceOf({ tokens: 100, fanOut: 1 })
  const error = await all.errorOf(
    all.root.to('nobody', work).do(1, { budget: { of: slice, amounts: { tokens: 40 } }, timeoutMs: 300 }),
  )
  assert.equal(error.code, 'COM002')
  assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 1 })
})

test('a stream gives back what is left at its end, and nothing where it is broken off', async () => {
  await using all = await start({ a: spend({ tokens: 3 }) })
  const slice = sliceOf({ tokens: 100 })
  const items = all.root.to('a', work).each(4, { budget: { of: slice, amounts: { tokens: 50 } } })
  assert.equal(slice.remaining().tokens, 100, 'it has not begun')
  const read: number[] = []
  await all.mesh.settled(
    (async () => {
      for await (const item of items) read.push(item)
    })(),
  )
  assert.equal(read.length, 4)
  assert.equal(slice.remaining().tokens, 88)
  await all.mesh.settled(
    (async () => {
      for await (const item of all.root.to('a', work).each(4, { budget: { of: slice, amounts: { tokens: 20 } } }))
        if (item === 1) break
    })(),
  )
  assert.equal(slice.remaining().tokens, 68)
})

test('one that nobody answers is spent', async () => {
  await using all = await start({ a: spend({ tokens: 1 }) })
  const slice = sliceOf({ tokens: 100 })
  await all.mesh.settled(all.root.to('a', work).note(1, { budget: { of: slice, amounts: { tokens: 10 } } }))
  assert.equal(slice.remaining().tokens, 90)
})

test('a budget of nothing, of no slice, or of a deadline that has passed is refused before anything is sent', async () => {
  await using all = await start({ a: spend({}) })
  const client = all.root.to('a', work)
  assert.equal((await all.errorOf(client.do(1, { budget: { amounts: { tokens: 1 } } }))).code, 'MSG001')
  const slice = sliceOf({ tokens: 5 })
  for (const bad of [{ of: {} }, { of: slice, amounts: { tokens: -1 } }, { of: slice, amount: { tokens: 1 } }, 7])
    assert.equal((await all.errorOf(client.do(1, { budget: bad as never }))).code, 'MSG001', JSON.stringify(bad))
  const past = new Slice({ amounts: { tokens: 5 }, limits: { deadlineAt: 1 } })
  assert.equal((await all.errorOf(client.do(1, { budget: { of: past } }))).code, 'MSG005')
  assert.deepEqual(past.remaining(), { tokens: 5 })
})

test('progress does not put the deadline of the budget off', async () => {
  await using all = await start({
    a: async (input, context) => {
      for (let n = 0; n < 40 && !context.signal.aborted; n += 1) {
        context.progress(n / 40)
        await new Promise<void>((resolve) => all.get('a').port.timers.after(100, resolve))
      }
      return input
    },
  })
  const { clock } = all.root.port
  const startedAt = clock.now()
  const slice = new Slice({ amounts: { tokens: 100 }, limits: { deadlineAt: Math.floor(startedAt + 1_000) } })
  const client = all.root.to('a', work)
  const call = client.do(1, { budget: { of: slice, amounts: { tokens: 40 } }, maxMs: 3_000 })
  assert.equal((await all.errorOf(call)).code, 'COM001')
  const tookMs = clock.now() - startedAt
  assert.ok(tookMs > 900 && tookMs < 1_300, `${tookMs} ms`)
  const later = new Slice({ amounts: { tokens: 100 }, limits: { deadlineAt: Math.floor(clock.now() + 2 ** 33) } })
  await all.mesh.settled(client.do(1, { budget: { of: later, amounts: { tokens: 40 } } }))
  assert.equal(later.remaining().tokens, 100)
})

test('a call that was given up before it was sent costs nothing', async () => {
  await using all = await start({ a: spend({ tokens: 1 }) })
  const slice = sliceOf({ tokens: 100, fanOut: 1 })
  const options = {
    budget: { of: slice, amounts: { tokens: 40 } },
    signal: AbortSignal.abort(new ParleyError('COM001', 'no')),
  }
  assert.equal((await all.errorOf(all.root.to('a', work).do(1, options))).code, 'COM001')
  await assert.rejects(all.mesh.settled(all.root.to('a', work).each(1, options).next()))
  assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 1 })
})
