import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import { duplexPair } from '../../../protocols/wire/duplex.ts'
import { settle } from '../../support/links.ts'

describe('a duplex in memory', () => {
  it('delivers in order, also what came before anyone listened, and tells both ends of the close', async () => {
    const [left, right] = duplexPair(queueMicrotask)
    const heard: number[] = []
    const events: string[] = []
    left.send(new Uint8Array([1]))
    left.send(new Uint8Array([2]))
    assert.equal(left.buffered(), 2)
    right.listen({ data: (bytes) => heard.push(...bytes), writable() {}, close: () => events.push('right') })
    left.listen({ data() {}, writable: () => events.push('writable'), close: () => events.push('left') })
    await settle(createVirtualTime())
    assert.deepEqual([heard, left.buffered()], [[1, 2], 0])
    right.pause()
    left.send(new Uint8Array([3]))
    await settle(createVirtualTime())
    assert.deepEqual(heard, [1, 2])
    right.resume()
    left.send(new Uint8Array([4]))
    left.close()
    await settle(createVirtualTime())
    assert.deepEqual(heard, [1, 2, 3, 4])
    left.send(new Uint8Array([5]))
    await settle(createVirtualTime())
    assert.deepEqual([heard.length, events.filter((each) => each !== 'writable').sort()], [4, ['left', 'right']])
    assert.ok(events.includes('writable'))
  })
})
