/** What is decided about tasks: who may do what, and what comes of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { JournalTx, Json } from '../../../../protocols/journal/state/command-kind.ts'
import { MAX_LOSSES } from '../../../../protocols/task/journal/coordinator-changes.ts'
import type { Usage } from '../../../../protocols/task/journal/row-shares.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { changeTasks, decideTasks } from '../../../../protocols/task/journal/task-kinds.ts'
import {
  DONE,
  effectRow,
  readWorker,
  TASK_PREFIX,
  type TaskRecord,
  usageKey,
  type WorkerRecord,
  workerKey,
  workOf,
} from '../../../../protocols/task/task-record.ts'
import { isFinal, movesBetween } from '../../../../protocols/task/task-status.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

const submit = (journal: TaskJournal, by: string, ...tasks: Parameters<typeof submitted>[]): unknown =>
  journal.one(by, { do: 'submit', tasks: tasks.map(([id, more]) => submitted(id, more)) })
const done = (journal: TaskJournal, id: string) => journal.machine.records.collections.read(DONE, id)

/** A task `t` of `ann`, in work at `bob`. */
const inWork = (journal = new TaskJournal()) => {
  submit(journal, 'ann', ['t'])
  const registration = journal.worker('bob')
  const fence = journal.place('t', 'bob', registration)
  return { journal, registration, fence }
}

test('a task that is submitted waits for a worker; again, just so, it is the same one', () => {
  const journal = new TaskJournal()
  assert.deepEqual(submit(journal, 'ann', ['t']), [{ id: 't', known: false, status: 'queued' }])
  assert.deepEqual(submit(journal, 'ann', ['t']), [{ id: 't', known: true, status: 'queued' }])
  assert.equal(submit(journal, 'ann', ['t', { digest: 'other' }]), 'STA003 exists')
  assert.equal(submit(journal, 'eve', ['t']), 'STA003 exists')
  assert.equal(journal.task('t')?.submitter, 'ann')
})

test('all of a submission are taken, or none', () => {
  const journal = new TaskJournal()
  const on = (id: string) => ({ dependencies: [{ task_id: id, condition: 'completed' as const }] })
  assert.equal(submit(journal, 'ann', ['a'], ['b', on('x')]), 'STA001')
  assert.equal(submit(journal, 'ann', ['a'], ['a']), 'MSG001')
  const [answer] = journal.decide('ann', {
    do: 'submit',
    tasks: [submitted('a', on('c')), submitted('b', on('a')), submitted('c', on('b'))],
  })
  assert.deepEqual(answer && 'fault' in answer && answer.fault.details?.cycle, ['a', 'c', 'b', 'a'])
  assert.equal(submit(journal, 'ann', ['a', on('a')]), 'MSG001')
  assert.equal(journal.task('a'), undefined)
  assert.deepEqual(submit(journal, 'ann', ['b', on('a')], ['a']), [
    { id: 'b', known: false, status: 'submitted' },
    { id: 'a', known: false, status: 'queued' },
  ])
})

test('only who coordinates this epoch places tasks, and only at a worker that is registered', () => {
  const journal = new TaskJournal()
  submit(journal, 'ann', ['t'])
  const registration = journal.worker('bob')
  const place = (by: string, more: object = {}) =>
    journal.one(by, { do: 'place', epoch: journal.epoch, id: 't', worker: 'bob', registration, ...more })
  assert.equal(place('eve'), 'SEC002')
  assert.equal(place(LEADER, { epoch: 0 }), 'STA002')
  assert.equal(place(LEADER, { epoch: 2 }), 'STA002')
  assert.equal(place(LEADER, { worker: 'eve' }), 'STA003 worker-gone')
  assert.equal(place(LEADER, { registration: registration + 1 }), 'STA003 worker-gone')
  assert.equal(place(LEADER), null)
  assert.equal(place(LEADER), 'STA003 task-status')
  journal.begin('other', 2)
  assert.equal(place(LEADER, { epoch: 2 }), 'SEC002')
})

