/** Commands with a budget that come again, by later attempts or another send under the same id: which part each run has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slice } from '../../../protocols/budget/slice.ts'
import type { CommandHandler, CommandOptions } from '../../../protocols/command/api.ts'
import { MAX_JOINED_PARTS } from '../../../protocols/command/command-run.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { asker, commandPair } from '../../support/command-pair.ts'

const SOON = { ackTimeoutMs: 100, retry: { initialDelayMs: 200, maxDelayMs: 200 } }

test('one whose passing nack nobody waited for runs again with what that run left, and no more', async () => {
  const left: (number | undefined)[] = []
  const pair = await commandPair(async (_, { budget: own }) => {
    left.push(own?.remaining().tokens)
    own?.spend({ tokens: 10 })
    await pair.pause(150)
    if (left.length < 3) throw new ParleyError('COM001', 'the model was late')
  })
  const { a, b, time, slice, budget } = pair
  await time.settled(a.commands.send(b.id, 'work', 'do', { ...SOON, budget }), 30_000)
  assert.deepEqual(left, [40, 30, 20].slice(0, left.length))
  assert.ok(left.length > 1)
  assert.deepEqual(slice.counts().spent, { tokens: 10 * left.length, fanOut: 1 })
})

test('an older sender gets no more than the run before left, of which not too much is kept', async () => {
  const left: (number | undefined)[] = []
  const limits = { maxCount: 2, maxBytes: 100, maxAgeMs: 60_000, maxRunning: 9 }
  const network = await commandPair((_, { budget: own }) => {
    left.push(own?.remaining().tokens)
    own?.spend({ tokens: 15 })
    throw new ParleyError('COM001', 'the model was late')
  }, limits)
  const ask = asker(network)
  for (const commandId of ['x', 'x', 'y', 'x']) await ask(commandId, 40)
  assert.deepEqual(left, [40, 25, 40, 10])
  for (const commandId of ['y', 'z', 'x']) await ask(commandId, 40)
  assert.deepEqual(left.slice(4), [25, 40, 40])
})

test('a command that is sent anew under its id has the part that it brings, and that alone is charged', async () => {
  const left: (number | undefined)[] = []
  const { a, b, time } = await commandPair((_, { budget: own }) => {
    left.push(own?.remaining().tokens)
    own?.spend({ tokens: left.length === 1 ? 40 : 30 })
    if (left.length === 1) throw new ParleyError('COM001', 'the model was late')
  })
  const spent: unknown[] = []
  for (let i = 0; i < 3; i += 1) {
    const of = new Slice({ amounts: { tokens: 100 } })
    const options = { budget: { of, amounts: { tokens: 40 } }, commandId: 'x', retry: { maxRetries: 0 } }
    await time.settled(
      a.commands.send(b.id, 'work', 'do', options).catch(() => {}),
      1_000,
    )
    spent.push(of.counts().spent.tokens)
  }
  assert.deepEqual(left, [40, 40])
  // The third one gets the outcome of the second.
  assert.deepEqual(spent, [40, 30, undefined])
})

test('what a run left of one part is given to nobody who brings another one under the same id', async () => {
  const left: (number | undefined)[] = []
  const costs = [35]
  const network = await commandPair((_, { budget: own }) => {
    own?.spend({ tokens: costs[left.length] ?? 0 })
    left.push(own?.remaining().tokens)
    throw new ParleyError('COM001', 'the model was late')
  })
  const ask = asker(network)
  await ask('x', 40, { part: 'one' })
  await ask('x', 40, { part: 'two' })
  await ask('x', 0, { part: 'one', again: true })
  assert.deepEqual(left, [5, 40, 0], 'the first one has what it brought, once')
})

test('an attempt that comes twice has what the first time left; one that joins the run of another part spends nothing', async () => {
  let runs = 0
  const network = await commandPair(async (_, { budget: own }) => {
    runs += 1
    own?.spend({ tokens: 15 })
    await new Promise<void>((resolve) => network.b.port.timers.after(100, resolve))
    throw new ParleyError('COM001', 'the model was late')
  })
  const ask = asker(network)
  assert.deepEqual(await ask('x', 40, { part: 'one' }), { tokens: 25 })
  assert.deepEqual(await ask('x', 40, { part: 'one' }), { tokens: 10 })
  const joined = [
    { part: 'one' },
    { part: 'one', again: true },
    { part: 'two' },
    { part: 'two', again: true },
    { part: 'three', again: true },
    { part: undefined },
  ].map(({ part, ...more }) => ask('y', 40, { ...more, ...(part !== undefined && { part }) }))
  const own = { tokens: 25 }
  assert.deepEqual(await Promise.all(joined), [own, own, { tokens: 40 }, { tokens: 40 }, {}, own])
  assert.equal(runs, 3)
})

/** Spends 10 of its part at once, and then wants 31 more. */
const tooDear = (runs: (number | undefined)[], pause: () => Promise<void>): CommandHandler<unknown, unknown> => {
  return async (_, { budget: own }) => {
    runs.push(own?.remaining().tokens)
    own?.spend({ tokens: 10 })
    await pause()
    own?.spend({ tokens: 31 })
  }
}

