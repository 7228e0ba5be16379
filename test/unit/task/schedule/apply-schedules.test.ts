/** What is decided about schedules: who may, what begins a task, and that each time counts once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChangeOf } from '../../../../protocols/task/journal/task-changes.ts'
import {
  firedTaskId,
  MAX_SCHEDULES,
  readSchedule,
  SCHEDULES,
  scheduleKey,
} from '../../../../protocols/task/schedule/schedule-record.ts'
import { INPUT_ROW, workOf } from '../../../../protocols/task/task-record.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

const RETRY = { max: 2, delayMs: 100, maxDelayMs: 1_000 }
const made = (id: string, more: Partial<ChangeOf<'schedule'>> = {}): ChangeOf<'schedule'> => ({
  ...{ do: 'schedule', id, plan: { kind: 'every', everyMs: 60_000 }, misfire: 'one', overlap: 'allow' },
  ...{ task: { type: 'sum', priority: 1, retry: RETRY, withinMs: 5_000 }, input: { a: 1 }, metadata: 'm', digest: id },
  ...more,
})
const recordOf = (journal: TaskJournal, id = 's') => readSchedule(journal.machine.records.get(scheduleKey(id))?.value)
const fire = (journal: TaskJournal, by: string, more: Partial<ChangeOf<'fire'>> = {}): unknown => {
  const { revision = 0, nextAt } = recordOf(journal) ?? {}
  const from = nextAt === undefined ? {} : { from: nextAt }
  return journal.one(by, { do: 'fire', epoch: journal.epoch, id: 's', revision, ...from, ...more })
}

/** A schedule `s` of `ann` that is due at 61,000. */
const scheduled = (more: Partial<ChangeOf<'schedule'>> = {}): TaskJournal => {
  const journal = new TaskJournal()
  assert.deepEqual(journal.one('ann', made('s', more)), { known: false })
  assert.deepEqual(fire(journal, LEADER, { next: 61_000 }), {})
  return journal
}

test('at its time a task begins, as of its owner, and the next time is set in the same entry', async () => {
  const journal = scheduled()
  journal.at = 61_000
  const id = 's.19700101T000101Z'
  assert.equal(firedTaskId('s', 61_000), id)
  assert.deepEqual(fire(journal, LEADER, { nominal: 61_000, next: 121_000 }), { task: id })
  const { submitter, status, type, deadline, retry } = journal.task(id) ?? {}
  assert.deepEqual([submitter, status, type, deadline, retry], ['ann', 'queued', 'sum', 66_000, RETRY])
  const given = await journal.machine.records.collections.read(workOf(id), INPUT_ROW)
  assert.deepEqual(given, { input: { a: 1 }, metadata: 'm', digest: 's' })
  const { nextAt, lastAt, lastTask, fired, held } = recordOf(journal) ?? {}
  assert.deepEqual([nextAt, lastAt, lastTask, fired, held], [121_000, 61_000, id, 1, 0])
  // Its owner controls it.
  assert.deepEqual(journal.one('ann', { do: 'cancel', id }), { status: 'canceled' })
})

test('a time counts once, whoever asks for it; time only goes on, and never ahead of the journal', () => {
  const journal = scheduled()
  const refused = 'STA003 task-status'
  assert.equal(fire(journal, LEADER, { nominal: 61_000, next: 121_000 }), refused, 'before its time')
  journal.at = 130_000
  assert.equal(fire(journal, LEADER, { nominal: 60_999, next: 121_000 }), refused)
  assert.equal(fire(journal, LEADER, { nominal: 130_001, next: 140_000 }), refused)
  assert.equal(fire(journal, LEADER, { nominal: 61_000, next: 61_000 }), refused)
  assert.equal(fire(journal, LEADER, { nominal: 121_000, next: 110_000 }), refused)
  assert.equal(fire(journal, LEADER, { next: 60_000 }), refused)
  assert.equal(fire(journal, LEADER, { revision: 1, nominal: 61_000, next: 121_000 }), refused)
  assert.equal(fire(journal, 'ann', { nominal: 61_000, next: 121_000 }), 'SEC002')
  const once: ChangeOf<'fire'> = {
    ...{ do: 'fire', epoch: 1, id: 's', revision: recordOf(journal)?.revision ?? 0 },
    ...{ from: 61_000, nominal: 61_000, next: 121_000 },
  }
  const [first, second] = journal.decide(LEADER, once, once)
  assert.ok(first !== undefined && 'ok' in first && second !== undefined && 'fault' in second)
  journal.begin('other', 2)
  assert.equal(fire(journal, LEADER, { epoch: 2, nominal: 121_000, next: 181_000 }), 'SEC002')
  assert.equal(journal.one('other', { ...once, epoch: 2 }), refused)
  assert.deepEqual(fire(journal, 'other', { epoch: 2, nominal: 121_000, next: 181_000 }), {
    task: firedTaskId('s', 121_000),
  })
  assert.equal(recordOf(journal)?.fired, 2)
})

