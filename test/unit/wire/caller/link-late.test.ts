import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { createCaller } from '../../../../protocols/wire/caller/caller.ts'
import { frame, KIND } from '../../../../protocols/wire/frames/frame.ts'
import { callByHand, hello, playByHand } from '../../../support/link-hand.ts'
import { createEnd, errorOf, LIMITS, parleyErrorOf, settle } from '../../../support/links.ts'

const encoder = new TextEncoder()

describe('a late reply', () => {
  it('is quarantined and counted, and never given to another call', async () => {
    const { time, hand, end, caller } = await callByHand()
    const call = (label: string) => ({
      label,
      method: 'm',
      payload: new Uint8Array(0),
      content: 0,
      priority: 0,
      timeoutMs: 100,
    })
    const first = parleyErrorOf(caller.unary(call('demo.first')))
    await time.run(100)
    assert.equal((await first).code, 'COM001')
    const second = caller.unary({ ...call('demo.second'), timeoutMs: 1000 })
    await settle(time)
    hand.send(frame(KIND.response, 1, encoder.encode('late')))
    await time.run(5)
    assert.equal(caller.inFlight(), 1, 'the second still waits for its own answer')
    assert.equal(end.counts.lateReplies, 1)
    assert.deepEqual(
      caller.late().map(({ atMs: _, ...rest }) => rest),
      [{ exchange: 1, label: 'demo.first', kind: KIND.response, bytes: 4 }],
    )
    hand.send(frame(KIND.response, 2, encoder.encode('own')))
    assert.deepEqual(await time.settled(second, 1), encoder.encode('own'))
    hand.send(frame(KIND.response, 2, encoder.encode('again')))
    await settle(time)
    assert.equal(end.counts.lateReplies, 2)
    assert.deepEqual(caller.late()[1]?.label, 'unknown')
  })

  it('is remembered for the last 32, and counted for all', async () => {
    const { time, hand, end, caller } = await callByHand()
    const call = { label: 'demo.m', method: 'm', payload: new Uint8Array(0), content: 0, priority: 0, timeoutMs: 10 }
    const answers = Array.from({ length: 1000 }, () => errorOf(caller.unary(call)))
    await time.run(10)
    await Promise.all(answers)
    for (let exchange = 1; exchange <= 1000; exchange += 1) hand.send(frame(KIND.response, exchange))
    await settle(time)
    assert.equal(end.counts.lateReplies, 1000)
    assert.deepEqual(
      caller.late().map((each) => each.exchange),
      Array.from({ length: 32 }, (_, i) => 969 + i),
    )
  })

  it('of which only the first part came takes no room for ever', async () => {
    const time = createVirtualTime()
    const { hand, other } = playByHand()
    const caller = createCaller(other, createEnd(time, { ...LIMITS, maxInFlight: 5000 }).deps, {
      version: '1.0.0',
      peer: 'bob',
      onClose() {},
    })
    hand.send(hello)
    const call = { label: 'demo.m', method: 'm', payload: new Uint8Array(0), content: 0, priority: 0, timeoutMs: 10 }
    for (let round = 0; round < 2; round += 1) {
      const answers = Array.from({ length: 4000 }, () => errorOf(caller.unary(call)))
      await settle(time)
      for (let i = 1; i <= 4000; i += 1) {
        hand.send({ ...frame(KIND.response, round * 4000 + i, encoder.encode('a')), more: true })
      }
      await time.run(10)
      await Promise.all(answers)
    }
    const last = caller.unary(call)
    await settle(time)
    hand.send(
      { ...frame(KIND.response, 8001, encoder.encode('a')), more: true },
      frame(KIND.response, 8001, encoder.encode('b')),
    )
    assert.deepEqual(await time.settled(last, 1), encoder.encode('ab'))
  })

  it('is not what answers an exchange that was never opened: that is an unknown frame', async () => {
    const { time, hand, end, caller } = await callByHand()
    hand.send(frame(KIND.response, 0), frame(KIND.response, 7))
    await settle(time)
    assert.deepEqual([end.counts.lateReplies, end.counts.unknownFrames, caller.late().length], [0, 2, 0])
    assert.equal(caller.closed(), false)
  })
})
