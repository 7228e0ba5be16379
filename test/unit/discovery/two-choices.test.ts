import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Choosable, fraction, pick } from '../../../discovery/two-choices.ts'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'

const states = fc.constantFrom<Choosable['state'][]>('alive', 'suspect')
const peerNames = fc.string({ minLength: 1, maxLength: 4 })
const candidates = fc.uniqueArray(fc.record({ peer: peerNames, state: states, isStuck: fc.boolean() }), {
  selector: ({ peer }) => peer,
  maxLength: 12,
})
const loads = fc.func(fc.nat({ max: 100 }))
const seeds = fc.nat()
const alive = (...peers: string[]): Choosable[] => peers.map((peer) => ({ peer, state: 'alive' }))

test('picks somebody exactly when somebody is left, and never one who is excluded', () => {
  fc.assert(
    fc.property(candidates, loads, seeds, fc.func(fc.boolean()), (all, load, seed, isExcluded) => {
      const exclude = new Set(all.map(({ peer }) => peer).filter((peer) => isExcluded(peer)))
      const picked = pick(all, load, createRandom(seed), exclude)
      assert.equal(picked === undefined, all.length === exclude.size)
      if (picked) assert.ok(all.includes(picked) && !exclude.has(picked.peer))
    }),
  )
})

test('picks a suspect only when nobody alive is left', () => {
  fc.assert(
    fc.property(candidates, loads, seeds, (all, load, seed) => {
      const picked = pick(all, load, createRandom(seed))
      if (picked?.state === 'suspect') assert.ok(all.every(({ state }) => state === 'suspect'))
    }),
  )
})

test('picks one that is stuck only when nobody is left that is alive and works, and rather than a suspect', () => {
  fc.assert(
    fc.property(candidates, loads, seeds, (all, load, seed) => {
      const picked = pick(all, load, createRandom(seed))
      if (picked?.isStuck !== true || picked.state === 'suspect') return
      assert.ok(all.every(({ state, isStuck }) => state === 'suspect' || isStuck))
    }),
  )
})

test('never picks the single most loaded of several', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.nat({ max: 11 }), seeds, (count, position, seed) => {
      const all = alive(...Array.from({ length: count }, (_, i) => `p${i}`))
      const busiest = `p${position % count}`
      const picked = pick(all, (peer) => (peer === busiest ? 2 : 1), createRandom(seed))
      assert.notEqual(picked?.peer, busiest)
    }),
  )
})

test('the two that are compared differ: of two candidates the less loaded always wins', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      assert.equal(pick(alive('a', 'b'), (peer) => (peer === 'a' ? 1 : 0), createRandom(seed))?.peer, 'b')
    }),
  )
})

test('among equals everyone gets about the same', () => {
  const random = createRandom(7)
  const counts = new Map<string, number>()
  for (let n = 0; n < 5000; n += 1) {
    const peer = pick(alive('a', 'b', 'c', 'd', 'e'), () => 0, random)?.peer ?? ''
    counts.set(peer, (counts.get(peer) ?? 0) + 1)
  }
  assert.equal(counts.size, 5)
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 150, `${count} of 5000`)
})

test('two choices keep the longest queue far below that of one choice', () => {
  const spread = (choose: (queues: Map<string, number>, random: () => number) => string): number => {
    const queues = new Map(Array.from({ length: 100 }, (_, i) => [`p${i}`, 0]))
    const random = createRandom(3)
    for (let n = 0; n < 10_000; n += 1) {
      const peer = choose(queues, random)
      queues.set(peer, (queues.get(peer) ?? 0) + 1)
    }
    return Math.max(...queues.values()) - 100
  }
  const all = alive(...Array.from({ length: 100 }, (_, i) => `p${i}`))
  const two = spread((queues, random) => pick(all, (peer) => queues.get(peer) ?? 0, random)?.peer ?? '')
  const one = spread((_, random) => `p${Math.floor(random() * 100)}`)
  assert.ok(two <= 4, `${two} above the mean with two choices`)
  assert.ok(one >= 3 * two, `${one} above the mean with one choice`)
})

test('a load that is not a number counts as the busiest', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const load = (peer: string) => (peer === 'a' ? Number.NaN : 1e9)
      assert.equal(pick(alive('a', 'b'), load, createRandom(seed))?.peer, 'b')
    }),
  )
})

test('random bytes become a number from 0 to just below 1', () => {
  assert.equal(fraction(Uint8Array.of(0, 0, 0, 0)), 0)
  assert.equal(fraction(Uint8Array.of(128, 0, 0, 0)), 0.5)
  assert.ok(fraction(Uint8Array.of(255, 255, 255, 255)) < 1)
})
