import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { defineProtocol, type Progress } from '../../../../protocols/define.ts'
import { KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createConcurrencyLimiter } from '../../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { callByHand, hello, outCall, playByHand } from '../../../support/link-hand.ts'
import { createPair, kinds, parleyErrorOf, serve, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

const encoder = new TextEncoder()

const start = (settings: { maxMs?: number; timeoutMs?: number; extendMs?: number } = {}) => {
  const { held, handlers } = createDemo()
  const pair = createPair(demo, handlers)
  const told: Progress[] = []
  const answer = pair.unary('hold', 1, { timeoutMs: 1000, ...settings, onProgress: (p) => void told.push(p) })
  const first = async () => {
    await settle(pair.time)
    const one = held[0]
    assert.ok(one !== undefined)
    return one
  }
  return { pair, told, answer, first }
}

describe('progress', () => {
  it('is told to the caller, and puts the deadline off on both sides', async () => {
    const { pair, told, answer, first } = start()
    const held = await first()
    for (const fraction of [0.25, 0.5, 0.75]) {
      await pair.time.run(900)
      held.context.progress(fraction, `at ${fraction}`)
      await settle(pair.time)
      assert.equal(held.context.remainingMs(), 1000)
    }
    await pair.time.run(900)
    held.answer('done')
    assert.equal(await pair.time.settled(answer, 1), 'done')
    assert.deepEqual(
      told,
      [0.25, 0.5, 0.75].map((fraction) => ({ fraction, note: `at ${fraction}` })),
    )
    assert.deepEqual(kinds(pair.toCaller), ['progress', 'progress', 'progress', 'response'])
  })

  it('that stops ends the call with COM001 a timeout later', async () => {
    const { pair, answer, first } = start()
    const failed = parleyErrorOf(answer)
    const held = await first()
    await pair.time.run(800)
    held.context.progress(0.1)
    await pair.time.run(999)
    assert.equal(held.context.signal.aborted, false)
    await pair.time.run(1)
    const error = await pair.time.settled(failed, 0)
    assert.equal(error.code, 'COM001')
    assert.equal(held.context.signal.aborted, true)
  })

  it('never puts the deadline beyond the limit that the caller has set', async () => {
    const { pair, answer, first } = start({ maxMs: 2500 })
    const failed = parleyErrorOf(answer)
    const held = await first()
    for (let i = 0; i < 4; i += 1) {
      await pair.time.run(600)
      held.context.progress()
    }
    assert.equal(held.context.remainingMs(), 100)
    await pair.time.run(99)
    assert.equal(pair.caller.inFlight(), 1)
    await pair.time.run(1)
    const error = await pair.time.settled(failed, 0)
    assert.equal(error.code, 'COM001')
    assert.equal(held.context.signal.aborted, true)
  })

  it('is not needed for a limit below the timeout to count', async () => {
    const { pair, answer, first } = start({ maxMs: 400 })
    const failed = parleyErrorOf(answer)
    const held = await first()
    assert.equal(held.context.remainingMs(), 400)
    await pair.time.run(400)
    assert.equal((await pair.time.settled(failed, 0)).code, 'COM001')
  })

  it('of a later attempt puts the deadline off by what the first one had', async () => {
    const { pair, answer, first } = start({ timeoutMs: 200, extendMs: 1000 })
    const held = await first()
    await pair.time.run(150)
    held.context.progress(0.5)
    assert.equal(held.context.remainingMs(), 1000)
    await pair.time.run(999)
    held.answer('late')
    assert.equal(await pair.time.settled(answer, 1), 'late')
  })

  it('travels at most each 250 ms, and the last of it before the answer', async () => {
    const { pair, told, answer, first } = start()
    const held = await first()
    for (let i = 0; i <= 100; i += 1) held.context.progress(i / 100)
    held.answer('done')
    assert.equal(await pair.time.settled(answer, 1), 'done')
    assert.deepEqual(told, [{ fraction: 0 }, { fraction: 1 }])
    assert.deepEqual(kinds(pair.toCaller), ['progress', 'progress', 'response'])
  })

  it('goes before the error of a handler that fails as well', async () => {
    const { pair, told, answer, first } = start()
    const failed = parleyErrorOf(answer)
    const held = await first()
    held.context.progress(0.1)
    held.context.progress(0.2)
    held.fail(new Error('broken'))
    assert.equal((await pair.time.settled(failed, 1)).code, 'APP001')
    assert.deepEqual(told, [{ fraction: 0.1 }, { fraction: 0.2 }])
    await pair.time.run(5000)
    assert.equal(pair.responder.active(), 0)
    assert.deepEqual(kinds(pair.toCaller), ['progress', 'progress', 'error'])
  })

  it('is not sent any more once the call is over, whoever ended it', async () => {
    const { pair, answer, first } = start()
    const failed = parleyErrorOf(answer)
    const held = await first()
    await pair.time.run(1000)
    await pair.time.settled(failed, 0)
    held.context.progress(0.5)
    held.context.progress(0.6)
    held.answer()
    held.context.progress(0.7)
    await pair.time.run(1000)
    assert.deepEqual(kinds(pair.toCaller), [])
  })

  it('of streams is told beside the items, and puts their deadline off', async () => {
    const slow = defineProtocol({
      name: 'slow',
      version: '1.0.0',
      methods: { live: { request: z.null(), stream: z.number(), timeoutMs: 1000 } },
    })
    const time = createVirtualTime()
    const told: Progress[] = []
    const pair = createPair(
      slow,
      {
        async *live(_, { progress }) {
          for (let i = 0; i < 3; i += 1) {
            await new Promise<void>((resolve) => void time.after(800, resolve))
            progress(i / 3)
            yield i
          }
        },
      },
      { time },
    )
    const items: unknown[] = []
    const read = async () => {
      for await (const item of pair.stream('live', null, { onProgress: (p) => void told.push(p) })) items.push(item)
    }
    const done = read()
    await time.run(2500)
    await time.settled(done, 0)
    assert.deepEqual(items, [0, 1, 2])
    assert.equal(told.length, 3)
  })

  it('that a caller cannot take is logged, and the call goes on', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const answer = pair.unary('hold', 1, {
      onProgress() {
        throw new Error('no')
      },
    })
    await settle(pair.time)
    held[0]?.context.progress(0.5)
    await settle(pair.time)
    held[0]?.answer('fine')
    assert.equal(await pair.time.settled(answer, 1), 'fine')
    assert.match(pair.callerEnd.logs[0]?.message ?? '', /onProgress of demo.hold failed/)
  })

  it('counts as a sign that work goes on, as the end of a request does', async () => {
    const slots = createConcurrencyLimiter(16, 16)
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers, { slots })
    const answer = pair.unary('hold', 1)
    await settle(pair.time)
    assert.equal(slots.activityCount(), 0)
    held[0]?.context.progress(0.5)
    assert.deepEqual([slots.activityCount(), slots.lastProgress()], [1, 0.5])
    held[0]?.answer()
    await pair.time.settled(answer, 1)
    assert.ok(slots.activityCount() > 1)
    assert.equal(slots.lastProgress(), undefined)
  })

  it('is nobody’s business in a one-way call: only the deadline is put off', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    let context: { remainingMs(): number; progress(fraction?: number): void } | undefined
    const one = defineProtocol({
      name: 'one',
      version: '1.0.0',
      methods: { go: { request: z.unknown(), oneWay: true } },
    })
    serve(
      other,
      one,
      {
        go(_, given) {
          context = given
          return new Promise(() => {})
        },
      },
      { time },
    )
    hand.send(
      hello,
      frameOf({ kind: KIND.oneWay, exchange: 1, method: 'go', payload: encoder.encode('1'), timeoutMs: 500 }),
    )
    await time.run(400)
    context?.progress(0.5)
    assert.equal(context?.remainingMs(), 500)
    assert.deepEqual(kinds(hand.received), [])
  })
})