test('what an attempt reports counts from its worker alone, under its fence alone', () => {
  const { journal, fence, registration } = inWork()
  const changes: TaskChange[] = [
    { do: 'start', id: 't', fence },
    { do: 'effect', id: 't', fence, name: 'e', key: '', value: 1 },
    { do: 'checkpoint', id: 't', fence, value: 1 },
    { do: 'complete', id: 't', fence, result: 1 },
    { do: 'fail', id: 't', fence, error: { code: 'APP001', message: 'no' }, retry: true },
    { do: 'release', id: 't', fence, reason: '' },
  ]
  for (const change of changes) {
    assert.equal(journal.one('eve', change), 'STA002', change.do)
    assert.equal(journal.one('ann', change), 'STA002', change.do)
    assert.equal(journal.one('bob', { ...change, fence: { ...fence, index: fence.index - 1 } } as TaskChange), 'STA002')
    assert.equal(journal.one('bob', { ...change, fence: { ...fence, index: fence.index + 1 } } as TaskChange), 'STA002')
  }
  // It is lost, and given to another one.
  assert.equal(journal.one(LEADER, { do: 'lose', epoch: 1, id: 't', fence, reason: 'gone' }), null)
  for (const change of changes) assert.equal(journal.one('bob', change), 'STA002', change.do)
  const again = journal.place('t', 'bob', registration)
  for (const change of changes) assert.equal(journal.one('bob', change), 'STA002', change.do)
  assert.equal(journal.one('bob', { do: 'complete', id: 't', fence: again, result: 2 }), null)
  for (const change of changes) assert.equal(journal.one('bob', { ...change, fence: again } as TaskChange), 'STA002')
})

test('an effect is recorded once; a checkpoint forgets those before it', async () => {
  const { journal, fence } = inWork()
  const { collections } = journal.machine.records
  const effect = (value: number): unknown =>
    journal.one('bob', { do: 'effect', id: 't', fence, name: 'e', key: 'k', value })
  assert.deepEqual(effect(1), {})
  assert.equal(journal.task('t')?.status, 'running')
  assert.deepEqual(effect(2), { known: 1 })
  assert.equal(await collections.read(workOf('t'), effectRow('e', 'k')), 1)
  assert.equal(journal.one('bob', { do: 'checkpoint', id: 't', fence, value: 'half' }), null)
  assert.equal(await collections.read(workOf('t'), effectRow('e', 'k')), undefined)
  assert.deepEqual(await collections.read(workOf('t'), 'input'), { input: 1, digest: 't' })
  assert.equal(await collections.read(workOf('t'), 'checkpoint'), 'half')
  assert.deepEqual(effect(3), {})
})

test('what a task worked with goes when it ends; its result stays', async () => {
  const { journal, fence } = inWork()
  journal.one('bob', { do: 'effect', id: 't', fence, name: 'e', key: '', value: 1 })
  journal.one('bob', { do: 'complete', id: 't', fence, result: { sum: 3 } })
  assert.equal(journal.machine.records.collections.get(workOf('t')), undefined)
  assert.deepEqual(Reflect.get(Object(await done(journal, 't')), 'result'), { sum: 3 })
  const held = journal.machine.records.get(usageKey('ann'))?.value as Usage | undefined
  assert.equal(held?.tasks, 0)
  assert.deepEqual(submit(journal, 'ann', ['t']), [{ id: 't', known: true, status: 'completed' }])
  assert.equal(journal.one('ann', { do: 'cancel', id: 't' }), 'STA003 ended')
})

