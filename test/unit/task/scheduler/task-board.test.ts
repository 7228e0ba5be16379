/** What the coordinator wants decided, by what it knows of tasks, workers and time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { TaskBoard } from '../../../../protocols/task/scheduler/task-board.ts'
import { LEASE_MARGIN_MS, LEASE_MS } from '../../../../protocols/task/scheduler/worker-table.ts'
import type { TaskRecord, WorkerRecord } from '../../../../protocols/task/task-record.ts'

const record = (more: Partial<TaskRecord> = {}): TaskRecord => ({
  ...{ type: 'sum', status: 'queued', priority: 1, submitter: 'ann', submittedAt: 0, changedAt: 0 },
  ...{ retry: { max: 0, delayMs: 0, maxDelayMs: 0 }, attempts: 0, failures: 0, losses: 0, size: 100 },
  ...more,
})
const worker = (registration: number, slots = 2, more: Partial<WorkerRecord> = {}): WorkerRecord => ({
  ...{ offers: [{ type: 'sum', slots }], registration, incarnation: 1, renewedAt: 0 },
  ...more,
})
const assigned = (peer: string, registration: number, more: Partial<TaskRecord> = {}): TaskRecord =>
  record({ status: 'assigned', worker: peer, registration, fence: { term: 1, index: 9 }, attempts: 1, ...more })

class Board {
  readonly board = new TaskBoard(1)
  now = 1_000
  look(): TaskChange[] {
    return this.board.wanted({ now: this.now, monotonic: this.now })
  }
  /** In short. */
  told(): string[] {
    return this.look().map((change) => {
      if (change.do === 'place') return `${change.id} to ${change.worker}`
      if (change.do === 'explain') return `${change.id} ${change.reason === '' ? 'has a worker' : change.reason}`
      if (change.do === 'archive') return `archive ${change.tasks.map(({ id }) => id).join(' ')}`
      return `${change.do} ${'id' in change ? change.id : 'worker' in change ? change.worker : ''}`
    })
  }
  worker(peer: string, is: WorkerRecord | undefined): void {
    this.board.setWorker(peer, is, this.now)
  }
  task(id: string, is: TaskRecord | undefined): void {
    this.board.setTask(id, is)
  }
}

test('each worker gets as many as it has room for, the one with most room first', () => {
  const b = new Board()
  for (let i = 0; i < 6; i += 1) b.task(`t${i}`, record())
  b.worker('bob', worker(5, 1))
  b.worker('carl', worker(6, 3))
  assert.deepEqual(b.told().sort(), ['t0 to bob', 't1 to carl', 't2 to carl', 't3 to carl'])
  assert.deepEqual(b.told(), [])
  // What was decided is done.
  b.task('t0', assigned('bob', 5))
  assert.deepEqual(b.told(), [])
  b.task('t0', record({ status: 'completed' }))
  assert.deepEqual(b.told(), ['t4 to bob'])
})

test('the urgent ones first; what comes back from a worker stands before what is new', () => {
  const b = new Board()
  b.task('low', record({ priority: 0 }))
  b.task('a', record())
  b.task('back', assigned('gone', 1))
  b.task('back', record({ attempts: 1 }))
  b.task('urgent', record({ priority: 3 }))
  b.worker('bob', worker(5, 4))
  assert.deepEqual(b.told(), ['urgent to bob', 'back to bob', 'a to bob', 'low to bob'])
})

test('what was refused is asked for again', () => {
  const b = new Board()
  b.task('t', record())
  b.worker('bob', worker(5))
  const [place] = b.look()
  assert.equal(place?.do, 'place')
  assert.deepEqual(b.told(), [])
  if (place !== undefined) b.board.answered(place)
  assert.deepEqual(b.told(), ['t to bob'])
})

test('a worker that is gone, or registered anew, loses what it has; a suspect gets nothing more', () => {
  const b = new Board()
  b.worker('bob', worker(5))
  b.worker('carl', worker(6))
  b.task('a', assigned('bob', 5))
  b.task('b', assigned('carl', 6, { status: 'running' }))
  b.task('held', assigned('carl', 6, { status: 'paused' }))
  assert.deepEqual(b.told(), [])
  b.board.setPresence('bob', 'suspect')
  b.task('t', record())
  assert.deepEqual(b.told(), ['t to carl'])
  b.board.setPresence('bob', 'gone')
  assert.deepEqual(b.told(), ['lose a'])
  b.worker('carl', worker(9))
  assert.deepEqual(b.told().sort(), ['lose b', 'lose held'])
  b.task('x', assigned('nobody', 3))
  assert.deepEqual(b.told(), ['lose x'])
})

