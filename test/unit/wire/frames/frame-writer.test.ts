import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Duplex } from '../../../../protocols/wire/duplex.ts'
import { type Frame, frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { createFrameReader } from '../../../../protocols/wire/frames/frame-reader.ts'
import { type FrameOwner, FrameWriter, type QueuedFrame } from '../../../../protocols/wire/frames/frame-writer.ts'

const LOW = 1
const NORMAL = 0
const HIGH = 2
const CRITICAL = 3

const PATIENT: FrameOwner = { wanted: () => true, expired: () => assert.fail('expired'), sent() {} }
const NOT_SENT = { sent: () => assert.fail('not sent') }

interface Bench {
  outbox: FrameWriter
  /** Frames of each write. */
  writes: Frame[][]
  sizes: number[]
  sent(): number[]
  /** Ends the turn. */
  turn(): void
  /** Bytes that the layer below has not taken. */
  below: { bytes: number; take(): void }
  clock: { now: number }
  push(fields: Partial<Frame>, more?: Partial<QueuedFrame>): void
  /** A frame of somebody who is asked and told. */
  pushOf(sender: Partial<FrameOwner>, fields: Partial<Frame>, more?: Partial<QueuedFrame>): void
}

const bench = (
  limits: { maxWriteBytes?: number; maxWriteFrames?: number; maxQueuedBytes?: number; maxUnsentBytes?: number } = {},
): Bench => {
  const writes: Frame[][] = []
  const sizes: number[] = []
  const deferred: (() => void)[] = []
  const clock = { now: 1000 }
  const turn = (): void => {
    for (const fn of deferred.splice(0)) fn()
  }
  const below = {
    bytes: 0,
    take() {
      below.bytes = 0
      outbox.flush()
      turn()
    },
  }
  const duplex: Duplex = {
    send(bytes) {
      const frames: Frame[] = []
      createFrameReader(1_000_000).push(bytes, (each) => frames.push(each))
      writes.push(frames)
      sizes.push(bytes.length)
      below.bytes += bytes.length
    },
    buffered: () => below.bytes,
    pause() {},
    resume() {},
    listen() {},
    close() {},
    abort() {},
  }
  const outbox = new FrameWriter(duplex, {
    maxWriteBytes: limits.maxWriteBytes ?? 64 * 1024,
    maxWriteFrames: limits.maxWriteFrames ?? 1_000_000,
    maxQueuedBytes: limits.maxQueuedBytes ?? 10_000,
    maxUnsentBytes: limits.maxUnsentBytes ?? 100_000,
    defer: (fn) => deferred.push(fn),
    monotonic: () => clock.now,
  })
  const push: Bench['push'] = (fields, more = {}) =>
    outbox.push({
      frame: { ...frame(KIND.request, 0), ...fields },
      deadlineAt: 0,
      expiresAt: 0,
      owner: undefined,
      last: true,
      ...more,
    })
  return {
    outbox,
    writes,
    sizes,
    clock,
    below,
    sent: () => writes.flat().map((each) => each.exchange),
    turn,
    push,
    pushOf: (sender, fields, more) => push(fields, { ...more, owner: { ...PATIENT, ...sender } }),
  }
}

const payload = (bytes: number): Uint8Array => new Uint8Array(bytes)

describe('outbox', () => {
  it('writes what gathered in one turn at once', () => {
    const { push, turn, writes } = bench()
    for (let exchange = 1; exchange <= 5; exchange += 1) push({ exchange })
    assert.equal(writes.length, 0)
    turn()
    assert.deepEqual(
      writes.map((frames) => frames.map((each) => each.exchange)),
      [[1, 2, 3, 4, 5]],
    )
  })

  it('lets critical overtake high, high normal, and normal low', () => {
    const { push, turn, sent } = bench()
    push({ exchange: 1, priority: LOW })
    push({ exchange: 2, priority: NORMAL })
    push({ exchange: 3, priority: HIGH })
    push({ exchange: 4, priority: CRITICAL })
    push({ exchange: 5, priority: LOW })
    push({ exchange: 6, priority: NORMAL })
    turn()
    assert.deepEqual(sent(), [4, 3, 2, 6, 1, 5])
  })

  it('keeps the order within each priority', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }),
        fc.array(fc.nat(60), { maxLength: 5 }),
        (priorities, turns) => {
          const { push, turn, writes, below, outbox } = bench({ maxUnsentBytes: 0, maxWriteBytes: 40 })
          priorities.forEach((priority, exchange) => {
            push({ exchange, priority, payload: payload(20) })
            if (turns.includes(exchange)) turn()
          })
          turn()
          while (outbox.queuedBytes() > 0) below.take()
          const order = writes.flat()
          assert.equal(order.length, priorities.length)
          for (const priority of [0, 1, 2, 3]) {
            const numbers = order.filter((each) => each.priority === priority).map((each) => each.exchange)
            assert.deepEqual(
              numbers,
              [...numbers].sort((a, b) => a - b),
            )
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('lets an urgent frame wait for one write at most, not for the queue', () => {
    const { push, turn, sent, below } = bench({ maxUnsentBytes: 0, maxWriteBytes: 1000 })
    for (let exchange = 1; exchange <= 5; exchange += 1) push({ exchange, payload: payload(1000) })
    turn()
    assert.deepEqual(sent(), [1])
    push({ exchange: 9, priority: HIGH })
    turn()
    below.take()
    assert.deepEqual(sent().slice(0, 2), [1, 9])
  })

  it('writes nothing more while the layer below holds more than maxUnsentBytes', () => {
    const { push, turn, writes, below } = bench({ maxUnsentBytes: 5000, maxWriteBytes: 2000 })
    for (let exchange = 1; exchange <= 20; exchange += 1) push({ exchange, payload: payload(1000) })
    turn()
    const before = writes.length
    assert.ok(below.bytes > 5000 && below.bytes <= 5000 + 2 * 1100, `${below.bytes} bytes below`)
    turn()
    push({ exchange: 21 })
    turn()
    assert.equal(writes.length, before, 'it waits')
    below.bytes = 5001
    push({ exchange: 22 })
    turn()
    assert.equal(writes.length, before, 'one byte above the bound it still waits')
    below.bytes = 5000
    push({ exchange: 23 })
    turn()
    assert.ok(writes.length > before, 'at the bound it goes on')
  })

  it('hands down at most maxWriteFrames in one write', () => {
    const { push, turn, sizes } = bench({ maxWriteFrames: 24 })
    for (let exchange = 1; exchange <= 49; exchange += 1) push({ exchange, payload: payload(10) })
    turn()
    const written = sizes
    assert.equal(written.length, 3)
    assert.ok((written[2] ?? 0) < (written[0] ?? 0) / 10, 'the last one carries one frame')
  })

  it('hands down at most one frame more than maxWriteBytes in one write', () => {
    const { push, turn, sizes, below, outbox } = bench({ maxWriteBytes: 3000, maxUnsentBytes: 0 })
    for (let exchange = 1; exchange <= 20; exchange += 1) push({ exchange, payload: payload(900) })
    turn()
    while (outbox.queuedBytes() > 0) below.take()
    assert.ok(sizes.length >= 5)
    for (const size of sizes) assert.ok(size < 3000 + 920, `${size} bytes`)
  })

  it('is full one byte above maxQueuedBytes, and not at it', () => {
    const { push, outbox } = bench({ maxQueuedBytes: 1024 })
    push({ payload: payload(1000) })
    assert.equal(outbox.queuedBytes(), 1024)
    assert.equal(outbox.isFull(), false)
    const next = bench({ maxQueuedBytes: 1023 })
    next.push({ payload: payload(1000) })
    assert.equal(next.outbox.isFull(), true)
  })

  it('calls those who wait for room in their order, once there is room, and only as long as there is', () => {
    const { push, outbox, turn, below } = bench({ maxQueuedBytes: 1000, maxUnsentBytes: 0, maxWriteBytes: 500 })
    below.bytes = 1
    push({ payload: payload(2000) })
    const calls: number[] = []
    outbox.whenRoom(() => {
      calls.push(1)
      push({ payload: payload(2000) })
    })
    const takeBack = outbox.whenRoom(() => calls.push(2))
    outbox.whenRoom(() => calls.push(3))
    takeBack()
    turn()
    assert.deepEqual(calls, [])
    below.take()
    assert.deepEqual(calls, [1], 'the first one filled it again')
    turn()
    below.take()
    assert.deepEqual(calls, [1, 3])
  })

  it('calls at once when there is room already', () => {
    const { outbox } = bench()
    let called = false
    outbox.whenRoom(() => {
      called = true
    })
    assert.equal(called, true)
  })

  it('takes the time in the queue off what the caller still waits and off the ttl', () => {
    const { push, turn, writes, clock } = bench()
    push({ exchange: 1 }, { deadlineAt: 1500, expiresAt: 1400 })
    clock.now = 1100.5
    turn()
    assert.equal(writes[0]?.[0]?.timeoutMs, 399)
    assert.equal(writes[0]?.[0]?.ttlMs, 299)
  })

  it('never writes a remaining time of 0, which would mean none', () => {
    const { push, turn, writes, clock } = bench()
    push({ exchange: 1 }, { deadlineAt: 1500, expiresAt: 1500 })
    clock.now = 1499.9
    turn()
    assert.equal(writes[0]?.[0]?.timeoutMs, 1)
    assert.equal(writes[0]?.[0]?.ttlMs, 1)
  })

  it('drops a frame whose ttl has passed and says so, and sends one a moment earlier', () => {
    const { pushOf, turn, sent, clock, outbox } = bench()
    const expired: number[] = []
    pushOf({ ...NOT_SENT, expired: () => void expired.push(1) }, { exchange: 1 }, { expiresAt: 1100 })
    pushOf({ expired: () => void expired.push(2) }, { exchange: 2 }, { expiresAt: 1101 })
    clock.now = 1100
    turn()
    assert.deepEqual(expired, [1])
    assert.deepEqual(sent(), [2])
    assert.equal(outbox.queuedBytes(), 0)
  })

  it('leaves out what is not wanted any more when its turn comes', () => {
    const { pushOf, turn, sent, outbox } = bench()
    let wanted = true
    pushOf({ ...NOT_SENT, wanted: () => wanted }, { exchange: 1 })
    pushOf({}, { exchange: 2 })
    wanted = false
    turn()
    assert.deepEqual(sent(), [2])
    assert.equal(outbox.queuedBytes(), 0)
  })

  it('does not write in the middle of the call that says there is room', () => {
    const { outbox, push, turn, writes, below } = bench({ maxUnsentBytes: 0 })
    below.bytes = 1
    push({ exchange: 1 })
    turn()
    below.bytes = 0
    outbox.flush()
    assert.equal(writes.length, 0)
    turn()
    assert.equal(writes.length, 1)
  })

  it('tells that a message was sent once the bytes of its last part were handed down', () => {
    const { pushOf, turn, writes } = bench({ maxWriteFrames: 1 })
    const told: number[] = []
    const sender = { sent: () => void told.push(writes.length) }
    pushOf(sender, { exchange: 1, more: true }, { last: false })
    pushOf(sender, { exchange: 1 })
    assert.deepEqual(told, [])
    turn()
    assert.deepEqual(told, [2])
  })

  it('forgets everything when it is cleared, and lets the waiting go on to find that out', () => {
    const { push, outbox, turn, writes, below } = bench({ maxQueuedBytes: 100 })
    below.bytes = 1_000_000
    push({ payload: payload(500) })
    let called = 0
    outbox.whenRoom(() => {
      called += 1
    })
    outbox.clear()
    assert.equal(called, 1)
    assert.equal(outbox.queuedBytes(), 0)
    below.bytes = 0
    turn()
    assert.equal(writes.length, 0)
  })

  it('keeps count of what waits through thousands of frames', () => {
    const { push, outbox, below, turn, sent } = bench({ maxUnsentBytes: 0, maxWriteBytes: 5000 })
    for (let exchange = 1; exchange <= 5000; exchange += 1) push({ exchange, payload: payload(10) })
    assert.equal(outbox.queuedBytes(), 5000 * 34)
    turn()
    while (outbox.queuedBytes() > 0) below.take()
    assert.deepEqual(
      sent(),
      Array.from({ length: 5000 }, (_, i) => i + 1),
    )
  })
})