test('a failed attempt is tried again after a while, and not for ever', async () => {
  const { journal, registration } = inWork()
  const waits: number[] = []
  for (let failed = 1; failed <= 3; failed += 1) {
    const fence = journal.task('t')?.fence ?? { term: 0, index: 0 }
    const error = { code: 'APP001', message: `no ${failed}` }
    const answer = journal.one('bob', { do: 'fail', id: 't', fence, error, retry: true })
    assert.deepEqual(answer, { retried: failed < 3 })
    if (failed === 3) break
    const { status, notBefore = 0, reason, worker } = journal.task('t') ?? {}
    assert.deepEqual([status, reason, worker], ['queued', `no ${failed}`, undefined])
    waits.push(notBefore - journal.at)
    journal.place('t', 'bob', registration)
  }
  assert.deepEqual(waits, [100, 200])
  assert.equal(journal.task('t')?.status, 'failed')
  assert.deepEqual(Reflect.get(Object(await done(journal, 't')), 'error'), { code: 'APP001', message: 'no 3' })
})

test('an error that is no use to repeat ends the task at once', () => {
  const { journal, fence } = inWork()
  const error = { code: 'MSG001', message: 'bad input' }
  assert.deepEqual(journal.one('bob', { do: 'fail', id: 't', fence, error, retry: false }), { retried: false })
  assert.equal(journal.task('t')?.status, 'failed')
})

test('a task whose workers are lost again and again ends', () => {
  const { journal, registration } = inWork()
  for (let lost = 1; lost <= MAX_LOSSES + 1; lost += 1) {
    const fence = journal.task('t')?.fence ?? { term: 0, index: 0 }
    assert.equal(journal.one(LEADER, { do: 'lose', epoch: 1, id: 't', fence, reason: 'gone' }), null)
    if (lost <= MAX_LOSSES) journal.place('t', 'bob', registration)
  }
  assert.deepEqual([journal.task('t')?.status, journal.task('t')?.reason], ['failed', 'workers-lost'])
})

test('its submitter pauses, resumes and cancels; others do not, and the coordinator may in its name', () => {
  const { journal, fence, registration } = inWork()
  for (const action of ['pause', 'resume', 'cancel'] as const) {
    assert.equal(journal.one('eve', { do: action, id: 't' }), 'SEC002')
    assert.equal(journal.one('bob', { do: action, id: 't', epoch: 1 }), 'SEC002')
    assert.equal(journal.one('ann', { do: action, id: 'x' }), 'STA001')
  }
  assert.equal(journal.one('ann', { do: 'resume', id: 't' }), 'STA003 task-status')
  assert.deepEqual(journal.one('ann', { do: 'pause', id: 't', reason: 'later' }), { status: 'paused' })
  assert.deepEqual(journal.one('ann', { do: 'pause', id: 't' }), { status: 'paused' })
  assert.equal(journal.one('bob', { do: 'effect', id: 't', fence, name: 'e', key: '', value: 1 }), 'STA002')
  const held = journal.task('t')?.fence ?? fence
  assert.equal(journal.one('bob', { do: 'complete', id: 't', fence: held, result: 1 }), 'STA002')
  assert.deepEqual(journal.one('ann', { do: 'resume', id: 't', checkpoint: 5 }), { status: 'queued' })
  journal.place('t', 'bob', registration)
  assert.deepEqual(journal.one(LEADER, { do: 'cancel', id: 't', epoch: 1, reason: 'enough' }), { status: 'canceled' })
  assert.equal(journal.task('t')?.reason, 'enough')
})

