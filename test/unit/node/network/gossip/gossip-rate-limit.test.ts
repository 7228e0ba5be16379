/** How fast one neighbour's gossip is read: at each limit and one past it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  CONTROL_BURST,
  GossipRateLimit,
  MAX_OPEN_BYTES,
  MAX_OPEN_CHECKS,
  MESSAGE_BURST,
  SLICE_MESSAGES,
} from '../../../../../node/network/gossip/gossip-rate-limit.ts'

const SLICE_BYTES = 256 << 10

describe('the pace of a neighbour', () => {
  it('is due after a slice of messages, and not one before', () => {
    const pace = new GossipRateLimit()
    for (let n = 1; n < SLICE_MESSAGES; n += 1) pace.take(1)
    assert.equal(pace.isDue(0), false)
    pace.take(1)
    assert.equal(pace.isDue(0), true)
    pace.begin()
    assert.equal(pace.isDue(0), false)
  })

  it('counts an RPC without messages as one, and a large one as a slice', () => {
    const pace = new GossipRateLimit()
    for (let n = 0; n < SLICE_MESSAGES; n += 1) pace.take(0)
    assert.equal(pace.isDue(0), true)
    pace.begin()
    pace.take(10_000)
    pace.begin()
    assert.equal(pace.isDue(0), false)
  })

  it('is due after a slice of bytes, and not one before', () => {
    const pace = new GossipRateLimit()
    pace.read(SLICE_BYTES - 1)
    assert.equal(pace.isDue(0), false)
    pace.read(1)
    assert.equal(pace.isDue(0), true)
  })

  it('takes a burst of messages at once, and has one more wait', () => {
    const pace = new GossipRateLimit()
    pace.charge(MESSAGE_BURST, 0, 0, 0)
    assert.ok(pace.aheadMs(0) <= 0)
    pace.charge(1, 0, 0, 0)
    assert.ok(pace.aheadMs(0) > 0)
    assert.ok(pace.aheadMs(1) <= 0)
  })

  it('takes a burst of control messages at once, and has one more wait', () => {
    const pace = new GossipRateLimit()
    pace.charge(0, CONTROL_BURST, 0, 0)
    assert.ok(pace.aheadMs(0) <= 0)
    pace.charge(0, 1, 0, 0)
    assert.ok(pace.aheadMs(0) > 0)
    assert.ok(pace.aheadMs(4) <= 0)
  })

  it('has it wait while as many of its messages are under check as may be, until half of them are', async () => {
    const pace = new GossipRateLimit()
    for (let n = 1; n < MAX_OPEN_CHECKS; n += 1) pace.checkStarted(1)
    assert.equal(pace.isDue(0), false)
    pace.checkStarted(1)
    assert.equal(pace.isDue(0), true)
    let isReady = false
    const ready = pace.fewOpen()?.then(() => {
      isReady = true
    })
    for (let n = MAX_OPEN_CHECKS; n > MAX_OPEN_CHECKS / 2 + 1; n -= 1) pace.checkEnded(1)
    await Promise.resolve()
    assert.equal(isReady, false)
    pace.checkEnded(1)
    await ready
    assert.equal(isReady, true)
    assert.equal(pace.fewOpen(), undefined)
  })

  it('has it wait while as many bytes of it are under check as may be, until half of them are', async () => {
    const pace = new GossipRateLimit()
    pace.checkStarted(MAX_OPEN_BYTES - 1)
    assert.equal(pace.isDue(0), false)
    pace.checkStarted(1)
    assert.equal(pace.isDue(0), true)
    const ready = pace.fewOpen()
    assert.ok(ready)
    pace.checkEnded(MAX_OPEN_BYTES / 2)
    await ready
    assert.deepEqual([pace.isDue(0), pace.fewOpen()], [false, undefined])
    pace.checkStarted(1)
    assert.ok(pace.fewOpen(), 'one byte more than half')
    pace.release()
  })

  it('lets go who waits when the neighbour is gone', async () => {
    const pace = new GossipRateLimit()
    for (let n = 0; n < MAX_OPEN_CHECKS; n += 1) pace.checkStarted(1)
    const ready = pace.fewOpen()
    pace.release()
    await ready
  })

  it('never counts fewer than none under check', () => {
    const pace = new GossipRateLimit()
    pace.checkEnded(1)
    for (let n = 1; n < MAX_OPEN_CHECKS; n += 1) pace.checkStarted(1)
    assert.equal(pace.isDue(0), false)
  })
})
