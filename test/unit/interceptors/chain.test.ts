import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { RunLimit } from '../../../protocols/interceptors/chain-run.ts'
import { Chain } from '../../../protocols/interceptors/chains.ts'
import type { InterceptedKind, Interceptor } from '../../../protocols/interceptors/interceptor.ts'

interface Input {
  readonly request: unknown
  readonly path: readonly string[]
}
type Hook = (input: Input, next: (change?: object) => Promise<unknown>) => unknown

const chainOf = (hooks: readonly Hook[], kind: InterceptedKind = 'call') => {
  const time = createVirtualTime()
  const counted: string[] = []
  const chain = new Chain<Input, unknown>({
    kind,
    list: hooks.map((hook, at): Interceptor => ({ name: `i${at}`, [kind]: hook })),
    changeable: new Set(['request', 'path']),
    mustPass: kind !== 'call',
    clock: { monotonic: () => time.now() },
    timers: time,
    count: (name, outcome) => counted.push(`${name} ${outcome}`),
    failed: (name) => counted.push(`${name} logged`),
  })
  const run = (core: (input: Input) => unknown = (input) => input, limit?: RunLimit) =>
    chain.run({ request: 'asked', path: [] }, core, limit)
  return { chain, run, counted, time }
}

const passing =
  (name: string): Hook =>
  (input, next) =>
    next({ path: [...input.path, name] })

test('interceptors see what is asked in the order of the list, and its answer in the opposite one', async () => {
  const seen: string[] = []
  const hook =
    (name: string): Hook =>
    async (_input, next) => {
      seen.push(`> ${name}`)
      const answer = await next()
      seen.push(`< ${name}`)
      return answer
    }
  const { run } = chainOf([hook('a'), hook('b')])
  assert.equal(await run(() => seen.push('core')), 3)
  assert.deepEqual(seen, ['> a', '> b', 'core', '< b', '< a'])
})

test('what passes on without waiting reaches the core in the same turn', () => {
  const { run } = chainOf([passing('a'), async (_input, next) => next()])
  let at: readonly string[] | undefined
  void run((input) => {
    at = input.path
  })
  assert.deepEqual(at, ['a'])
})

test('an interceptor may answer by itself, and changes what the ones behind it get', async () => {
  const alone = chainOf([() => 'cached', () => assert.fail('it was answered')])
  assert.equal(await alone.run(), 'cached')
  const changing = chainOf([(_input, next) => next({ request: 'other' })])
  assert.equal(((await changing.run()) as Input).request, 'other')
})

test('next() called twice is an error, and the core runs once', async () => {
  let runs = 0
  const { run, counted } = chainOf([
    async (_input, next) => {
      await next()
      return next()
    },
  ])
  await assert.rejects(
    run(() => (runs += 1)),
    (error) => isParleyError(error, 'APP001') && error.message === 'the interceptor i0 called next() twice',
  )
  assert.equal(runs, 1)
  assert.deepEqual(counted, ['i0 failed'])
})

test('next() takes nothing that cannot be changed', async () => {
  const { run, counted } = chainOf([(_input, next) => next({ peer: 'another' })])
  await assert.rejects(run(), (error) => isParleyError(error, 'MSG001') && /cannot change "peer"/.test(error.message))
  assert.deepEqual(counted, ['i0 failed'])
})

test('a refusal passes as it is and is counted once, by who refused', async () => {
  const refusal = new ParleyError('SEC001', 'no token')
  const { run, counted } = chainOf([
    passing('a'),
    () => {
      throw refusal
    },
  ])
  await assert.rejects(
    run(() => assert.fail('it was refused')),
    (error) => error === refusal,
  )
  assert.deepEqual(counted, ['i1 refused'])
})

test('what is no ParleyError becomes one, thrown at once or later; the core may throw what it likes', async () => {
  for (const hook of [
    () => {
      throw new Error('internal text')
    },
    () => Promise.reject('internal text'),
  ]) {
    const { run, counted } = chainOf([hook])
    await assert.rejects(
      run(),
      (error) => isParleyError(error, 'APP001') && error.message === 'the interceptor i0 failed',
    )
    assert.deepEqual(counted, ['i0 logged', 'i0 failed'])
  }
  const own = new TypeError('of the handler')
  const { run, counted } = chainOf([passing('a')])
  await assert.rejects(
    run(() => {
      throw own
    }),
    (error) => error === own,
  )
  assert.deepEqual(counted, [])
})

test('an interceptor may answer in place of an error', async () => {
  const { run } = chainOf([(_input, next) => next().catch(() => 'mended')])
  assert.equal(await run(() => Promise.reject(new Error('broken'))), 'mended')
})

test('of messages and events, one that neither passes on nor refuses has failed', async () => {
  const { run, counted } = chainOf([() => undefined], 'receive')
  await assert.rejects(run(), (error) => isParleyError(error, 'APP001') && /neither passed on/.test(error.message))
  assert.deepEqual(counted, ['i0 failed'])
})

test('of messages, the chain ends when the core has, though a hook did not wait for it', async () => {
  const { run, time } = chainOf([(_input, next) => void next()], 'receive')
  let isDone = false
  const running = run(async () => {
    await new Promise<void>((resolve) => time.after(50, resolve))
    isDone = true
    return 'processed'
  })
  await time.run(60)
  assert.equal(await running, 'processed')
  assert.ok(isDone)
})