test('a task that waits has no worker, and goes on with the first thing that it is given', async () => {
  const { journal, fence, registration } = inWork()
  const wait = (at: object): unknown =>
    journal.one('bob', { do: 'wait', id: 't', fence, name: 'ok', status: 'input_required', ...at } as TaskChange)
  assert.deepEqual(wait({ prompt: 'may I?' }), { isGiven: false, isOver: false })
  assert.deepEqual([journal.task('t')?.status, journal.task('t')?.worker], ['input_required', undefined])
  assert.deepEqual(journal.task('t')?.wait, { name: 'ok', prompt: 'may I?' })
  assert.equal(wait({}), 'STA002')
  const signal = (by: string, value: unknown, name = 'ok'): unknown =>
    journal.one(by, { do: 'signal', id: 't', name, value } as TaskChange)
  assert.equal(signal('eve', 1), 'SEC002')
  assert.deepEqual(signal('ann', 1, 'other'), { status: 'input_required', known: false })
  assert.deepEqual(signal('ann', 1), { status: 'queued', known: false })
  assert.deepEqual(signal('ann', 2), { status: 'queued', known: true })
  assert.equal(journal.task('t')?.wait, undefined)
  const again = journal.place('t', 'bob', registration)
  assert.deepEqual(wait({ fence: again }), { given: 1, isGiven: true, isOver: false })
  // A checkpoint forgets what was recorded, not what was given.
  journal.one('bob', { do: 'checkpoint', id: 't', fence: again, value: 1 })
  assert.deepEqual(wait({ fence: again, name: 'other' }), { given: 1, isGiven: true, isOver: false })
  journal.one('bob', { do: 'complete', id: 't', fence: again, result: 1 })
  assert.equal(signal('ann', 1), 'STA003 ended')
})

test('a wait that has a limit ends by it, and not before', () => {
  const { journal, fence, registration } = inWork()
  const wait = (at: object): unknown =>
    journal.one('bob', {
      do: 'wait',
      id: 't',
      fence,
      name: 'ok',
      status: 'auth_required',
      until: 2_000,
      ...at,
    } as TaskChange)
  wait({})
  const wake = (by = LEADER): unknown => journal.one(by, { do: 'wake', epoch: 1, id: 't' })
  assert.equal(wake('eve'), 'SEC002')
  assert.equal(wake(), 'STA003 task-status')
  journal.at = 2_000
  assert.equal(wake(), null)
  const again = journal.place('t', 'bob', registration)
  // It asks again with a later limit: the first one holds.
  assert.deepEqual(wait({ fence: again, until: 9_000 }), { isGiven: false, isOver: true })
  assert.equal(journal.task('t')?.status, 'running')
})

test('a sleep is over when it was to be, in whichever attempt', () => {
  const { journal, fence, registration } = inWork()
  const sleep = (at: object): unknown =>
    journal.one('bob', { do: 'sleep', id: 't', fence, name: 'nap', until: 5_000, stays: false, ...at } as TaskChange)
  assert.deepEqual(sleep({ name: 'short', stays: true }), { until: 5_000 })
  assert.equal(journal.task('t')?.status, 'running')
  assert.deepEqual(sleep({}), { until: 5_000 })
  assert.deepEqual([journal.task('t')?.status, journal.task('t')?.notBefore], ['queued', 5_000])
  journal.at = 5_000
  const again = journal.place('t', 'bob', registration)
  assert.deepEqual(sleep({ fence: again, until: 99_000 }), { until: 5_000 })
  assert.equal(journal.task('t')?.status, 'running')
})

test('a child is submitted again by whoever has its parent, and controlled by who submitted that', () => {
  const { journal, fence } = inWork()
  const child = { parent: 't' }
  submit(journal, 'bob', ['t.c', child])
  assert.equal(submit(journal, 'eve', ['t.c', child]), 'STA003 exists')
  journal.one(LEADER, { do: 'lose', epoch: 1, id: 't', fence, reason: '' })
  journal.place('t', 'carl', journal.worker('carl'))
  assert.deepEqual(submit(journal, 'carl', ['t.c', child]), [{ id: 't.c', known: true, status: 'queued' }])
  assert.equal(submit(journal, 'carl', ['t.c', { ...child, digest: 'other' }]), 'STA003 exists')
  assert.equal(submit(journal, 'carl', ['t.c']), 'STA003 exists')
  assert.equal(journal.one('eve', { do: 'cancel', id: 't.c' }), 'SEC002')
  assert.deepEqual(journal.one('ann', { do: 'cancel', id: 't.c' }), { status: 'canceled' })
})

