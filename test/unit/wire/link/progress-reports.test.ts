import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createVirtualTime } from '../../../../node/testing/virtual/virtual-time.ts'
import type { Progress } from '../../../../protocols/define.ts'
import {
  createProgressReports,
  MAX_NOTE,
  readProgress,
  reportPeriodMs,
  toProgress,
  writeProgress,
} from '../../../../protocols/wire/link/progress-reports.ts'

describe('a report of progress', () => {
  it('is moved into its bounds, and what is no number or no text is left out', () => {
    const table: [unknown, unknown, Progress][] = [
      [0.5, 'half', { fraction: 0.5, note: 'half' }],
      [0, '', { fraction: 0 }],
      [1, undefined, { fraction: 1 }],
      [-0.1, undefined, { fraction: 0 }],
      [1.1, undefined, { fraction: 1 }],
      [Number.POSITIVE_INFINITY, undefined, { fraction: 1 }],
      [Number.NaN, 7, {}],
      ['0.5', { note: 'x' }, {}],
      [undefined, undefined, {}],
    ]
    for (const [fraction, note, expected] of table) assert.deepEqual(toProgress(fraction, note), expected)
  })

  it('keeps a note of 256 characters and cuts a longer one, not within a character', () => {
    const full = 'x'.repeat(MAX_NOTE)
    assert.equal(toProgress(undefined, full).note, full)
    assert.equal(toProgress(undefined, `${full}y`).note, full)
    const split = `${'x'.repeat(MAX_NOTE - 1)}😀`
    assert.equal(toProgress(undefined, split).note, 'x'.repeat(MAX_NOTE - 1))
  })

  it('comes back as it was written, within a ten-thousandth, and always within its bounds', () => {
    const note = fc.string({ unit: 'binary', maxLength: 400 })
    fc.assert(
      fc.property(fc.option(fc.double(), { nil: undefined }), note, (fraction, text) => {
        const told = toProgress(fraction, text)
        const back = readProgress(writeProgress(told))
        assert.equal(back.note, told.note)
        assert.equal(back.fraction === undefined, told.fraction === undefined)
        assert.ok(Math.abs((back.fraction ?? 0) - (told.fraction ?? 0)) <= 0.0001)
        assert.ok((back.note ?? '').length <= MAX_NOTE && (back.note ?? '').isWellFormed())
      }),
    )
  })

  it('of a peer that tells more than everything is taken for everything', () => {
    assert.deepEqual(readProgress({ done: 2 ** 32 - 1, note: '' }), { fraction: 1 })
    assert.deepEqual(readProgress({ done: 0, note: 'on' }), { note: 'on' })
    assert.deepEqual(readProgress(undefined), {})
  })
})

describe('reports of one request', () => {
  const start = (full: () => boolean = () => false) => {
    const time = createVirtualTime()
    const sent: string[] = []
    const reports = createProgressReports({
      now: () => time.now(),
      timers: time,
      periodMs: 250,
      isFull: full,
      send: ({ note }) => void sent.push(`${time.now()} ${note}`),
    })
    return { time, sent, reports }
  }

  it('go at once, then the newest of each period', async () => {
    const { time, sent, reports } = start()
    for (const note of ['a', 'b', 'c']) reports.add({ note })
    await time.run(249)
    assert.deepEqual(sent, ['0 a'])
    await time.run(1)
    assert.deepEqual(sent, ['0 a', '250 c'])
    await time.run(1000)
    reports.add({ note: 'd' })
    assert.deepEqual(sent, ['0 a', '250 c', '1250 d'])
  })

  it('are four a second and the first one, however many there are', async () => {
    const { time, sent, reports } = start()
    for (let i = 0; i < 2000; i += 1) {
      reports.add({ note: `${i}` })
      await time.run(1)
    }
    assert.equal(sent.length, 9)
  })

  it('send the last one when they are flushed, and nothing after that or after they are stopped', async () => {
    const { time, sent, reports } = start()
    reports.add({ note: 'a' })
    reports.add({ note: 'b' })
    reports.flush()
    reports.flush()
    reports.add({ note: 'c' })
    reports.stop()
    await time.run(1000)
    assert.deepEqual(sent, ['0 a', '0 b'])
  })

  it('wait while nothing can be sent, and only the newest is kept', async () => {
    let full = true
    const { time, sent, reports } = start(() => full)
    reports.add({ note: 'a' })
    reports.add({ note: 'b' })
    await time.run(1000)
    assert.deepEqual(sent, [])
    full = false
    await time.run(250)
    assert.deepEqual(sent, ['1250 b'])
  })

  it('go more often where a deadline is short, so that each comes in time', () => {
    assert.equal(reportPeriodMs(30_000), 250)
    assert.equal(reportPeriodMs(1000), 250)
    assert.equal(reportPeriodMs(100), 25)
    assert.equal(reportPeriodMs(1), 1)
  })
})
