/** Tasks that require resources, on the board: demanded, given, placed, lost, and what they say of why they wait. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Demand, WhyNot } from '../../../../protocols/resource/planner/demands.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { TaskBoard } from '../../../../protocols/task/scheduler/task-board.ts'
import type { TaskRecord, WorkerRecord } from '../../../../protocols/task/task-record.ts'

const record = (more: Partial<TaskRecord> = {}): TaskRecord => ({
  ...{ type: 'sum', status: 'queued', priority: 1, submitter: 'ann', submittedAt: 0, changedAt: 0 },
  ...{ retry: { max: 0, delayMs: 0, maxDelayMs: 0 }, attempts: 0, failures: 0, losses: 0, size: 100 },
  requirements: { cpu_cores: 1 },
  ...more,
})
const worker = (registration: number, slots = 2): WorkerRecord => ({
  ...{ offers: [{ type: 'sum', slots }], registration, incarnation: 1, renewedAt: 0 },
})
const placed = (allocation: string, more: Partial<TaskRecord> = {}): TaskRecord =>
  record({ status: 'assigned', worker: 'bob', registration: 5, fence: { term: 1, index: 9 }, allocation, ...more })

/** A board, and a plan of resources that the test plays. */
class Played {
  readonly demands = new Map<string, Demand>()
  readonly told: string[] = []
  readonly ended = new Set<string>()
  why: WhyNot = 'all-in-use'
  now = 1_000
  board = this.create()

  create(): TaskBoard {
    return new TaskBoard(1, {
      add: (demand) => void this.demands.set(demand.task, demand),
      delete: (task) => void this.demands.delete(task),
      lookAgain: () => {},
      whyNot: () => this.why,
      isAssigned: (id) => !this.ended.has(id),
      placing: (id) => void this.told.push(`placing ${id}`),
      placed: (id) => void this.told.push(`placed ${id}`),
      wake: () => {},
    })
  }

  look(): TaskChange[] {
    return this.board.wanted({ now: this.now, monotonic: this.now })
  }

  /** In short. */
  said(): string[] {
    return this.look().map((change) => {
      if (change.do === 'place') return `${change.id} to ${change.worker} with ${change.allocation}`
      return 'reason' in change ? `${change.do} ${'id' in change ? change.id : ''} ${change.reason}` : change.do
    })
  }

  /** One worker, and one task that demands something of it. */
  begin(slots?: number): Demand {
    this.board.setWorker('bob', worker(5, slots), this.now)
    this.board.setTask('t', record())
    this.look()
    return this.demand('t')
  }

  demand(task: string): Demand {
    const demand = this.demands.get(task)
    assert.ok(demand, `${task} is demanded`)
    return demand
  }
}

describe('a task that requires resources', () => {
  it('is placed where it was given what it requires, and counts there from then on', () => {
    const p = new Played()
    p.board.setWorker('bob', worker(5, 1), p.now)
    p.board.setTask('t', record())
    p.board.setTask('u', record())
    assert.deepEqual(p.said(), [], 'not before')
    assert.deepEqual(p.demand('t').units, { cpu: 1_000 })
    assert.deepEqual([...p.demand('u').free()], ['bob'])
    const { chosen, answered } = p.demand('t')
    chosen('bob', 'x')
    assert.deepEqual([...p.demand('u').free()], [], 'its only slot is taken')
    assert.deepEqual(p.demand('u').all(), ['bob'])
    assert.deepEqual(p.said(), [])
    answered('x', true)
    const [change] = p.look()
    assert.ok(change?.do === 'place' && change.allocation === 'x' && change.registration === 5)
    assert.deepEqual(p.told, ['placing x'])
    p.board.setTask('t', placed('x'))
    p.board.answered(change)
    assert.deepEqual(p.told, ['placing x', 'placed x'])
    assert.deepEqual([...p.demands.keys()], ['u'])
  })

  it('asks again where it was refused, and where its placing was', () => {
    const p = new Played()
    const first = p.begin()
    first.chosen('bob', 'x')
    assert.equal(p.demands.size, 0)
    first.answered('x', false)
    p.look()
    const second = p.demand('t')
    second.chosen('bob', 'y')
    second.answered('y', true)
    const [place] = p.look()
    assert.ok(place?.do === 'place')
    p.board.answered(place)
    p.look()
    assert.ok(p.demand('t'))
    assert.deepEqual(p.told, ['placing x', 'placed x', 'placing y', 'placed y'])
  })

  it('demands nothing any more once it has ended, and again once it comes back', () => {
    const p = new Played()
    p.begin()
    p.board.setTask('t', record({ status: 'canceled' }))
    assert.equal(p.demands.size, 0)
    // Placed by a decision of before this board knew of it, and lost.
    p.board.setTask('u', record())
    p.look()
    p.board.setTask('u', placed('x'))
    assert.equal(p.demands.size, 0)
    p.board.setTask('u', record({ losses: 1 }))
    p.look()
    assert.ok(p.demand('u'))
  })

  it('that was canceled while it was given something is not placed with that', () => {
    const p = new Played()
    const { chosen, answered } = p.begin()
    chosen('bob', 'x')
    p.board.setTask('t', record({ status: 'canceled' }))
    answered('x', true)
    assert.deepEqual(p.said(), [])
    assert.deepEqual(p.told, ['placing x', 'placed x'])
  })

  it('is not placed by a board that another one has replaced', () => {
    const p = new Played()
    const { chosen, answered } = p.begin()
    chosen('bob', 'x')
    p.board.end()
    answered('x', true)
    assert.deepEqual(p.said(), [])
    assert.deepEqual(p.told, ['placing x', 'placed x'])
  })

  it('is lost when what it was placed with has ended, and stays where it is held', () => {
    const p = new Played()
    p.board.setWorker('bob', worker(5), p.now)
    p.board.setTask('t', placed('x'))
    assert.deepEqual(p.said(), [])
    p.ended.add('x')
    p.board.lookAt('t')
    assert.deepEqual(p.said(), ['lose t resources-ended: x'])
    p.board.setTask('u', record({ status: 'paused', worker: 'bob', registration: 5, fence: { term: 1, index: 3 } }))
    assert.deepEqual(p.said(), [])
  })

  it('says after a while why it waits, and no sooner', () => {
    const p = new Played()
    p.board.setTask('t', record())
    p.board.setWorker('bob', worker(5), p.now)
    assert.deepEqual(p.said(), [])
    p.now = 2_001
    assert.deepEqual(p.said(), ['explain t all-in-use'])
    p.board.setTask('t', record({ reason: 'all-in-use' }))
    assert.deepEqual(p.said(), [])
    p.why = 'no-such-capacity'
    p.now += 1_000
    assert.deepEqual(p.said(), ['explain t no-such-capacity'])
    p.board.setTask('u', record())
    assert.deepEqual(p.said(), [])
  })

  it('waits until it is known whether voters know of allocations, and is placed without where they do not', () => {
    const unknown = new TaskBoard(1, 'unknown')
    const older = new TaskBoard(1)
    for (const board of [unknown, older]) {
      board.setWorker('bob', worker(5), 1_000)
      board.setTask('t', record())
    }
    assert.deepEqual(unknown.wanted({ now: 1_000, monotonic: 1_000 }), [])
    const [place] = older.wanted({ now: 1_000, monotonic: 1_000 })
    assert.ok(place?.do === 'place' && place.allocation === undefined)
  })
})