test('a worker that is lost while its task is held leaves it held', () => {
  const { journal } = inWork()
  journal.one('ann', { do: 'pause', id: 't' })
  const fence = journal.task('t')?.fence ?? { term: 0, index: 0 }
  assert.equal(journal.one(LEADER, { do: 'lose', epoch: 1, id: 't', fence, reason: 'gone' }), null)
  assert.deepEqual([journal.task('t')?.status, journal.task('t')?.worker], ['paused', undefined])
  assert.deepEqual(journal.one('ann', { do: 'resume', id: 't' }), { status: 'queued' })
})

test('a deadline ends a task once it has passed, not before', () => {
  const journal = new TaskJournal()
  submit(
    journal,
    'ann',
    ['t', { deadline: 2_000 }],
    ['u', { dependencies: [{ task_id: 't', condition: 'finished' }], deadline: 2_000 }],
  )
  const expire = (id: string): unknown => journal.one(LEADER, { do: 'expire', epoch: 1, id })
  assert.equal(expire('t'), 'STA003 task-status')
  journal.at = 2_000
  assert.equal(expire('t'), null)
  assert.deepEqual([journal.task('t')?.status, journal.task('t')?.reason], ['failed', 'deadline'])
  // One that still waits for others too.
  assert.equal(expire('u'), null)
})

test('a task waits for those it depends on, and fails with them unless told otherwise', () => {
  const { journal, fence } = inWork()
  submit(
    journal,
    'ann',
    ['needs', { dependencies: [{ task_id: 't', condition: 'completed' }] }],
    ['after', { dependencies: [{ task_id: 't', condition: 'finished' }] }],
  )
  const settle = (id: string): unknown => journal.one(LEADER, { do: 'settle', epoch: 1, id })
  assert.deepEqual(settle('needs'), { waits: true })
  journal.one('bob', { do: 'fail', id: 't', fence, error: { code: 'APP001', message: 'no' }, retry: false })
  assert.deepEqual(settle('needs'), { waits: false })
  assert.deepEqual(settle('after'), { waits: false })
  assert.deepEqual([journal.task('needs')?.status, journal.task('needs')?.reason], ['failed', 'dependency-failed'])
  assert.equal(journal.task('after')?.status, 'queued')
  assert.equal(
    submit(journal, 'ann', ['late', { dependencies: [{ task_id: 't', condition: 'completed' }] }]),
    'STA003 dependency',
  )
})

test('a worker that was started again has another registration; its old self is refused', () => {
  const journal = new TaskJournal()
  const first = journal.worker('bob', 1)
  assert.equal(journal.worker('bob', 1), first)
  const second = journal.worker('bob', 2)
  assert.ok(second > first)
  assert.equal(journal.one('bob', { do: 'renew', registration: first }), 'STA002')
  assert.equal(journal.one('eve', { do: 'renew', registration: second }), 'STA002')
  assert.equal(journal.one('bob', { do: 'renew', registration: second }), null)
  assert.equal(journal.one('bob', { do: 'register', offers: [], incarnation: 1 }), 'STA002')
  assert.equal(journal.one(LEADER, { do: 'dismiss', epoch: 1, worker: 'bob', registration: first }), null)
  assert.equal(journal.one('bob', { do: 'renew', registration: second }), null)
  assert.equal(journal.one(LEADER, { do: 'dismiss', epoch: 1, worker: 'bob', registration: second }), null)
  assert.equal(journal.one('bob', { do: 'renew', registration: second }), 'STA002')
})

