/** Parts of a budget that go with commands: one for all attempts, and what is left of it comes with the acknowledgement. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createPortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { Amounts } from '../../../protocols/budget/amounts.ts'
import type { AttemptObserver } from '../../../protocols/budget/carried/budget-share.ts'
import { Slice } from '../../../protocols/budget/slice.ts'
import type { CommandHandler } from '../../../protocols/command/api.ts'
import type { CommandDeduplicationLimits } from '../../../protocols/command/command-deduplication.ts'
import { commandProtocol } from '../../../protocols/command/command-definition.ts'
import { CommandSender } from '../../../protocols/command/command-sender.ts'
import { createCommands } from '../../../protocols/command/commands.ts'
import { ParleyError } from '../../../protocols/errors.ts'

const start = async (run: CommandHandler<unknown, unknown>, limits?: CommandDeduplicationLimits) => {
  const network = createPortNetwork()
  let tooLargeFrom: string | undefined
  const begin = (name: string) => {
    const node = network.start(name)
    const { port } = node
    return {
      ...node,
      commands: createCommands({
        port,
        serve: port.serve,
        bytesOf: ({ peer }) => (peer === tooLargeFrom ? 2 ** 30 : 0),
        choose: async () => undefined,
        ...(limits && { limits }),
      }),
    }
  }
  const nodes = ['a', 'b'].map(begin)
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
  /** Its process dies, and another one takes its place. */
  const restart = async (): Promise<void> => {
    b.kill()
    const next = begin('b')
    network.connect(a, next)
    await next.commands.register('work', run)
  }
  const refuseAll = (): void => {
    tooLargeFrom = a.id
  }
  return { ...network, a, b, slice, budget, failure, restart, refuseAll }
}

test('a command that has no more to spend is told so, and not run again', async () => {
  let runs = 0
  const { a, b, slice, budget, failure } = await start((_, context) => {
    runs += 1
    context.budget?.spend({ tokens: 41 })
  })
  const error = await failure(a.commands.send(b.id, 'work', 'do', { budget }))
  assert.deepEqual([error.code, error.reason, error.details.status], ['COM003', 'budget-exhausted', 'nack'])
  assert.equal(runs, 1)
  assert.deepEqual(slice.counts().spent, { fanOut: 1 })
})

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

const SOON = { ackTimeoutMs: 100, retry: { initialDelayMs: 200, maxDelayMs: 200 } }

test('one whose passing nack nobody waited for runs again with what that run left, and no more', async () => {
  const left: (number | undefined)[] = []
  const { a, b, time, slice, budget } = await start(async (_, { budget: own }) => {
    left.push(own?.remaining().tokens)
    own?.spend({ tokens: 10 })
    await new Promise<void>((resolve) => b.port.timers.after(150, resolve))
    if (left.length < 3) throw new ParleyError('COM001', 'the model was late')
  })
  await time.settled(a.commands.send(b.id, 'work', 'do', { ...SOON, budget }), 30_000)
  assert.deepEqual(left, [40, 30, 20].slice(0, left.length))
  assert.ok(left.length > 1)
  assert.deepEqual(slice.counts().spent, { tokens: 10 * left.length, fanOut: 1 })
})

/** As it goes over the wire. */
const asker = ({ a, b, time }: Pick<Awaited<ReturnType<typeof start>>, 'a' | 'b' | 'time'>) => {
  const { run } = a.port.to(b.id, commandProtocol({ type: 'work', parameters: z.unknown() }))
  return async (commandId: string, tokens: number, more: { part?: string; again?: boolean } = {}) => {
    const request = {
      command_id: commandId,
      timeout_ms: 30_000,
      parameters: 1,
      budget: { amounts: { tokens } },
      ...more,
    }
    return (await time.settled(run(request), 30_000)).remaining
  }
}

test('an older sender gets no more than the run before left, of which not too much is kept', async () => {
  const left: (number | undefined)[] = []
  const limits = { maxCount: 2, maxBytes: 100, maxAgeMs: 60_000, maxRunning: 9 }
  const network = await start((_, { budget: own }) => {
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
  const { a, b, time } = await start((_, { budget: own }) => {
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
  const network = await start((_, { budget: own }) => {
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
  const network = await start(async (_, { budget: own }) => {
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
    { part: undefined },
  ].map(({ part, ...more }) => ask('y', 40, { ...more, ...(part !== undefined && { part }) }))
  const own = { tokens: 25 }
  assert.deepEqual(await Promise.all(joined), [own, own, { tokens: 40 }, {}, own])
  assert.equal(runs, 3)
})

test('another life of the receiver gets nothing of what went with an attempt that nobody answered', async () => {
  const left: unknown[] = []
  const { a, b, time, slice, budget, restart } = await start(async (_, { budget: own }) => {
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

test('what was not begun costs nothing: it reached nobody, or was refused', async () => {
  const { a, b, slice, budget, failure, refuseAll } = await start(() => assert.fail('it ran'))
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
