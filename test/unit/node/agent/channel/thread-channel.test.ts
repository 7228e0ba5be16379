/** Two channels over a real MessageChannel: what is posted is cloned as between threads. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import type { ChannelMessage, ChannelRequestHandler } from '../../../../../node/agent/channel/channel-message.ts'
import { WINDOW_UNITS } from '../../../../../node/agent/channel/item-queue.ts'
import { ThreadChannel } from '../../../../../node/agent/channel/thread-channel.ts'
import { ParleyError } from '../../../../../protocols/errors.ts'
import { failureOf, until } from '../../../../support/until.ts'

interface Ends {
  near: ThreadChannel
  far: ThreadChannel
  failed: unknown[]
}

const connect = (
  t: TestContext,
  handle: ChannelRequestHandler,
  limits: { maxOpen?: number; maxBytes?: number } = {},
): Ends => {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  const failed: unknown[] = []
  const make = (port: typeof port1, handler: ChannelRequestHandler): ThreadChannel => {
    const channel = new ThreadChannel({
      post: (message, transfer) => port.postMessage(message, transfer),
      handle: handler,
      onUnexpected: (error) => void failed.push(error),
      unexpectedText: 'it failed',
      maxOpen: 100,
      maxBytes: 1_000_000,
      otherSide: 'the far end',
      ...limits,
    })
    port.on('message', (message: ChannelMessage) => channel.receive(message))
    return channel
  }
  const nobody: ChannelRequestHandler = () => Promise.reject(new Error('nobody asks here'))
  return { near: make(port1, nobody), far: make(port2, handle), failed }
}

const codeOf = async (promise: Promise<unknown>): Promise<ParleyError> => {
  const error = await failureOf(promise)
  assert.ok(error instanceof ParleyError, String(error))
  return error
}

/** Ends when its signal is aborted. */
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

test('an answer comes back, with bytes whole in both directions', async (t) => {
  const { near } = connect(t, async (body, bytes) => (body === 'bytes' ? bytes : { said: body }))
  assert.deepEqual(await near.request('hello'), { said: 'hello' })
  const buffer = new Uint8Array(100_000).map((_, at) => at % 7)
  assert.deepEqual(await near.request('bytes', { bytes: buffer.subarray(5, 90_000) }), buffer.subarray(5, 90_000))
  assert.equal(buffer.byteLength, 100_000)
  assert.equal(near.size(), 0)
})

test('a ParleyError crosses as it is, whoever made it; any other as one fixed text', async (t) => {
  const errors: Record<string, unknown> = {
    own: new ParleyError('STA003', 'taken', { hint: 'choose another', details: { by: 'me' } }),
    remote: new ParleyError('STA001', 'not there', { remote: true }),
    unclonable: new ParleyError('STA003', 'odd', { details: { fn: () => {}, loop: 1n } }),
    other: new TypeError('/etc/passwd'),
  }
  const { near, failed } = connect(t, (body) => Promise.reject(errors[String(body)]))
  const own = await codeOf(near.request('own'))
  assert.deepEqual(
    [own.code, own.message, own.hint, own.details, own.remote],
    ['STA003', 'taken', 'choose another', { by: 'me' }, false],
  )
  assert.equal((await codeOf(near.request('remote'))).remote, true)
  assert.equal((await codeOf(near.request('unclonable'))).message, 'odd')
  assert.deepEqual(failed, [])
  const other = await codeOf(near.request('other'))
  assert.deepEqual([other.code, other.message], ['APP001', 'it failed'])
  assert.deepEqual(failed, [errors.other])
})

test('an answer or a request that cannot be posted is a typed error', async (t) => {
  const { near } = connect(t, async () => () => {})
  assert.equal((await codeOf(near.request('a function, please'))).code, 'MSG002')
  assert.equal((await codeOf(near.request({ fn: () => {} }))).code, 'MSG002')
  assert.equal(near.size(), 0)
})

test('as many exchanges as are allowed are open, and one more is refused', async (t) => {
  const { near } = connect(t, (_, __, { signal }) => untilAborted(signal), { maxOpen: 3 })
  const stop = new AbortController()
  const held = [1, 2, 3].map(() => failureOf(near.request('hold', { signal: stop.signal })))
  assert.equal((await codeOf(near.request('one more'))).code, 'COM003')
  stop.abort(new Error('enough'))
  await Promise.all(held)
  await near.idle()
  assert.equal(near.size(), 0)
})

test('as many bytes as are allowed are open, and one more is refused; a single large request passes', async (t) => {
  const { near } = connect(t, (_, __, { signal }) => untilAborted(signal), { maxBytes: 1000 })
  const stop = new AbortController()
  const { signal } = stop
  const ask = (size: number) => failureOf(near.request('hold', { signal, bytes: new Uint8Array(size) }))
  const fits = [ask(600), ask(400)]
  assert.equal((await codeOf(near.request('x', { bytes: new Uint8Array(1) }))).code, 'COM003')
  stop.abort(new Error('enough'))
  await Promise.all(fits)
  await near.idle()
  const alone = new AbortController()
  const large = failureOf(near.request('hold', { signal: alone.signal, bytes: new Uint8Array(5000) }))
  alone.abort(new Error('enough'))
  assert.equal(String(await large), 'Error: enough')
})