test('what a final task left is archived, then forgotten; an open one is neither', async () => {
  const { journal, fence } = inWork()
  submit(journal, 'ann', ['u'])
  journal.one('bob', { do: 'complete', id: 't', fence, result: 1 })
  const tasks = [
    { id: 't', endedAt: journal.at },
    { id: 'u', endedAt: journal.at },
  ]
  assert.equal(journal.one('ann', { do: 'archive', epoch: 1, tasks }), 'SEC002')
  assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, tasks }), null)
  assert.ok(await done(journal, 't'))
  assert.equal(journal.one(LEADER, { do: 'archive', epoch: 1, tasks }), null)
  assert.deepEqual([journal.task('t'), journal.task('u')?.status], [undefined, 'queued'])
  assert.ok(await done(journal, 't'))
  assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, tasks }), null)
  assert.equal(await done(journal, 't'), undefined)
  assert.deepEqual(submit(journal, 'ann', ['t']), [{ id: 't', known: false, status: 'queued' }])
})

test('one submitter cannot have all, and what is in work goes on when nothing more is taken', () => {
  const { journal, fence } = inWork()
  const fill = (by: string): number => {
    for (let n = 0; ; n += 1) {
      const tasks = Array.from({ length: 64 }, (_, i) => submitted(`${by}-${n}-${i}`))
      const answer = journal.one(by, { do: 'submit', tasks })
      if (answer === 'COM003 task-share') return 64 * n
    }
  }
  const eve = fill('eve')
  const mallory = fill('mallory')
  assert.ok(eve > 1_000 && mallory > 100 && mallory < eve, `${eve} and ${mallory}`)
  assert.deepEqual(submit(journal, 'zoe', ['z']), [{ id: 'z', known: false, status: 'queued' }])
  assert.deepEqual(journal.one('bob', { do: 'effect', id: 't', fence, name: 'e', key: '', value: 1 }), {})
  assert.equal(journal.one('bob', { do: 'complete', id: 't', fence, result: 1 }), null)
})

test('whatever is asked for in whatever order: only moves that there are, one end, and what submitters hold is counted right', () => {
  const ids = ['a', 'b', 'c']
  const peers = ['ann', 'bob', LEADER]
  const Id = fc.constantFrom(...ids)
  const Peer = fc.constantFrom(...peers)
  const Step = fc.record({ what: fc.nat(14), id: Id, other: Id, by: Peer, isRight: fc.boolean() })
  fc.assert(
    fc.property(fc.array(Step, { maxLength: 60, size: 'max' }), (steps) => {
      const journal = new TaskJournal()
      const ended = new Set<string>()
      for (const { what, id, other, by, isRight } of steps) {
        const record = journal.task(id)
        const before = new Map(ids.map((one) => [one, journal.task(one)]))
        const fence = isRight && record?.fence !== undefined ? record.fence : { term: 1, index: 3 }
        const who = isRight && record?.worker !== undefined ? record.worker : by
        const registration = Number(
          Reflect.get(Object(journal.machine.records.get(`$part/parley/tasks/w/${by}`)?.value), 'registration') ?? 0,
        )
        const error = { code: 'APP001', message: 'no' }
        const changes: readonly (readonly [string, TaskChange])[] = [
          [
            by,
            {
              do: 'submit',
              tasks: [
                submitted(id, id === other ? {} : { dependencies: [{ task_id: other, condition: 'completed' }] }),
              ],
            },
          ],
          [by, { do: 'submit', tasks: [submitted(id)] }],
          [by, { do: 'register', offers: [], incarnation: 1 }],
          [LEADER, { do: 'place', epoch: 1, id, worker: by, registration }],
          [who, { do: 'start', id, fence }],
          [who, { do: 'effect', id, fence, name: 'e', key: '', value: 1 }],
          [who, { do: 'checkpoint', id, fence, value: 1 }],
          [who, { do: 'complete', id, fence, result: 1 }],
          [who, { do: 'fail', id, fence, error, retry: isRight }],
          [who, { do: 'release', id, fence, reason: '' }],
          [record?.submitter ?? by, { do: 'pause', id }],
          [record?.submitter ?? by, { do: 'resume', id }],
          [by, { do: 'cancel', id }],
          [LEADER, { do: 'lose', epoch: 1, id, fence, reason: '' }],
          [LEADER, { do: 'settle', epoch: 1, id }],
        ]
        const [whose, change] = changes[what] ?? [by, { do: 'cancel', id }]
        journal.decide(whose, change)
        for (const [one, was] of before) {
          const now = journal.task(one)
          assert.ok(was === undefined || now !== undefined, 'it went')
          if (was === undefined || now === undefined || was.status === now.status) continue
          assert.ok(!ended.has(one), 'it ended twice')
          assert.ok(movesBetween(was.status, now.status).length > 0, `${now.status} from ${was.status}`)
          if (isFinal(now.status)) ended.add(one)
        }
      }
      assert.deepEqual(journal.bugs, [])
      const open = journal.machine.records
        .all()
        .filter(({ key, value }) => key.startsWith(TASK_PREFIX) && !isFinal((value as TaskRecord).status))
        .map(({ value }) => value as TaskRecord)
      for (const peer of peers) {
        const mine = open.filter(({ submitter }) => submitter === peer)
        const held = journal.machine.records.get(usageKey(peer))?.value as Usage | undefined
        const bytes = mine.reduce((sum, { size }) => sum + size, 0)
        assert.deepEqual([held?.tasks ?? 0, held?.bytes ?? 0], [mine.length, bytes])
      }
    }),
    { numRuns: 300 },
  )
})

