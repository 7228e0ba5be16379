/** What the coordinator's board does about tasks that are held for plans. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TaskBoard } from '../../../../protocols/task/scheduler/task-board.ts'
import type { TaskRecord, WorkerRecord } from '../../../../protocols/task/task-record.ts'

const record = (more: Partial<TaskRecord> = {}): TaskRecord => ({
  ...{ type: 'sum', status: 'queued', priority: 1, submitter: 'ann', submittedAt: 0, changedAt: 0, plan: 'p' },
  ...{ retry: { max: 0, delayMs: 0, maxDelayMs: 0 }, attempts: 0, failures: 0, losses: 0, size: 100 },
  ...more,
})
const worker = (registration: number, slots = 1, type = 'sum'): WorkerRecord => ({
  ...{ offers: [{ type, slots }], registration, incarnation: 1, renewedAt: 0 },
})

class Board {
  readonly board = new TaskBoard(1)
  now = 1_000
  told(): string[] {
    return this.board.wanted({ now: this.now, monotonic: this.now }).map((change) => {
      if (change.do === 'place') return `${change.id} to ${change.worker}`
      return change.do === 'explain' ? `${change.id} ${change.reason || 'has a worker'}` : change.do
    })
  }
}

test('held, it goes nowhere and says so; steered, to its assignee although others have more room', () => {
  const b = new Board()
  b.board.setWorker('bob', worker(5, 2), b.now)
  b.board.setWorker('carl', worker(6, 9), b.now)
  b.board.setTask('t', record())
  b.board.setTask('free', record({ plan: undefined }))
  assert.deepEqual(b.told(), ['free to bob'])
  b.now += 1_500
  assert.deepEqual(b.told(), ['t held-by-plan'])
  b.board.setTask('t', record({ reason: 'held-by-plan', assignee: 'bob' }))
  assert.deepEqual(b.told(), ['t to bob'])
})

test('it waits for its assignee, and is taken from it when it is steered elsewhere', () => {
  const b = new Board()
  b.board.setWorker('bob', worker(5), b.now)
  b.board.setWorker('carl', worker(6), b.now)
  b.board.setTask('one', record({ assignee: 'bob' }))
  b.board.setTask('two', record({ assignee: 'bob' }))
  assert.deepEqual(b.told(), ['one to bob'])
  assert.deepEqual(b.told(), [])
  b.board.setTask('two', record({ assignee: 'carl' }))
  assert.deepEqual(b.told(), ['two to carl'])
  // To one and back: it stands in the first queue twice, and is placed once.
  b.board.setTask('three', record({ assignee: 'bob' }))
  b.board.setTask('three', record({ assignee: 'carl' }))
  b.board.setTask('three', record({ assignee: 'bob' }))
  b.board.setTask('one', record({ assignee: 'bob', status: 'completed' }))
  assert.deepEqual(b.told(), ['three to bob'])
})

test('an assignee that is not there, or takes no such tasks, is a reason', () => {
  const b = new Board()
  b.board.setWorker('bob', worker(5, 1, 'other'), b.now)
  b.board.setTask('a', record({ assignee: 'bob' }))
  b.board.setTask('b', record({ assignee: 'nobody' }))
  assert.deepEqual(b.told(), [])
  b.now += 1_500
  assert.deepEqual(b.told().sort(), ['a no-worker', 'b no-worker'])
  b.board.setWorker('nobody', worker(7), b.now)
  b.board.setTask('b', record({ assignee: 'nobody', reason: 'no-worker' }))
  assert.ok(b.told().includes('b to nobody'))
})
