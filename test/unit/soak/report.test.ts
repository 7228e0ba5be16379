import assert from 'node:assert/strict'
import { test } from 'node:test'
import { slopeTable, summary } from '../../soak/report.ts'
import { judge } from '../../soak/verdict.ts'

const points = (perMinute: number) =>
  Array.from({ length: 30 }, (_, i) => ({ minute: i / 3, value: 10 + (perMinute * i) / 3 }))
const good = {
  minutes: 10,
  calls: 1_234_567,
  joins: 640,
  leaves: 612,
  unexpected: 0,
  heardShare: 1,
  unheard: 0,
  heapAtEnd: [],
  judged: [judge('core-0', 'fds', points(0))],
}

test('the last line says what was done', () => {
  assert.equal(
    summary(good),
    'soak: ok, 10 min, 1,234,567 calls, 612 joins and leaves, 0 unexpected failures, all slopes within bounds',
  )
})

test('the last line says why it failed', () => {
  assert.match(summary({ ...good, judged: [judge('core-0', 'fds', points(3))] }), /^soak: FAILED.*fds of core-0$/)
})

test('the table has a row for each series and marks the process in which it grows', () => {
  const table = slopeTable([...good.judged, judge('core-1', 'fds', points(3)), judge('core-1', 'agents', points(0))])
  const [head, fds, agents] = table.split('\n')
  assert.match(head ?? '', /core-0 +core-1 +± +bound +verdict/)
  assert.match(fds ?? '', /^fds .*\+0\.00 \(10\) +\+3\.00! \(39\) +0\.00 +0\.5 +GROWS$/)
  assert.match(agents ?? '', /^agents .*flat$/)
})
