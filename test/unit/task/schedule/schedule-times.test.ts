/** When the times of a schedule are: where clocks go forward and back, and after times that were missed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isParleyError } from '../../../../protocols/errors.ts'
import type { Misfire, SchedulePlan } from '../../../../protocols/task/schedule/schedule-record.ts'
import { checkPlan, dueFiring, firstTime, ON_TIME_MS } from '../../../../protocols/task/schedule/schedule-times.ts'

const at = (text: string): number => Date.parse(text)
const shown = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toISOString().replace(':00.000Z', 'Z')
const cron = (text: string, zone = 'UTC'): SchedulePlan => ({ kind: 'cron', cron: text, zone })

/** So many times after this one. */
const times = (plan: SchedulePlan, since: string, count: number): (string | undefined)[] => {
  const found: (string | undefined)[] = []
  let next = firstTime(plan, at(since))
  while (found.length < count && next !== undefined) {
    found.push(shown(next))
    next = dueFiring({ plan, since: at(since), misfire: 'one' }, next, next).next
  }
  return found
}

test('a time of day that does not exist counts at the end of the gap', () => {
  assert.deepEqual(times(cron('30 2 * * *', 'Europe/Berlin'), '2026-03-27T12:00Z', 3), [
    '2026-03-28T01:30Z',
    '2026-03-29T01:00Z',
    '2026-03-30T00:30Z',
  ])
  assert.deepEqual(times(cron('30 2 * * *', 'America/New_York'), '2026-03-07T12:00Z', 2), [
    '2026-03-08T07:00Z',
    '2026-03-09T06:30Z',
  ])
  // Half an hour: 2:00 is 2:30 there.
  assert.deepEqual(times(cron('15 2 * * *', 'Australia/Lord_Howe'), '2026-10-02T12:00Z', 3), [
    '2026-10-02T15:45Z',
    '2026-10-03T15:30Z',
    '2026-10-04T15:15Z',
  ])
  assert.deepEqual(times(cron('30 1,2,3 * * *', 'Europe/Berlin'), '2026-03-28T20:30Z', 4), [
    '2026-03-29T00:30Z',
    '2026-03-29T01:00Z',
    '2026-03-29T01:30Z',
    '2026-03-29T23:30Z',
  ])
})

test('of a time of day that comes twice the first one counts', () => {
  assert.deepEqual(times(cron('30 2 * * *', 'Europe/Berlin'), '2026-10-24T12:00Z', 2), [
    '2026-10-25T00:30Z',
    '2026-10-26T01:30Z',
  ])
  assert.deepEqual(times(cron('30 1 * * *', 'America/New_York'), '2026-10-31T12:00Z', 2), [
    '2026-11-01T05:30Z',
    '2026-11-02T06:30Z',
  ])
  assert.deepEqual(times(cron('45 1 * * *', 'Australia/Lord_Howe'), '2026-04-03T15:00Z', 2), [
    '2026-04-04T14:45Z',
    '2026-04-05T15:15Z',
  ])
})

test('what is each so often goes on through the change of clocks', () => {
  assert.deepEqual(times(cron('0 * * * *', 'Europe/Berlin'), '2026-03-28T23:30Z', 3), [
    '2026-03-29T00:00Z',
    '2026-03-29T01:00Z',
    '2026-03-29T02:00Z',
  ])
  assert.deepEqual(times(cron('0 * * * *', 'Europe/Berlin'), '2026-10-24T23:30Z', 3), [
    '2026-10-25T00:00Z',
    '2026-10-25T01:00Z',
    '2026-10-25T02:00Z',
  ])
  const inLordHowe = times(cron('*/15 * * * *', 'Australia/Lord_Howe'), '2026-04-04T13:50Z', 6)
  assert.deepEqual(inLordHowe.at(-1), '2026-04-04T15:15Z')
  // Twice, as the hour is there twice; and not at all where it is not there.
  assert.deepEqual(times(cron('*/30 2 * * *', 'Europe/Berlin'), '2026-10-24T22:00Z', 5), [
    ...['2026-10-25T00:00Z', '2026-10-25T00:30Z', '2026-10-25T01:00Z', '2026-10-25T01:30Z', '2026-10-26T01:00Z'],
  ])
  assert.deepEqual(times(cron('*/30 2 * * *', 'Europe/Berlin'), '2026-03-28T12:00Z', 1), ['2026-03-30T00:00Z'])
})

