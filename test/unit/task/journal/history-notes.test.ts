/** What happens to a task is noted, within bounds, and kept with what it leaves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  EFFECT_ENTRIES,
  ENTRY_END,
  FIRST_ENTRIES,
  historyEntry,
  OTHER_ENTRIES,
  readEntry,
  type TaskHappened,
} from '../../../../protocols/task/history-entry.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { DONE, type DoneTask, ENDED, HISTORY_ROWS, workOf } from '../../../../protocols/task/task-record.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

type Fence = ReturnType<TaskJournal['place']>

const begin = (journal = new TaskJournal()) => {
  journal.one('ann', { do: 'submit', tasks: [submitted('t')] })
  const registration = journal.worker('bob')
  let fence: Fence = { term: 0, index: 0 }
  const place = (): void => {
    journal.at += 10
    fence = journal.place('t', 'bob', registration)
  }
  /** One millisecond later; each of them is taken. */
  const by = (who: string, change: object): void => {
    journal.at += 1
    const answer = journal.one(who, { id: 't', ...change } as TaskChange)
    assert.ok(typeof answer !== 'string', String(answer))
  }
  const attempt = (change: object): void => by('bob', { fence, ...change })
  const effect = (name: string, value: unknown = 1, key = ''): void => attempt({ do: 'effect', name, key, value })
  place()
  return { journal, place, by, attempt, effect }
}
const whats = ({ entries }: { readonly entries: readonly TaskHappened[] }): string[] => entries.map(({ what }) => what)

test('a history says what happened, when, in which attempt, and who wanted it', async () => {
  const { journal, place, by, attempt, effect } = begin()
  effect('fetch', 'abc', 'page-7')
  attempt({ do: 'checkpoint', value: [1, 2] })
  attempt({ do: 'sleep', name: 'nap', until: 9_000_000, stays: true })
  attempt({ do: 'fail', error: { code: 'APP001', message: 'no such page' }, retry: true })
  place()
  by(LEADER, { do: 'lose', epoch: 1, fence: { term: 1, index: journal.index }, reason: 'worker-lost: bob' })
  place()
  attempt({ do: 'start' })
  by('ann', { do: 'pause', reason: 'not now, please' })
  by('ann', { do: 'resume' })
  place()
  attempt({ do: 'wait', name: 'answer', status: 'input_required' })
  by('ann', { do: 'signal', name: 'answer', value: 1 })
  place()
  journal.one('bob', { do: 'submit', tasks: [submitted('t.child', { parent: 't' })] })
  attempt({ do: 'release', reason: 'its worker stops' })
  place()
  attempt({ do: 'complete', result: 1 })
  assert.deepEqual(await journal.history('t'), {
    dropped: 0,
    entries: [
      { at: 1_000, what: 'submitted', by: 'ann' },
      { at: 1_010, what: 'assigned', attempt: 1, worker: 'bob' },
      { at: 1_011, what: 'running', attempt: 1 },
      { at: 1_011, what: 'effect', attempt: 1, bytes: 5, name: 'fetch', key: 'page-7' },
      { at: 1_012, what: 'checkpoint', attempt: 1, bytes: 5 },
      { at: 1_013, what: 'sleep', attempt: 1, until: 9_000_000, name: 'nap' },
      { at: 1_014, what: 'attempt-failed', attempt: 1, reason: 'APP001 no such page' },
      { at: 1_024, what: 'assigned', attempt: 2, worker: 'bob' },
      { at: 1_025, what: 'worker-lost', attempt: 2, worker: 'bob', reason: 'worker-lost: bob' },
      { at: 1_035, what: 'assigned', attempt: 3, worker: 'bob' },
      { at: 1_036, what: 'running', attempt: 3 },
      { at: 1_037, what: 'paused', attempt: 3, by: 'ann', reason: 'not now, please' },
      { at: 1_038, what: 'resumed', attempt: 3, by: 'ann' },
      { at: 1_048, what: 'assigned', attempt: 4, worker: 'bob' },
      { at: 1_049, what: 'running', attempt: 4 },
      { at: 1_049, what: 'wait', attempt: 4, name: 'answer' },
      { at: 1_050, what: 'signal', attempt: 4, by: 'ann', name: 'answer' },
      { at: 1_060, what: 'assigned', attempt: 5, worker: 'bob' },
      { at: 1_060, what: 'child', attempt: 5, task: 't.child' },
      { at: 1_061, what: 'released', attempt: 5, reason: 'its worker stops' },
      { at: 1_071, what: 'assigned', attempt: 6, worker: 'bob' },
      { at: 1_072, what: 'completed', attempt: 6 },
    ],
  })
  assert.deepEqual(journal.bugs, [])
})

