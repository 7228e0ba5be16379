/** The coordinator has scheduled tasks begun: whatever the times of some cost it, it does all else, and comes to all of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import type { ChangeOf, TaskChange } from '../../../../protocols/task/journal/task-changes.ts'
import { readSchedule, type SchedulePlan, scheduleKey } from '../../../../protocols/task/schedule/schedule-record.ts'
import { ScheduleRunner } from '../../../../protocols/task/schedule/schedule-runner.ts'
import { LEADER, TaskJournal } from '../../../support/task-journal.ts'

const RETRY = { max: 0, delayMs: 0, maxDelayMs: 0 }
const HOURLY: SchedulePlan = { kind: 'every', everyMs: 3_600_000 }
const UNKNOWN: SchedulePlan = { kind: 'cron', cron: '* * * * *', zone: 'Mars/Olympus' }

/** @param costMs that pass while it looks at one of them */
const create = (costMs = 0) => {
  const time = createVirtualTime()
  const journal = new TaskJournal()
  const warned: string[] = []
  const fired: { readonly id: string; readonly at: number }[] = []
  let [spentMs, isRefused] = [0, false]
  const end = new AbortController()
  const clock = {
    now: () => journal.at,
    monotonic() {
      spentMs += costMs
      return time.now() + spentMs
    },
  }
  const runner = new ScheduleRunner(
    {
      port: {
        clock,
        timers: time,
        log: { error() {}, warn: (text) => void warned.push(text), info() {} },
      },
      batcher: {
        async decide(change: TaskChange) {
          if (isRefused) throw new ParleyError('COM003', 'no room')
          fired.push({ id: (change as ChangeOf<'fire'>).id, at: time.now() })
          await new Promise<void>((resolve) => time.after(5, resolve))
          const answer = journal.one(LEADER, change)
          if (typeof answer === 'string') throw new ParleyError('STA003', answer)
          return { result: null, version: journal.index, fence: { term: 1, index: journal.index } }
        },
      },
      member: () => ({ machine: journal.machine, clock }),
    },
    journal.epoch,
    end.signal,
  )
  const make = (by: string, id: string, plan: SchedulePlan, digest = id): void => {
    const task = { type: 'sum', priority: 1, retry: RETRY }
    const more = { misfire: 'one', overlap: 'allow' } as const
    const made = journal.one(by, { do: 'schedule', id, plan, task, input: null, digest, ...more })
    assert.deepEqual(made, { known: false })
  }
  const running = runner.run()
  return {
    ...{ time, journal, warned, fired, make },
    refuse(is: boolean) {
      isRefused = is
    },
    nextOf: (id: string) => readSchedule(journal.machine.records.get(scheduleKey(id))?.value)?.nextAt,
    async stop() {
      end.abort()
      await time.settled(running, 1_000)
    },
  }
}

/** The first look loads what times are found with, in real time. */
const loaded = async ({ time, fired }: Pick<ReturnType<typeof create>, 'time' | 'fired'>): Promise<void> => {
  for (let i = 0; i < 500 && fired.length === 0; i += 1) {
    await time.run(10)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

test('times that are costly to find take no more than a part of its time', async () => {
  const r = create(4)
  for (let i = 0; i < 40; i += 1) r.make('eve', `a${i}`, HOURLY)
  await loaded(r)
  const begunAt = r.time.now()
  const before = r.fired.length
  await r.time.run(90)
  const busy = r.fired.filter(({ at }) => at > begunAt).length
  // Some in one go, then a rest.
  assert.ok(before <= 4 && busy <= 12 && busy > 0, `${before}, then ${busy}`)
  await r.time.run(2_000)
  assert.ok(Array.from({ length: 40 }, (_, i) => r.nextOf(`a${i}`)).every((at) => at !== undefined))
  await r.stop()
})

test('schedules that one peer makes anew again and again keep nobody else’s from their times', async () => {
  const r = create(4)
  for (let i = 0; i < 30; i += 1) r.make('eve', `a${i}`, HOURLY)
  r.make('ann', 'z', HOURLY)
  await loaded(r)
  for (let round = 0; round < 40 && r.nextOf('z') === undefined; round += 1) {
    for (let i = 0; i < 30; i += 1) r.make('eve', `a${i}`, HOURLY, `${i} ${round}`)
    await r.time.run(50)
  }
  assert.ok(r.nextOf('z') !== undefined)
  await r.stop()
})

test('what has no times that can be told is tried again ever less often, and said once; made anew, it is another one', async () => {
  const r = create()
  r.make('ann', 'good', HOURLY)
  await loaded(r)
  r.make('eve', 'bad', UNKNOWN)
  await r.time.run(600_000)
  assert.deepEqual(r.warned.length, 1)
  r.make('eve', 'bad', HOURLY, 'anew')
  await r.time.run(1_000)
  assert.ok(r.nextOf('bad') !== undefined)
  await r.stop()
})

test('what was refused is begun once it is not, said once', async () => {
  const r = create()
  r.make('ann', 'good', HOURLY)
  await loaded(r)
  r.refuse(true)
  r.make('ann', 'late', HOURLY)
  await r.time.run(120_000)
  assert.equal(r.warned.length, 1)
  r.refuse(false)
  await r.time.run(81_000)
  assert.ok(r.nextOf('late') !== undefined)
  await r.stop()
})
