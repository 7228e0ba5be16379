/** Who waits stands in the order of asking, whenever it was told. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Waiting, WaitingLine } from '../../../protocols/resource/planner/waiting-line.ts'
import { PlannedBoard } from '../../support/planned-board.ts'

it('who asked earlier stands before who was told earlier, and priority comes first', () => {
  const line = new WaitingLine()
  const add = (id: string, since: number, priority = 1): void =>
    line.add({
      ...{ id, since, priority, holder: 'ann', shape: id, names: new Set<string>() },
      wanted: { priority, parts: [{ units: {} }] },
    } satisfies Waiting)
  for (const [id, since] of [
    ['b', 2],
    ['d', 4],
    ['c', 3],
    ['a', 1],
    ['d2', 4],
  ] as const)
    add(id, since)
  add('urgent', 9, 3)
  const order = (): string[] => [...line.inOrder()].map(({ id }) => id)
  assert.deepEqual(order(), ['urgent', 'a', 'b', 'c', 'd', 'd2'])
  line.delete('a')
  add('e', 5)
  add('a', 1)
  assert.deepEqual(order(), ['urgent', 'a', 'b', 'c', 'd', 'd2', 'e'])
})

it('a task that asked first is first also where another node begins to coordinate', () => {
  const played = new PlannedBoard({ box: { cpu: 4 } })
  played.ask('had', { cpu: 4 })
  played.step()
  const since = played.now
  played.now += 1_000
  played.ask('later', { cpu: 4 })
  played.begin()
  played.board.addDemand({
    ...{ task: 't', priority: 1, units: { cpu: 4 }, since, shape: 's' },
    ...{ free: () => ['box'], isFree: () => true, all: () => ['box'], chosen() {}, answered() {} },
  })
  played.release('had')
  assert.deepEqual(played.step(), ['assign task-0'])
})