test('a worker that drains gets nothing more, and keeps what it has', () => {
  const b = new Board()
  b.worker('bob', worker(5, 2, { draining: true }))
  b.task('a', assigned('bob', 5))
  b.task('t', record())
  assert.deepEqual(b.told(), [])
})

test('a lease that is not renewed ends its worker once, and not before', () => {
  const b = new Board()
  b.worker('bob', worker(5))
  b.now += LEASE_MS + LEASE_MARGIN_MS
  assert.deepEqual(b.told(), [])
  b.worker('bob', worker(5))
  b.now += LEASE_MS + LEASE_MARGIN_MS + 1
  assert.deepEqual(b.told(), ['dismiss bob'])
  assert.deepEqual(b.told(), [])
})

test('nothing is placed before its time, and nothing after its deadline', () => {
  const b = new Board()
  b.worker('bob', worker(5))
  b.task('later', record({ notBefore: 1_500 }))
  b.task('dead', record({ deadline: 900 }))
  b.task('dying', record({ deadline: 1_400, notBefore: 5_000 }))
  assert.deepEqual(b.told(), ['expire dead'])
  assert.equal(b.board.nextDueAt(), 1_400)
  b.now = 1_400
  assert.deepEqual(b.told(), ['expire dying'])
  b.now = 1_500
  assert.deepEqual(b.told(), ['later to bob'])
})

test('of those whose deadline has passed children end before their parents, which get back what they leave', () => {
  const b = new Board()
  b.task('t', record({ submittedAt: 100, notBefore: 800, deadline: 1_500.2 }))
  b.task('t.a', record({ submittedAt: 200, parent: 't', deadline: 1_500 }))
  b.task('t.a.b', record({ submittedAt: 300, parent: 't.a', deadline: 1_500 }))
  b.now = 1_501
  assert.deepEqual(b.told(), ['expire t.a.b', 'expire t.a', 'expire t'])
})

test('a deadline also ends what is in work, however often it is asked for', () => {
  const b = new Board()
  b.worker('bob', worker(5))
  b.task('t', assigned('bob', 5, { deadline: 2_000 }))
  b.now = 2_000
  const [expire] = b.look()
  assert.equal(expire?.do, 'expire')
  if (expire !== undefined) b.board.answered(expire)
  assert.deepEqual(b.told(), ['expire t'])
})

test('what nobody takes says so after a moment, with the version that is missing, and takes it back', () => {
  const b = new Board()
  b.task('t', record())
  b.task('v', record({ typeVersion: '2' }))
  assert.deepEqual(b.told(), [])
  b.now += 1_000
  assert.deepEqual(b.told(), ['t no-worker', 'v no-worker'])
  b.task('t', record({ reason: 'no-worker' }))
  b.task('v', record({ typeVersion: '2', reason: 'no-worker' }))
  b.worker('bob', worker(5, 1, { offers: [{ type: 'sum', slots: 1, versions: ['1'] }] }))
  // The one that said that nobody is there says what is missing now.
  assert.deepEqual(b.told(), ['t to bob', 'v no-worker-for-version'])
  b.task('t', assigned('bob', 5))
  b.task('v', record({ typeVersion: '2', reason: 'no-worker-for-version' }))
  b.task('w', record({ typeVersion: '2' }))
  b.now += 1_000
  assert.deepEqual(b.told(), ['w no-worker-for-version'])
  b.task('w', record({ typeVersion: '2', reason: 'no-worker-for-version' }))
  // One that is gone does nothing, of whatever version.
  b.board.setPresence('bob', 'gone')
  assert.deepEqual(b.told().sort(), ['lose t', 'v no-worker', 'w no-worker'])
  b.task('v', record({ typeVersion: '2', reason: 'no-worker' }))
  b.task('w', record({ typeVersion: '2', reason: 'no-worker' }))
  // Somebody has it, and is busy.
  b.worker('carl', worker(6, 1, { offers: [{ type: 'sum', slots: 1, versions: ['2'] }], draining: true }))
  assert.deepEqual(b.told(), ['v has a worker', 'w has a worker'])
})

