/** The planner proposes nothing that is refused, and nothing that fits is left out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { obstacle } from '../../../protocols/resource/planner/feasibility.ts'
import { type Plan, placesWhenIdle, planGrant } from '../../../protocols/resource/planner/placement.ts'
import type { PlannedVictim } from '../../../protocols/resource/planner/preemption.ts'
import type { Ask, NodeRecord } from '../../../protocols/resource/resource-record.ts'
import { plus } from '../../../protocols/resource/units.ts'
import { LEADER, ResourceJournal } from '../../support/resource-journal.ts'

const PEERS = ['p0', 'p1', 'p2', 'p3']
const units = fc.dictionary(fc.constantFrom('cpu', 'gpu'), fc.nat(6), { noNullPrototype: true })
const ask: fc.Arbitrary<Ask> = fc.record(
  {
    priority: fc.nat(3),
    parts: fc.array(fc.record({ units, owner: fc.constantFrom(...PEERS) }, { requiredKeys: ['units'] }), {
      minLength: 1,
      maxLength: 4,
    }),
    spread: fc.boolean(),
    preemptible: fc.boolean(),
    preempts: fc.boolean(),
  },
  { requiredKeys: ['priority', 'parts'] },
)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant('allocate' as const), ask, by: fc.constantFrom(...PEERS) }) },
  { weight: 8, arbitrary: fc.record({ what: fc.constant('plan' as const), n: fc.nat(9) }) },
  {
    weight: 3,
    arbitrary: fc.record({ what: fc.constantFrom('release' as const, 'expire' as const), n: fc.nat(9) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('register' as const),
      by: fc.constantFrom(...PEERS),
      capacity: units,
      incarnation: fc.integer({ min: 1, max: 3 }),
      draining: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('dismiss' as const), by: fc.constantFrom(...PEERS) }) },
)

const victimsOf = (journal: ResourceJournal): PlannedVictim[] =>
  [...journal.allocations()].flatMap(([id, one]) =>
    one.status === 'allocated' && one.fence !== undefined ? [{ ...one, id, fence: one.fence }] : [],
  )

/** All ways there are. */
const anyWay = (wanted: Ask, nodes: ReadonlyMap<string, NodeRecord>): boolean => {
  const peers = [...nodes.keys()]
  const ways = wanted.parts.reduce<string[][]>((all) => all.flatMap((way) => peers.map((peer) => [...way, peer])), [[]])
  return ways.some((way) => {
    const places = way.map((owner) => ({ owner, registration: nodes.get(owner)?.registration ?? 0 }))
    return obstacle(wanted, places, (peer) => nodes.get(peer)) === undefined
  })
}

test('whatever happens: what is planned is granted, and no node gives more than it has', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const journal = new ResourceJournal()
      for (const peer of PEERS) journal.register(peer, { cpu: 6, gpu: 2 })
      let made = 0
      for (const one of steps) {
        const all = [...journal.allocations()]
        const waiting = all.filter(([, { status }]) => status === 'waiting')
        if (one.what === 'allocate') {
          made += 1
          journal.allocate(one.by, `a${made}`, one.ask)
        } else if (one.what === 'plan') {
          const [id, wanted] = waiting[one.n % Math.max(1, waiting.length)] ?? []
          if (id === undefined || wanted === undefined) continue
          const holder = journal.node(wanted.holder)
          if (holder?.registration !== wanted.registration || holder.isOver === true) continue
          const nodes = journal.nodes()
          const plan = planGrant(wanted, nodes, victimsOf(journal))
          const fitsSomehow = anyWay(wanted, nodes)
          assert.ok(!fitsSomehow || plan?.victims.length === 0, 'it fits without ending anybody')
          if (plan === undefined) continue
          assert.ok(fitsSomehow || plan.victims.length > 0)
          const { places } = plan
          const victims = plan.victims.map((victim) => ({ id: victim.id, fence: victim.fence }))
          assert.equal(journal.one(LEADER, { do: 'grant', epoch: 1, id, places, victims }), null)
        } else if (one.what === 'release' || one.what === 'expire') {
          const [id, found] = all[one.n % Math.max(1, all.length)] ?? []
          if (id === undefined || found === undefined) continue
          if (one.what === 'release') journal.one(found.holder, { do: 'release', id })
          else journal.one(LEADER, { do: 'expire', epoch: 1, id, reason: 'over' })
        } else if (one.what === 'register') {
          const { by, capacity, incarnation, draining } = one
          journal.one(by, { do: 'register', incarnation, capacity, draining })
        } else if (one.what === 'dismiss') {
          const { registration = 0 } = journal.node(one.by) ?? {}
          journal.one(LEADER, { do: 'dismiss', epoch: 1, peer: one.by, registration })
        }
        journal.check()
      }
    }),
    { numRuns: 150 },
  )
})

