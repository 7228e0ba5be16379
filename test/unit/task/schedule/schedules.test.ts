/** Schedules as a program makes them: what of a task a schedule cannot have. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { Slice } from '../../../../protocols/budget/slice.ts'
import { type TaskChange, TaskChangeSchema } from '../../../../protocols/task/journal/task-changes.ts'
import type { ScheduledSubmission } from '../../../../protocols/task/schedule/schedule-api.ts'
import { Schedules } from '../../../../protocols/task/schedule/schedules.ts'
import { failureOf } from '../../../support/until.ts'

const create = () => {
  const time = createVirtualTime()
  const asked: TaskChange[] = []
  const schedules = new Schedules({
    port: {
      clock: { now: time.now, monotonic: time.now },
      timers: time,
      random: (length) => randomBytes(length),
      hash: (data) => createHash('sha256').update(data).digest(),
      to: () => assert.fail('nobody is asked'),
    },
    journal: { list: () => assert.fail('nothing is read') },
    coordinator: { status: () => assert.fail('nobody is asked') },
    batcher: {
      async decide(change) {
        asked.push(change)
        return { result: null, version: 1, fence: { term: 1, index: 1 } }
      },
    },
  })
  return { schedules, asked }
}

test('a task of a schedule has no budget: one is refused where the schedule is made', async () => {
  const { schedules, asked } = create()
  const of = new Slice({ amounts: { tokens: 100 } })
  const task = { type: 'sum', budget: { of, amounts: { tokens: 10 } } } as ScheduledSubmission
  const refused = await failureOf(schedules.make({ id: 's', everyMs: 60_000, task }))
  assert.equal(Reflect.get(Object(refused), 'code'), 'MSG001')
  assert.match(String(refused), /budget/)
  assert.deepEqual([asked, of.remaining()], [[], { tokens: 100 }])
  await schedules.make({ id: 's', everyMs: 60_000, task: { type: 'sum' } })
  assert.equal(asked.length, 1)
})

test('a member that asks for one all the same gets none: what voters read of it has no budget', () => {
  const task = { type: 'sum', priority: 1, retry: { max: 0, delayMs: 0, maxDelayMs: 0 } }
  const made = {
    ...{ do: 'schedule', id: 's', plan: { kind: 'every', everyMs: 60_000 }, misfire: 'one', overlap: 'allow' },
    ...{ input: null, digest: 's' },
  }
  const forged = TaskChangeSchema.parse({ ...made, task: { ...task, budget: { amounts: { tokens: 10 } } } })
  assert.deepEqual(forged, { ...made, task })
})
