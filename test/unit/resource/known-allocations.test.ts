/** What others may be granted in the place of: those of a lower priority alone are walked over, and each of them is counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceChange } from '../../../protocols/resource/journal/resource-changes.ts'
import { KnownAllocations } from '../../../protocols/resource/planner/known-allocations.ts'
import { planGrant } from '../../../protocols/resource/planner/placement.ts'
import { Steps } from '../../../protocols/resource/planner/search.ts'
import type { Allocation } from '../../../protocols/resource/resource-record.ts'

const fence = { term: 1, index: 7 }
const held = (priority: number, more: Partial<Allocation> = {}): Allocation => ({
  ...{ status: 'allocated', holder: 'ann', registration: 1, size: 1, askedAt: 0, changedAt: 0, priority, fence },
  ...{ preemptible: true, parts: [{ units: { cpu: 1 } }], places: [{ owner: 'box', registration: 1 }] },
  ...more,
})
const below = ({ preemptible }: KnownAllocations, priority: number): string[] =>
  [...preemptible.below(priority)].map(({ id }) => id)

test('those of a lower priority may be ended, as they are now', () => {
  const known = new KnownAllocations()
  for (const priority of [2, 0, 1, 3, 0]) known.set(`p${priority}`, held(priority))
  assert.deepEqual(below(known, 0), [])
  assert.deepEqual(below(known, 2), ['p0', 'p1'])
  known.set('p1', held(2))
  known.set('kept', held(0, { preemptible: false }))
  known.set('p3', undefined)
  assert.deepEqual(below(known, 2), ['p0'])
  assert.deepEqual(below(known, 4), ['p0', 'p2', 'p1'])
  const expire: ResourceChange = { do: 'expire', epoch: 1, id: 'p0', reason: 'a test' }
  known.preemptible.asked(expire)
  assert.deepEqual(below(known, 2), [])
  known.preemptible.answered(expire)
  assert.deepEqual(below(known, 2), ['p0'])
})

test('each one that is walked over costs a step, also where it may not be ended', () => {
  const victims = Array.from({ length: 1_000 }, (_, i) => ({ ...held(1), id: `h-${i}`, fence }))
  const nodes = new Map([['box', { registration: 1, capacity: { cpu: 1_000 }, used: { cpu: 1_000 } }]])
  const steps = new Steps()
  const wanted = { priority: 1, preempts: true, parts: [{ units: { cpu: 1 } }] }
  assert.equal(planGrant(wanted, nodes, victims, steps), undefined)
  assert.ok(steps.taken >= 1_000, `${steps.taken}`)
})