describe('progress at a caller', () => {
  const progress = (exchange: number) => frameOf({ kind: KIND.progress, exchange, progress: { done: 5001, note: 'x' } })

  it('puts its own deadline off, and the error says what was missed', async () => {
    const { time, hand, caller } = await callByHand()
    const told: Progress[] = []
    const failed = parleyErrorOf(caller.unary({ ...outCall('hold'), onProgress: (p) => void told.push(p) }))
    await time.run(900)
    hand.send(progress(1))
    await settle(time)
    assert.deepEqual(told, [{ fraction: 0.5, note: 'x' }])
    await time.run(999)
    assert.equal(caller.inFlight(), 1)
    // A deadline that is a second away is kept within 8 ms.
    await time.run(9)
    assert.match((await time.settled(failed, 0)).message, /reported progress, and then nothing for 1000 ms/)
  })

  it('ends at its limit, and the error says so', async () => {
    const { time, hand, caller } = await callByHand()
    const failed = parleyErrorOf(caller.unary({ ...outCall('hold'), maxMs: 1500 }))
    for (const ms of [700, 700]) {
      await time.run(ms)
      hand.send(progress(1))
      await settle(time)
    }
    await time.run(100)
    assert.match((await time.settled(failed, 0)).message, /limit of 1500 ms/)
    assert.equal(hand.received.find(({ method }) => method === 'hold')?.extra?.limitMs, 1500)
  })

  it('that comes for a call that is over, or that never was, is counted and changes nothing', async () => {
    const { time, hand, caller, end } = await callByHand()
    const failed = parleyErrorOf(caller.unary(outCall('hold')))
    await time.run(1000)
    await time.settled(failed, 0)
    hand.send(progress(1), progress(2))
    await settle(time)
    assert.deepEqual([end.counts.lateReplies, end.counts.unknownFrames], [1, 1])
    assert.equal(caller.closed(), false)
  })

  it('refuses a limit that is no time', async () => {
    const { caller } = await callByHand()
    for (const maxMs of [0, 2 ** 31, Number.NaN])
      assert.equal((await parleyErrorOf(caller.unary({ ...outCall('hold'), maxMs }))).code, 'MSG001')
  })
})

describe('a stream whose reader is slow', () => {
  it('is parked: it needs no slot, and its handler is not the one that stands still', async () => {
    const slots = createConcurrencyLimiter(16, 16)
    const { handlers } = createDemo()
    const pair = createPair(demo, handlers, { slots })
    const items = pair.stream('count', { items: 20, bytes: 1 })
    await items.next()
    await settle(pair.time)
    assert.deepEqual([slots.active(), slots.parked()], [0, 1])
    for await (const _ of items);
    await settle(pair.time)
    assert.deepEqual([slots.active(), slots.parked()], [0, 0])
  })
})