test('each so many milliseconds counts from when it was made; at a time, once', () => {
  const plan: SchedulePlan = { kind: 'every', everyMs: 90_000 }
  assert.equal(firstTime(plan, 5), 90_005)
  assert.deepEqual(dueFiring({ plan, since: 5, misfire: 'one' }, 90_005, 90_005), { nominal: 90_005, next: 180_005 })
  assert.equal(firstTime({ kind: 'at', at: 7_000 }, 9_000), 7_000)
  assert.deepEqual(dueFiring({ plan: { kind: 'at', at: 7_000 }, since: 0, misfire: 'one' }, 7_000, 9_000), {
    nominal: 7_000,
  })
  const late = 7_001 + ON_TIME_MS
  assert.deepEqual(dueFiring({ plan: { kind: 'at', at: 7_000 }, since: 0, misfire: 'skip' }, 7_000, late), {})
})

test('what was missed is made up for as its rule says', () => {
  const plan = cron('0 * * * *')
  const since = at('2026-01-01T00:30Z')
  const due = (misfire: Misfire, now: string, next = '2026-01-01T01:00Z') => {
    const found = dueFiring({ plan, since, misfire }, at(next), at(now))
    return [shown(found.nominal), shown(found.next)]
  }
  assert.deepEqual(due('one', '2026-01-01T05:20Z'), ['2026-01-01T05:00Z', '2026-01-01T06:00Z'])
  assert.deepEqual(due('skip', '2026-01-01T05:20Z'), [undefined, '2026-01-01T06:00Z'])
  // The newest one is not missed yet.
  assert.deepEqual(due('skip', '2026-01-01T05:01Z'), ['2026-01-01T05:00Z', '2026-01-01T06:00Z'])
  // Each by itself, in their order: the next one has come too.
  assert.deepEqual(due({ all: 100 }, '2026-01-01T05:20Z'), ['2026-01-01T01:00Z', '2026-01-01T02:00Z'])
  assert.deepEqual(due({ all: 2 }, '2026-01-01T05:20Z'), ['2026-01-01T04:00Z', '2026-01-01T05:00Z'])
  assert.deepEqual(due({ all: 2 }, '2026-01-01T05:20Z', '2026-01-01T05:00Z'), [
    '2026-01-01T05:00Z',
    '2026-01-01T06:00Z',
  ])
  // The journal's next time counts, also where it is none by this machine's zones.
  assert.deepEqual(due('one', '2026-01-01T01:10Z', '2026-01-01T01:07Z'), ['2026-01-01T01:07Z', '2026-01-01T02:00Z'])
})

test('years without a coordinator take no longer than a moment', () => {
  const plan = cron('* * * * *', 'Europe/Berlin')
  const begun = performance.now()
  const found = dueFiring(
    { plan, since: 0, misfire: { all: 1_000 } },
    at('2020-01-01T00:00Z'),
    at('2026-11-25T03:00:30Z'),
  )
  assert.equal(shown(found.nominal), '2026-11-24T10:21Z')
  const rare = dueFiring(
    { plan: cron('0 3 29 2 *'), since: 0, misfire: 'one' },
    at('2004-02-29T03:00Z'),
    at('2026-11-25T00:00Z'),
  )
  assert.deepEqual([shown(rare.nominal), shown(rare.next)], ['2024-02-29T03:00Z', '2028-02-29T03:00Z'])
  const every = dueFiring(
    { plan: { kind: 'every', everyMs: 1_000 }, since: 0, misfire: { all: 3 } },
    1_000,
    10 ** 12 + 1,
  )
  assert.deepEqual(every, { nominal: 10 ** 12 - 2_000, next: 10 ** 12 - 1_000 })
  assert.ok(performance.now() - begun < 2_000)
})