test('where they enter the log, children of an open task are refused but of who has it or submitted it', () => {
  const { journal, fence } = inWork()
  const admitted = (by: string, id: string, more: Parameters<typeof submitted>[1] = {}): string => {
    const get = (key: string) => journal.machine.records.get(key)?.value
    try {
      changeTasks.admit?.(get, { changes: [{ do: 'submit', tasks: [submitted(id, more)] }] }, by)
      return 'ok'
    } catch (error) {
      return isParleyError(error) ? error.code : String(error)
    }
  }
  for (const by of ['ann', 'bob']) assert.equal(admitted(by, 't.c', { parent: 't' }), 'ok')
  assert.equal(admitted('eve', 't.c', { parent: 't' }), 'SEC002')
  assert.equal(admitted('eve', 't.c'), 'SEC002')
  assert.equal(admitted('eve', 't.c.d'), 'SEC002')
  assert.equal(admitted('eve', 'other', { parent: 't' }), 'SEC002')
  assert.equal(admitted('eve', 't-c'), 'ok')
  assert.equal(admitted('eve', 'x.t.c', { parent: 'nobody' }), 'ok')
  submit(journal, 'bob', ['t.b', { parent: 't' }])
  journal.one('bob', { do: 'cancel', id: 't.b' })
  assert.equal(admitted('eve', 't.b.d', { parent: 't.b' }), 'SEC002', 'the task above is open still')
  // What a log of before has is applied as it was.
  assert.deepEqual(submit(journal, 'eve', ['t.c', { parent: 't' }]), [{ id: 't.c', known: false, status: 'queued' }])
  assert.equal(journal.one('bob', { do: 'complete', id: 't', fence, result: 1 }), null)
  assert.equal(admitted('eve', 't.d'), 'ok')
})

