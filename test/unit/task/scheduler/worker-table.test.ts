/** Which workers rest, and what that does to where tasks go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_REST_MS, REST_MS, WorkerRests, WorkerTable } from '../../../../protocols/task/scheduler/worker-table.ts'
import type { TaskRecord, WorkerRecord } from '../../../../protocols/task/task-record.ts'

test('one that loses what it has rests, longer each time, and begins anew after a calm', () => {
  const rests = new WorkerRests()
  let now = 0
  const restsFor = (): number => {
    const from = now
    rests.note('eve', now)
    while (rests.isResting('eve', now)) now += 100
    return now - from
  }
  assert.equal(rests.isResting('eve', now), false)
  assert.deepEqual([restsFor(), restsFor(), restsFor()], [REST_MS, 2 * REST_MS, 4 * REST_MS])
  for (let i = 0; i < 10; i += 1) restsFor()
  assert.equal(restsFor(), MAX_REST_MS)
  now += 2 * MAX_REST_MS
  assert.equal(restsFor(), MAX_REST_MS)
  now += 2 * MAX_REST_MS + 1
  assert.equal(restsFor(), REST_MS)
})

test('what it loses while it rests makes the rest no longer', () => {
  const rests = new WorkerRests()
  for (let now = 0; now < REST_MS; now += 10) rests.note('eve', now)
  assert.equal(rests.isResting('eve', REST_MS - 1), true)
  assert.equal(rests.isResting('eve', REST_MS), false)
})

test('of those that rest at most 4,096 are known', () => {
  const rests = new WorkerRests()
  for (let i = 0; i < 4_097; i += 1) rests.note(`peer-${i}`, 0)
  assert.deepEqual(
    [0, 1, 4_096].map((i) => rests.isResting(`peer-${i}`, 1)),
    [false, true, true],
  )
})

const offers = [{ type: 'sum', slots: 2 }]
const worker = (registration: number): WorkerRecord => ({ offers, registration, incarnation: 1, renewedAt: 0 })
const record = (more: Partial<TaskRecord>): TaskRecord => ({
  ...{ type: 'sum', status: 'queued', priority: 1, submitter: 'ann', submittedAt: 0, changedAt: 0 },
  ...{ retry: { max: 0, delayMs: 0, maxDelayMs: 0 }, attempts: 1, failures: 0, losses: 0, size: 100 },
  ...more,
})
const inWork = record({ status: 'running', worker: 'eve', registration: 1, fence: { term: 1, index: 9 } })

/** Eve has most room, Bob the rest. */
const table = (): WorkerTable => {
  const workers = new WorkerTable()
  workers.set('eve', { ...worker(1), offers: [{ type: 'sum', slots: 100 }] }, 0)
  workers.set('bob', worker(2), 0)
  workers.count('bob', 'sum', 1)
  workers.count('eve', 'sum', 1)
  return workers
}
const chosen = (workers: WorkerTable): string | undefined => workers.choose('sum', undefined)?.peer

test('one that registers again while it has work rests: others are given tasks, also where they are busier', () => {
  const workers = table()
  assert.equal(chosen(workers), 'eve')
  workers.set('eve', worker(3), 0)
  assert.equal(chosen(workers), 'bob')
  workers.count('bob', 'sum', 1)
  assert.equal(chosen(workers), undefined, 'they wait for the one that is busy')
  workers.setTime(REST_MS)
  assert.equal(chosen(workers), 'eve')
})

test('so does one that goes with its work, or is found gone; one without work does not', () => {
  for (const lose of [
    (workers: WorkerTable) => workers.set('eve', undefined, 0),
    (workers: WorkerTable) => {
      workers.setPresence('eve', 'gone')
      workers.setPresence('eve', 'there')
      return false
    },
  ]) {
    const workers = table()
    lose(workers)
    workers.set('eve', worker(1), 0)
    assert.equal(chosen(workers), 'bob')
  }
  const workers = table()
  workers.count('eve', 'sum', -1)
  workers.set('eve', undefined, 0)
  workers.set('eve', worker(3), 0)
  assert.equal(chosen(workers), 'eve')
})

test('so does one that gives back what it has, and not one whose task sleeps, fails, is lost or ends', () => {
  const after = (more: Partial<TaskRecord>): string | undefined => {
    const workers = table()
    workers.noteChange(inWork, record(more))
    return chosen(workers)
  }
  assert.equal(after({}), 'bob')
  assert.equal(after({ notBefore: 9 }), 'eve')
  assert.equal(after({ failures: 1 }), 'eve')
  assert.equal(after({ losses: 1 }), 'eve')
  assert.equal(after({ status: 'completed' }), 'eve')
  assert.equal(after({ status: 'input_required' }), 'eve')
})

test('where nobody else takes the type, one that rests is given it all the same', () => {
  const workers = table()
  workers.set('eve', worker(3), 0)
  workers.set('bob', { ...worker(2), draining: true }, 0)
  assert.equal(chosen(workers), 'eve')
  workers.set('bob', { ...worker(2), offers: [{ type: 'other', slots: 1 }] }, 0)
  assert.equal(chosen(workers), 'eve')
})