test('of times that were missed the last ones count, as counted one by one', () => {
  const plans = [cron('*/7 2,3 * * *', 'Europe/Berlin'), cron('* * * * *'), cron('30 2 * * *', 'Australia/Lord_Howe')]
  const every: SchedulePlan = { kind: 'every', everyMs: 90_000 }
  for (const plan of [...plans, every])
    for (const from of ['2026-03-28T20:00Z', '2026-10-24T20:00Z', '2026-10-02T10:00Z'].map(at)) {
      const all: number[] = []
      for (let next = firstTime(plan, from); next !== undefined && all.length < 60; )
        next = dueFiring({ plan, since: from, misfire: 'one' }, all[all.push(next) - 1] ?? 0, next).next
      for (const [most, missed] of [1, 2, 5, 17, 40].flatMap((one) =>
        [1, 3, 18, 59].map((many) => [one, many] as const),
      )) {
        const [nextAt = 0, nowMs = 0] = [all[0], all[missed]]
        const { nominal } = dueFiring({ plan, since: from, misfire: { all: most } }, nextAt, nowMs + 10)
        assert.equal(
          shown(nominal),
          shown(all[Math.max(0, missed + 1 - most)]),
          `${JSON.stringify(plan)} ${most} ${missed}`,
        )
      }
    }
})

test('what is due on time is found without a look at what was before', () => {
  const begun = performance.now()
  const [plan, nextAt] = [cron('* * * * *', 'Europe/Berlin'), at('2026-11-25T03:00Z')]
  for (let i = 0; i < 200; i += 1) {
    const found = dueFiring({ plan, since: 0, misfire: { all: 1_000 } }, nextAt, nextAt + 20)
    assert.deepEqual([shown(found.nominal), shown(found.next)], ['2026-11-25T03:00Z', '2026-11-25T03:01Z'])
  }
  // A thousand times before it take some 80 ms.
  assert.ok(performance.now() - begun < 2_000)
})

test('what has no times is refused with why', () => {
  const refused = (plan: SchedulePlan, until?: number): boolean => {
    try {
      checkPlan(plan, at('2026-01-01T00:00Z'), until)
      return false
    } catch (error) {
      return isParleyError(error, 'MSG001')
    }
  }
  for (const text of ['60 * * * *', '* * * * 8', '*/0 * * * *', '0 0 30 2 *', 'a b c d e', '* * 1-40 * *'])
    assert.ok(refused(cron(text)), text)
  assert.ok(refused(cron('* * * * *', 'Mars/Olympus')))
  assert.ok(refused(cron('0 0 1 6 *'), at('2026-02-01T00:00Z')))
  assert.ok(!refused(cron('0 0 1 6 *', 'Asia/Kolkata')))
})

test('whatever the plan, time goes on, and nothing is due before its time', () => {
  const plans = fc.oneof(
    fc
      .constantFrom('0 * * * *', '*/7 3,4 * * MON-FRI', '30 2 * * *', '15 1 L * *', '* * * * *')
      .chain((text) =>
        fc
          .constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe')
          .map((zone) => cron(text, zone)),
      ),
    fc.integer({ min: 1_000, max: 10 ** 9 }).map((everyMs): SchedulePlan => ({ kind: 'every', everyMs })),
  )
  const misfires = fc.constantFrom<Misfire>('one', 'skip', { all: 1 }, { all: 5 })
  const year = 31_536_000_000
  const start = at('2026-01-01T00:00Z')
  fc.assert(
    fc.property(
      plans,
      misfires,
      fc.integer({ min: 0, max: year }),
      fc.array(fc.integer({ min: 0, max: 10 ** 8 })),
      (plan, misfire, from, steps) => {
        const since = start + from
        let nextAt = firstTime(plan, since) ?? 0
        assert.ok(nextAt > since)
        let now = since
        for (const step of steps.slice(0, 8)) {
          now = Math.max(now, nextAt) + step
          const { nominal, next = 0 } = dueFiring({ plan, since, misfire }, nextAt, now)
          assert.ok(nominal === undefined || (nominal >= nextAt && nominal <= now))
          assert.ok(next > nextAt && next > (nominal ?? 0))
          nextAt = next
        }
      },
    ),
    { numRuns: 200 },
  )
})