test('while the one before is open none begins, where it says so; nor does one whose id somebody has', () => {
  const journal = scheduled({ overlap: 'skip' })
  journal.at = 500_000
  assert.deepEqual(fire(journal, LEADER, { nominal: 61_000, next: 121_000 }), { task: firedTaskId('s', 61_000) })
  assert.deepEqual(fire(journal, LEADER, { nominal: 121_000, next: 181_000 }), {})
  assert.deepEqual([recordOf(journal)?.fired, recordOf(journal)?.held], [1, 1])
  journal.one('ann', { do: 'cancel', id: firedTaskId('s', 61_000) })
  assert.deepEqual(fire(journal, LEADER, { nominal: 181_000, next: 241_000 }), { task: firedTaskId('s', 181_000) })

  const taken = new TaskJournal()
  const id = firedTaskId('s', 61_000)
  taken.one('eve', { do: 'submit', tasks: [submitted(id)] })
  taken.one('ann', made('s'))
  // From then on such ids are the owner's.
  assert.equal(taken.one('eve', { do: 'submit', tasks: [submitted(firedTaskId('s', 121_000))] }), 'STA003 exists')
  fire(taken, LEADER, { next: 61_000 })
  taken.at = 61_000
  assert.deepEqual(fire(taken, LEADER, { nominal: 61_000, next: 121_000 }), {})
  assert.equal(recordOf(taken)?.held, 1)
  assert.equal(taken.task(id)?.submitter, 'eve')
})

test('made again it is the same one; its owner changes it, others do not', () => {
  const journal = scheduled()
  assert.deepEqual(journal.one('ann', made('s')), { known: true })
  assert.deepEqual(journal.one('bob', made('s')), { known: true })
  assert.equal(recordOf(journal)?.nextAt, 61_000)
  assert.equal(journal.one('bob', made('s', { digest: 'other' })), 'STA003 exists')
  journal.at = 50_000
  assert.deepEqual(journal.one('ann', made('s', { digest: 'other' })), { known: false })
  assert.deepEqual([recordOf(journal)?.nextAt, recordOf(journal)?.since], [undefined, 50_000])
  for (const change of [
    { do: 'unschedule', id: 's' },
    { do: 'hold-schedule', id: 's', paused: true },
  ] as const) {
    assert.equal(journal.one('bob', change), 'SEC002')
    assert.equal(journal.one('bob', { ...change, epoch: 1 }), 'SEC002')
    assert.equal(journal.one(LEADER, { ...change, epoch: 0 }), 'STA002')
    assert.equal(journal.one('ann', { ...change, id: 'none' }), 'STA001')
  }
  assert.equal(journal.one(LEADER, { do: 'unschedule', id: 's', epoch: 1 }), null)
  assert.equal(recordOf(journal), undefined)
})

test('a paused one begins nothing; it goes on with times from then on', () => {
  const journal = scheduled()
  assert.equal(journal.one('ann', { do: 'hold-schedule', id: 's', paused: true }), null)
  assert.equal(journal.one('ann', { do: 'hold-schedule', id: 's', paused: true }), null)
  journal.at = 200_000
  assert.equal(fire(journal, LEADER, { next: 300_000 }), 'STA003 task-status')
  assert.equal(journal.one('ann', { do: 'hold-schedule', id: 's', paused: false }), null)
  assert.deepEqual([recordOf(journal)?.since, recordOf(journal)?.nextAt], [200_000, undefined])
  assert.deepEqual(fire(journal, LEADER, { next: 260_000 }), {})
})

test('one that has no more times goes, with its row', async () => {
  const journal = scheduled({ until: 100_000 })
  journal.at = 61_000
  assert.deepEqual(fire(journal, LEADER, { nominal: 61_000, next: 121_000 }), { task: firedTaskId('s', 61_000) })
  assert.equal(recordOf(journal), undefined)
  assert.equal(await journal.machine.records.collections.read(SCHEDULES, 's'), undefined)
  const once = scheduled()
  assert.deepEqual(fire(once, LEADER, {}), {})
  assert.equal(recordOf(once), undefined)
})

test('there are so many schedules, and each peer has its share of them', () => {
  const journal = new TaskJournal()
  let own = 0
  while (own <= MAX_SCHEDULES && journal.one('eve', made(`e${own}`)) !== 'COM003 task-share') own += 1
  assert.equal(own, 750)
  assert.deepEqual(journal.one('ann', made('a0')), { known: false })
  assert.equal(journal.one('eve', { do: 'unschedule', id: 'e0' }), null)
  assert.deepEqual(journal.one('eve', made('again')), { known: false })
  let all = own + 1
  for (let peer = 0; all < MAX_SCHEDULES && peer < 100; peer += 1)
    while (journal.one(`p${peer}`, made(`p${peer}-${all}`)) !== 'COM003 task-share') all += 1
  assert.equal(all, MAX_SCHEDULES)
  assert.equal(journal.one('new', made('more')), 'COM003 task-share')
})

test('a share that is used up puts a time off; nothing of it is decided', () => {
  const journal = scheduled()
  journal.at = 61_000
  const full = Array.from({ length: 64 }, (_, i) => i)
  for (let batch = 0; ; batch += 1) {
    const answer = journal.one('ann', { do: 'submit', tasks: full.map((i) => submitted(`t${batch}-${i}`)) })
    if (answer === 'COM003 task-share') break
  }
  for (let i = 0; journal.one('ann', { do: 'submit', tasks: [submitted(`u${i}`)] }) !== 'COM003 task-share'; i += 1);
  assert.equal(fire(journal, LEADER, { nominal: 61_000, next: 121_000 }), 'COM003 task-share')
  assert.deepEqual([recordOf(journal)?.nextAt, recordOf(journal)?.fired], [61_000, 0])
  journal.one('ann', { do: 'cancel', id: 't0-0' })
  journal.one('ann', { do: 'cancel', id: 't0-1' })
  assert.deepEqual(fire(journal, LEADER, { nominal: 61_000, next: 121_000 }), { task: firedTaskId('s', 61_000) })
})
