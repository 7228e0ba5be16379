/** What children that were let go may still leave: the same as by the plain rule, and in time for large fan-outs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Amounts, amountIn, less, NO_AMOUNTS, sum } from '../../../../protocols/budget/amounts.ts'
import type { TaskState } from '../../../../protocols/task/client/task-api.ts'
import type { TaskRecord } from '../../../../protocols/task/task-record.ts'
import { mayLeave } from '../../../../protocols/task/worker/child-prospect.ts'
import { createRandom } from '../../../soak/random.ts'

const child = (id: string, on: readonly string[], more: Partial<TaskRecord> = {}): TaskState => {
  const status = on.length === 0 ? 'running' : 'submitted'
  const dependencies = on.map((task_id) => ({ task_id, condition: 'completed' }))
  const budget = { amounts: { tokens: 3 }, used: { tokens: 2 }, returnsTo: 1 }
  return { id, status, version: 1, record: { parent: 't', status, dependencies, budget, ...more } as TaskRecord }
}

/** With those that wait for it, directly or through others that wait. */
const waitersOf = (id: string, below: readonly TaskState[], found = new Set<string>()): Set<string> => {
  for (const { id: waits, record } of below)
    if (!found.has(waits) && record.dependencies?.some(({ task_id: on }) => on === id)) {
      found.add(waits)
      waitersOf(waits, below, found)
    }
  return found
}

/** By the plain rule: one leaves what it has, unless it waits for one above it. */
const plainly = (task: string, below: readonly TaskState[], above: readonly string[] = []): Amounts => {
  const path = [...above, task]
  let all = NO_AMOUNTS
  for (const { id, record } of below) {
    const { budget } = record
    if (record.parent !== task || budget?.returnsTo === undefined) continue
    if (path.some((one) => waitersOf(one, below).has(id))) continue
    const open = sum(budget.open ?? NO_AMOUNTS, plainly(id, below, path))
    all = sum(all, less(budget.amounts, less(budget.used, open)))
  }
  return all
}

test('children leave what they leave by the plain rule, whatever waits for what below them', () => {
  const { below: upTo } = createRandom(7)
  let held = 0
  for (let round = 0; round < 2_000; round += 1) {
    const ids = ['t']
    const tasks: TaskState[] = []
    const count = 1 + upTo(9)
    for (let i = 0; i < count; i += 1) {
      const parent = ids[upTo(ids.length)] ?? 't'
      const on = Array.from({ length: upTo(3) }, () => (upTo(6) === 0 ? 't' : `c${upTo(count)}`))
      const lent = upTo(8) === 0 ? {} : { returnsTo: 1 }
      const budget = { amounts: { tokens: 1 + upTo(9) }, used: { tokens: upTo(9) }, ...lent }
      tasks.push(child(`c${i}`, on, { parent, budget }))
      ids.push(`c${i}`)
    }
    const expected = amountIn(plainly('t', tasks), 'tokens')
    assert.equal(amountIn(mayLeave('t', tasks), 'tokens'), expected, JSON.stringify(tasks))
    const withoutWaits = tasks.map(({ id, record }) => child(id, [], { ...record, dependencies: [] }))
    if (amountIn(mayLeave('t', withoutWaits), 'tokens') !== expected) held += 1
  }
  assert.ok(held > 100, `some wait for what is above them: ${held}`)
})

/** @param each waits for so many of those before it */
const inOneRow = (count: number, each: number, of = 't'): TaskState[] => {
  const idOf = (i: number): string => `${of}.c${String(i).padStart(5, '0')}`
  return Array.from({ length: count }, (_, i) => {
    const on = Array.from({ length: Math.min(each, i) }, (_, k) => idOf(i - 1 - k))
    return child(idOf(i), on, { parent: of })
  })
}

const SHAPES: Readonly<Record<string, readonly TaskState[]>> = {
  '10,000 that wait for each other in a row': inOneRow(10_000, 1),
  '3,000 that wait for 64 each': inOneRow(3_000, 64),
  '10,000 beside each other': inOneRow(10_000, 0),
  '100 with 98 children each, one of which waits for the other, and one that waits for all of them': [
    ...inOneRow(100, 0).flatMap((one) => [one, ...inOneRow(98, 1, one.id)]),
    child(
      't.last',
      Array.from(inOneRow(64, 0), ({ id }) => id),
    ),
  ],
}
for (const [shape, tasks] of Object.entries(SHAPES))
  test(`its node is not held up by a draw beside children: ${shape}`, () => {
    const from = performance.now()
    assert.ok(amountIn(mayLeave('t', tasks), 'tokens') > 0)
    const ms = performance.now() - from
    // Some 20 ms; a walk over all that wait, for each of them, takes seconds.
    assert.ok(ms < 500, `${ms} ms`)
  })

test('dependencies are looked at a million times: those that wait and are not found by then count as if they did not', () => {
  const budget = { amounts: { tokens: 3 }, used: { tokens: 3 }, returnsTo: 1 }
  const parents = inOneRow(100, 0).map(({ id }) => child(id, [], { budget }))
  /** A row waits for all parents, and a child of each parent for the end of the row: for each parent all that is looked at. */
  const leftBehind = (length: number): number => {
    const row = Array.from({ length }, (_, i) => {
      const on = i === 0 ? parents.map(({ id }) => id) : [`q.${i - 1}`]
      return child(`q.${i}`, on, { parent: 'q' })
    })
    const children = parents.map(({ id }) => child(`${id}.x`, [`q.${length - 1}`], { parent: id }))
    return amountIn(mayLeave('t', [...parents, ...row, ...children]), 'tokens')
  }
  assert.equal(leftBehind(9_900), 0)
  assert.equal(leftBehind(9_901), 1, 'the last one was not found')
})
