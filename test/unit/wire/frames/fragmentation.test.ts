import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ParleyError } from '../../../../protocols/errors.ts'
import { createReassembler, fragment } from '../../../../protocols/wire/frames/fragmentation.ts'
import { type Frame, frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { arbitraryFrame } from '../../../support/arbitrary-frame.ts'

const part = (exchange: number, bytes: number, more: boolean): Frame => ({
  ...frame(KIND.request, exchange, new Uint8Array(bytes).fill(exchange)),
  more,
})

const refusal = (code: string) => (error: unknown) => error instanceof ParleyError && error.code === code

describe('split', () => {
  it('leaves a payload of the part size whole and cuts one byte more in two', () => {
    assert.equal(fragment(part(1, 100, false), 100).length, 1)
    const two = fragment(part(1, 101, false), 100)
    assert.deepEqual(
      two.map((each) => [each.payload.length, each.more]),
      [
        [100, true],
        [1, false],
      ],
    )
  })

  it('keeps every part at the part size and puts the other fields on the first', () => {
    fc.assert(
      fc.property(
        arbitraryFrame,
        fc.uint8Array({ maxLength: 500 }),
        fc.integer({ min: 1, max: 90 }),
        (f, payload, size) => {
          const parts = fragment({ ...f, payload, more: false }, size)
          assert.ok(parts.every((each) => each.payload.length <= size))
          assert.ok(
            parts.every((each) => each.exchange === f.exchange && each.priority === f.priority && each.kind === f.kind),
          )
          assert.deepEqual(
            parts.map((each) => each.more),
            parts.map((_, i) => i < parts.length - 1),
          )
          const { payload: _first, more: _more, ...rest } = parts[0] ?? f
          const { payload: _whole, more: _last, ...fields } = f
          assert.deepEqual(rest, fields)
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('joiner', () => {
  it('puts together what split() cut, with any number of exchanges interleaved', () => {
    const exchanges = fc.array(
      fc.record({
        frame: arbitraryFrame,
        payload: fc.uint8Array({ maxLength: 300 }),
        order: fc.infiniteStream(fc.nat(9)),
      }),
      {
        minLength: 1,
        maxLength: 5,
      },
    )
    fc.assert(
      fc.property(exchanges, fc.integer({ min: 1, max: 60 }), fc.infiniteStream(fc.nat(1000)), (sent, size, pick) => {
        const wholes = sent.map((each, i) => ({ ...each.frame, exchange: i + 1, payload: each.payload, more: false }))
        const queues = wholes.map((whole) => fragment({ ...whole }, size))
        const joiner = createReassembler(300, 10_000)
        const joined = new Map<number, Frame>()
        for (;;) {
          const left = queues.filter((queue) => queue.length > 0)
          if (left.length === 0) break
          const next = left[pick.next().value % left.length]?.shift()
          const done = next === undefined ? undefined : joiner.add(next)
          if (done !== undefined) joined.set(done.exchange, done)
        }
        assert.deepEqual(
          [...joined.values()].sort((a, b) => a.exchange - b.exchange),
          wholes,
        )
        assert.equal(joiner.bytes(), 0)
      }),
      { numRuns: 200 },
    )
  })

  it('takes a message of the largest size and refuses one byte more, whole or in parts', () => {
    const joiner = createReassembler(1000, 10_000)
    assert.equal(joiner.add(part(1, 1000, false))?.payload.length, 1000)
    assert.throws(() => joiner.add(part(2, 1001, false)), refusal('MSG001'))
    assert.equal(joiner.add(part(3, 600, true)), undefined)
    assert.equal(joiner.add(part(3, 400, false))?.payload.length, 1000)
    joiner.add(part(4, 600, true))
    assert.throws(() => joiner.add(part(4, 401, false)), refusal('MSG001'))
    assert.equal(joiner.bytes(), 0)
  })

  it('refuses a first part that is too large already', () => {
    const joiner = createReassembler(1000, 10_000)
    assert.throws(() => joiner.add(part(1, 1001, true)), refusal('MSG001'))
    assert.equal(joiner.bytes(), 0)
  })

  it('throws the rest of a refused message away and then knows the exchange no more', () => {
    const joiner = createReassembler(1000, 10_000)
    joiner.add(part(1, 900, true))
    assert.throws(() => joiner.add(part(1, 200, true)), refusal('MSG001'))
    assert.equal(joiner.add(part(1, 900, true)), undefined)
    assert.equal(joiner.bytes(), 0)
    assert.equal(joiner.add(part(1, 900, false)), undefined)
    assert.equal(joiner.add(part(1, 5, false))?.payload.length, 5)
  })

  it('bounds all unfinished messages together, with the first part and with every later one', () => {
    const joiner = createReassembler(1000, 2000)
    assert.equal(joiner.add(part(1, 900, true)), undefined)
    assert.equal(joiner.add(part(2, 600, true)), undefined)
    assert.throws(() => joiner.add(part(3, 600, true)), refusal('COM003'))
    const before = joiner.bytes()
    assert.throws(() => {
      for (let exchange = 4; exchange < 1000; exchange += 1) {
        joiner.add(part(exchange, 1, true))
        joiner.add(part(exchange, 400, true))
      }
    }, refusal('COM003'))
    assert.ok(joiner.bytes() <= 2000 && joiner.bytes() >= before, `${joiner.bytes()} bytes are held`)
    assert.equal(joiner.add(part(1, 50, false))?.payload.length, 950, 'what was begun before still ends')
  })

  it('is not filled by parts without bytes', () => {
    const joiner = createReassembler(1000, 5000)
    joiner.add(part(1, 10, true))
    const held = joiner.bytes()
    for (let i = 0; i < 1000; i += 1) joiner.add(part(1, 0, true))
    assert.equal(joiner.bytes(), held)
    assert.equal(joiner.add(part(1, 0, false))?.payload.length, 10)
  })

  it('counts the envelope fields of an unfinished message as well', () => {
    const joiner = createReassembler(1000, 5000)
    const heavy = (exchange: number): Frame => ({
      ...part(exchange, 1, true),
      extra: { headers: { note: 'x'.repeat(2000) }, metadata: new Uint8Array(100), chain: ['p'.repeat(100)] },
    })
    joiner.add(heavy(1))
    assert.ok(joiner.bytes() > 2000, `${joiner.bytes()} bytes`)
    joiner.add(heavy(2))
    assert.throws(() => joiner.add(heavy(3)), refusal('COM003'))
    joiner.drop(1)
    joiner.drop(2)
    joiner.drop(3)
    assert.equal(joiner.bytes(), 0)
  })

  it('does not keep the chunks alive that small parts came in', () => {
    const joiner = createReassembler(1000, 10_000)
    const chunk = new Uint8Array(65_536)
    joiner.add({ ...frame(KIND.request, 1, chunk.subarray(0, 5)), more: true })
    const whole = joiner.add(part(1, 5, false))
    assert.ok(whole !== undefined && whole.payload.buffer !== chunk.buffer)
    assert.ok(whole.payload.buffer.byteLength <= 1000, `${whole.payload.buffer.byteLength} bytes behind 10`)
  })

  it('takes 4,096 unfinished messages and calls one more malformed', () => {
    const joiner = createReassembler(10, 10_000_000)
    for (let exchange = 1; exchange <= 4096; exchange += 1) joiner.add(part(exchange, 1, true))
    assert.throws(() => joiner.add(part(4097, 1, true)), refusal('MSG003'))
    joiner.drop(1)
    assert.equal(joiner.add(part(4098, 1, true)), undefined)
  })

  it('never holds more than its bounds, whatever comes', () => {
    const parts = fc.array(
      fc.record({ exchange: fc.integer({ min: 1, max: 6 }), bytes: fc.nat(700), more: fc.boolean() }),
      { maxLength: 80 },
    )
    fc.assert(
      fc.property(parts, (sent) => {
        const joiner = createReassembler(1000, 3000)
        for (const each of sent) {
          try {
            const whole = joiner.add(part(each.exchange, each.bytes, each.more))
            assert.ok((whole?.payload.length ?? 0) <= 1000)
          } catch (error) {
            assert.ok(refusal('MSG001')(error) || refusal('COM003')(error), `${error}`)
          }
          assert.ok(joiner.bytes() >= 0 && joiner.bytes() <= 3000, `${joiner.bytes()}`)
        }
        for (let exchange = 1; exchange <= 6; exchange += 1) joiner.drop(exchange)
        assert.equal(joiner.bytes(), 0)
      }),
      { numRuns: 500 },
    )
  })
})
