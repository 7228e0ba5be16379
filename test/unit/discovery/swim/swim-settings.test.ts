/** The figures of the failure detector, and its rumours. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createBroadcastQueue } from '../../../../discovery/swim/broadcast-queue.ts'
import { compareUpdates, MEMBER_STATUSES, type MembershipUpdate } from '../../../../discovery/swim/membership-update.ts'
import {
  probeMs,
  retransmissions,
  SWIM_DEFAULTS,
  suspicionFor,
  suspicionMs,
} from '../../../../discovery/swim/swim-settings.ts'

const rumour = (peer: string, incarnation = 1): MembershipUpdate => ({ peer, standing: 'suspect', incarnation, by: [] })
const FIGURES = { ...SWIM_DEFAULTS, suspicionMs: 4_000 }
const NOBODY: ReadonlySet<string> = new Set()

describe('a suspicion', () => {
  test('lasts from three times the shortest down to it, and is at its shortest where nobody could confirm it', () => {
    const ms = (members: number, confirmed: number): number => Math.round(suspicionMs(FIGURES, members, confirmed))
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((n) => ms(100, n)),
      [12_000, 8_000, 5_660, 4_000, 4_000],
    )
    assert.deepEqual([ms(2, 0), ms(3, 0), ms(3, 1)], [4_000, 12_000, 4_000])
    assert.deepEqual([ms(1_000, 0), ms(1_000, 3)], [18_000, 6_000], 'word takes longer to go round in a large mesh')
  })

  test('never gets longer by one more confirmation, nor shorter in a larger mesh', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 0, max: 10 }), (members, confirmed) => {
        const ms = suspicionMs(FIGURES, members, confirmed)
        assert.ok(suspicionMs(FIGURES, members, confirmed + 1) <= ms)
        if (members >= 5) assert.ok(suspicionMs(FIGURES, members + 1, confirmed) >= ms)
      }),
    )
  })
})

test('a probe takes a period, or as long as its ways need', () => {
  assert.equal(probeMs(SWIM_DEFAULTS), 500)
  assert.equal(probeMs({ ...SWIM_DEFAULTS, timeoutMs: 3_000 }), 7_500)
})

test('a suspicion is as much shorter than the time to a death as its discovery takes, and half of that at least', () => {
  assert.equal(suspicionFor(5_000, SWIM_DEFAULTS), SWIM_DEFAULTS.suspicionMs)
  assert.equal(suspicionFor(5_000, { periodMs: 500, timeoutMs: 200, suspectAfter: 50 }), 2_500)
})

test('a rumour is passed on more often the larger the mesh is', () => {
  assert.deepEqual(
    [1, 9, 10, 99, 100, 1_000].map((n) => retransmissions(SWIM_DEFAULTS, n)),
    [4, 4, 8, 8, 12, 16],
  )
})

test('claims are in one order, by incarnation and then by severity', () => {
  const claims = fc.record({ incarnation: fc.nat({ max: 3 }), standing: fc.constantFrom(...MEMBER_STATUSES) })
  fc.assert(
    fc.property(claims, claims, claims, (a, b, c) => {
      assert.equal(Math.sign(compareUpdates(a, b)), -Math.sign(compareUpdates(b, a)) || 0)
      if (compareUpdates(a, b) >= 0 && compareUpdates(b, c) >= 0) assert.ok(compareUpdates(a, c) >= 0)
      if (a.incarnation > b.incarnation) assert.ok(compareUpdates(a, b) > 0)
    }),
  )
})

describe('rumours', () => {
  test('go out as often as was told, those first that went least', () => {
    const rumours = createBroadcastQueue(10)
    for (const peer of ['a', 'b', 'c']) rumours.put(rumour(peer))
    const taken = Array.from({ length: 6 }, () => rumours.take('x', 1, 2, NOBODY).map(({ peer }) => peer))
    assert.deepEqual(taken.flat(), ['a', 'b', 'c', 'a', 'b', 'c'])
    assert.equal(rumours.size(), 0)
    assert.equal(rumours.dropped(), 0)
  })

  test('are not told to whom they are about, and news takes the place of what was said before', () => {
    const rumours = createBroadcastQueue(10)
    rumours.put(rumour('a', 1))
    rumours.put(rumour('b'))
    rumours.put(rumour('a', 2))
    assert.deepEqual(rumours.take('a', 5, 9, NOBODY), [rumour('b')])
    assert.deepEqual(rumours.take('x', 5, 9, new Set(['b'])), [rumour('a', 2)])
  })

  test('take the place of the one that went most where there are too many, and that is counted', () => {
    const rumours = createBroadcastQueue(2)
    rumours.put(rumour('a'))
    rumours.put(rumour('b'))
    rumours.take('b', 1, 9, NOBODY)
    rumours.put(rumour('c'))
    assert.equal(rumours.dropped(), 1)
    assert.deepEqual(
      rumours.take('x', 5, 9, NOBODY).map(({ peer }) => peer),
      ['b', 'c'],
    )
  })

  test('stay within their bounds, whatever is put and taken', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ put: fc.nat({ max: 20 }) }),
        fc.record({ take: fc.nat({ max: 20 }), most: fc.integer({ min: -1, max: 5 }) }),
      ),
      { maxLength: 200 },
    )
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }), (all, max, limit) => {
        const rumours = createBroadcastQueue(max)
        const told = new Map<MembershipUpdate, number>()
        for (const one of all) {
          if ('put' in one) rumours.put(rumour(`p${one.put}`))
          else {
            const taken = rumours.take(`p${one.take}`, one.most, limit, NOBODY)
            assert.ok(taken.length <= Math.max(0, one.most))
            assert.ok(taken.every(({ peer }) => peer !== `p${one.take}`))
            for (const claim of taken) told.set(claim, (told.get(claim) ?? 0) + 1)
          }
          assert.ok(rumours.size() <= max)
        }
        for (const times of told.values()) assert.ok(times <= limit)
      }),
    )
  })
})
