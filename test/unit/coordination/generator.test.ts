/** Whom the default plan generator chooses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  canDo,
  checkedPlan,
  defaultGenerator,
  type PlanInput,
  type PlannableAgent,
  type PlannableTask,
  whyNobody,
} from '../../../protocols/coordination/planner/generator.ts'

const task = (id: string, more: Partial<PlannableTask> = {}): PlannableTask => ({
  ...{ id, type: 'work', version: undefined, priority: 1, needs: {}, assignee: undefined, refusedBy: [] },
  ...more,
})
const agent = (
  name: string,
  more: Partial<PlannableAgent> & { slots?: number; running?: number } = {},
): PlannableAgent => {
  const { slots = 2, running = 0, ...rest } = more
  return {
    ...{ agent: name, capabilities: [{ type: 'work', versions: ['2'], slots, running }], capacity: {}, free: {} },
    ...{ load: 0, queueLength: 0, price: undefined, zone: undefined, roundTripMs: 1 },
    ...rest,
  }
}
const choose = (input: Partial<PlanInput>): Record<string, string> => {
  const all: PlanInput = {
    ...{ plan: 'p', goal: 'g', tasks: [], agents: [], weights: {}, zone: undefined, metrics: new Map() },
    ...input,
  }
  return Object.fromEntries(defaultGenerator(all).map((one) => [one.task, one.agent]))
}

test('work is spread by what each agent has in work, of what it takes at once', () => {
  const agents = [agent('a', { running: 1 }), agent('b'), agent('c', { slots: 4 })]
  const chosen = Object.values(choose({ tasks: ['1', '2', '3', '4', '5', '6', '7'].map((id) => task(id)), agents }))
  const count = (name: string): number => chosen.filter((one) => one === name).length
  assert.deepEqual([count('a'), count('b'), count('c')], [1, 2, 4])
})

test('who has it already keeps it where another one is not better', () => {
  const agents = [agent('a'), agent('b')]
  assert.deepEqual(choose({ tasks: [task('1', { assignee: 'b' })], agents }), { 1: 'b' })
  assert.deepEqual(
    choose({ tasks: [task('1', { assignee: 'b' })], agents: [agent('a'), agent('b', { running: 1 })] }),
    {
      1: 'a',
    },
  )
})

test('who refused it lately is chosen where nobody else does it', () => {
  const agents = [agent('a'), agent('b', { running: 1 })]
  assert.deepEqual(choose({ tasks: [task('1', { refusedBy: ['a'] })], agents }), { 1: 'b' })
  assert.deepEqual(choose({ tasks: [task('1', { refusedBy: ['a', 'b'] })], agents }), { 1: 'a' })
  assert.deepEqual(
    choose({ tasks: [task('1', { refusedBy: ['a'] })], agents: [agent('a'), agent('c', { slots: 0 })] }),
    {
      1: 'a',
    },
  )
})

test('who refuses gets nothing of a large plan, however much the others have by then', () => {
  const tasks = Array.from({ length: 64 }, (_, i) => task(`${i}`, { refusedBy: i % 2 === 0 ? ['a'] : [] }))
  const chosen = choose({ tasks, agents: [agent('a', { slots: 4 }), agent('b', { slots: 1, running: 1, price: 9 })] })
  assert.deepEqual(
    tasks.filter(({ id, refusedBy }) => refusedBy.length > 0 && chosen[id] !== 'b'),
    [],
  )
  assert.equal(Object.keys(chosen).length, 64)
})

test('a cheaper agent, and one of the zone, are preferred as much as their weights say', () => {
  const agents = [agent('a', { price: 100 }), agent('b', { price: 10, running: 1 })]
  assert.deepEqual(choose({ tasks: [task('1')], agents }), { 1: 'a' })
  assert.deepEqual(choose({ tasks: [task('1')], agents, weights: { price: 2 } }), { 1: 'b' })
  const near = [agent('a'), agent('b', { zone: 'here' })]
  assert.deepEqual(choose({ tasks: [task('1')], agents: near, zone: 'here' }), { 1: 'b' })
  assert.deepEqual(choose({ tasks: [task('1')], agents: near, zone: 'here', weights: { locality: 0 } }), { 1: 'a' })
})

test('an agent without the version, or without the capacity, gets nothing; one whose resources are in use only where no other has them', () => {
  assert.deepEqual(choose({ tasks: [task('1', { version: '3' })], agents: [agent('a')] }), {})
  assert.deepEqual(choose({ tasks: [task('1', { version: '2' })], agents: [agent('a')] }), { 1: 'a' })
  const needs = { gpu: 1 }
  const busy = agent('a', { capacity: { gpu: 1 }, free: {} })
  const free = agent('b', { capacity: { gpu: 1 }, free: { gpu: 1 }, running: 1 })
  assert.deepEqual(choose({ tasks: [task('1', { needs })], agents: [agent('c')] }), {})
  assert.deepEqual(choose({ tasks: [task('1', { needs })], agents: [busy] }), { 1: 'a' })
  assert.deepEqual(choose({ tasks: [task('1', { needs })], agents: [busy, free] }), { 1: 'b' })
  assert.match(whyNobody([agent('c')], task('1', { needs })), /^no-such-capacity: .* gpu$/)
  assert.match(whyNobody([], task('1')), /^no-agent: /)
})

test('whatever there is, each task goes to one agent that can do it, and is left out only where nobody can', () => {
  const units = fc.record({ gpu: fc.nat(3) })
  const agents = fc.uniqueArray(
    fc.record({
      agent: fc.constantFrom('a', 'b', 'c', 'd'),
      slots: fc.nat(3),
      running: fc.nat(4),
      capacity: units,
      free: units,
      price: fc.option(fc.nat(5), { nil: undefined }),
    }),
    { selector: (one) => one.agent, maxLength: 4 },
  )
  const tasks = fc.uniqueArray(
    fc.record({
      id: fc.constantFrom('1', '2', '3', '4', '5', '6'),
      needs: units,
      version: fc.constantFrom(undefined, '2', '3'),
    }),
    { selector: (one) => one.id, maxLength: 6 },
  )
  fc.assert(
    fc.property(agents, tasks, (some, wanted) => {
      const all = some.map(({ agent: name, ...more }) => agent(name, more))
      const plannable = wanted.map(({ id, ...more }) => task(id, more))
      const chosen = choose({ tasks: plannable, agents: all })
      for (const one of plannable) {
        const who = all.find((other) => other.agent === chosen[one.id])
        if (who === undefined) assert.ok(!all.some((other) => canDo(other, one)), one.id)
        else assert.ok(canDo(who, one), one.id)
      }
    }),
    { numRuns: 300 },
  )
})

test('what a generator of a program gives is carried out as far as it can be, and else says why it cannot', () => {
  const input: PlanInput = {
    ...{ plan: 'p', goal: 'g', tasks: [task('1'), task('2')], agents: [agent('a'), agent('b', { slots: 0 })] },
    ...{ weights: {}, zone: undefined, metrics: new Map() },
  }
  const chosen = [{ task: '1', agent: 'a' }]
  assert.deepEqual(checkedPlan(input, chosen), { chosen, adjustments: [] })
  const adjustments = [{ agent: 'b', resource: 'cpu', change: -2 }]
  assert.deepEqual(checkedPlan(input, { chosen, adjustments }), { chosen, adjustments })
  const whyNot = (given: unknown): string => {
    const checked = checkedPlan(input, given)
    return typeof checked === 'string' ? checked : assert.fail('it was taken')
  }
  for (const bad of [undefined, null, 7, 'x', {}, { chosen: 7 }, { chosen, adjustments: 7 }])
    assert.match(whyNot(bad), /no list/)
  assert.match(whyNot([...chosen, ...chosen]), /twice/)
  assert.match(whyNot([{ task: '1', agent: 'c' }]), /not there: c/)
  assert.match(whyNot([{ task: '1', agent: 'b' }]), /b cannot do 1/)
  assert.match(whyNot([null]), /not open/)
  for (const change of [0, 0.5, Number.NaN, 2 ** 53, '1', undefined])
    assert.match(whyNot({ chosen, adjustments: [{ agent: 'a', resource: 'cpu', change }] }), /cannot be adjusted/)
  for (const resource of ['', 7, 'x'.repeat(65)])
    assert.match(whyNot({ chosen, adjustments: [{ agent: 'a', resource, change: 1 }] }), /cannot be adjusted/)
  assert.match(whyNot({ chosen, adjustments: [{ agent: 'c', resource: 'cpu', change: 1 }] }), /not there: c/)
  assert.match(whyNot({ chosen, adjustments: Array(65).fill(adjustments[0]) }), /more than 64/)
})
