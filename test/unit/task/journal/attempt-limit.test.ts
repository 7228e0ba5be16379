/** How long one attempt at a task may take: who says so, who ends it, what comes of it, and at which level it is decided. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FirstChangeSchema, levelOfChange, type TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { TaskBoard } from '../../../../protocols/task/scheduler/task-board.ts'
import { DONE } from '../../../../protocols/task/task-record.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

/** A task `t` of `ann`, in work at `bob`. */
const inWork = (limit: { task?: number; worker?: number }) => {
  const journal = new TaskJournal()
  const { task, worker } = limit
  journal.one('ann', {
    do: 'submit',
    tasks: [
      submitted('t', { retry: { max: 1, delayMs: 100, maxDelayMs: 100 }, ...(task && { attemptTimeoutMs: task }) }),
    ],
  })
  const registered = journal.one('bob', {
    ...{ do: 'register', incarnation: 1 },
    offers: [{ type: 'sum', slots: 4, ...(worker && { attemptTimeoutMs: worker }) }],
  })
  const registration = Number(Reflect.get(Object(registered), 'registration'))
  return { journal, registration, fence: journal.place('t', 'bob', registration) }
}

test('the task says how long an attempt may take, or else its worker; it counts from when it was given to it', () => {
  assert.equal(inWork({ task: 500 }).journal.task('t')?.attemptUntil, 1_500)
  assert.equal(inWork({ worker: 700 }).journal.task('t')?.attemptUntil, 1_700)
  assert.equal(inWork({ task: 900, worker: 700 }).journal.task('t')?.attemptUntil, 1_900)
  assert.equal(inWork({}).journal.task('t')?.attemptUntil, undefined)
})

test('an attempt that took too long has failed: it is made again while retries are left, and what it reports is refused', async () => {
  const { journal, registration, fence } = inWork({ task: 500 })
  const timeOut = (by: string, more: object = {}) =>
    journal.one(by, { do: 'time-out', epoch: 1, id: 't', fence, ...more } as TaskChange)
  assert.equal(timeOut(LEADER), 'STA003 task-status')
  journal.at = 1_499
  assert.equal(timeOut(LEADER), 'STA003 task-status')
  journal.at = 1_500
  assert.equal(timeOut('bob'), 'SEC002')
  assert.equal(timeOut(LEADER, { epoch: 2 }), 'STA002')
  assert.equal(timeOut(LEADER, { fence: { ...fence, index: fence.index - 1 } }), 'STA003 task-status')
  assert.deepEqual(timeOut(LEADER), { retried: true })
  const { status, failures, losses, reason, notBefore, attemptUntil, worker } = journal.task('t') ?? {}
  assert.deepEqual(
    [status, failures, losses, reason, notBefore, attemptUntil, worker],
    ['queued', 1, 0, 'attempt-timeout', 1_600, undefined, undefined],
  )
  for (const late of [
    { do: 'complete', id: 't', fence, result: 1 },
    { do: 'effect', id: 't', fence, name: 'e', key: '', value: 1 },
    { do: 'fail', id: 't', fence, error: { code: 'APP001', message: '' }, retry: true },
  ] as const)
    assert.equal(journal.one('bob', late), 'STA002')
  // Another attempt has its own time.
  journal.at = 2_000
  const again = journal.place('t', 'bob', registration)
  assert.equal(journal.task('t')?.attemptUntil, 2_500)
  journal.at = 2_500
  assert.deepEqual(timeOut(LEADER, { fence: again }), { retried: false })
  const done = Object((await journal.machine.records.collections.read(DONE, 't')) as object)
  assert.deepEqual(
    [done.record.status, done.record.reason, done.record.attemptUntil, done.error.code, done.error.details.reason],
    ['failed', 'attempt-timeout', undefined, 'COM001', 'attempt-timeout'],
  )
})

test('a task that sleeps, waits or is paused has no time that runs', () => {
  const ways: Readonly<Record<string, (fence: { term: number; index: number }) => [string, TaskChange]>> = {
    sleep: (fence) => ['bob', { do: 'sleep', id: 't', fence, name: 's', until: 99_000, stays: false }],
    wait: (fence) => ['bob', { do: 'wait', id: 't', fence, name: 'w', status: 'input_required' }],
    pause: () => ['ann', { do: 'pause', id: 't' }],
  }
  for (const [what, way] of Object.entries(ways)) {
    const { journal, fence } = inWork({ task: 500 })
    const [by, change] = way(fence)
    journal.one(by, change)
    journal.at = 5_000
    const held = journal.task('t')?.fence ?? fence
    assert.equal(journal.one(LEADER, { do: 'time-out', epoch: 1, id: 't', fence: held }), 'STA003 task-status', what)
    if (what !== 'pause') continue
    journal.one('ann', { do: 'resume', id: 't' })
    assert.equal(journal.task('t')?.attemptUntil, undefined)
  }
})

test('the coordinator asks for the end of an attempt once its time is over, and again where that was not decided', () => {
  const { journal, registration, fence } = inWork({ task: 500 })
  const board = new TaskBoard(1)
  board.setWorker('bob', { offers: [{ type: 'sum', slots: 4 }], registration, incarnation: 1, renewedAt: 0 }, 0)
  const look = (now: number) => board.wanted({ now, monotonic: now }).filter(({ do: what }) => what === 'time-out')
  board.setTask('t', journal.task('t'))
  assert.equal(board.nextDueAt(), 1_500)
  assert.deepEqual(look(1_499), [])
  const wanted: TaskChange = { do: 'time-out', epoch: 1, id: 't', fence }
  assert.deepEqual(look(1_500), [wanted])
  assert.deepEqual(look(1_501), [])
  board.answered(wanted)
  assert.deepEqual(look(1_502), [wanted])
})

test('voters of level 1 never see a limit: it travels in a command that they do not know', () => {
  const limited = { do: 'submit' as const, tasks: [submitted('t', { attemptTimeoutMs: 500 })] }
  assert.equal(levelOfChange(limited), 2)
  assert.equal(levelOfChange({ do: 'submit', tasks: [submitted('t')] }), 1)
  assert.equal(levelOfChange({ do: 'time-out', epoch: 1, id: 't', fence: { term: 1, index: 1 } }), 2)
  const offers = [{ type: 'sum', slots: 1, attemptTimeoutMs: 500 }]
  assert.equal(levelOfChange({ do: 'register', offers, incarnation: 1 }), 2)
  assert.deepEqual(FirstChangeSchema.parse(limited), { do: 'submit', tasks: [submitted('t')] })
  assert.equal(
    FirstChangeSchema.safeParse({ do: 'time-out', epoch: 1, id: 't', fence: { term: 1, index: 1 } }).success,
    false,
  )
})
