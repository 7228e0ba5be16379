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

/** @param decide what comes of a change; undefined: it is decided */
const started = (decide: (change: ResourceChange) => Promise<unknown> | unknown) => {
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
      registered: async () => registration,
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
    if (change.do === 'allocate') setImmediate(() => holdings.onTold('a', given(next)))
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

test('a node whose lease was over before it heard of that registers, and asks again', async () => {
  const { asked, holdings, lost } = started((change) => {
    if (change.do !== 'allocate') return
    if (change.registration === 1) throw new ParleyError('STA002', 'the registration 1 is over')
    setImmediate(() => holdings.onTold('a', given({})))
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
