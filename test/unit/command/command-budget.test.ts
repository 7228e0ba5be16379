/** Parts of budgets that go with commands: one for all attempts, and what is left of it comes with the acknowledgement. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { Amounts } from '../../../protocols/budget/amounts.ts'
import type { AttemptObserver } from '../../../protocols/budget/carried/budget-share.ts'
import { Slice } from '../../../protocols/budget/slice.ts'
import { commandProtocol } from '../../../protocols/command/command-definition.ts'
import { CommandSender } from '../../../protocols/command/command-sender.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { commandPair } from '../../support/command-pair.ts'

test('a command that has no more to spend is told so, and not run again', async () => {
  let runs = 0
  const { a, b, slice, budget, failure } = await commandPair((_, context) => {
    runs += 1
    context.budget?.spend({ tokens: 41 })
  })
  const error = await failure(a.commands.send(b.id, 'work', 'do', { budget }))
  assert.deepEqual([error.code, error.reason, error.details.status], ['COM003', 'budget-exhausted', 'nack'])
  assert.equal(runs, 1)
  assert.deepEqual(slice.counts().spent, { fanOut: 1 })
})

test('what a command spends is spent, and what is left of its part is there again, also with a nack', async () => {
  const { a, b, time, slice, budget, failure } = await commandPair((parameters, context) => {
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
  const { a, b, time, slice, budget } = await commandPair(async (_, { budget: own }) => {
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
  const { a, b, time, slice, budget } = await commandPair((_, { budget: own }) => {
    left.push(own?.remaining().tokens)
    own?.spend({ tokens: 15 })
    if (left.length === 1) throw new ParleyError('COM003', 'busy')
  })
  await time.settled(a.commands.send(b.id, 'work', 'do', { budget }), 30_000)
  assert.deepEqual(left, [40, 25])
  assert.deepEqual(slice.counts().spent, { tokens: 30, fanOut: 1 })
})

test('one that nobody acknowledges has spent its part', async () => {
  const { a, b, slice, budget, failure } = await commandPair(() => new Promise(() => {}))
  const error = await failure(a.commands.send(b.id, 'work', 'do', { budget, timeoutMs: 1_000 }))
  assert.equal(error.code, 'COM001')
  assert.equal(slice.remaining().tokens, 60)
})

test('a command of a request with a budget has a part of nothing, unless it is given more', async () => {
  const left: unknown[] = []
  const { a, b, time, slice } = await commandPair((_, { budget: own }) => void left.push(own?.remaining()))
  const parent = { chain: ['root', `${a.id}/x.y`], signal: new AbortController().signal, budget: slice }
  await time.settled(a.commands.send(b.id, 'work', 1, { parent }), 1_000)
  await time.settled(a.commands.send(b.id, 'work', 1, { parent, budget: { amounts: { tokens: 9 } } }), 1_000)
  assert.deepEqual(left, [
    { tokens: 0, fanOut: 0 },
    { tokens: 9, fanOut: 0 },
  ])
  assert.deepEqual(slice.counts().spent, { fanOut: 2 })
})

test('what was not begun costs nothing: it reached nobody, or was refused', async () => {
  const { a, b, slice, budget, failure, refuseAll } = await commandPair(() => assert.fail('it ran'))
  const gone = await failure(a.commands.send('peer-gone', 'work', 'do', { budget, timeoutMs: 300 }))
  assert.equal(gone.code, 'COM002')
  refuseAll()
  assert.equal((await failure(a.commands.send(b.id, 'work', 'do', { budget }))).code, 'MSG001')
  assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 5 })
})

test('a link that sends it more than once: what counts is how the last time ended', async () => {
  const { port } = createPortNetwork().start('a')
  type Told = { attemptObserver: AttemptObserver }
  const spentAfter = async (link: (observer: AttemptObserver) => Promise<unknown>): Promise<Amounts> => {
    const to = () => ({ run: (_: unknown, { attemptObserver }: Told) => link(attemptObserver) })
    const sender = new CommandSender({ port: { ...port, to: to as never }, choose: async () => undefined })
    const slice = new Slice({ amounts: { tokens: 100 } })
    const protocol = commandProtocol({ type: 'work', parameters: z.unknown() })
    const options = { budget: { of: slice, amounts: { tokens: 40 } }, retry: { maxRetries: 0 } }
    await sender.one('peer', { type: 'work', protocol, parameters: 1 }, options).catch(() => {})
    return slice.counts().spent
  }
  const late = () => Promise.reject(new ParleyError('COM001', 'late'))
  const refused = (observer: AttemptObserver): void => {
    observer.sent()
    observer.failed(true)
  }
  const runs: ((observer: AttemptObserver) => Promise<unknown>)[] = [
    (observer) => {
      refused(observer)
      observer.sent()
      return late()
    },
    (observer) => {
      refused(observer)
      observer.sent()
      return Promise.resolve({ status: 'ack', remaining: { tokens: 10 } })
    },
    (observer) => {
      refused(observer)
      return late()
    },
  ]
  assert.deepEqual(await Promise.all(runs.map(spentAfter)), [{ tokens: 40, fanOut: 1 }, { tokens: 30, fanOut: 1 }, {}])
})
