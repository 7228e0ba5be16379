import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ParleyError } from '../../../../protocols/errors.ts'
import {
  type ConcurrencyLimiter,
  createConcurrencyLimiter,
} from '../../../../protocols/wire/responder/concurrency-limiter.ts'

/** Enters a piece of work of a peer and returns how to end it once it runs. */
const enter = (slots: ConcurrencyLimiter, order: string[], name: string, priority = 0, of = 'alice'): (() => void) => {
  let runs = false
  const peer = slots.open(of)
  peer.acquire(priority, {
    start() {
      runs = true
      order.push(name)
    },
  })
  return () => {
    assert.ok(runs, `${name} does not run yet`)
    peer.release()
    peer.close()
  }
}

describe('slots', () => {
  it('run as many as there are slots, and one more only when one is free', () => {
    const slots = createConcurrencyLimiter(2, 10)
    const order: string[] = []
    const endA = enter(slots, order, 'a')
    enter(slots, order, 'b')
    enter(slots, order, 'c')
    assert.deepEqual(order, ['a', 'b'])
    assert.deepEqual([slots.active(), slots.queued()], [2, 1])
    endA()
    assert.deepEqual(order, ['a', 'b', 'c'])
    assert.deepEqual([slots.active(), slots.queued()], [2, 0])
  })

  it('let as many wait as they may and refuse one more with the time to come back', () => {
    const slots = createConcurrencyLimiter(1, 2)
    const order: string[] = []
    enter(slots, order, 'a')
    enter(slots, order, 'b')
    enter(slots, order, 'c', 3)
    assert.equal(slots.queued(), 2)
    assert.throws(
      () => enter(slots, order, 'd', 3),
      (error) => error instanceof ParleyError && error.code === 'COM003' && Number(error.details.retryAfterMs) > 0,
    )
    assert.deepEqual([slots.active(), slots.queued()], [1, 2])
  })

  it('take the most urgent of those that wait, and the oldest of the same priority', () => {
    const slots = createConcurrencyLimiter(1, 10)
    const order: string[] = []
    const ends = [enter(slots, order, 'first')]
    for (const [name, priority] of [
      ['low', 1],
      ['normal', 0],
      ['high', 2],
      ['critical', 3],
      ['normal too', 0],
    ] as const) {
      ends.push(enter(slots, order, name, priority))
    }
    const [first, low, normal, high, critical, too] = ends
    for (const end of [first, critical, high, normal, too, low]) end?.()
    assert.deepEqual(order, ['first', 'critical', 'high', 'normal', 'normal too', 'low'])
    assert.deepEqual([slots.active(), slots.queued()], [0, 0])
  })

  it('work off ten thousand that end at once without growing the stack', () => {
    const slots = createConcurrencyLimiter(1, 20_000)
    const order: string[] = []
    const end = enter(slots, order, 'first')
    const peer = slots.open('alice')
    let ran = 0
    for (let i = 0; i < 10_000; i += 1) {
      peer.acquire(0, {
        start() {
          ran += 1
          peer.release()
        },
      })
    }
    end()
    assert.equal(ran, 10_000)
    assert.deepEqual([slots.active(), slots.queued()], [0, 0])
  })

  it('take other bounds while they are in use: what waits starts at once, and what runs goes on', () => {
    const slots = createConcurrencyLimiter(1, 2)
    const order: string[] = []
    const ends = ['a', 'b', 'c'].map((name) => enter(slots, order, name))
    slots.resize(2, 2)
    assert.deepEqual(order, ['a', 'b'])
    slots.resize(1, 0)
    assert.deepEqual([slots.active(), slots.queued()], [2, 1])
    assert.throws(() => enter(slots, order, 'd'), ParleyError)
    ends[0]?.()
    assert.deepEqual(order, ['a', 'b'])
    ends[1]?.()
    assert.deepEqual(order, ['a', 'b', 'c'])
    ends[2]?.()
    assert.deepEqual([slots.active(), slots.queued()], [0, 0])
  })

  it('keep a quarter free of one peer, so that the first request of another one runs at once', () => {
    const slots = createConcurrencyLimiter(16, 64)
    const order: string[] = []
    for (let i = 0; i < 40; i += 1) enter(slots, order, 'flood', 3, 'mallory')
    assert.deepEqual([slots.active(), slots.queued()], [12, 28])
    enter(slots, order, 'honest', 1, 'bob')
    assert.equal(order.at(-1), 'honest')
  })

  it('count one peer over all its links together', () => {
    const slots = createConcurrencyLimiter(16, 16)
    const links = [slots.open('mallory'), slots.open('mallory')]
    let ran = 0
    for (let i = 0; i < 20; i += 1)
      links[i % 2]?.acquire(0, {
        start() {
          ran += 1
        },
      })
    assert.equal(ran, 12)
    for (const link of links) link.close()
    assert.equal(slots.open('mallory'), links[0], 'what it still has in work is known when it comes again')
  })

  it('give every one of k peers with endless demand its share, in work done', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.integer({ min: 16, max: 64 }),
        fc.nat(3),
        (peers, most, urgency) => {
          const slots = createConcurrencyLimiter(most, 100_000)
          const done = new Map<string, number>()
          const running: (() => void)[] = []
          const ask = (name: string, priority: number): void => {
            const peer = slots.open(name)
            peer.acquire(priority, {
              start: () =>
                void running.push(() => {
                  done.set(name, (done.get(name) ?? 0) + 1)
                  ask(name, priority)
                  peer.release()
                  peer.close()
                }),
            })
          }
          // The first one floods, and calls everything urgent; the others ask for what they can use.
          for (let i = 0; i < 2_000; i += 1) ask('p0', urgency)
          for (let i = 1; i < peers; i += 1) for (let j = 0; j < most; j += 1) ask(`p${i}`, 0)
          for (let turn = 0; turn < 3_000; turn += 1) running.shift()?.()
          const fair = 3_000 / peers
          for (let i = 1; i < peers; i += 1) {
            const of = done.get(`p${i}`) ?? 0
            assert.ok(of > fair / 3, `p${i} had ${of} of 3,000 turns, of ${peers}, urgency ${urgency}, ${most} slots`)
          }
        },
      ),
      { numRuns: 15 },
    )
  })

  it('hold the bytes of one peer to their bound, in work and in line, at the limit and not one past it', () => {
    const slots = createConcurrencyLimiter(1, 16, { maxBytes: 1000, maxPeerBytes: 100 })
    const peer = slots.open('alice')
    peer.acquire(0, { start() {} }, 60)
    peer.acquire(0, { start() {} }, 40)
    assert.throws(
      () => peer.acquire(0, { start() {} }, 1),
      (error) => error instanceof ParleyError && error.code === 'COM003' && error.details.reason === 'bytes',
    )
    assert.equal(peer.takeBytes(1), false)
    peer.release(60)
    assert.equal(peer.takeBytes(60), true)
    assert.deepEqual(slots.refused(), { line: 0, streams: 0, bytes: 2 })
  })

  it('take a stream that waits for its reader out of them, bound how many do, and count them even', () => {
    const slots = createConcurrencyLimiter(2, 16, { maxParked: 2 })
    const order: string[] = []
    const peer = slots.open('alice')
    for (let i = 0; i < 2; i += 1) {
      peer.acquire(0, { start() {} })
      peer.park()
    }
    assert.deepEqual([slots.active(), slots.parked()], [0, 2])
    peer.acquire(0, { start() {} })
    assert.throws(() => peer.park(), /2 streams of this peer wait/)
    peer.acquire(0, { start() {} })
    peer.resume(0, { start: () => void order.push('resumed') })
    enter(slots, order, 'other', 0, 'bob')
    assert.deepEqual([order, slots.active(), slots.queued(), slots.parked()], [[], 2, 1, 2])
    peer.release()
    peer.release()
    assert.deepEqual([order, slots.parked()], [['resumed', 'other'], 1])
    peer.releaseParked()
    peer.release()
    assert.deepEqual([slots.active(), slots.parked()], [1, 0])
    assert.deepEqual(
      slots.top(5).map(({ peer: id, active }) => [id, active]),
      [['bob', 1]],
    )
  })
})
