import assert from 'node:assert/strict'
import { test } from 'node:test'
import { columns, type Report, shown, table } from '../../bench/report.ts'

const report: Report = {
  suite: 'rpc',
  at: '2026-01-01T00:00:00.000Z',
  machine: { cpu: 'CPU', cores: 2, memoryBytes: 1, system: 's', otherWork: { median: 0.5, max: 0.9 } },
  versions: { node: '24.0.0' },
  rows: ['x', 'y'].flatMap((name) =>
    ['a', 'b'].map((system) => ({ system, case: name, metric: 'm', unit: '/s', median: 1, min: 1, max: 1, rounds: 5 })),
  ),
  floors: [
    { name: 'one', value: null, middle: null, floor: 1, aim: null, holds: false, reachesAim: false },
    { name: 'two', value: 2, middle: [1.5, 2.5], floor: 3, aim: 4, holds: false, reachesAim: false },
  ],
  skipped: [{ system: 'nats', why: 'not installed' }],
}

test('columns are as wide as their widest cell, text to the left and numbers to the right', () => {
  assert.equal(
    columns(
      [
        ['ab', '1'],
        ['a', '100'],
      ],
      1,
    ),
    'ab    1\na   100',
  )
})

test('figures are grouped by thousands, small ones keep three digits, none is a dash', () => {
  assert.deepEqual([1_234_567.8, 12.345, 0.012345, Number.NaN].map(shown), ['1,234,568', '12.3', '0.0123', '–'])
})

test('the table names what was skipped, what was not measured, what is below its floor, and a busy machine', () => {
  const text = table(report, new Map([['a', 'plain']]))
  for (const told of [
    /skipped nats: not installed/,
    /NOT MEASURED/,
    /BELOW THE FLOOR +2 +1\.5 to 2\.5/,
    /NOT A QUIET MACHINE/,
  ]) {
    assert.match(text, told)
  }
})

test('what a suite says of a system stands behind its note', () => {
  const text = table({ ...report, labels: { a: 'syncs first' } }, new Map([['a', 'plain']]))
  assert.match(text, /^a: plain; syncs first$/m)
})

test('one figure of all systems stands together, its case named once', () => {
  const lines = table(report, new Map()).split('\n')
  const first = lines.findIndex((line) => /^x +m +a /.test(line))
  assert.match(lines[first + 1] ?? '', /^ +b /)
})
