/** Parts of a budget that go with commands: one for all attempts, and what is left of it comes with the acknowledgement. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import { Slice } from '../../../protocols/budget/slice.ts'
import type { CommandHandler } from '../../../protocols/command/api.ts'
import { createCommands } from '../../../protocols/command/commands.ts'
import { ParleyError } from '../../../protocols/errors.ts'

const start = async (run: CommandHandler<unknown, unknown>) => {
  const network = createPortNetwork()
  const nodes = ['a', 'b'].map((name) => {
    const node = network.start(name)
    const { port } = node
    return {
      ...node,
      commands: createCommands({ port, serve: port.serve, bytesOf: () => 0, choose: async () => undefined }),
    }
  })
  const [a, b] = nodes
  assert.ok(a && b)
  network.connect(a, b)
  await b.commands.register('work', run)
  const slice = new Slice({ amounts: { tokens: 100, fanOut: 5 }, limits: { depth: 2 } })
  const budget = { of: slice, amounts: { tokens: 40 } }
  const failure = async (promise: Promise<unknown>): Promise<ParleyError> => {
    const error = await network.time.settled(
      promise.then(
        () => assert.fail('it was acknowledged'),
        (caught: unknown) => caught,
      ),
      60_000,
    )
    return error instanceof ParleyError ? error : assert.fail(String(error))
  }
  return { ...network, a, b, slice, budget, failure }
}

test('what a command spends is spent, and what is left of its part is there again, also with a nack', async () => {
  const { a, b, time, slice, budget, failure } = await start((parameters, context) => {
    assert.equal(context.budget?.limits.depth, 1)
    context.budget?.spend({ tokens: 15 })
    if (parameters === 'fail') throw new ParleyError('STA003', 'it cannot')
  })
  await time.settled(a.commands.send(b.id, 'work', 'do', { budget }), 1_000)
  assert.deepEqual(slice.counts().spent, { tokens: 15, fanOut: 1 })
  assert.equal((await failure(a.commands.send(b.id, 'work', 'fail', { budget }))).code, 'STA003')
  assert.deepEqual(slice.counts().spent, { tokens: 30, fanOut: 2 })
  const more = { of: slice, amounts: { tokens: 71 } }
  assert.equal((await failure(a.commands.send(b.id, 'work', 'do', { budget: more }))).reason, 'budget-exhausted')
  assert.equal((await failure(a.commands.send(b.id, 'fly', {}, { budget }))).code, 'MSG006')
  assert.deepEqual(slice.remaining(), { tokens: 70, fanOut: 3 })
})

test('attempts bring the same part, and it is spent once', async () => {
  let runs = 0
  const { a, b, time, slice, budget } = await start(async (_, { budget: own }) => {
    runs += 1
    own?.spend({ tokens: 25 })
    await new Promise<void>((resolve) => b.port.timers.after(2_000, resolve))
  })
  const options = { budget, ackTimeoutMs: 100, retry: { initialDelayMs: 100 } }
  const ack = await time.settled(a.commands.send(b.id, 'work', 'do', options), 30_000)
  assert.ok(ack.attempts > 1)
  assert.equal(runs, 1)
  assert.deepEqual(slice.counts().spent, { tokens: 25, fanOut: 1 })
})

test('a command that runs again after a passing nack has what the first run left', async () => {
  const left: (number | undefined)[] = []
  const { a, b, time, slice, budget } = await start((_, { budget: own }) => {
    left.push(own?.remaining().tokens)
    own?.spend({ tokens: 15 })
    if (left.length === 1) throw new ParleyError('COM003', 'busy')
  })
  await time.settled(a.commands.send(b.id, 'work', 'do', { budget }), 30_000)
  assert.deepEqual(left, [40, 25])
  assert.deepEqual(slice.counts().spent, { tokens: 30, fanOut: 1 })
})

test('one that nobody acknowledges has spent its part', async () => {
  const { a, b, slice, budget, failure } = await start(() => new Promise(() => {}))
  const error = await failure(a.commands.send(b.id, 'work', 'do', { budget, timeoutMs: 1_000 }))
  assert.equal(error.code, 'COM001')
  assert.equal(slice.remaining().tokens, 60)
})

test('a command of a request with a budget has a part of nothing, unless it is given more', async () => {
  const left: unknown[] = []
  const { a, b, time, slice } = await start((_, { budget: own }) => void left.push(own?.remaining()))
  const parent = { chain: ['root', `${a.id}/x.y`], signal: new AbortController().signal, budget: slice }
  await time.settled(a.commands.send(b.id, 'work', 1, { parent }), 1_000)
  await time.settled(a.commands.send(b.id, 'work', 1, { parent, budget: { amounts: { tokens: 9 } } }), 1_000)
  assert.deepEqual(left, [
    { tokens: 0, fanOut: 0 },
    { tokens: 9, fanOut: 0 },
  ])
  assert.deepEqual(slice.counts().spent, { fanOut: 2 })
})