test('an abort reaches the other side, and its place stays taken until the other side is done', async (t) => {
  const done = Promise.withResolvers<void>()
  let reason: unknown
  const { near } = connect(t, async (_, __, { signal }) => {
    signal.addEventListener('abort', () => {
      reason = signal.reason
    })
    await done.promise
  })
  const stop = new AbortController()
  const given = near.request('work', { signal: stop.signal })
  stop.abort(new ParleyError('MSG005', 'too old'))
  assert.equal((await codeOf(given)).code, 'MSG005')
  await until('it is told', () => reason instanceof ParleyError && reason.code === 'MSG005')
  assert.equal(near.size(), 1)
  done.resolve()
  await near.idle()
  assert.equal(near.size(), 0)
})

test('a lingering exchange ends with the answer that comes after the abort', async (t) => {
  const { near } = connect(t, (_, __, { signal }) => untilAborted(signal).catch(() => 'cleaned up'))
  const stop = new AbortController()
  const given = near.request('work', { signal: stop.signal, lingering: true })
  stop.abort()
  assert.equal(await given, 'cleaned up')
})

test('something on the side comes before the answer', async (t) => {
  const { near } = connect(t, async (_, __, { notify }) => {
    notify('half way')
    return 'there'
  })
  const notices: unknown[] = []
  assert.equal(await near.request('go', { onNotice: (value) => void notices.push(value) }), 'there')
  assert.deepEqual(notices, ['half way'])
})

const counting = (upTo: number) => {
  const seen = { made: 0, returned: false }
  async function* count(): AsyncGenerator<number, void> {
    try {
      for (let n = 1; n <= upTo; n += 1) {
        seen.made = n
        yield n
      }
    } finally {
      seen.returned = true
    }
  }
  return { count, seen }
}

test('a stream is read in order to its end, though it is longer than the window', async (t) => {
  const { count } = counting(WINDOW_UNITS * 10)
  const { near } = connect(t, () => count())
  const read: unknown[] = []
  for await (const n of near.stream('count')) read.push(n)
  assert.deepEqual(
    read,
    Array.from({ length: WINDOW_UNITS * 10 }, (_, at) => at + 1),
  )
  assert.equal(near.size(), 0)
})

test('a stream that nobody reads on is made no further than the window', async (t) => {
  const { count, seen } = counting(1_000_000)
  const { near } = connect(t, () => count())
  const items = near.stream('count')
  await items.next()
  await until('the window is full', () => seen.made >= WINDOW_UNITS)
  // The far end has had every chance to run on: it answers what was asked after the stream stood still.
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(seen.made, WINDOW_UNITS)
  await items.return?.()
  await until('it is returned', () => seen.returned)
  await near.idle()
})

test('an error in a stream comes after the items before it', async (t) => {
  const { near } = connect(t, async function* fail() {
    yield 1
    throw new ParleyError('STA001', 'no more')
  })
  const items = near.stream('count')
  assert.deepEqual(await items.next(), { done: false, value: 1 })
  assert.equal((await codeOf(items.next())).code, 'STA001')
})

test('an aborted signal ends a stream on both sides', async (t) => {
  const { count, seen } = counting(1_000_000)
  const { near } = connect(t, () => count())
  const stop = new AbortController()
  const items = near.stream('count', { signal: stop.signal })
  await items.next()
  stop.abort(new Error('enough'))
  const error = await failureOf(
    (async () => {
      for await (const _ of items);
    })(),
  )
  assert.equal(String(error), 'Error: enough')
  await until('it is returned', () => seen.returned)
})

test('closing fails what is open and refuses what comes later, and aborts what the other side asked for', async (t) => {
  let begun = 0
  let aborted = 0
  const { near, far } = connect(t, async (_, __, { signal }) => {
    begun += 1
    await untilAborted(signal).catch(() => {
      aborted += 1
    })
  })
  const open = codeOf(near.request('work'))
  const items = near.stream('work')
  const reading = codeOf(items.next())
  const lost = (sent: boolean): ParleyError => new ParleyError('COM002', 'gone', { details: { sent } })
  await until('both are in work', () => begun === 2)
  near.close(lost)
  assert.deepEqual((await open).details, { sent: true })
  assert.deepEqual((await reading).details, { sent: true })
  assert.deepEqual((await codeOf(near.request('more'))).details, { sent: false })
  assert.deepEqual((await codeOf(near.stream('more').next())).details, { sent: false })
  await near.idle()
  far.close(lost)
  await until('both were told', () => aborted === 2)
})

test('a signal that is aborted already opens nothing', async (t) => {
  const { near } = connect(t, async () => 'answered')
  const signal = AbortSignal.abort(new Error('before'))
  assert.equal(String(await failureOf(near.request('x', { signal }))), 'Error: before')
  assert.equal(String(await failureOf(near.stream('x', { signal }).next())), 'Error: before')
  assert.equal(near.size(), 0)
})
