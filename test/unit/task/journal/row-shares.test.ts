/** What rows of tasks take is counted for whoever submitted them, until what a task left is forgotten. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { rowSize } from '../../../../protocols/journal/state/collection-rows.ts'
import { defineJournalCommand } from '../../../../protocols/journal/state/command-kind.ts'
import { reholdBytes } from '../../../../protocols/task/journal/rehold-kind.ts'
import { RowShares, TIMES_FREE, type Usage } from '../../../../protocols/task/journal/row-shares.ts'
import type { TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { TaskRows } from '../../../../protocols/task/journal/task-rows.ts'
import {
  DONE,
  type DoneTask,
  signalsOf,
  TASK_PREFIX,
  TASKS_PART,
  type TaskRecord,
  usageKey,
  workOf,
} from '../../../../protocols/task/task-record.ts'
import { isFinal } from '../../../../protocols/task/task-status.ts'
import { LEADER, submitted, TaskJournal } from '../../../support/task-journal.ts'

const IDS = ['a', 'b', 'c']
const SUBMITTERS = ['ann', 'eve']

const countedRows = (journal: TaskJournal, peer: string): number => {
  const { rows = 0 } = (journal.machine.records.get(usageKey(peer))?.value as Usage | undefined) ?? {}
  return rows
}

/** What there is, read again. */
const actualRows = async (journal: TaskJournal, peer: string): Promise<number> => {
  const { collections } = journal.machine.records
  let bytes = 0
  for (const id of IDS) {
    const done = (await collections.read(DONE, id)) as unknown as DoneTask | undefined
    const { submitter, isCounted } = done?.record ?? journal.task(id) ?? {}
    if (isCounted !== true || (peer !== 'all' && submitter !== peer)) continue
    for (const name of [workOf(id), signalsOf(id)]) bytes += collections.get(name)?.bytes ?? 0
    if (done !== undefined) bytes += rowSize(id, JSON.stringify(done))
  }
  return bytes
}

interface Step {
  readonly what: number
  readonly id: string
  readonly by: string
  readonly n: number
  readonly isOlder: boolean
}
const Step: fc.Arbitrary<Step> = fc.record({
  what: fc.nat(11),
  id: fc.constantFrom(...IDS),
  by: fc.constantFrom(...SUBMITTERS),
  n: fc.nat(3),
  isOlder: fc.boolean(),
})

const changeOf = (journal: TaskJournal, registration: number, { what, id, by, n }: Step) => {
  const record = journal.task(id)
  const fence = record?.fence ?? { term: 1, index: 1 }
  const value = 'x'.repeat(10 ** n)
  const wait = { name: `w${n}`, status: 'input_required' } as const
  const tasks = [{ id, endedAt: record?.changedAt ?? 0 }]
  const all: readonly (readonly [by: string, change: TaskChange])[] = [
    [by, { do: 'submit', tasks: [submitted(id, { input: value })] }],
    [LEADER, { do: 'place', epoch: 1, id, worker: 'bob', registration }],
    ['bob', { do: 'effect', id, fence, name: `e${n}`, key: '', value }],
    ['bob', { do: 'checkpoint', id, fence, value }],
    ['bob', { do: 'sleep', id, fence, name: `z${n}`, until: 1, stays: true }],
    ['bob', { do: 'wait', id, fence, ...wait }],
    [record?.submitter ?? by, { do: 'signal', id, name: `w${n}`, value }],
    ['bob', { do: 'complete', id, fence, result: value }],
    [by, { do: 'cancel', id }],
    ['bob', { do: 'fail', id, fence, error: { code: 'APP001', message: value.slice(0, 100) }, retry: n > 0 }],
    [LEADER, { do: 'archive', epoch: 1, tasks }],
    [LEADER, { do: 'forget', epoch: 1, tasks }],
  ]
  return all[what]
}

test('whatever is done, each submitter answers for the rows that there are, and for no others', async () => {
  const Steps = fc.array(Step, { maxLength: 60, size: 'max' })
  await fc.assert(
    fc.asyncProperty(Steps, fc.nat(12), async (steps, upgradedAt) => {
      const journal = new TaskJournal(1)
      const registration = journal.worker('bob')
      for (const [i, step] of steps.entries()) {
        if (i === upgradedAt) journal.agree(2)
        if (i > upgradedAt) journal.isOlder = step.isOlder
        const [by, change] = changeOf(journal, registration, step) ?? []
        const isLater = change?.do === 'sleep' || change?.do === 'wait' || change?.do === 'signal'
        if (by !== undefined && change !== undefined && !(isLater && i <= upgradedAt)) journal.decide(by, change)
      }
      assert.deepEqual(journal.bugs, [])
      for (const peer of [...SUBMITTERS, 'all'])
        assert.equal(countedRows(journal, peer), await actualRows(journal, peer))
      const open = journal.machine.records
        .all()
        .filter(({ key, value }) => key.startsWith(TASK_PREFIX) && !isFinal((value as TaskRecord).status))
      const isEmpty = open.length === 0 && (await actualRows(journal, 'all')) === 0
      assert.equal(journal.machine.records.get(usageKey('all')) === undefined, isEmpty)
    }),
    { numRuns: 400 },
  )
})

test('other holders of a large value take more room, or less, of an open task and of one that has ended', async () => {
  const journal = new TaskJournal()
  const hash = '0'.repeat(64)
  const input = { 'parley:bytes': { hash, size: 20_000, form: 'json', holders: ['p'] } }
  journal.one('ann', { do: 'submit', tasks: [submitted('a', { input })] })
  for (const end of [false, true]) {
    if (end) journal.one('ann', { do: 'cancel', id: 'a' })
    const before = countedRows(journal, 'ann')
    const to = end ? 'short' : 'somebody-with-a-long-name'
    assert.ok(journal.run(reholdBytes.name, { epoch: 1, id: 'a', row: 'input', hash, to }).ok)
    assert.ok(countedRows(journal, 'ann') > before)
    assert.equal(countedRows(journal, 'ann'), await actualRows(journal, 'ann'))
  }
})

test('who holds its share may add no more rows, and others may', () => {
  const check = defineJournalCommand({
    name: `${TASKS_PART}.check`,
    level: 1,
    input: z.object({ peer: z.string(), maxBytes: z.number() }),
    output: z.null(),
    apply(tx, { peer, maxBytes }) {
      new RowShares(tx, new TaskRows(tx), maxBytes).check(peer)
      return null
    },
  })
  const journal = new TaskJournal(2, [check])
  journal.one('eve', { do: 'submit', tasks: [submitted('a', { input: 'x'.repeat(10_000) })] })
  const held = countedRows(journal, 'eve')
  assert.ok(held > 10_000)
  const mayHold = (peer: string, maxBytes: number): boolean => journal.run(check.name, { peer, maxBytes }).ok
  const fair = held + Math.ceil(held / TIMES_FREE)
  assert.ok(mayHold('eve', fair))
  assert.ok(!mayHold('eve', fair - 1))
  assert.ok(mayHold('ann', fair - 1))
  assert.ok(!mayHold('ann', held - 1))
})
