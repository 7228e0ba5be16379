/** What is decided about tasks that wait for events. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Heard,
  heardEvent,
  listenRow,
  MAX_EVENT_WAITS,
  matches,
} from '../../../../protocols/task/events/event-wait.ts'
import { EVENT_WAIT_PREFIX } from '../../../../protocols/task/events/event-wait-index.ts'
import type { ChangeOf } from '../../../../protocols/task/journal/task-changes.ts'
import { signalsOf } from '../../../../protocols/task/task-record.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

type Fence = { term: number; index: number }
const cursor = { createdAt: 500, positions: [{ publisher: 'p', epoch: 7, next: 3 }] }
const listen = (id: string, fence: Fence, more: Partial<ChangeOf<'listen'>> = {}): ChangeOf<'listen'> => ({
  ...{ do: 'listen', id, fence, name: 'paid', topic: 'orders.paid', cursor, ...more },
})
const event: Heard = { event: { id: 'e', topic: 'orders.paid', source: 'p', timestamp: 600, data: { order: 1 } } }
const hear = (id: string, more: Partial<ChangeOf<'hear'>> = {}): ChangeOf<'hear'> => ({
  ...{ do: 'hear', epoch: 1, id, name: 'paid', heard: event, ...more },
})
const waits = (journal: TaskJournal): string[] =>
  journal.machine.records
    .list(EVENT_WAIT_PREFIX, '', 1_000, 1_000_000)
    .map(({ key }) => key.slice(EVENT_WAIT_PREFIX.length))

/** A task `t` of `ann`, in work at `bob`. */
const inWork = () => {
  const journal = new TaskJournal()
  journal.one('ann', { do: 'submit', tasks: [submitted('t')] })
  const registration = journal.worker('bob')
  return { journal, registration, fence: journal.place('t', 'bob', registration) }
}

test('a task waits without a worker; the first event that came is there for each attempt after that', () => {
  const { journal, registration, fence } = inWork()
  assert.equal(journal.one('eve', listen('t', fence)), 'STA002')
  assert.deepEqual(journal.one('bob', listen('t', fence)), { isOver: false })
  const { status, worker, wait } = journal.task('t') ?? {}
  assert.deepEqual([status, worker, wait], ['input_required', undefined, { name: 'paid', topic: 'orders.paid' }])
  assert.deepEqual(waits(journal), ['t'])
  // Nobody but the coordinator gives it one.
  assert.equal(journal.one('ann', hear('t')), 'SEC002')
  assert.equal(journal.one(LEADER, hear('t', { epoch: 0 })), 'STA002')
  assert.equal(journal.one(LEADER, hear('t', { name: 'other' })), 'STA003 task-status')
  assert.deepEqual(journal.one('ann', { do: 'signal', id: 't', name: 'paid', value: 1 }), {
    status: 'input_required',
    known: false,
  })
  assert.equal(journal.one(LEADER, hear('t')), null)
  assert.deepEqual([journal.task('t')?.status, journal.task('t')?.wait, waits(journal)], ['queued', undefined, []])
  assert.equal(
    journal.one(LEADER, hear('t', { heard: { missed: { publisher: 'p', epoch: 7, from: 3, to: 4 } } })),
    'STA003 task-status',
  )
  const again = journal.place('t', 'bob', registration)
  assert.deepEqual(journal.one('bob', listen('t', again)), { heard: event, isOver: false })
  assert.equal(journal.task('t')?.status, 'assigned')
})

test('where it begins, and how long it lasts, is said once', () => {
  const { journal, registration, fence } = inWork()
  assert.deepEqual(journal.one('bob', listen('t', fence, { until: 5_000 })), { isOver: false })
  assert.equal(journal.one(LEADER, { do: 'wake', epoch: 1, id: 't' }), 'STA003 task-status')
  journal.one('ann', { do: 'resume', id: 't' })
  assert.deepEqual(waits(journal), [])
  const again = journal.place('t', 'bob', registration)
  const later = { topic: 'other', until: 900_000, cursor: { createdAt: 9_000, positions: [] } }
  assert.deepEqual(journal.one('bob', listen('t', again, later)), { isOver: false })
  assert.deepEqual(journal.task('t')?.wait, { name: 'paid', topic: 'orders.paid', until: 5_000 })
  journal.at = 5_000
  assert.equal(journal.one(LEADER, { do: 'wake', epoch: 1, id: 't' }), null)
  const last = journal.place('t', 'bob', registration)
  assert.deepEqual(journal.one('bob', listen('t', last)), { isOver: true })
})