test('one that ran out of its budget is not run again for the same part, also where nobody waited for its nack', async () => {
  const runs: (number | undefined)[] = []
  const pair = await commandPair(tooDear(runs, () => pair.pause(150)))
  const { a, b, slice, budget, failure } = pair
  const error = await failure(a.commands.send(b.id, 'work', 'do', { ...SOON, budget }))
  assert.deepEqual([error.code, error.reason, runs], ['COM003', 'budget-exhausted', [40]])
  assert.deepEqual(slice.counts().spent, { tokens: 10, fanOut: 1 })
  assert.deepEqual([b.commands.counts().executed, b.commands.counts().remembered], [1, 1])
})

test('one that ran out of its budget runs again for a new send under its id, with the part that this one brings', async () => {
  const runs: (number | undefined)[] = []
  const pair = await commandPair(tooDear(runs, async () => {}))
  const { a, b, time, slice, budget, failure } = pair
  const send = (tokens: number) =>
    a.commands.send(b.id, 'work', 'do', { commandId: 'x', budget: { ...budget, amounts: { tokens } } })
  assert.equal((await failure(send(40))).reason, 'budget-exhausted')
  const ask = asker(pair)
  assert.deepEqual(await ask('x', 0, { part: 'one', again: true }), {}, 'an attempt made again is no new send')
  await time.settled(send(41), 1_000)
  assert.deepEqual([runs, slice.remaining().tokens], [[40, 41], 49])
  await time.settled(send(41), 1_000)
  assert.deepEqual([runs.length, slice.remaining().tokens], [2, 49], 'it gets the outcome of the one before')
})

test('a send whose later attempt gets the outcome of a run that another send began has spent nothing', async () => {
  let runs = 0
  const pair = await commandPair(async () => {
    runs += 1
    await pair.pause(8_000)
  })
  const { a, b, time, slice, budget } = pair
  const send = (more: CommandOptions) => a.commands.send(b.id, 'work', 'do', { commandId: 'x', ...more })
  const acks = await time.settled(Promise.all([send({}), send({ budget })]), 60_000)
  assert.deepEqual([acks.map(({ attempts }) => attempts), runs], [[2, 2], 1])
  assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 4 }, 'a command that was answered counts as one')
})

test('a run notes so many parts of other sends, and what is beyond that counts as spent', async () => {
  const pair = await commandPair(() => pair.pause(100))
  const ask = asker(pair)
  const parts = Array.from({ length: MAX_JOINED_PARTS + 1 }, (_, n) => `part ${n}`)
  await Promise.all(['own', ...parts].map((part) => ask('x', 40, { part })))
  const later = await Promise.all(parts.map((part) => ask('x', 0, { part, again: true })))
  assert.deepEqual(later, [...Array.from({ length: MAX_JOINED_PARTS }, () => ({ tokens: 40 })), {}])
  assert.equal(pair.b.commands.counts().forgotten, 1)
})

test('another life of the receiver gets nothing of what went with an attempt that nobody answered', async () => {
  const left: unknown[] = []
  const { a, b, time, slice, budget, restart } = await commandPair(async (_, { budget: own }) => {
    left.push(own?.remaining())
    if (left.length === 1) {
      own?.spend({ tokens: 30 })
      await new Promise(() => {})
    }
  })
  const ack = a.commands.send(b.id, 'work', 'do', { ...SOON, budget })
  await time.run(50)
  await restart()
  await time.settled(ack, 30_000)
  assert.deepEqual(left, [
    { tokens: 40, fanOut: 0 },
    { tokens: 0, fanOut: 0 },
  ])
  assert.deepEqual(slice.counts().spent, { tokens: 40, fanOut: 1 })
})
