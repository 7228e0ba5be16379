/** What comes straight from Node: randomness that is drawn in blocks, timers that do not stay in step. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chance, random, timers } from '../../../../node/platform/platform.ts'

test('no random bytes are given twice, whatever sizes are asked for, and each one has its own memory', () => {
  const seen = new Set<string>()
  const given: Uint8Array[] = []
  for (let n = 0; n < 20_000; n += 1) {
    const bytes = random(8 + (n % 9))
    given.push(bytes)
    seen.add(Buffer.from(bytes.subarray(0, 8)).toString('hex'))
  }
  assert.equal(seen.size, 20_000)
  const before = given[1]?.slice()
  given[0]?.fill(0)
  assert.deepEqual(given[1], before)
})

test('as many bytes are given as are asked for, and they are spread evenly', () => {
  for (const size of [0, 1, 7, 255, 256, 257, 4_096, 10_000]) assert.equal(random(size).length, size)
  const counts = new Array<number>(16).fill(0)
  for (let n = 0; n < 16_000; n += 1) {
    const bucket = (random(1)[0] ?? 0) >> 4
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  // Seven standard deviations of a binomial count of 1,000.
  for (const count of counts) assert.ok(Math.abs(count - 1_000) < 215, counts.join())
  for (let n = 0; n < 1_000; n += 1) assert.ok(chance() >= 0 && chance() < 1)
})

test('timers that start together do not stay in step, keep their period on average, and end', async () => {
  const PERIOD_MS = 40
  const at: number[][] = [[], [], [], []]
  const stops = at.map((times) => timers.every(PERIOD_MS, () => times.push(performance.now())))
  await sleep(40 * PERIOD_MS)
  for (const stop of stops) stop()
  const counts = at.map(({ length }) => length)
  // Timers come late on a busy machine, and never early.
  for (const count of counts) assert.ok(count >= 20 && count <= 48, counts.join())
  const apart = new Set(at.map((times) => Math.round((times[15] ?? 0) / 2)))
  assert.ok(apart.size > 1, 'after 15 periods some are apart')
  await sleep(3 * PERIOD_MS)
  assert.deepEqual(
    at.map(({ length }) => length),
    counts,
  )
})

test('what is to come after more days than the platform counts does not come early, and can be called off', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const DAY_MS = 24 * 3_600_000
  const LONGEST_MS = 2 ** 31 - 1
  let calls = 0
  timers.after(60 * DAY_MS, () => {
    calls += 1
  })
  const stop = timers.after(60 * DAY_MS, () => {
    calls += 100
  })
  timers.after(Number.POSITIVE_INFINITY, () => {
    calls += 10_000
  })
  // The clock of the test sets what is begun anew at the end of a tick.
  t.mock.timers.tick(LONGEST_MS)
  t.mock.timers.tick(LONGEST_MS)
  stop()
  t.mock.timers.tick(60 * DAY_MS - 2 * LONGEST_MS - 1)
  assert.equal(calls, 0)
  t.mock.timers.tick(1)
  assert.equal(calls, 1)
  for (let day = 0; day < 90; day += 1) t.mock.timers.tick(DAY_MS)
  assert.equal(calls, 1)
})