test('a task that is only submitted, done and completed costs no row of its own', async () => {
  const { journal, attempt } = begin()
  const { collections } = journal.machine.records
  assert.equal(collections.get(workOf('t'))?.rows, 1)
  assert.deepEqual(whats(await journal.history('t')), ['submitted', 'assigned'])
  attempt({ do: 'complete', result: 1 })
  assert.deepEqual(whats(await journal.history('t')), ['submitted', 'assigned', 'completed'])
})

test('a history keeps its first entries, the newest effects and the newest of all else, and says how many it dropped', async () => {
  const { journal, by, attempt, effect } = begin()
  // Assigned, running, and the effects that follow: the first ones are full.
  for (let i = 0; i < FIRST_ENTRIES - 2; i += 1) effect(`first-${i}`)
  const { collections } = journal.machine.records
  const [first, effects, others] = HISTORY_ROWS
  assert.equal(await collections.read(workOf('t'), effects), undefined)
  for (let i = 0; i < EFFECT_ENTRIES; i += 1) effect(`more-${i}`)
  assert.equal((await journal.history('t')).dropped, 0)
  effect('one-past')
  const past = await journal.history('t')
  assert.equal(past.dropped, 1)
  assert.deepEqual(past.entries.at(FIRST_ENTRIES + 1)?.name, 'more-1')
  assert.deepEqual(past.entries.at(-1)?.name, 'one-past')
  for (let i = 0; i < OTHER_ENTRIES; i += 1) attempt({ do: 'checkpoint', value: i })
  assert.equal((await journal.history('t')).dropped, 1)
  attempt({ do: 'checkpoint', value: 'one past' })
  assert.equal((await journal.history('t')).dropped, 2)
  // However long it goes on.
  for (let i = 0; i < 300; i += 1) {
    effect(`late-${i}`)
    attempt({ do: 'checkpoint', value: i })
  }
  for (const [row, most] of [
    [first, FIRST_ENTRIES],
    [effects, EFFECT_ENTRIES],
    [others, OTHER_ENTRIES],
  ] as const) {
    const [, ...kept] = String(await collections.read(workOf('t'), row)).split(ENTRY_END)
    assert.equal(kept.length, most)
    assert.ok(kept.every((entry) => entry.length <= 256))
  }
  by('ann', { do: 'cancel', reason: 'enough' })
  const { entries, dropped } = await journal.history('t')
  // How it began and how it ended are told besides.
  assert.equal(entries.length, 1 + FIRST_ENTRIES + EFFECT_ENTRIES + OTHER_ENTRIES + 1)
  assert.equal(dropped, 2 + 600)
  const times = entries.map(({ at }) => at)
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  )
  assert.deepEqual(entries.at(-1), { at: journal.at, what: 'canceled', attempt: 1, by: 'ann', reason: 'enough' })
  assert.equal(collections.get(workOf('t')), undefined)
  assert.deepEqual(journal.bugs, [])
})

test('the longest names and reasons fit an entry; what a newer version wrote is left out', () => {
  const longest: TaskHappened = {
    at: 1_760_000_000_000,
    what: 'effect',
    attempt: 1_000,
    bytes: 16_384,
    name: 'n'.repeat(64),
    key: 'k'.repeat(96),
  }
  const { at, attempt = 0, bytes, name, key } = longest
  assert.deepEqual(readEntry(historyEntry('e', at, attempt, `${bytes} ${name} ${key}`)), longest)
  const reason = `${'why '.repeat(100)}`
  const text = historyEntry('f', 1, 1, reason)
  assert.equal(text.length, 256)
  assert.ok(reason.startsWith(readEntry(text)?.reason ?? '-'))
  assert.equal(readEntry(historyEntry('f', 1, 1, `a${ENTRY_END}b`))?.reason, 'a b')
  assert.equal(readEntry('? 1 1 new'), undefined)
  assert.equal(readEntry('toString 1 1'), undefined)
  assert.equal(readEntry(''), undefined)
})

test('only its submitter and its worker can write a child into the history of a task', async () => {
  const { journal } = begin()
  journal.one('eve', { do: 'submit', tasks: [submitted('t.fake', { parent: 't' })] })
  journal.one('eve', { do: 'submit', tasks: [submitted('x', { parent: 'gone' })] })
  assert.ok(!whats(await journal.history('t')).includes('child'))
  journal.one('ann', {
    do: 'submit',
    tasks: [submitted('t.one', { parent: 't' }), submitted('t.two', { parent: 't' })],
  })
  const again = journal.one('ann', { do: 'submit', tasks: [submitted('t.one', { parent: 't' })] })
  assert.deepEqual(again, [{ id: 't.one', known: true, status: 'queued' }])
  const children = (await journal.history('t')).entries.flatMap(({ task }) => task ?? [])
  assert.deepEqual(children, ['t.one', 't.two'])
})