test('children of what a schedule is to begin are of its owner, also before it begins', () => {
  const journal = new TaskJournal()
  const task = { type: 'sum', priority: 1, retry: { max: 0, delayMs: 0, maxDelayMs: 0 } }
  const more = { misfire: 'one', overlap: 'allow', input: null, digest: 'd' } as const
  journal.one('ann', { do: 'schedule', id: 'a.b', plan: { kind: 'every', everyMs: 1_000 }, task, ...more })
  const admitted = (by: string, id: string): string => {
    const get = (key: string) => journal.machine.records.get(key)?.value
    try {
      decideTasks.admit?.(get, { changes: [{ do: 'submit', tasks: [submitted(id)] }] }, by)
      return 'ok'
    } catch (error) {
      return isParleyError(error) ? error.code : String(error)
    }
  }
  for (const id of ['a.b.20261125T030000Z.c', 'a.b.20261125T030000Z.c.d']) {
    assert.equal(admitted('eve', id), 'SEC002', id)
    assert.equal(admitted('ann', id), 'ok')
  }
  for (const id of ['a.b.c', 'x.20261125T030000Z.c', 'a.b.20261125T0300Z.c'])
    assert.equal(admitted('eve', id), 'ok', id)
  // Whoever works on one that has begun submits its children.
  const begun = 'a.b.20261125T030000Z'
  journal.one('ann', { do: 'submit', tasks: [submitted(begun)] })
  journal.place(begun, 'bob', journal.worker('bob'))
  assert.equal(admitted('bob', `${begun}.c`), 'ok')
  assert.equal(admitted('eve', `${begun}.c`), 'SEC002')
})

test('a worker that renews often in one decision writes its registration once, and in the next one again', () => {
  const record: WorkerRecord = { offers: [], registration: 7, incarnation: 1, renewedAt: 1 }
  const kept = { value: record as unknown as Json, version: 7, writes: 0 }
  const decide = (index: number, at: number) => {
    const fence = { term: 1, index }
    const tx: JournalTx = {
      get: (key) => (key === workerKey('bob') ? kept.value : undefined),
      version: () => kept.version,
      put: (_key, value) => Object.assign(kept, { value, version: index, writes: kept.writes + 1 }),
      delete: () => assert.fail('nothing is deleted'),
      keys: () => [],
      collection: () => assert.fail('no row is needed'),
      dropCollection: () => assert.fail('no row is needed'),
    }
    const changes = Array.from({ length: 256 }, () => ({ do: 'renew', registration: 7 }) as const)
    assert.deepEqual(changeTasks.apply(tx, { changes }, { fence, at, by: 'bob' }), Array(256).fill({ ok: null }))
    return [kept.writes, kept.version, readWorker(kept.value)?.renewedAt]
  }
  assert.deepEqual(decide(8, 5_000), [1, 8, 5_000])
  assert.deepEqual(decide(9, 5_000), [2, 9, 5_000])
  assert.deepEqual(decide(10, 6_000), [3, 10, 6_000])
})

test('an answer says which of its changes were refused', () => {
  const { journal } = inWork()
  const answers = journal.decide(
    'eve',
    { do: 'cancel', id: 't' },
    { do: 'submit', tasks: [submitted('e')] },
    { do: 'renew', registration: 9 },
  )
  assert.deepEqual(changeTasks.refusals?.(answers), ['SEC002', 'STA002'])
})

test('while a voter is older, decisions come to what it comes to: children of another attempt are refused', () => {
  const { journal, fence } = inWork(new TaskJournal(1))
  submit(journal, 'bob', ['t.c', { parent: 't' }])
  assert.equal(journal.one('bob', { do: 'release', id: 't', fence, reason: 'stops' }), null)
  journal.place('t', 'carl', journal.worker('carl'))
  assert.equal(submit(journal, 'carl', ['t.c', { parent: 't' }]), 'STA003 exists')
  assert.equal(submit(journal, 'carl', ['t.c', { parent: 't' }], ['more']), 'STA003 exists')
  assert.equal(journal.task('more'), undefined)
  journal.agree(2)
  assert.deepEqual(submit(journal, 'carl', ['t.c', { parent: 't' }]), [{ id: 't.c', known: true, status: 'queued' }])
})

test('a task that ends looks for no signals where it has none: what the same decision begins is called as older voters call it', () => {
  const { journal } = inWork(new TaskJournal(1))
  journal.decide('ann', { do: 'cancel', id: 't' }, { do: 'submit', tasks: [submitted('next')] })
  const { id } = journal.machine.records.collections.get(workOf('next')) ?? assert.fail('it has no rows')
  // The first one is of what ended, the second one what `t` worked with would be next.
  assert.match(id, /\.3$/)
})
