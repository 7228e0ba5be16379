import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { creditUnitsOf } from '../../../../protocols/wire/link/link-limits.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { callByHand, outCall, serveByHand } from '../../../support/link-hand.ts'
import { createPair, kinds, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'
import { frameOf } from '../../../support/proto-oracle.ts'

const WINDOW = LIMITS.streamWindow
const encoder = new TextEncoder()

const allOf = async (stream: AsyncIterable<unknown>): Promise<unknown[]> => {
  const items: unknown[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** A producer whose reader is played by hand. */
const countByHand = async (credit: number, input: { items: number; bytes?: number }) => {
  const serving = await serveByHand()
  const payload = encoder.encode(JSON.stringify(input))
  serving.hand.send(frameOf({ exchange: 1, method: 'count', payload, credit }))
  await settle(serving.time)
  return serving
}

describe('unitsOf', () => {
  it('is one for an item, and one for each started 4 KiB of it', () => {
    assert.deepEqual([0, 1, 4096, 4097, 8192, 8193].map(creditUnitsOf), [1, 1, 1, 2, 2, 3])
  })
})

describe('the window of a stream', () => {
  it('lets the producer run as far ahead as it says, and no item further', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers)
    const stream = pair.caller.stream(pair.outCall('count', { items: 1000 }))
    const first = stream.next()
    await settle(pair.time)
    assert.equal(produced(), WINDOW)
    assert.equal((await first).done, false)
    for (let read = 2; read <= 100; read += 1) {
      await stream.next()
      await settle(pair.time)
      assert.ok(produced() <= read + WINDOW, `${produced()} were produced when ${read} were read`)
    }
    assert.ok(produced() > 100, 'it does not stand still either')
    await stream.return?.()
  })

  it('counts large items by their size', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers)
    // 4,096 letters and the quotes: two units each, so half as many.
    const stream = pair.caller.stream(pair.outCall('count', { items: 1000, bytes: 4096 }))
    const first = stream.next()
    await settle(pair.time)
    assert.equal(produced(), WINDOW / 2)
    await first
    await stream.return?.()
    const whole = createPair(demo, createDemo().handlers)
    // An item larger than the window still goes through, one at a time.
    const items = await allOf(whole.stream('count', { items: 5, bytes: 4096 * WINDOW * 2 }))
    assert.equal(items.length, 5)
  })

  it('stays as it is while nobody reads, for any time', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers)
    const stream = pair.caller.stream(
      pair.outCall('count', { items: 1_000_000, bytes: 1000 }, { timeoutMs: 3_600_000 }),
    )
    await stream.next()
    await pair.time.run(600_000)
    assert.ok(produced() <= WINDOW + 1)
    assert.ok(pair.toCaller.length <= WINDOW + 2)
    await stream.return?.()
  })

  it('is granted again in halves, so that a grant does not follow each item', async () => {
    const pair = createPair(demo, createDemo().handlers)
    await allOf(pair.stream('count', { items: 80 }))
    const grants = pair.toResponder.filter((each) => each.kind === KIND.credit)
    assert.ok(grants.length >= 80 / WINDOW && grants.length <= 80 / (WINDOW / 2), `${grants.length} grants`)
    assert.ok(grants.every((grant) => grant.credit >= WINDOW / 2))
  })

  it('works at its smallest', async () => {
    const { handlers, produced } = createDemo()
    const pair = createPair(demo, handlers, { limits: { streamWindow: 1 } })
    const stream = pair.stream('count', { items: 20 })
    await stream.next()
    await settle(pair.time)
    assert.ok(produced() <= 2)
    assert.equal((await allOf(stream)).length, 19)
  })

  it('binds the producer: it sends what it has credit for and waits for more, without polling', async () => {
    const { time, hand, produced } = await countByHand(3, { items: 100 })
    assert.deepEqual(kinds(hand.received), ['item', 'item', 'item'])
    await time.run(9_000)
    assert.equal(hand.received.length, 4, 'hello and three items')
    hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 2 }))
    await settle(time)
    assert.equal(kinds(hand.received).length, 5)
    assert.equal(produced(), 5)
  })

  it('binds the producer also when it went below zero with a large item', async () => {
    const { time, hand } = await countByHand(2, { items: 100, bytes: 4096 * 4 })
    assert.equal(kinds(hand.received).length, 2, 'one item, in two parts')
    hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 3 }))
    await settle(time)
    assert.equal(kinds(hand.received).length, 2, '2 - 5 + 3 is nothing yet')
    hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 1 }))
    await settle(time)
    assert.equal(kinds(hand.received).length, 4)
  })

  it('cannot be made so large that the counting goes wrong', async () => {
    const { time, hand, produced } = await countByHand(1, { items: 10 })
    for (let i = 0; i < 5; i += 1) hand.send(frameOf({ kind: KIND.credit, exchange: 1, credit: 2 ** 53 - 1 }))
    await settle(time)
    assert.equal(produced(), 10)
    assert.deepEqual(kinds(hand.received).at(-1), 'end')
  })

  it('is enforced by the reader: a peer that sends more is given up, and what waits stays bounded', async () => {
    const { time, hand, caller } = await callByHand()
    const stream = caller.stream(outCall('count', new Uint8Array(0), 10_000))
    const first = stream.next()
    await settle(time)
    for (let i = 0; i < WINDOW; i += 1) hand.send(frame(KIND.item, 1, encoder.encode('x')))
    await settle(time)
    assert.equal((await first).done, false)
    assert.equal(kinds(hand.received).includes('cancel'), false, 'the window may be used')
    hand.send(frame(KIND.item, 1, encoder.encode('x')))
    await settle(time)
    assert.ok(kinds(hand.received).includes('cancel'), 'and not one item more')
    for (let i = 0; i < 5000; i += 1) hand.send(frame(KIND.item, 1, encoder.encode('x')))
    await settle(time)
    let read = 0
    const error = await parleyErrorOf(
      (async () => {
        for (;;) {
          if ((await stream.next()).done) return
          read += 1
        }
      })(),
    )
    assert.equal(error.code, 'MSG003')
    assert.equal(read, WINDOW - 1, 'what came in the window is still read')
  })

  it('is kept whatever the sizes of the items and the pace of the reader', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.boolean(), { minLength: 1 }),
        async (items, streamWindow, pauses) => {
          let ahead = 0
          let most = 0
          const pair = createPair(
            demo,
            {
              ...createDemo().handlers,
              async *count() {
                for (const size of items) {
                  most = Math.max(most, ahead)
                  ahead += creditUnitsOf(size + 2)
                  yield 'x'.repeat(size)
                }
              },
            },
            { limits: { streamWindow } },
          )
          const got: number[] = []
          for await (const item of pair.stream('count', { items: 0 })) {
            got.push(String(item).length)
            ahead -= creditUnitsOf(String(item).length + 2)
            if (pauses[got.length % pauses.length]) await settle(pair.time)
          }
          assert.deepEqual(got, items)
          // The first item after next() is counted as read only here, one step later.
          assert.ok(most < streamWindow + creditUnitsOf(20_002), `${most} units ahead with a window of ${streamWindow}`)
        },
      ),
      { numRuns: 30 },
    )
  })
})