test('what the coordinator does for somebody is noted with who that is; others cannot claim it', async () => {
  const { journal, attempt, by } = begin()
  attempt({ do: 'start' })
  by(LEADER, { do: 'pause', epoch: 1, asker: 'carol' })
  by('ann', { do: 'resume', asker: 'carol' })
  const { entries } = await journal.history('t')
  assert.deepEqual(
    entries.slice(-2).map(({ what, by: who }) => [what, who]),
    [
      ['paused', 'carol'],
      ['resumed', 'ann'],
    ],
  )
})

test('the input of a task that did not complete is kept with what it leaves; of a completed one it is not', async () => {
  const left = async (end: object, who = 'bob'): Promise<DoneTask> => {
    const { journal, by, attempt } = begin()
    if (who === 'bob') attempt(end)
    else by(who, end)
    const { collections } = journal.machine.records
    return (await collections.read(DONE, 't')) as unknown as DoneTask
  }
  const error = { code: 'APP001', message: 'no' }
  assert.equal((await left({ do: 'fail', error, retry: false })).input, 1)
  assert.equal((await left({ do: 'cancel' }, 'ann')).input, 1)
  assert.equal('input' in (await left({ do: 'complete', result: 2 })), false)
})

test('a history goes with what the task left; until then a list of what ended says what it was', async () => {
  const { journal, attempt } = begin()
  attempt({ do: 'complete', result: 1 })
  const { collections } = journal.machine.records
  const tasks = [{ id: 't', endedAt: journal.task('t')?.changedAt ?? 0 }]
  assert.equal(journal.one(LEADER, { do: 'archive', epoch: 1, tasks }), null)
  const [row] = await collections.list(ENDED, '', 10, 10_000)
  assert.deepEqual(row?.value, { type: 'sum', status: 'completed', attempts: 1, worker: 'bob' })
  assert.deepEqual(whats(await journal.history('t')), ['submitted', 'assigned', 'completed'])
  assert.equal(journal.one(LEADER, { do: 'forget', epoch: 1, tasks }), null)
  assert.equal(await collections.read(DONE, 't'), undefined)
  assert.deepEqual(await collections.list(ENDED, '', 10, 10_000), [])
})

test('while a voter is older nothing is noted, and its tasks go on under the new version with less of a history', async () => {
  const { journal, attempt, effect } = begin(new TaskJournal(1))
  effect('before')
  attempt({ do: 'checkpoint', value: 1 })
  const { collections } = journal.machine.records
  assert.equal(await collections.read(workOf('t'), HISTORY_ROWS[0]), undefined)
  assert.deepEqual(whats(await journal.history('t')), ['submitted'])
  journal.agree(2)
  effect('after')
  assert.deepEqual(whats(await journal.history('t')), ['submitted', 'effect'])
  // A node that is older than all voters decides by the command of level 1: what voters keep is the same.
  journal.isOlder = true
  attempt({ do: 'complete', result: 1 })
  assert.deepEqual(whats(await journal.history('t')), ['submitted', 'effect', 'completed'])
  assert.deepEqual(journal.bugs, [])
})

test('what a task that ends before all voters are newer leaves has no history', async () => {
  const { journal, attempt } = begin(new TaskJournal(1))
  attempt({ do: 'complete', result: 1 })
  const done = (await journal.machine.records.collections.read(DONE, 't')) as unknown as DoneTask
  assert.deepEqual(Object.keys(done).sort(), ['id', 'record', 'result'])
  assert.deepEqual(whats(await journal.history('t')), ['submitted', 'completed'])
})

test('waits for events, what came, and attempts that took too long are told in their order', async () => {
  const { journal, attempt, by, place } = begin()
  attempt({ do: 'listen', name: 'paid', topic: 'orders.paid', cursor: { createdAt: 500, positions: [] } })
  const event = { id: 'e', topic: 'orders.paid', source: 'p', timestamp: 600, data: null }
  by(LEADER, { do: 'hear', epoch: 1, name: 'paid', heard: { event } })
  place()
  assert.deepEqual(
    (await journal.history('t')).entries.map(({ what, attempt: n = 0, name }) => [what, n, name]),
    [
      ['submitted', 0, undefined],
      ['assigned', 1, undefined],
      ['running', 1, undefined],
      ['wait', 1, 'paid'],
      ['event', 1, 'paid'],
      ['assigned', 2, undefined],
    ],
  )
  const limited = new TaskJournal()
  limited.one('ann', { do: 'submit', tasks: [submitted('t', { attemptTimeoutMs: 100 })] })
  const fence = limited.place('t', 'bob', limited.worker('bob'))
  limited.at += 100
  limited.one(LEADER, { do: 'time-out', epoch: 1, id: 't', fence })
  assert.deepEqual((await limited.history('t')).entries.slice(1), [
    { at: 1_000, what: 'assigned', attempt: 1, worker: 'bob' },
    { at: 1_100, what: 'attempt-failed', attempt: 1, reason: 'COM001 attempt-timeout' },
  ])
  assert.deepEqual([...journal.bugs, ...limited.bugs], [])
})
