/** A plan as a program gives it: what is checked, how its tasks are called, and how they are submitted. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { submissions, wantedPlan } from '../../../protocols/coordination/client/plan-client.ts'

const port = { clock: { now: () => 1_000, monotonic: () => 0 }, random: (count: number) => randomBytes(count) }

test('a plan of a task has the same children at each attempt, and needs an id', () => {
  const what = { id: 'parts', parent: 'whole', goal: 'all of it', tasks: [{ type: 'a' }, { type: 'b' }] }
  const { tasks, goal } = wantedPlan(port, what)
  assert.deepEqual(goal.tasks, ['whole.parts-0', 'whole.parts-1'])
  assert.deepEqual(
    tasks.map(({ parent, plan }) => [parent, plan]),
    [
      ['whole', 'parts'],
      ['whole', 'parts'],
    ],
  )
  assert.deepEqual(wantedPlan(port, what), { id: 'parts', goal, tasks })
  const { id: _id, ...nameless } = what
  assert.throws(() => wantedPlan(port, nameless), { code: 'MSG001' })
})

test('tasks are submitted together as far as one decision has room for them, in their order', () => {
  const sizes = (count: number, input: unknown): number[] =>
    submissions(Array.from({ length: count }, (_, i) => ({ id: `${i}`, type: 'a', input: input as string }))).map(
      ({ length }) => length,
    )
  assert.deepEqual(sizes(128, 1), [64, 64])
  assert.deepEqual(sizes(40, 'x'.repeat(15_000)), [17, 17, 6])
  assert.deepEqual(sizes(20, '語'.repeat(5_000)), [17, 3])
  assert.deepEqual(sizes(64, new Uint8Array(1_000_000)), [16, 16, 16, 16])
})

test('what a task depends on is submitted before it, wherever it stands; those that wait for each other are refused', () => {
  const last = { id: 'z', type: 'a' }
  const tasks = Array.from({ length: 100 }, (_, i) => ({ id: `t${i}`, type: 'a', dependencies: [`t${i + 1}`, 'z'] }))
  const all = submissions([...tasks.slice(0, 99), { ...last, id: 't99' }, last, { ...last, id: 'other' }]).flat()
  assert.equal(all.length, 102)
  const at = new Map(all.map(({ id }, i) => [id, i]))
  for (const { id, dependencies = [] } of all)
    for (const on of dependencies) assert.ok((at.get(String(on)) ?? 999) < (at.get(id) ?? -1), `${id} before ${on}`)
  const one = { type: 'a', dependencies: ['b'] }
  const circle = [
    { ...one, id: 'a' },
    { ...one, id: 'b', dependencies: ['a'] },
  ]
  assert.throws(() => wantedPlan(port, { goal: 'g', tasks: circle }), /wait for each other: a → b → a/)
})
