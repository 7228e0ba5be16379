/** What a node asks for again: under the id of one that failed, and after its lease was over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ParleyError } from '../../../protocols/errors.ts'
import { AskedAllocations } from '../../../protocols/resource/client/asked-allocations.ts'
import { Holdings } from '../../../protocols/resource/client/holdings.ts'
import { NodeOffer } from '../../../protocols/resource/client/node-lease.ts'
import type { ResourceChange } from '../../../protocols/resource/journal/resource-changes.ts'
import type { Allocation, Ask } from '../../../protocols/resource/resource-record.ts'
import type { Units } from '../../../protocols/resource/units.ts'
import { failureOf } from '../../support/until.ts'

const ASK: Ask = { priority: 1, parts: [{ units: { gpu: 1 } }], waitMs: 0, task: 't' }
const given = (more: Partial<Allocation>): Allocation => ({
  ...{ ...ASK, status: 'allocated', holder: 'me', registration: 9, size: 1, askedAt: 0, changedAt: 0 },
  ...{ places: [{ owner: 'box', registration: 1 }], fence: { term: 1, index: 7 } },
  ...more,
})
const never = new AbortController().signal

/**
 * @param decide what comes of a change; undefined: it is decided
 * @param registering each registration waits for it
 */
const started = (decide: (change: ResourceChange) => Promise<unknown> | unknown, registering?: Promise<void>) => {
  const holdings = new Holdings()
  const lost: number[] = []
  let registration = 1
  const asked = new AskedAllocations({
    holdings,
    batcher: {
      async decide(change) {
        await decide(change)
        return { result: { isKnown: false }, version: 5, fence: { term: 1, index: 5 } }
      },
    },
    lease: {
      async registered() {
        await registering
        return registration
      },
      lost(over) {
        lost.push(over)
        registration += 1
        holdings.endAll('the lease was over')
      },
    },
    read: async () => undefined,
  })
  return { asked, holdings, lost }
}

test('the same id is asked for again as soon as what became of it before is given back', async () => {
  const done: string[] = []
  let give = (): void => {}
  const { asked, holdings } = started(async (change) => {
    done.push(change.do)
    if (change.do === 'allocate') setImmediate(() => holdings.onTold('a', given(next), 6))
    else await new Promise<void>((resolve) => (give = resolve))
  })
  let next: Partial<Allocation> = { status: 'denied', reason: 'all-in-use' }
  assert.match(String(await failureOf(asked.ask('a', ASK, never))), /all-in-use/)
  next = {}
  const again = asked.ask('a', ASK, never)
  await new Promise(setImmediate)
  assert.deepEqual(done, ['allocate', 'release'])
  give()
  assert.equal((await again).id, 'a')
  assert.deepEqual(done, ['allocate', 'release', 'allocate'])
  assert.deepEqual(holdings.of('t'), [{ id: 'a', resources: ['gpu@box'] }])
  assert.deepEqual(holdings.of('u'), [])
  assert.deepEqual(asked.counts(), { asked: 2, denied: 1 })
})

/** Where asks are granted at once, and releases once the test says so. @param registering until this node is registered */
const withReleases = (registering?: Promise<void>) => {
  const done: string[] = []
  const releasing: PromiseWithResolvers<void>[] = []
  const { asked, holdings } = started(async (change) => {
    done.push(change.do)
    if (change.do === 'allocate') {
      setImmediate(() => holdings.onTold('a', given({}), 6))
      return
    }
    const one = Promise.withResolvers<void>()
    releasing.push(one)
    await one.promise
  }, registering)
  return { asked, done, releasing }
}

test('the same id is asked for again once all that releases it is decided, whatever comes of that', async () => {
  const { asked, done, releasing } = withReleases()
  const first = await asked.ask('a', ASK, never)
  const released = [asked.release('a'), failureOf(asked.release('a'))]
  const again = asked.ask('a', ASK, never)
  releasing[0]?.resolve()
  await released[0]
  assert.ok(first.signal.aborted)
  await new Promise(setImmediate)
  assert.deepEqual(done, ['allocate', 'release', 'release'])
  releasing[1]?.reject(new ParleyError('COM001', 'nobody decided that in time'))
  assert.match(String(await released[1]), /in time/)
  const { signal } = await again
  assert.equal(signal.aborted, false)
  assert.deepEqual(done, ['allocate', 'release', 'release', 'allocate'])
})

test('an ask that waits for a registration waits for what is released meanwhile, and not only for the first', async () => {
  const registering = Promise.withResolvers<void>()
  const { asked, done, releasing } = withReleases(registering.promise)
  const again = asked.ask('a', ASK, never)
  await new Promise(setImmediate)
  const first = asked.release('a')
  registering.resolve()
  await new Promise(setImmediate)
  // It begins as the first one has been decided: the ask registers anew by then.
  const second = first.then(() => asked.release('a'))
  releasing[0]?.resolve()
  await new Promise(setImmediate)
  assert.deepEqual(done, ['release', 'release'])
  releasing[1]?.resolve()
  await second
  assert.equal((await again).signal.aborted, false)
  assert.deepEqual(done, ['release', 'release', 'allocate'])
})

