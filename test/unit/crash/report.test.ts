import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Result, summary, verdictOf } from '../../crash/report.ts'

const result = (more: Partial<Result> = {}): Result => ({
  name: 'kills',
  seconds: 12.34,
  skipped: undefined,
  figures: { acknowledged: 1200, lost: 0, twice: 0, terms: 7, 'p99 ms': 812.4 },
  violations: [],
  ...more,
})

test('a summary has a row for each scenario, what it found beside that, and ends with ok where nothing is wrong', () => {
  const lines = summary([result(), result({ name: 'rolling' })], 7).split('\n')
  assert.match(lines[1] ?? '', /^kills +ok +12\.3 +1200 +0 +0 +7$/)
  assert.ok(lines.includes('kills: p99 ms 812'))
  assert.match(lines.at(-1) ?? '', /^crash: ok, 2 scenarios, 2400 decisions acknowledged, 0 lost, .*; seed 7$/)
})

test('what is wrong is told, and the last line says FAILED', () => {
  const told = summary([result(), result({ name: 'rolling', violations: ['write/1 is lost'] })], 7)
  assert.match(told, /^WRONG in rolling: write\/1 is lost$/m)
  assert.match(told, /^crash: FAILED/m)
})

test('a scenario that could not be played here is named with the reason', () => {
  const skipped = result({ name: 'full-disk', skipped: 'needs root', figures: {} })
  assert.equal(verdictOf(skipped), 'skipped')
  const told = summary([result(), skipped], 7)
  assert.match(told, /^full-disk: needs root$/m)
  assert.match(told, /crash: ok, 1 scenarios, .*, skipped full-disk; seed 7$/)
})