test('what waits is looked at when what it waits for ends; a final one stays until then, and goes', () => {
  const b = new Board()
  b.task('a', record())
  b.task('b', record({ status: 'submitted', dependencies: [{ task_id: 'a', condition: 'completed' }] }))
  assert.deepEqual(b.told(), [])
  b.task('a', record({ status: 'completed', changedAt: b.now }))
  assert.deepEqual(b.told(), ['settle b'])
  b.now += 5_000
  assert.deepEqual(b.told(), [])
  b.worker('bob', worker(5))
  b.task('b', record())
  assert.deepEqual(b.told(), ['b to bob', 'archive a'])
  assert.deepEqual(
    b.told().filter((one) => one.startsWith('archive')),
    [],
  )
  b.task('a', undefined)
  assert.equal(b.board.counts().final, 0)
  // A new coordinator finds one whose end it did not see.
  const other = new Board()
  other.task('b', record({ status: 'submitted', dependencies: [{ task_id: 'a', condition: 'completed' }] }))
  other.task('a', record({ status: 'failed' }))
  assert.deepEqual(
    other.told().filter((one) => one.startsWith('settle')),
    ['settle b'],
  )
})

test('what it counts is what there is, through whatever changes', () => {
  const b = new Board()
  b.worker('bob', worker(5))
  b.task('a', record())
  b.task('b', assigned('bob', 5))
  b.task('c', assigned('bob', 5, { status: 'paused' }))
  b.task('d', record({ status: 'failed', changedAt: b.now }))
  assert.deepEqual(b.board.counts(), { open: 3, queued: 1, inWork: 1, final: 1, workers: 1, dueTimes: 0, queuedIds: 1 })
  b.task('b', record({ attempts: 1 }))
  b.task('a', undefined)
  b.task('c', record({ status: 'canceled', changedAt: b.now }))
  assert.deepEqual(b.board.counts(), { open: 1, queued: 1, inWork: 0, final: 2, workers: 1, dueTimes: 0, queuedIds: 2 })
  assert.deepEqual(b.told(), ['b to bob'])
})

test('tasks that come and go, of a type that nobody does, leave nothing behind', () => {
  const b = new Board()
  const kept = record({ deadline: 32_503_680_000_000 })
  b.task('kept', kept)
  for (let i = 0; i < 20_000; i += 1) {
    const id = `t${i}`
    b.task(id, kept)
    b.task(id, record({ status: 'canceled' }))
    b.task(id, undefined)
  }
  const { dueTimes, queuedIds } = b.board.counts()
  assert.ok(dueTimes < 1_100, `${dueTimes} due times`)
  assert.ok(queuedIds < 100, `${queuedIds} ids in queues`)
  b.worker('bob', worker(5))
  assert.deepEqual(b.told(), ['kept to bob'])
})

test('a task that changes again and again has no more due times for it, and is found when it is due', () => {
  const b = new Board()
  for (let i = 0; i < 10_000; i += 1) b.task('t', record({ notBefore: 5_000 + i, deadline: 20_000 }))
  assert.ok(b.board.counts().dueTimes < 1_100)
  b.worker('bob', worker(5))
  assert.deepEqual(b.told(), [])
  b.now = 15_000
  assert.deepEqual(b.told(), ['t to bob'])
  b.task('t', assigned('bob', 5, { deadline: 20_000 }))
  b.now = 20_000
  assert.deepEqual(b.told(), ['expire t'])
})

test('a task that nobody else may work on meanwhile stays with a worker that is gone until its lease is over', () => {
  const b = new Board()
  b.worker('bob', worker(5))
  b.worker('carl', worker(6))
  b.task('once', assigned('bob', 5, { takeover: 'after-lease' }))
  b.task('other', assigned('bob', 5))
  b.board.setPresence('bob', 'gone')
  assert.deepEqual(b.told(), ['lose other'])
  b.now += LEASE_MS + LEASE_MARGIN_MS + 1
  b.worker('carl', worker(6))
  assert.deepEqual(b.told(), ['dismiss bob'])
  b.worker('bob', undefined)
  assert.deepEqual(b.told(), ['lose once'])
})

test('another process of its worker has it no more: the one before has ended', () => {
  const b = new Board()
  b.worker('bob', worker(5))
  b.task('once', assigned('bob', 5, { takeover: 'after-lease' }))
  b.worker('bob', worker(9))
  assert.deepEqual(b.told(), ['lose once'])
})