test('a release ends what had the id when it began, and not what has it once it is decided', async () => {
  const release = Promise.withResolvers<void>()
  const { asked, holdings } = started(() => release.promise)
  const old = holdings.expect('a')
  const released = asked.release('a')
  holdings.endAll('the lease was over')
  const next = holdings.expect('a')
  release.resolve()
  await released
  assert.deepEqual([old.end.signal.aborted, next.end.signal.aborted], [true, false])
  assert.ok(holdings.has('a'))
})

test('one of two asks for the same id that fails takes nothing from the other one, whichever was first', async () => {
  for (const failing of [0, 1]) {
    const done: string[] = []
    const { asked, holdings } = started((change) => void done.push(change.do))
    const giveUp = new AbortController()
    const signals = failing === 0 ? [giveUp.signal, never] : [never, giveUp.signal]
    const asks = signals.map((signal) => asked.ask('a', ASK, signal))
    const failed = failureOf(asks[failing] ?? Promise.resolve())
    await new Promise(setImmediate)
    giveUp.abort(new Error('it gave up'))
    assert.match(String(await failed), /it gave up/)
    holdings.onTold('a', given({}), 6)
    assert.equal((await asks[1 - failing])?.signal.aborted, false)
    await new Promise(setImmediate)
    assert.deepEqual(done, ['allocate', 'allocate'])
    assert.deepEqual(holdings.counts(), { held: 1, lost: 0 })
  }
})

test('what was granted stays where the same id is asked for again and that fails; two that both fail leave nothing', async () => {
  const done: string[] = []
  const { asked, holdings } = started((change) => void done.push(change.do))
  const had = asked.ask('a', ASK, never)
  await new Promise(setImmediate)
  holdings.onTold('a', given({}), 6)
  const { signal } = await had
  assert.match(String(await failureOf(asked.ask('a', ASK, AbortSignal.abort(new Error('late'))))), /late/)
  await new Promise(setImmediate)
  assert.deepEqual([signal.aborted, done.includes('release')], [false, false])
  const giveUp = new AbortController()
  const both = [1, 2].map(() => failureOf(asked.ask('b', ASK, giveUp.signal)))
  await new Promise(setImmediate)
  giveUp.abort(new Error('both gave up'))
  await Promise.all(both)
  await new Promise(setImmediate)
  assert.equal(done.filter((one) => one === 'release').length, 1)
  assert.deepEqual([holdings.has('a'), holdings.has('b')], [true, false])
})

test('an ask that was given up stays with nobody, also where giving it back is not decided', async () => {
  const { asked, holdings } = started((change) => {
    if (change.do === 'release') throw new ParleyError('COM001', 'nobody decided that in time')
  })
  const giveUp = new AbortController()
  const failed = failureOf(asked.ask('a', ASK, giveUp.signal))
  await new Promise(setImmediate)
  giveUp.abort(new Error('it gave up'))
  assert.match(String(await failed), /it gave up/)
  await new Promise(setImmediate)
  holdings.onTold('a', given({}), 6)
  // So that it is given back once it is told of.
  assert.ok(!holdings.has('a'))
  assert.deepEqual(holdings.counts(), { held: 0, lost: 0 })
})

test('a node whose lease was over before it heard of that registers, and asks again', async () => {
  const { asked, holdings, lost } = started((change) => {
    if (change.do !== 'allocate') return
    if (change.registration === 1) throw new ParleyError('STA002', 'the registration 1 is over')
    setImmediate(() => holdings.onTold('a', given({}), 6))
  })
  const held = await asked.ask('a', ASK, never)
  assert.equal(held.signal.aborted, false)
  assert.deepEqual(lost, [1])
})

test('a node whose lease is over again and again says so', async () => {
  const { asked, lost } = started((change) => {
    if (change.do === 'allocate') throw new ParleyError('STA002', 'it is over')
  })
  assert.match(String(await failureOf(asked.ask('a', ASK, never))), /it is over/)
  assert.deepEqual(lost, [1, 2])
})

const offering = () => {
  const told: [Units, boolean][] = []
  let capacity: Units = {}
  const offer = new NodeOffer(
    {
      capacity: () => capacity,
      async offer(units, isDraining = false) {
        capacity = units
        told.push([units, isDraining])
      },
    },
    () => ({}),
  )
  return { offer, told }
}

test('what was offered before is not withdrawn any more, and what is withdrawn is not given again by a plan', async () => {
  const { offer, told } = offering()
  const [one, four] = [{ gpu: 1 }, { gpu: 4 }]
  await offer.offer(one)
  await offer.offer(four)
  await offer.withdraw(one)
  assert.deepEqual(told.at(-1), [four, false])
  await offer.adjust(new Map([['gpu', -1]]))
  await offer.withdraw(four)
  assert.deepEqual(told.at(-1), [{ gpu: 3 }, true])
  const refused = await failureOf(offer.adjust(new Map([['gpu', 1]])))
  assert.match(String(refused), /offers no gpu/)
  assert.deepEqual(told.at(-1), [{ gpu: 3 }, true])
})
