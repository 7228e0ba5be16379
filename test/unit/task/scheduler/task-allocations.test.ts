/** What is allocated for tasks is given back once it is for no attempt, and not before. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { type Assigned, type DemandPlanner, Demands } from '../../../../protocols/resource/planner/demands.ts'
import { TaskAllocations } from '../../../../protocols/task/scheduler/task-allocations.ts'
import type { TaskRecord } from '../../../../protocols/task/task-record.ts'

const inWork = (allocation: string): TaskRecord => ({
  ...{ type: 'sum', status: 'running', priority: 1, submitter: 'ann', submittedAt: 0, changedAt: 0 },
  ...{ retry: { max: 0, delayMs: 0, maxDelayMs: 0 }, attempts: 1, failures: 0, losses: 0, size: 100 },
  ...{ worker: 'bob', registration: 5, fence: { term: 1, index: 9 }, allocation },
})

const create = (there: readonly Assigned[] = []) => {
  const time = createVirtualTime()
  const demands = new Demands()
  const records = new Map<string, TaskRecord>()
  const gone = new Set<string>()
  const given: string[] = []
  const lookedAt: string[] = []
  let refuses = 0
  const planner: DemandPlanner = {
    ...{ state: () => 'ready', whyNot: () => 'all-in-use', isAssigned: () => true, assigned: () => there },
    ...{ addDemand() {}, deleteDemand() {}, lookAgain() {} },
    async unassign(id) {
      refuses -= 1
      if (refuses >= 0) throw new ParleyError('COM001', 'nobody decides')
      given.push(id)
    },
  }
  demands.setPlanner(planner)
  const allocations = new TaskAllocations({
    port: { timers: time, log: { error() {}, warn() {}, info() {} } },
    capacity: demands,
    recordOf: (task) => records.get(task),
    isGone: (peer) => gone.has(peer),
    lookAt: (task) => lookedAt.push(task),
    wake: () => {},
  })
  const tell = (id: string, task: string, isThere = true): void => demands.tell({ id, task, peer: 'bob' }, isThere)
  const look = async (): Promise<string[]> => {
    allocations.look()
    await time.run(1)
    return given.splice(0)
  }
  return {
    allocations,
    demands,
    records,
    gone,
    lookedAt,
    tell,
    look,
    time,
    refuse: (times: number) => (refuses = times),
  }
}

describe('what is allocated for a task', () => {
  it('stays with the attempt that was placed with it, and goes when that is over', async () => {
    const { tell, look, records, allocations } = create()
    records.set('t', inWork('x'))
    tell('x', 't')
    assert.deepEqual(await look(), [])
    records.set('t', inWork('y'))
    allocations.taskChanged('t')
    assert.deepEqual(await look(), ['x'])
    tell('x', 't', false)
    assert.equal(allocations.size(), 0)
  })

  it('stays while the task is being placed', async () => {
    const { tell, look, allocations } = create()
    allocations.placing('x')
    tell('x', 't')
    assert.deepEqual(await look(), [])
    allocations.placed('x', 't')
    assert.deepEqual(await look(), ['x'])
  })

  it('stays with a worker that is gone until that is there again', async () => {
    const { tell, look, gone, allocations } = create()
    gone.add('bob')
    tell('x', 't')
    assert.deepEqual(await look(), [])
    gone.delete('bob')
    allocations.presenceChanged('bob')
    assert.deepEqual(await look(), ['x'])
  })

  it('is given back later where nobody decides', async () => {
    const { tell, look, time, refuse } = create()
    refuse(1)
    tell('x', 't')
    assert.deepEqual(await look(), [])
    assert.deepEqual(await look(), [])
    await time.run(500)
    assert.deepEqual(await look(), ['x'])
  })

  it('is found by the next one that coordinates, and its end is told', async () => {
    const { look, lookedAt, tell, allocations } = create([{ id: 'x', task: 't', peer: 'bob' }])
    assert.deepEqual(await look(), ['x'])
    tell('x', 't', false)
    assert.deepEqual(lookedAt, ['t'])
    allocations.stop()
    tell('z', 't')
    assert.deepEqual(await look(), [])
  })
})
