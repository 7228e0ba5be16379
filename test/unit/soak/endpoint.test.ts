import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMetrics } from '../../soak/endpoint.ts'

const calls = (method: string, status: string, n: number): string =>
  `parley_mesh_calls_total{protocol="events",method="${method}",status="${status}"} ${n}`

const seriesOf = (...lines: string[]) => readMetrics(['# HELP x y', ...lines, ''].join('\n'))

test('a series counts once for all its ends, and ends by their words', () => {
  const before = seriesOf(calls('sync', 'ok', 1), calls('fetch', 'ok', 1), 'parley_clock_skew_seconds{peer="a"} 0')
  assert.deepEqual(before, { 'metric series': 3, 'metric statuses': 1 })
  const rare = seriesOf(calls('sync', 'ok', 9), calls('sync', 'COM002', 1), calls('fetch', 'COM002', 1))
  assert.deepEqual(rare, { 'metric series': 2, 'metric statuses': 2 })
})

test('what grows with methods, peers or words of ends is seen', () => {
  const lines = [calls('sync', 'ok', 1)]
  const sizes = ['a', 'b', 'c'].map((name) => {
    lines.push(calls(name, name, 1), `parley_clock_skew_seconds{peer="${name}"} 0`)
    return readMetrics(lines.join('\n'))
  })
  assert.deepEqual(
    sizes.map((one) => [one['metric series'], one['metric statuses']]),
    [
      [3, 2],
      [5, 3],
      [7, 4],
    ],
  )
})

test('gauges are read by their whole names, and what explains a metric is no series', () => {
  const lines = [
    '# TYPE x counter',
    'parley_directory_ended 5',
    'parley_directory_ended_total 7',
    'messages_total{a="b"} 3',
  ]
  assert.deepEqual(seriesOf(...lines, ''), { 'metric series': 3, 'metric statuses': 0, directory_ended: 5 })
})
