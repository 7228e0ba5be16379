/** What holds of the failure detector through any history, and of small meshes of it under faults. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { compareUpdates, MEMBER_STATUSES, type MembershipUpdate } from '../../../../discovery/swim/membership-update.ts'
import { type SwimInput, step } from '../../../../discovery/swim/swim-machine.ts'
import { createSwimState, PROBE_OUTCOMES } from '../../../../discovery/swim/swim-state.ts'
import { createRandom } from '../../../../node/testing/virtual/virtual-time.ts'
import { createWorld } from '../../../sim/membership/world.ts'

const PEERS = ['a', 'b', 'c', 'd', 'e', 'f']
const SETTINGS = { maxMembers: 3, maxRumours: 3, maxNews: 4 }

const peer = fc.constantFrom(...PEERS)
const incarnation = fc.nat({ max: 6 })
const claims: fc.Arbitrary<MembershipUpdate> = fc.record({
  peer: fc.constantFrom('me', ...PEERS),
  standing: fc.constantFrom(...MEMBER_STATUSES),
  incarnation,
  by: fc.array(peer, { maxLength: 6 }),
})
const inputs = (news: fc.Arbitrary<MembershipUpdate[]>): fc.Arbitrary<SwimInput> =>
  fc.oneof(
    fc.record({ type: fc.constant('tick' as const), members: fc.integer({ min: 1, max: 2_000 }) }),
    fc.record({ type: fc.constant('connected' as const), peer }),
    fc.record({ type: fc.constant('disconnected' as const), peer, parted: fc.boolean() }),
    fc.record({ type: fc.constant('member' as const), peer, incarnation }),
    fc.record({ type: fc.constant('left' as const), peer, incarnation, departure: fc.constantFrom('stop', 'leave') }),
    fc.record({ type: fc.constant('probed' as const), peer, incarnation, news }),
    fc.record({ type: fc.constant('acked' as const), seq: fc.nat({ max: 40 }), peer, incarnation, news }),
    fc.record({ type: fc.constant('failed' as const), seq: fc.nat({ max: 40 }) }),
    fc.record({ type: fc.constant('asked' as const), peer, id: fc.nat(), target: peer }),
    fc.record({
      type: fc.constant('reported' as const),
      seq: fc.nat({ max: 40 }),
      outcome: fc.constantFrom(...PROBE_OUTCOMES),
    }),
  )
/** @param most claims in one message */
const history = (most: number) => {
  const one = inputs(fc.array(claims, { maxLength: most }))
  return fc.array(fc.tuple(one, fc.oneof(fc.nat({ max: 600 }), fc.nat({ max: 10_000 }))), { maxLength: 150 })
}

