import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ParleyError } from '../../../protocols/errors.ts'
import { ChildCalls, callKeyOf, readCallKey, sessionText } from '../../../protocols/wire/child-calls.ts'
import { KIND } from '../../../protocols/wire/frames/frame.ts'
import { createConcurrencyLimiter } from '../../../protocols/wire/responder/concurrency-limiter.ts'
import { createDemo, demo } from '../../support/demo-protocol.ts'
import { createPair, parleyErrorOf, settle } from '../../support/links.ts'

describe('the key of a call', () => {
  it('is read as it was made, and what is none is nobody', () => {
    const key = callKeyOf(sessionText(Uint8Array.of(0, 255, 16)), 7)
    assert.equal(key, '00ff10.7')
    assert.deepEqual(readCallKey(key), { session: '00ff10', exchange: 7 })
    for (const wrong of [
      '',
      '.',
      '00ff10',
      '00ff10.',
      '.7',
      '00ff10.0',
      '00ff10.-1',
      '00ff10.1.5',
      '00ff10.x',
      'a.1e400',
    ])
      assert.equal(readCallKey(wrong), undefined, wrong)
  })
})

describe('calls on behalf of a request', () => {
  it('are known by the same key on both sides, from when they are sent until they are answered', async () => {
    const { held, handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const calls = new ChildCalls({ monotonic: () => 0 })
    const answer = pair.caller.unary({ ...pair.outCall('hold', 1), childCalls: calls })
    await settle(pair.time)
    const [call] = calls.calls()
    assert.equal(call?.peer, 'bob')
    assert.equal(pair.responder.requests()[0]?.callKey, call?.key)
    assert.deepEqual([calls.size(), calls.changes()], [1, 1])
    const { session, exchange } = readCallKey(call?.key ?? '') ?? assert.fail()
    assert.equal(pair.responder.requestOf(session, exchange), pair.responder.requests()[0])
    assert.equal(pair.responder.requestOf('00', exchange), undefined)
    held[0]?.answer(2)
    await answer
    assert.deepEqual([calls.size(), calls.changes()], [0, 2])
  })

  it('end with their deadline, their signal, and of a stream with its first item; one-way calls are none', async () => {
    const { handlers } = createDemo()
    const pair = createPair(demo, handlers)
    const calls = new ChildCalls({ monotonic: () => 0 })
    const late = parleyErrorOf(pair.caller.unary({ ...pair.outCall('hold', 1, { timeoutMs: 50 }), childCalls: calls }))
    const stop = new AbortController()
    const given = { ...pair.outCall('hold', 2, { signal: stop.signal }), childCalls: calls }
    const aborted = assert.rejects(pair.caller.unary(given))
    const items = pair.caller.stream({ ...pair.outCall('count', { items: 3 }), childCalls: calls })
    const first = items.next()
    await pair.caller.oneWay({ ...pair.outCall('note', 3), childCalls: calls })
    assert.equal(calls.size(), 3, 'and not the one-way call')
    await first
    assert.equal(calls.size(), 2)
    stop.abort(new Error('given up'))
    await aborted
    assert.equal(calls.size(), 1)
    await pair.time.run(50)
    await late
    assert.equal(calls.size(), 0)
    await items.return?.()
    assert.equal(pair.toResponder.filter(({ kind }) => kind === KIND.request).length, 3)
  })
})

describe('a request in line', () => {
  it('is told of when it begins to wait, and can be refused before it has its slot; then it never runs', async () => {
    const { held, handlers } = createDemo()
    const slots = createConcurrencyLimiter(1, 16)
    let lined = 0
    const stop = slots.onLine(() => {
      lined += 1
    })
    const pair = createPair(demo, handlers, { slots })
    const first = pair.unary('hold', 1)
    await settle(pair.time)
    assert.equal(lined, 0)
    const second = parleyErrorOf(pair.unary('hold', 2))
    const third = pair.unary('echo', 3)
    await settle(pair.time)
    assert.equal(lined, 2)
    stop()
    const waiting = pair.responder.requests().find((request) => !request.hasStarted)
    waiting?.refuse(new ParleyError('STA003', 'it gives way', { hint: 'again', details: { reason: 'deadlock' } }))
    assert.equal((await second).reason, 'deadlock')
    held[0]?.answer(1)
    assert.deepEqual([await first, await third], [1, 3])
    assert.equal(held.length, 1, 'the one that gave way never ran')
    assert.equal(slots.active(), 0)
    assert.equal(slots.queued(), 0)
  })
})
