/** What a node lets begin of what it was told that it gave: never beyond what it has, in whichever order it hears of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import type { Claim } from '../../../protocols/resource/api.ts'
import { Claims } from '../../../protocols/resource/client/claims.ts'
import type { Allocation } from '../../../protocols/resource/resource-record.ts'
import type { Units } from '../../../protocols/resource/units.ts'
import { failureOf } from '../../support/until.ts'

const given = (units: Units, index: number, registration = 1, owner = 'me'): Allocation => ({
  ...{ status: 'allocated', holder: 'ann', registration: 9, priority: 1, parts: [{ units }], size: 1 },
  ...{ places: [{ owner, registration }], fence: { term: 1, index }, askedAt: 0, changedAt: 0 },
})

const create = (capacity: Units = { cpu: 4 }) => {
  const time = createVirtualTime()
  const told: Claim[] = []
  const errors: string[] = []
  const log = { error: (message: string) => void errors.push(message) }
  let has = capacity
  const claims = new Claims({ self: { id: 'me' }, timers: time, log } as never, () => has)
  claims.onClaim((claim) => told.push(claim))
  const begun = (): string[] => told.filter(({ signal }) => !signal.aborted).map(({ id }) => id)
  return { time, claims, told, begun, errors, have: (units: Units) => (has = units) }
}

test('it begins once this node knows its registration, and ends with it', () => {
  const { claims, begun, told } = create()
  claims.onTold('a', given({ cpu: 1 }, 1))
  claims.onTold('old', given({ cpu: 1 }, 1, 0))
  assert.deepEqual(begun(), [])
  claims.onRegistered(1)
  assert.deepEqual(begun(), ['a'])
  claims.onTold('a', given({ cpu: 1 }, 1))
  assert.equal(told.length, 1, 'told again it is the same one')
  claims.endAll('the lease is over')
  assert.deepEqual(begun(), [])
  assert.match(String(told[0]?.signal.reason), /the lease is over/)
  assert.equal(claims.size(), 0)
})

test('one that is told before the end of another waits for that', () => {
  const { claims, begun, have } = create()
  claims.onRegistered(1)
  claims.onTold('a', given({ cpu: 3 }, 1))
  claims.onTold('b', given({ cpu: 2 }, 2))
  claims.onTold('c', given({ cpu: 2 }, 3))
  assert.deepEqual(begun(), ['a'])
  claims.onTold('a', undefined)
  assert.deepEqual(begun(), ['b', 'c'])
  claims.onTold('d', given({ cpu: 3 }, 4))
  have({ cpu: 7 })
  claims.beginEarly()
  assert.deepEqual(begun(), ['b', 'c', 'd'])
  claims.onReset(new Set(['d']))
  assert.deepEqual(begun(), ['d'])
})

test('what is waited for is looked at again whenever something begins or ends', async () => {
  const { claims } = create()
  claims.onRegistered(1)
  claims.onTold('a', given({ cpu: 3 }, 1))
  let isDone = false
  const end = new AbortController()
  const within = claims
    .until(() => (claims.used().cpu ?? 0) <= 1, end.signal)
    .then(() => {
      isDone = true
    })
  claims.onTold('b', given({ cpu: 1 }, 2))
  await Promise.resolve()
  assert.equal(isDone, false)
  // Its end was decided long ago, and is told now.
  claims.onTold('a', undefined)
  await within
  const never = claims.until(() => false, end.signal)
  end.abort(new Error('this node stops'))
  await assert.rejects(never, /this node stops/)
})

test('granted anew it is another one; of another node it is none', () => {
  const { claims, begun, told } = create()
  claims.onRegistered(1)
  claims.onTold('a', given({ cpu: 1 }, 1))
  claims.onTold('a', given({ cpu: 2 }, 5))
  assert.deepEqual(
    told.map(({ units, signal }) => [units.cpu, signal.aborted]),
    [
      [1, true],
      [2, false],
    ],
  )
  claims.onTold('other', given({ cpu: 1 }, 6, 1, 'somebody'))
  claims.onTold('a', {
    ...given({ cpu: 2 }, 5),
    status: 'preempted',
    reason: 'for b',
    places: undefined,
    fence: undefined,
  })
  assert.deepEqual(begun(), [])
  assert.match(String(told[1]?.signal.reason), /for b/)
})

test('whoever claims waits until it is told of it, for so long and no longer', async () => {
  const { time, claims } = create()
  claims.onRegistered(1)
  const early = claims.claim('a')
  claims.onTold('a', given({ cpu: 1 }, 3))
  assert.equal((await time.settled(early, 100)).holder, 'ann')
  assert.equal((await claims.claim('a', { fence: { term: 1, index: 3 } })).id, 'a')
  const code = async (promise: Promise<unknown>): Promise<unknown> =>
    Reflect.get(Object(await failureOf(promise)), 'code')
  assert.equal(await code(claims.claim('a', { fence: { term: 1, index: 2 } })), 'STA002')
  assert.equal(await time.settled(code(claims.claim('unknown', { timeoutMs: 50 })), 1_000), 'STA001')
  // Granted again since, which was not told here yet.
  const newer = claims.claim('a', { fence: { term: 1, index: 9 } })
  claims.onTold('a', given({ cpu: 1 }, 9))
  assert.deepEqual((await time.settled(newer, 100)).fence, { term: 1, index: 9 })
  const stop = new AbortController()
  const waiting = claims.claim('unknown', { signal: stop.signal })
  stop.abort(new Error('enough'))
  assert.equal(Reflect.get(Object(await failureOf(waiting)), 'message'), 'enough')
})

test('a listener that fails harms nobody else', () => {
  const { claims, begun, errors } = create()
  void claims.onClaim(() => {
    throw new Error('no')
  })
  claims.onRegistered(1)
  claims.onTold('a', given({ cpu: 1 }, 1))
  assert.deepEqual(begun(), ['a'])
  assert.equal(errors.length, 1)
})
