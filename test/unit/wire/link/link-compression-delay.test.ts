import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as zlib from 'node:zlib'
import { createVirtualTime, type VirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { Compression } from '../../../../protocols/port.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { compression, createPair, errorOf, kinds, parleyErrorOf, settle } from '../../../support/links.ts'

const GZIP = 1
const text = 'all work and no play makes jack a dull boy. '.repeat(500)
const limits = { compressMinBytes: 1000 }

/** Compresses with a delay of its own for each payload, so that a later one can be ready first. */
const slow = (time: VirtualTime, delaysMs: number[]): Compression => {
  let count = 0
  return {
    ...compression('gzip'),
    compress(_, bytes) {
      const delayMs = delaysMs[count % delaysMs.length] ?? 0
      count += 1
      return new Promise((resolve) => time.after(delayMs, () => resolve(zlib.gzipSync(bytes))))
    },
  }
}

describe('compression that takes its time', () => {
  it('leaves the items of a stream, and its end, in order', async () => {
    const time = createVirtualTime()
    const pair = createPair(
      demo,
      {
        ...createDemo().handlers,
        async *count() {
          // Small ones are not compressed and could overtake.
          for (let i = 0; i < 20; i += 1) yield i % 3 === 0 ? `${i}` : `${i}`.padEnd(2000, '.')
        },
      },
      { time, limits, callerCan: compression('gzip'), responderCan: slow(time, [50, 1, 20, 3]) },
    )
    const items: number[] = []
    const all = (async () => {
      for await (const item of pair.stream('count', { items: 0 })) items.push(Number.parseInt(String(item), 10))
    })()
    await time.settled(all, 5000)
    assert.deepEqual(
      items,
      Array.from({ length: 20 }, (_, i) => i),
    )
    assert.ok(pair.toCaller.some((each) => each.encoding === GZIP))
  })

  it('keeps nobody else from being served', async () => {
    const time = createVirtualTime()
    const pair = createPair(demo, createDemo().handlers, {
      time,
      limits,
      callerCan: slow(time, [500]),
      responderCan: compression('gzip'),
    })
    await settle(time)
    const large = pair.unary('echo', text)
    assert.equal(await time.settled(pair.unary('echo', 1), 1), 1)
    assert.equal(await time.settled(large, 500), text)
  })

  it('of a request that is given up meanwhile sends nothing of it', async () => {
    const time = createVirtualTime()
    const { contexts, handlers } = createDemo()
    const pair = createPair(demo, handlers, {
      time,
      limits,
      callerCan: slow(time, [500]),
      responderCan: compression('gzip'),
    })
    await settle(time)
    const controller = new AbortController()
    const answer = errorOf(pair.unary('echo', text, { signal: controller.signal }))
    await time.run(100)
    controller.abort('enough')
    assert.equal(await answer, 'enough')
    await time.run(1000)
    assert.deepEqual([kinds(pair.toResponder), contexts.length], [['cancel'], 0])
  })

  it('of an answer that is not wanted any more leaves no trace at the caller but a count', async () => {
    const time = createVirtualTime()
    const pair = createPair(demo, createDemo().handlers, {
      time,
      limits,
      callerCan: compression('gzip'),
      responderCan: slow(time, [500]),
    })
    await settle(time)
    const answer = parleyErrorOf(pair.unary('echo', text, { timeoutMs: 100 }))
    await time.run(100)
    assert.equal((await answer).code, 'COM001')
    await time.run(1000)
    assert.ok(pair.callerEnd.counts.lateReplies <= 2, "the answer and the peer's own error")
    assert.equal(pair.responder.active(), 0)
  })

  it('is waited for when the link closes', async () => {
    const time = createVirtualTime()
    const pair = createPair(demo, createDemo().handlers, {
      time,
      limits,
      callerCan: compression('gzip'),
      responderCan: slow(time, [500]),
    })
    await settle(time)
    const answer = pair.unary('echo', text, { timeoutMs: 5000 })
    await settle(time)
    const closing = pair.responder.close(1000)
    assert.equal(await time.settled(answer, 600), text)
    await time.settled(closing, 1)
  })
})
