/** Commands between nodes in virtual time: acks and nacks, retries that run nothing twice, bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import type { CommandContext } from '../../../protocols/command/api.ts'
import { commandProtocolName, defineCommand } from '../../../protocols/command/command-definition.ts'
import { MAX_PARAMETER_BYTES } from '../../../protocols/command/command-receiver.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import { commandNodes } from '../../support/command-nodes.ts'

const pause = defineCommand({
  type: 'task.control.pause',
  parameters: z.object({ task_id: z.string(), reason: z.string().default('none') }),
  result: z.object({ paused: z.string() }),
})

test('names of types and of their protocols stand for each other, and others are refused', () => {
  const marks = ['-', '.', '_']
  const typeOf = (protocol: string): string =>
    protocol.slice('command-'.length).replace(/-+/g, (mark) => marks[mark.length - 1] ?? '')
  for (const type of ['pause', 'task.control.pause', 'a-b.c_d', 'x1'])
    assert.equal(typeOf(commandProtocolName(type)), type)
  for (const bad of ['', 'A', '1a', 'a..b', 'a.', '.a', 'a b', 'a--b', 'x'.repeat(57)])
    assert.throws(
      () => commandProtocolName(bad),
      (error) => isParleyError(error, 'MSG001'),
      bad,
    )
  assert.equal(commandProtocolName('x'.repeat(56)).length, 64)
})

test('a command is acknowledged with its id and the result, and its parameters went through the schema', async () => {
  const { a, b, time } = commandNodes('a', 'b')
  const seen: unknown[] = []
  await b.commands.register(pause, (parameters, { peer, type }) => {
    seen.push([parameters, peer, type])
    return { paused: parameters.task_id }
  })
  const ack = await time.settled(a.commands.send(b.id, pause, { task_id: 't1' }), 1_000)
  assert.deepEqual(ack, { ...ack, status: 'ack', result: { paused: 't1' }, peer: b.id, attempts: 1 })
  assert.match(ack.commandId, /^[0-9a-f]{32}$/)
  assert.deepEqual(seen, [[{ task_id: 't1', reason: 'none' }, a.id, 'task.control.pause']])
  assert.deepEqual(b.commands.types(), ['task.control.pause'])
})

test('a type that the receiver does not know is refused with MSG006, at once', async () => {
  const { a, b, failure } = commandNodes('a', 'b')
  const error = await failure(a.commands.send(b.id, 'fly', {}), 500)
  assert.deepEqual([error.code, error.name, error.details.type], ['MSG006', 'UnknownCommandError', 'fly'])
})

test('parameters that do not fit are refused on this side, and by the receiver where its schema is another one', async () => {
  const { a, b, failure } = commandNodes('a', 'b')
  let runs = 0
  await b.commands.register(pause, () => {
    runs += 1
    return { paused: '' }
  })
  const own = await failure(a.commands.send(b.id, pause, JSON.parse('{"task_id":7}')))
  assert.equal(own.code, 'MSG001')
  assert.equal(own.remote, false)
  const theirs = await failure(a.commands.send(b.id, 'task.control.pause', { task_id: 7 }))
  assert.equal(theirs.code, 'MSG001')
  assert.equal(theirs.remote, true)
  assert.equal(runs, 0)
})

test('what the handler throws is a nack with a typed error and the reason; anything else says only that it failed', async () => {
  const { a, b, failure } = commandNodes('a', 'b')
  await b.commands.register('typed', () => {
    throw new ParleyError('STA001', 'no such task', { hint: 'see the list', details: { task: 9 } })
  })
  await b.commands.register('broken', () => {
    throw new Error('the key lies under the mat')
  })
  const typed = await failure(a.commands.send(b.id, 'typed', {}, { commandId: 'c1' }))
  assert.equal(typed.code, 'STA001')
  assert.equal(typed.hint, 'see the list')
  assert.deepEqual(typed.details, { task: 9, command_id: 'c1', status: 'nack', reason: 'no such task' })
  const broken = await failure(a.commands.send(b.id, 'broken', {}))
  assert.deepEqual([broken.code, broken.message], ['APP001', 'the handler failed'])
  assert.ok(b.logs.some(({ level, message }) => level === 'error' && /broken/.test(message)))
  assert.equal(b.commands.counts().nacks, 2)
})

test('a command that comes again while it runs, or after it ended, is run once and gets the same outcome', async () => {
  const { a, b, time } = commandNodes('a', 'b')
  let runs = 0
  let finish: ((value: string) => void) | undefined
  await b.commands.register('slow', () => {
    runs += 1
    return new Promise<string>((resolve) => {
      finish = resolve
    })
  })
  const options = { ackTimeoutMs: 100, retry: { initialDelayMs: 100 } }
  const sent = a.commands.send(b.id, 'slow', {}, { ...options, commandId: 'c1' })
  sent.catch(() => {})
  await time.run(400)
  assert.equal(runs, 1)
  finish?.('done')
  const ack = await time.settled(sent, 2_000)
  assert.deepEqual([ack.result, runs, ack.attempts > 1], ['done', 1, true])
  const again = await time.settled(a.commands.send(b.id, 'slow', {}, { commandId: 'c1' }), 1_000)
  assert.deepEqual([again.result, runs], ['done', 1])
  assert.ok(b.commands.counts().repeated >= 2)
})

test('another sender with the same command id runs a command of its own', async () => {
  const { a, b, c, time } = commandNodes('a', 'b', 'c')
  assert.ok(c)
  const seen: string[] = []
  await b.commands.register('go', (_, { peer }) => void seen.push(peer))
  await time.settled(a.commands.send(b.id, 'go', {}, { commandId: 'same' }), 1_000)
  await time.settled(c.commands.send(b.id, 'go', {}, { commandId: 'same' }), 1_000)
  assert.deepEqual(seen, [a.id, c.id])
})

test('one that is not acknowledged is sent as often as its policy says, with waits that double', async () => {
  const { a, b, time, failure } = commandNodes('a', 'b')
  await b.commands.register('hang', () => new Promise(() => {}))
  const options = { timeoutMs: 20_000, ackTimeoutMs: 500, retry: { initialDelayMs: 1_000 } }
  const sent = failure(a.commands.send(b.id, 'hang', {}, options))
  const attemptsAt: number[] = []
  const stop = time.every(10, () => {
    if (b.commands.counts().repeated + b.commands.counts().executed > attemptsAt.length) attemptsAt.push(time.now())
  })
  const startedAt = time.now()
  assert.equal((await sent).code, 'COM001')
  stop()
  assert.ok(time.now() - startedAt >= 19_990, 'the last attempt waits to the end')
  const gaps = attemptsAt.slice(1).map((at, i) => at - (attemptsAt[i] ?? 0) - 500)
  assert.equal(gaps.length, 3)
  for (const [i, gap] of gaps.entries()) assert.ok(gap > 700 * 2 ** i && gap < 1_300 * 2 ** i, `${gaps}`)
  assert.equal(a.commands.counts().retries, 3)
  assert.equal(b.commands.counts().executed, 1)
})

test('its time is over for all attempts together, and then the handler is told to stop', async () => {
  const { a, b, time, failure } = commandNodes('a', 'b')
  let told: CommandContext | undefined
  await b.commands.register('hang', (_, context) => {
    told = context
    return new Promise(() => {})
  })
  const startedAt = time.now()
  const error = await failure(a.commands.send(b.id, 'hang', {}, { timeoutMs: 700, ackTimeoutMs: 300 }))
  assert.equal(error.code, 'COM001')
  assert.ok(time.now() - startedAt <= 710)
  await time.run(50)
  assert.equal(told?.signal.aborted, true)
  assert.equal(told?.remainingMs(), 0)
  await time.run(10)
  assert.deepEqual([b.commands.counts().running, b.commands.counts().remembered], [0, 0], 'a late one may run again')
})

test('who cancels a command cancels it at the receiver', async () => {
  const { a, b, time } = commandNodes('a', 'b')
  let reason: unknown
  await b.commands.register('hang', (_, { signal }) => {
    signal.addEventListener('abort', () => {
      reason = signal.reason
    })
    return new Promise(() => {})
  })
  const abort = new AbortController()
  const sent = a.commands.send(b.id, 'hang', {}, { signal: abort.signal })
  const ended = sent.catch((error: unknown) => error)
  await time.run(50)
  abort.abort(new Error('changed my mind'))
  assert.match(String(await time.settled(ended, 100)), /changed my mind/)
  await time.run(50)
  assert.ok(isParleyError(reason, 'COM001') && /cancelled/.test(reason.message))
})

test('a list gets the command each, and one that fails keeps no other from answering', async () => {
  const { a, b, c, time } = commandNodes('a', 'b', 'c')
  assert.ok(c)
  await b.commands.register('name', () => 'b')
  const outcomes = a.commands.send([c.id, b.id, b.id], 'name', {})
  const came: string[] = []
  const reading = (async () => {
    for await (const outcome of outcomes) came.push(outcome.peer)
  })()
  const settled = await time.settled(outcomes.settled(), 5_000)
  await time.settled(reading, 100)
  assert.deepEqual(came.sort(), [b.id, c.id].sort())
  const [first, second] = settled
  assert.ok(first && 'error' in first && second && 'ack' in second)
  assert.deepEqual([first.peer, first.error.code], [c.id, 'MSG006'])
  assert.deepEqual([second.peer, second.ack.result], [b.id, 'b'])
})

test('a type is registered once, can be taken back, and there are not more than 256', async () => {
  const { a, b, failure } = commandNodes('a', 'b')
  const { stop } = await b.commands.register('x', () => 1)
  assert.equal((await failure(b.commands.register('x', () => 2))).code, 'STA003')
  await stop()
  assert.equal((await failure(a.commands.send(b.id, 'x', {}))).code, 'MSG006')
  for (let i = 0; i < 256; i += 1) await b.commands.register(`x${i}`, () => i)
  assert.equal((await failure(b.commands.register('y', () => 2))).code, 'COM003')
})

test('parameters above the bound are refused before the handler runs', async () => {
  const { a, b, state, time, failure } = commandNodes('a', 'b')
  await b.commands.register('x', () => 1)
  state.bytes = MAX_PARAMETER_BYTES
  await time.settled(a.commands.send(b.id, 'x', {}), 1_000)
  state.bytes = MAX_PARAMETER_BYTES + 1
  assert.equal((await failure(a.commands.send(b.id, 'x', {}))).code, 'MSG001')
})

test('options that are not usable are refused', async () => {
  const { a, b, failure } = commandNodes('a', 'b')
  for (const options of [
    { timeoutMs: 0 },
    { ackTimeoutMs: 1.5 },
    { retry: { maxRetries: 101 } },
    { retry: { initialDelayMs: -1 } },
  ])
    assert.equal((await failure(a.commands.send(b.id, 'x', {}, options))).code, 'MSG001')
})