test('so many wait, and each submitter has its share; whatever ends a wait makes room', () => {
  const journal = new TaskJournal()
  const registration = journal.worker('bob')
  const wait = (by: string, id: string): unknown => {
    journal.one(by, { do: 'submit', tasks: [submitted(id)] })
    return journal.one('bob', listen(id, journal.place(id, 'bob', registration)))
  }
  let own = 0
  while (own <= MAX_EVENT_WAITS && wait('eve', `e${own}`) !== 'COM003 task-share') own += 1
  assert.equal(own, 192)
  assert.equal(journal.task(`e${own}`)?.status, 'assigned')
  assert.deepEqual(wait('ann', 'a'), { isOver: false })
  journal.one('eve', { do: 'cancel', id: 'e0' })
  journal.one('eve', { do: 'resume', id: 'e1' })
  journal.one(LEADER, hear('e2'))
  assert.equal(waits(journal).length, own + 1 - 3)
  let more = 0
  while (more < 10 && wait('eve', `f${more}`) !== 'COM003 task-share') more += 1
  assert.equal(more, 3)
})

test('a filter names the publisher, the type and fields', () => {
  const of = { source: 'p', type: 'paid', data: { order: { id: 7 }, ok: true, list: [1] } }
  assert.ok(matches({}, of))
  assert.ok(matches({ source: 'p', type: 'paid', data: { 'order.id': 7, ok: true, 'list.0': 1 } }, of))
  for (const filter of [
    { source: 'q' },
    { type: 'other' },
    { data: { 'order.id': '7' } },
    { data: { 'order.id.x': 7 } },
    { data: { constructor: null } },
    { data: { 'order.__proto__': null } },
  ])
    assert.ok(!matches(filter, of), JSON.stringify(filter))
  assert.ok(!matches({ data: { a: null } }, { ...of, data: 'text' }))
})

test('of an event that is too large for a record the data is left out', () => {
  const of = { id: 'e', topic: 't', source: 'p', timestamp: 1, type: undefined } as Parameters<typeof heardEvent>[0]
  assert.deepEqual(heardEvent({ ...of, data: 'x'.repeat(16_382) }).data?.toString().length, 16_382)
  assert.deepEqual(heardEvent({ ...of, data: 'x'.repeat(16_383) }), { id: 'e', topic: 't', source: 'p', timestamp: 1 })
})

test('the place of a wait moves on by the coordinator alone, and for as long as the task waits', async () => {
  const { journal, fence } = inWork()
  const { collections } = journal.machine.records
  const place = async () => Reflect.get(Object(await collections.read(signalsOf('t'), listenRow('paid'))), 'cursor')
  const later = { createdAt: 500, positions: [{ publisher: 'p', epoch: 7, next: 90 }] }
  const advance = (more: Partial<ChangeOf<'advance'>> = {}) =>
    ({ do: 'advance', epoch: 1, id: 't', name: 'paid', cursor: later, ...more }) as const
  assert.equal(journal.one(LEADER, advance()), 'STA003 task-status')
  journal.one('bob', listen('t', fence, { until: 90_000 }))
  assert.equal(journal.one('ann', advance()), 'SEC002')
  assert.equal(journal.one(LEADER, advance({ epoch: 0 })), 'STA002')
  assert.equal(journal.one(LEADER, advance({ name: 'other' })), 'STA003 task-status')
  assert.deepEqual(await place(), cursor)
  assert.equal(journal.one(LEADER, advance()), null)
  assert.deepEqual(await place(), later)
  const { until, topic } = Object(await collections.read(signalsOf('t'), listenRow('paid'))) as Record<string, unknown>
  assert.deepEqual([until, topic], [90_000, 'orders.paid'])
  journal.one(LEADER, hear('t'))
  assert.equal(journal.one(LEADER, advance()), 'STA003 task-status')
  assert.deepEqual(journal.bugs, [])
})