describe('through any history', () => {
  test('incarnations never go back, deadlines of a suspicion only come nearer, and everything is bounded', () => {
    fc.assert(
      fc.property(history(6), (all) => {
        const swim = createSwimState({ id: 'me', incarnation: 3 }, () => 0.5, 0, SETTINGS)
        let nowMs = 0
        for (const [one, passedMs] of all) {
          nowMs += passedMs
          const own = swim.incarnation
          const before = new Map([...swim.members].map(([id, m]) => [id, { ...m, by: [...m.by] }]))
          const stallsBefore = swim.counts.stalls
          const droppedBefore = swim.counts.membersDropped
          const effects = step(swim, one, nowMs)
          assert.ok(swim.incarnation >= own)
          const accused = effects.filter(({ type }) => type === 'refuted').length
          assert.equal(swim.incarnation > own, accused > 0 || swim.incarnation !== own)
          for (const [id, m] of swim.members) {
            const was = before.get(id)
            // Whoever was forgotten for want of room starts anew.
            if (was === undefined || swim.counts.membersDropped > droppedBefore) continue
            assert.ok(m.incarnation >= was.incarnation, `${id} went back`)
            const isSame = m.standing === 'suspect' && was.standing === 'suspect' && m.incarnation === was.incarnation
            const isLooking = m.deadlineMs === Number.POSITIVE_INFINITY
            if (isSame && !isLooking && swim.counts.stalls === stallsBefore && was.suspectedAtMs === m.suspectedAtMs) {
              assert.ok(m.deadlineMs <= was.deadlineMs, 'a confirmation only shortens')
              assert.ok(m.by.length >= was.by.length)
            }
          }
          for (const effect of effects)
            if ('news' in effect) {
              assert.ok(effect.news.length <= SETTINGS.maxNews + 2, `${effect.news.length} claims`)
              assert.equal(new Set(effect.news.map((c) => c.peer)).size, effect.news.length, 'one of each peer')
            }
          assert.ok(swim.broadcasts.size() <= SETTINGS.maxRumours)
          assert.ok(swim.members.size - swim.neighbours.size <= SETTINGS.maxMembers + 1)
          assert.ok(swim.health >= 0 && swim.health <= swim.settings.maxHealth)
          assert.ok([...swim.suspects.values()].every(({ standing }) => standing === 'suspect'))
          assert.ok(swim.wakeAtMs < Number.POSITIVE_INFINITY, 'there is always a next tick')
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a suspicion that was refuted never ends as a death: only what outdoes the refutation does', () => {
    fc.assert(
      fc.property(history(1), (all) => {
        const swim = createSwimState({ id: 'me', incarnation: 3 }, () => 0.5, 0)
        /** The highest incarnation at which each was ever said to be alive after a suspicion, and accusations above. */
        const refuted = new Map<string, number>()
        const accused = new Map<string, number>()
        let nowMs = 0
        for (const [one, passedMs] of all) {
          nowMs += passedMs
          const heard: MembershipUpdate[] = 'news' in one ? [...one.news] : []
          for (const claim of heard) {
            if (claim.standing === 'alive')
              refuted.set(claim.peer, Math.max(refuted.get(claim.peer) ?? -1, claim.incarnation))
            else if (claim.standing !== 'left')
              accused.set(claim.peer, Math.max(accused.get(claim.peer) ?? -1, claim.incarnation))
          }
          for (const effect of step(swim, one, nowMs)) {
            if (effect.type === 'suspect')
              accused.set(
                effect.peer,
                Math.max(accused.get(effect.peer) ?? -1, swim.members.get(effect.peer)?.incarnation ?? -1),
              )
            if (effect.type !== 'dead') continue
            const at = swim.members.get(effect.peer)?.incarnation ?? -1
            assert.ok(at >= (refuted.get(effect.peer) ?? -1), `${effect.peer} is dead as of ${at}`)
            assert.ok((accused.get(effect.peer) ?? -1) >= at, 'somebody accused that very incarnation')
          }
        }
      }),
      { numRuns: 300 },
    )
  })

  test('whoever has heard the same claims thinks the same, in whatever order', () => {
    const about = fc.array(
      claims.map((claim) => ({ ...claim, peer: 'far' })),
      { minLength: 1, maxLength: 12 },
    )
    fc.assert(
      fc.property(about, fc.integer(), (all, seed) => {
        const random = createRandom(seed)
        const orders = [all, all.toReversed(), all.toSorted(() => random() - 0.5)]
        const ends = orders.map((order) => {
          const swim = createSwimState({ id: 'me', incarnation: 3 }, () => 0.5, 0)
          for (const claim of order) step(swim, { type: 'probed', peer: 'a', incarnation: 1, news: [claim] }, 1)
          const far = swim.members.get('far')
          return [far?.standing, far?.incarnation]
        })
        assert.deepEqual(ends[1], ends[0])
        assert.deepEqual(ends[2], ends[0])
        const highest = all.reduce((a, b) => (compareUpdates(b, a) > 0 ? b : a))
        assert.deepEqual(ends[0], [highest.standing, highest.incarnation])
      }),
    )
  })
})

describe('a mesh', () => {
  /** Cuts a node from fewer than half of its neighbours, in one direction or both; the connections stand. */
  const partlyCut = (members: number, seed: number) => {
    const world = createWorld({ members, seed })
    const random = createRandom(seed)
    const ids = world.living()
    const victim = ids[Math.floor(random() * ids.length)] ?? ''
    world.queue.run(2_000)
    const neighbours = [...world.network.neighbours(victim)].sort(() => random() - 0.5)
    const cut = neighbours.slice(0, Math.floor((neighbours.length - 1) / 2))
    for (const id of cut) {
      const way = random()
      if (way < 0.7) world.network.cut(id, victim)
      if (way > 0.3) world.network.cut(victim, id)
    }
    return { world, victim, cut }
  }

  test('never calls one dead that runs and that most of its neighbours can reach', () => {
    for (let seed = 1; seed <= 25; seed += 1) {
      const { world, victim } = partlyCut(3 + (seed % 10), seed)
      const others = world.living().length - 1
      for (let n = 0; n < 300; n += 1) {
        world.queue.run(world.queue.now() + 100)
        assert.ok(world.count(victim, 'dead') < others, `seed ${seed}: dead for all`)
      }
      assert.equal(world.wrong.deaths, 0, `seed ${seed}`)
    }
  })

  test('that is sparse neither, where nobody else is connected to both', () => {
    for (let seed = 1; seed <= 2; seed += 1) {
      const { world, victim, cut } = partlyCut(80, seed)
      assert.ok(cut.length >= 3)
      for (let n = 0; n < 200; n += 1) {
        world.queue.run(world.queue.now() + 100)
        assert.ok(world.count(victim, 'dead') < world.living().length - 1, `seed ${seed}: dead for all`)
      }
      assert.equal(world.count(victim, 'dead'), 0, `seed ${seed}: it spoke against it`)
    }
  })

  test('finds out about each of several that die at once, and about nobody else', () => {
    for (let seed = 1; seed <= 6; seed += 1) {
      const world = createWorld({ members: 12, seed })
      world.queue.run(2_000)
      const [a = '', b = '', c = ''] = world.living()
      world.kill(a)
      world.kill(b)
      world.node(c).freeze()
      world.queue.run(22_000)
      // The frozen one cannot be asked.
      for (const id of [a, b, c]) assert.ok(world.count(id, 'dead') >= 9, `seed ${seed}: ${id}`)
      assert.equal(world.wrong.deaths, 0)
    }
  })

  test('takes one back that stood still so long that all had given it up, and is not condemned by it', () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const world = createWorld({ members: 8, seed })
      world.queue.run(2_000)
      const [still = ''] = world.living()
      const node = world.node(still)
      node.freeze()
      world.queue.run(17_000)
      assert.equal(world.count(still, 'dead'), 7)
      node.thaw()
      world.queue.run(32_000)
      assert.equal(world.count(still, 'dead') + world.count(still, 'suspect'), 0, `seed ${seed}`)
      assert.equal(node.swim.counts.deaths, 0)
      for (const id of world.living())
        assert.equal(world.directories.tables(id).count(), 7, `seed ${seed}: all are in the view of ${id} again`)
    }
  })
})
