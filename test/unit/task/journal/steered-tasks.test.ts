/** Tasks that are held for a plan: who steers them, when, and where they are placed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

type Steered = Partial<Omit<Extract<TaskChange, { do: 'steer' }>, 'do'>>

const held = (): TaskJournal => {
  const journal = new TaskJournal()
  journal.one('ann', { do: 'submit', tasks: [submitted('t', { plan: 'p' })] })
  return journal
}
const steer = (journal: TaskJournal, more: Steered = {}, by = LEADER): unknown =>
  journal.one(by, { do: 'steer', epoch: journal.epoch, id: 't', plan: 'p', ...more })
const place = (journal: TaskJournal, worker: string): unknown => {
  const registration = journal.worker(worker)
  return journal.one(LEADER, { do: 'place', epoch: journal.epoch, id: 't', worker, registration })
}

test('it is placed at its assignee alone, and at nobody while it has none', () => {
  const journal = held()
  assert.equal(journal.task('t')?.plan, 'p')
  assert.equal(place(journal, 'bob'), 'STA003 task-status')
  assert.equal(steer(journal, { assignee: 'bob' }), null)
  assert.equal(place(journal, 'carl'), 'STA003 task-status')
  assert.equal(steer(journal, { assignee: 'carl' }), null)
  assert.equal(place(journal, 'bob'), 'STA003 task-status')
  assert.equal(place(journal, 'carl'), null)
  assert.equal(journal.task('t')?.worker, 'carl')
})

test('in work it stays where it is; back in the queue it goes to the same one until it is steered again', () => {
  const journal = held()
  steer(journal, { assignee: 'bob' })
  const registration = journal.worker('bob')
  const fence = journal.place('t', 'bob', registration)
  assert.equal(steer(journal, { assignee: 'carl' }), 'STA003 task-status')
  journal.one('bob', { do: 'start', id: 't', fence })
  assert.equal(steer(journal), 'STA003 task-status')
  journal.one('bob', { do: 'fail', id: 't', fence, error: { code: 'APP001', message: 'no' }, retry: true })
  assert.equal(journal.task('t')?.assignee, 'bob')
  assert.equal(steer(journal), null)
  assert.equal(journal.task('t')?.assignee, undefined)
  assert.equal(place(journal, 'bob'), 'STA003 task-status')
})

test('freed it is a task like others; of another plan, or of none, it is not steered', () => {
  const journal = held()
  assert.equal(steer(journal, { plan: 'q', assignee: 'bob' }), 'STA003 task-status')
  assert.equal(steer(journal, { assignee: 'bob', free: true }), null)
  const { plan, assignee } = journal.task('t') ?? {}
  assert.deepEqual([plan, assignee], [undefined, undefined])
  assert.equal(steer(journal, { assignee: 'bob' }), 'STA003 task-status')
  assert.equal(place(journal, 'carl'), null)
})

test('only who coordinates steers, in its epoch; what has ended is not steered, and the same once more changes nothing', () => {
  const journal = held()
  assert.equal(steer(journal, { assignee: 'eve' }, 'eve'), 'SEC002')
  assert.equal(steer(journal, { assignee: 'eve' }, 'ann'), 'SEC002')
  assert.equal(steer(journal, { epoch: 7, assignee: 'bob' }), 'STA002')
  assert.equal(steer(journal, { id: 'unknown', assignee: 'bob' }), 'STA001')
  steer(journal, { assignee: 'bob' })
  const version = journal.machine.records.get('$part/parley/tasks/t/t')?.version
  assert.equal(steer(journal, { assignee: 'bob' }), null)
  assert.equal(journal.machine.records.get('$part/parley/tasks/t/t')?.version, version)
  journal.one('ann', { do: 'cancel', id: 't' })
  assert.equal(steer(journal, { assignee: 'carl' }), 'STA003 task-status')
  assert.deepEqual(journal.bugs, [])
})

test('the same task for another plan is another task', () => {
  const journal = held()
  const again = journal.one('ann', { do: 'submit', tasks: [submitted('t', { plan: 'q', digest: 'other' })] })
  assert.equal(again, 'STA003 exists')
})