const nodesOf = (capacities: readonly Readonly<Record<string, number>>[]): Map<string, NodeRecord> =>
  new Map(
    capacities.map((capacity, i) => [
      `n${i}`,
      { registration: i, incarnation: 1, renewedAt: 0, capacity, used: {}, holds: 0, gives: 0 },
    ]),
  )

test('a gang that only one way fits is found, and a part goes where the least is left over', () => {
  const nodes = nodesOf([{ cpu: 8 }, { cpu: 4 }, { cpu: 16 }])
  const one = planGrant({ priority: 1, parts: [{ units: { cpu: 4 } }] }, nodes)
  assert.deepEqual(one?.places, [{ owner: 'n1', registration: 1 }])
  const parts = [{ units: { cpu: 4 } }, { units: { cpu: 8 } }, { units: { cpu: 16 } }]
  assert.deepEqual(
    planGrant({ priority: 1, parts }, nodes)?.places.map(({ owner }) => owner),
    ['n1', 'n0', 'n2'],
  )
  assert.equal(planGrant({ priority: 1, parts: [...parts, { units: { cpu: 1 } }] }, nodes), undefined)
})

test('what could never fit is told from what does not fit now', () => {
  const nodes = nodesOf([{ cpu: 8 }, { cpu: 8 }])
  for (const [peer, node] of nodes) nodes.set(peer, { ...node, used: { cpu: 8 } })
  const wanted = { priority: 1, parts: [{ units: { cpu: 8 } }, { units: { cpu: 8 } }] }
  assert.equal(planGrant(wanted, nodes), undefined)
  assert.ok(placesWhenIdle(wanted, nodes))
  assert.equal(placesWhenIdle({ priority: 1, parts: [{ units: { cpu: 9 } }] }, nodes), undefined)
  assert.equal(placesWhenIdle({ priority: 1, parts: [{ units: { gpu: 1 } }] }, nodes), undefined)
})

const endable = (id: number, part: Readonly<Record<string, number>>, owner: string): PlannedVictim => ({
  ...{ id: `v${id}`, status: 'allocated', priority: 0, preemptible: true, changedAt: id },
  ...{ parts: [{ units: part }], places: [{ owner, registration: Number(owner.slice(1)) }] },
  fence: { term: 1, index: id },
})

/** With what these have of it. */
const usedBy = (
  nodes: ReadonlyMap<string, NodeRecord>,
  victims: readonly PlannedVictim[],
): ReadonlyMap<string, NodeRecord> => {
  const all = new Map(nodes)
  for (const { parts, places = [] } of victims)
    for (const [i, { owner }] of places.entries()) {
      const node = all.get(owner)
      if (node !== undefined) all.set(owner, { ...node, used: plus(node.used, parts[i]?.units ?? {}) })
    }
  return all
}
const ending = (plan: Plan | undefined): string[] | undefined => plan?.victims.map(({ id }) => id).sort()

test('those that give back nothing that is lacking stand in the way of nobody, however many they are', () => {
  const nodes = nodesOf([{ gpu: 1, cpu: 9 }, { cpu: 9_000 }, { gpu: 0, cpu: 9_000 }])
  const inTheWay = endable(0, { gpu: 1 }, 'n0')
  const others = Array.from({ length: 300 }, (_, i) => endable(i + 1, { cpu: 1 }, i < 8 ? 'n0' : `n${1 + (i % 2)}`))
  const wanted = { priority: 3, preempts: true, parts: [{ units: { gpu: 1, cpu: 1 } }] }
  assert.deepEqual(ending(planGrant(wanted, usedBy(nodes, [...others, inTheWay]), [...others, inTheWay])), ['v0'])
})

test('one large one is ended where it would take more small ones than one decision may end', () => {
  const nodes = nodesOf([{ cpu: 4_000 }])
  const small = Array.from({ length: 200 }, (_, i) => endable(i + 1, { cpu: 10 }, 'n0'))
  const victims = [endable(0, { cpu: 2_000 }, 'n0'), ...small]
  const wanted = (cpu: number) => ({ priority: 3, preempts: true, parts: [{ units: { cpu } }] })
  assert.deepEqual(ending(planGrant(wanted(1_000), usedBy(nodes, victims), victims)), ['v0'])
  assert.equal(ending(planGrant(wanted(640), usedBy(nodes, victims), small))?.length, 64)
  assert.equal(planGrant(wanted(641), usedBy(nodes, victims), small), undefined, 'one more')
})

test('of a thousand nodes one is found in a moment', () => {
  const nodes = nodesOf(Array.from({ length: 1_000 }, (_, i) => ({ cpu: 1_000 + i, memory: 10_000 })))
  const begun = performance.now()
  for (let i = 0; i < 100; i += 1) {
    const plan = planGrant({ priority: 1, parts: [{ units: { cpu: 1_500, memory: 100 } }] }, nodes)
    assert.equal(plan?.places[0]?.owner, 'n500')
  }
  assert.ok(performance.now() - begun < 5_000)
})
