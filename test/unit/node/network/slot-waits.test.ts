/** What of the requests of a node waits, and what has a slot; the requests are made up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSlotWaits } from '../../../../node/network/slot-waits.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { ChildCalls, callKeyOf } from '../../../../protocols/wire/child-calls.ts'
import type { InboundRequest } from '../../../../protocols/wire/responder/inbound-request.ts'

interface Made {
  readonly peer: string
  readonly session: string
  readonly exchange: number
  readonly isRunning?: boolean
  /** It waits for so many. */
  readonly calls?: number
}

const create = (made: readonly Made[], left = 0) => {
  const refused: string[] = []
  const requests = made.map(({ peer, session, exchange, isRunning = false, calls = 0 }) => {
    const children = new ChildCalls({ monotonic: () => 7 })
    for (let i = 1; i <= calls; i += 1) children.begun({}, 'far', 'ee', i)
    const callKey = callKeyOf(session, exchange)
    const facts = { peer, callKey, arrivedAt: 5, hasStarted: isRunning, hasEnded: false, isParked: false }
    const refuse = (): void => void refused.push(`${peer} ${callKey}`)
    return { ...facts, knownCalls: calls > 0 ? children : undefined, refuse } as unknown as InboundRequest
  })
  const running = made.filter(({ isRunning }) => isRunning).length
  const waits = createSlotWaits({
    self: 'me',
    router: {
      *requests() {
        yield* requests
      },
      requestOf: (peer, session, exchange) =>
        requests.find((one) => one.peer === peer && one.callKey === callKeyOf(session, exchange)),
    },
    slots: {
      active: () => running + left,
      queued: () => made.length - running,
      onLine: () => () => {},
      usageOf(peer) {
        const own = made.filter((one) => one.peer === peer)
        const active = own.filter(({ isRunning }) => isRunning).length
        return { peer, active, queued: own.length - active, parked: 0, bytes: 0 }
      },
    },
  })
  return { waits, refused }
}

const RUNNING = { peer: 'ann', session: 'aa', exchange: 1, isRunning: true, calls: 1 }
const QUEUED = { peer: 'bob', session: 'bb', exchange: 1 }

test('a node may be stuck where a request is in line for long enough, and each that has a slot waits for a call', () => {
  assert.equal(create([RUNNING, QUEUED]).waits.mayBeStuck(5), true)
  assert.equal(create([RUNNING, QUEUED]).waits.mayBeStuck(4), false, 'it has just come')
  assert.equal(create([{ ...RUNNING, calls: 0 }, QUEUED]).waits.mayBeStuck(5), false)
})

test('a handler whose link is closed has its slot until it returns, and waits for nobody', () => {
  const { waits } = create([RUNNING, QUEUED], 1)
  assert.equal(waits.mayBeStuck(5), false)
  assert.deepEqual([...waits.here().running.values()].map(({ calls }) => calls.length).sort(), [0, 1])
})

test('what waits is told with the time since when it has waited for the same', () => {
  const { queued, running } = create([RUNNING, QUEUED]).waits.here()
  assert.deepEqual([...queued], [['bb.1', { peer: 'bob', since: 5 }]])
  assert.deepEqual(
    [...running],
    [['aa.1', { peer: 'ann', since: 7, changes: 1, calls: [{ peer: 'far', key: 'ee.1' }] }]],
  )
})

test('a peer that takes the session of another hides none of its requests, and has none of them refused', () => {
  const thief = { peer: 'eve', session: 'aa', exchange: 1, isRunning: true, calls: 2 }
  const { waits, refused } = create([{ ...RUNNING, calls: 0 }, thief, QUEUED, { ...QUEUED, peer: 'eve' }])
  const { queued, running } = waits.here()
  assert.deepEqual([queued.size, running.size], [2, 2])
  assert.equal(running.get('aa.1')?.calls.length, 0)
  assert.equal(queued.get('bb.1')?.peer, 'bob')
  const error = new ParleyError('STA003', 'a deadlock')
  assert.equal(waits.refuse('eve', 'bb.1', error), true)
  assert.deepEqual(refused, ['eve bb.1'])
  assert.equal(waits.refuse('eve', 'aa.1', error), false, 'it has a slot')
  assert.equal(waits.refuse('carl', 'bb.1', error), false)
})

test('a peer names its own requests alone, and no more than it has', () => {
  const { waits } = create([RUNNING, QUEUED])
  assert.equal(waits.knows('bob', ['bb.1']), true)
  assert.equal(waits.knows('bob', ['aa.1']), false)
  assert.equal(waits.knows('bob', ['bb.1', 'bb.1']), false)
  assert.equal(waits.knows('bob', ['nonsense']), false)
  assert.equal(waits.knows('eve', ['bb.1']), false)
})