test('an interceptor that never settles is ended in time and named; the time of the core is not its own', async () => {
  const { run, counted, time } = chainOf([
    async (_input, next) => {
      await next()
      await new Promise(() => {})
    },
  ])
  const ended: unknown[] = []
  const limit = { leftMs: (sinceMs: number) => 100 - sinceMs, ended: (error: unknown) => ended.push(error) }
  const running = run(() => new Promise((resolve) => time.after(500, () => resolve('late'))), limit)
  const rejected = assert.rejects(
    running,
    (error) => isParleyError(error, 'COM001') && error.message === 'the interceptor i0 did not settle in time',
  )
  await time.run(550)
  assert.deepEqual(counted, [])
  await time.run(60)
  await rejected
  assert.deepEqual(counted, ['i0 timeout'])
  assert.equal(ended.length, 1)
})

test('who is ended runs nothing any more', async () => {
  let late: (() => Promise<unknown>) | undefined
  const stop = new AbortController()
  const { run } = chainOf([
    (_input, next) => {
      late = next
      return new Promise(() => {})
    },
  ])
  const running = run(() => assert.fail('it was given up'), { signal: stop.signal })
  stop.abort(new Error('given up'))
  await assert.rejects(running, /given up/)
  await assert.rejects(late?.() ?? Promise.resolve(), /given up/)
})

async function* counting(): AsyncGenerator<number> {
  yield 1
  yield 2
}

test('a stream passes through, and may be replaced by another one; each item is checked', async () => {
  const { chain } = chainOf([
    async (_input, next) => {
      const items = (await next()) as AsyncIterable<number>
      return (async function* () {
        for await (const item of items) yield item * 10
      })()
    },
  ])
  const seen: unknown[] = []
  for await (const item of chain.stream({ request: '', path: [] }, counting, (one) => `item ${one}`)) seen.push(item)
  assert.deepEqual(seen, ['item 10', 'item 20'])
})

test('who fails in a stream is counted, and what is behind it is told to end', async () => {
  const { chain, counted } = chainOf([
    async (_input, next) => {
      const items = (await next()) as AsyncIterable<number>
      return (async function* () {
        for await (const item of items) {
          if (item === 2) throw new Error('internal text')
          yield item
        }
      })()
    },
  ])
  let isClosed = false
  async function* source() {
    try {
      yield* counting()
      yield 3
    } finally {
      isClosed = true
    }
  }
  const read = async () => {
    for await (const _ of chain.stream({ request: '', path: [] }, source, (one) => one));
  }
  await assert.rejects(read(), (error) => isParleyError(error, 'APP001'))
  assert.deepEqual(counted, ['i0 logged', 'i0 failed'])
  assert.ok(isClosed)
})

test('a stream that is left early ends what is behind the interceptors', async () => {
  const { chain } = chainOf([passing('a')])
  let isClosed = false
  async function* source() {
    try {
      yield* counting()
    } finally {
      isClosed = true
    }
  }
  for await (const _ of chain.stream({ request: '', path: [] }, source, (one) => one)) break
  assert.ok(isClosed)
})

test('an answer to a stream that is none is an error', async () => {
  const { chain } = chainOf([() => 'text'])
  const items = chain.stream({ request: '', path: [] }, counting, (one) => one)
  await assert.rejects(items.next(), (error) => isParleyError(error, 'APP001'))
})

/** What a random interceptor does. */
type Deed = 'pass' | 'wait' | 'answer' | 'refuse' | 'throw' | 'twice'

test('whatever interceptors do, each runs at most once, in order, and the core exactly as often as it was reached', async () => {
  const deeds = fc.array(fc.constantFrom<Deed>('pass', 'wait', 'answer', 'refuse', 'throw', 'twice'), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(deeds, async (list) => {
      const entered: number[] = []
      let cores = 0
      const hooks = list.map(
        (deed, at): Hook =>
          async (_input, next) => {
            entered.push(at)
            if (deed === 'wait') await Promise.resolve()
            if (deed === 'answer') return `answer ${at}`
            if (deed === 'refuse') throw new ParleyError('COM003', `refused ${at}`)
            if (deed === 'throw') throw new Error('internal text')
            const answer = await next()
            return deed === 'twice' ? next() : answer
          },
      )
      const outcome = await chainOf(hooks)
        .run(() => {
          cores += 1
          return 'core'
        })
        .catch((error: unknown) => error)
      const end = list.findIndex((deed) => ['answer', 'refuse', 'throw'].includes(deed))
      const reached = end < 0 ? list.length : end + 1
      const isTwice = list.slice(0, end < 0 ? list.length : end).includes('twice')
      assert.deepEqual(entered, [...Array(reached).keys()])
      assert.equal(cores, end < 0 ? 1 : 0)
      if (list[end] === 'refuse') assert.ok(isParleyError(outcome, 'COM003'))
      else if (list[end] === 'throw') assert.ok(isParleyError(outcome, 'APP001'))
      else if (isTwice) assert.match(String(outcome), /called next\(\) twice/)
      else assert.equal(outcome, end < 0 ? 'core' : `answer ${end}`)
    }),
  )
})
